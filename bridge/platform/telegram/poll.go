package telegram

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/bridgekeeper/bridgekeeper/bridge/platform"
	"github.com/bridgekeeper/bridgekeeper/bridge/wire"
)

const (
	defaultPollTimeout = 25 * time.Second
	defaultBackoff     = time.Second
	maxBackoff         = 30 * time.Second
	// pollGrace is what an answer may take beyond the time it was asked to wait.
	pollGrace = 15 * time.Second
	// pollLimit is the most updates that getUpdates gives at a time.
	pollLimit = 100
)

// Run implements platform.Poller.
//
// getUpdates confirms what lies before its offset. It is given only to confirm
// what was just delivered, and never from the stored cursor: update ids start
// anew at random after a quiet week, and differ between Bot API servers, so an
// old offset could confirm updates that nobody has seen. Without one, Telegram
// gives what is unconfirmed; after a takeover, that is at most one batch which
// the store knows already.
func (p *Platform) Run(ctx context.Context, ch platform.Channel, _ string, deliver func(context.Context, platform.Batch) error, report func(error)) error {
	poll := poller{p: p, c: self(ch), deliver: deliver, report: report}
	for ctx.Err() == nil {
		poll.step(ctx)
	}
	return ctx.Err()
}

type poller struct {
	p       *Platform
	c       *channel
	deliver func(context.Context, platform.Batch) error
	report  func(error)

	confirm  int64 // offset to send; 0: nothing to confirm
	failures int
	healthy  bool
}

// step is one fetch with its delivery, or a pause after a failure.
func (w *poller) step(ctx context.Context) {
	updates, err := w.fetch(ctx)
	if err == nil {
		err = w.hand(ctx, updates)
	}
	if ctx.Err() != nil {
		return
	}
	if err != nil {
		w.failed(ctx, w.conflict(ctx, err))
		return
	}
	w.failures = 0
	if !w.healthy {
		w.healthy = true
		w.report(nil)
	}
}

func (w *poller) fetch(ctx context.Context) ([]json.RawMessage, error) {
	wait := w.p.PollTimeout
	if wait == 0 {
		wait = defaultPollTimeout
	}
	if !w.healthy {
		wait = 0 // the first answer after a start or a failure says whether it works: have it at once
	}
	fields := params{"timeout": int(wait.Seconds()), "limit": pollLimit, "allowed_updates": allowedUpdates}
	if w.confirm != 0 {
		fields["offset"] = w.confirm
	}
	ctx, cancel := context.WithTimeout(ctx, wait+pollGrace)
	defer cancel()
	var updates []json.RawMessage
	if err := w.c.callFor(ctx, "getUpdates", fields, &updates); err != nil {
		return nil, err
	}
	w.confirm = 0 // done by this call
	return updates, nil
}

// hand delivers one batch, again and again until the store has it.
func (w *poller) hand(ctx context.Context, updates []json.RawMessage) error {
	if len(updates) == 0 {
		return nil
	}
	batch, next, err := w.batch(updates)
	if err != nil {
		return err
	}
	for {
		err := w.deliver(ctx, batch)
		if err == nil {
			w.confirm, w.failures = next, 0
			return nil
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		w.failed(ctx, err)
	}
}

// batch makes a batch of all updates: one transaction for up to a hundred.
func (w *poller) batch(updates []json.RawMessage) (platform.Batch, int64, error) {
	raw, err := json.Marshal(updates)
	if err != nil {
		return platform.Batch{}, 0, err
	}
	var next int64
	for _, u := range updates {
		decoded, err := decodeUpdate(u)
		if err != nil {
			return platform.Batch{}, 0, &platform.Error{Class: wire.ErrUnknown, Reason: err.Error()}
		}
		next = max(next, decoded.id+1)
	}
	events, err := w.p.Parse(w.c.account, raw)
	if err != nil {
		return platform.Batch{}, 0, &platform.Error{Class: wire.ErrUnknown, Reason: err.Error()}
	}
	return platform.Batch{Raw: raw, Events: events, Cursor: strconv.FormatInt(next, 10)}, next, nil
}

// failed reports an error and waits: as long as Telegram asks, else longer with
// each failure in a row.
func (w *poller) failed(ctx context.Context, err error) {
	w.healthy = false
	w.report(err)
	pause := w.p.Backoff
	if pause == 0 {
		pause = defaultBackoff
	}
	pause = min(pause<<min(w.failures, 10), maxBackoff)
	w.failures++
	var e *platform.Error
	if errors.As(err, &e) {
		pause = max(pause, e.RetryAfter)
	}
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// conflict finds out why Telegram lets nobody poll. This channel's own webhook,
// at this Bridge or a former one, is left from the time before Polling: it is
// removed, and what waits for it is kept. Any other may be somebody else's and
// is theirs to remove. Without a webhook another process polls for the same bot.
func (w *poller) conflict(ctx context.Context, err error) error {
	if !saysOneOf(err, "conflict:") {
		return err
	}
	var info webhookInfo
	if infoErr := w.c.call(ctx, "getWebhookInfo", nil, &info); infoErr != nil {
		return infoErr
	}
	switch {
	case info.URL == "":
		return &platform.Error{Class: wire.ErrRetryable, Reason: "another process fetches this bot's updates too; stop it, or use a bot of its own"}
	case w.c.ours(info.URL):
		if removeErr := w.c.call(ctx, "deleteWebhook", params{"drop_pending_updates": false}, nil); removeErr != nil {
			return removeErr
		}
		return &platform.Error{Class: wire.ErrRetryable, Reason: "this channel's own webhook was still registered; it is removed now"}
	}
	return &platform.Error{Class: wire.ErrMisconfigured, Reason: fmt.Sprintf("a webhook at %s is registered for this bot; remove it, or receive by Webhook", origin(info.URL))}
}
