package email

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/emersion/go-imap/v2"

	"github.com/bridgekeeper/bridgekeeper/bridge/platform"
	"github.com/bridgekeeper/bridgekeeper/bridge/wire"
)

const (
	// defaultIdle is how long one IDLE lasts before the mailbox is looked at all
	// the same: some servers forget to tell, others (and what is between) drop a
	// silent connection after 10 minutes, long before the 29 of RFC 2177.
	defaultIdle    = 5 * time.Minute
	defaultPoll    = time.Minute
	defaultBackoff = time.Second
	maxBackoff     = time.Minute

	// definitiveBackoff is for what a person must mend, and maxAuthBackoff what it
	// grows to where the credentials are refused: 2 tries an hour are below what
	// any server locks a mailbox for (Exchange: 10 in 10 minutes).
	definitiveBackoff = 5 * time.Minute
	maxAuthBackoff    = 30 * time.Minute
)

// Run implements platform.Poller.
func (p *Platform) Run(ctx context.Context, ch platform.Channel, stored string, deliver func(context.Context, platform.Batch) error, report func(error)) error {
	w := poller{p: p, c: self(ch), deliver: deliver, report: report, news: make(chan struct{}, 1)}
	w.at, w.started = parseCursor(stored)
	w.stored = stored
	for ctx.Err() == nil {
		began := p.clock()
		err := w.connection(ctx)
		if ctx.Err() == nil {
			w.ended(ctx, err, p.clock().Sub(began))
		}
	}
	return ctx.Err()
}

type poller struct {
	p       *Platform
	c       *channel
	deliver func(context.Context, platform.Batch) error
	report  func(error)
	news    chan struct{}

	at       cursor
	stored   string // what the store has of it
	started  bool   // at is set
	failures int
	healthy  bool // the last fetch went well
	noIdle   bool // the server offers IDLE and refuses it
	noMark   bool // the server says of the mail at the cursor what cannot be read

	// stuck is the first of the mails that are described in a way that cannot be
	// read, and how often that was so: a mail must not hold up those behind it.
	stuck      imap.UID
	stuckTimes int
}

// connection fetches over one connection until it breaks.
func (w *poller) connection(ctx context.Context) error {
	m, err := w.c.openMailbox(ctx, w.news)
	if err != nil {
		return err
	}
	defer m.end()
	if err := w.orient(m); err != nil {
		return w.c.redact(m.trouble(err))
	}
	for {
		if err := w.fetchNew(ctx, m); err != nil {
			return w.c.redact(m.trouble(err))
		}
		if !w.healthy {
			w.healthy = true
			w.report(nil)
		}
		if err := w.wait(ctx, m); err != nil {
			return w.c.redact(m.trouble(err))
		}
	}
}

// orient finds out whether the cursor's numbers mean the same mails in the
// mailbox that was opened.
func (w *poller) orient(m *mailbox) error {
	p := place{home: w.c.home(), validity: m.validity, next: m.next}
	if w.started && w.at.mark != "" && w.at.validity == m.validity && !w.noMark {
		mark, err := m.mark(w.at.uid)
		if err != nil {
			w.noMark = garbled(err)
			return err
		}
		p.mark = mark
	}
	w.at, w.started = w.at.onto(p, w.started, w.p.clock()), true
	return nil
}

// ended decides what the end of a connection means. That one which worked has
// ended is no trouble: servers end them after a while, and the next one says
// whether anything is wrong. It is made at once where this one lasted, else
// after a pause, longer with each that did not.
func (w *poller) ended(ctx context.Context, err error, lasted time.Duration) {
	var e *platform.Error
	if w.healthy && errors.As(err, &e) && e.Class == wire.ErrRetryable {
		w.healthy = false
		if lasted >= steady {
			w.failures = 0
			return
		}
		w.pause(ctx, err)
		return
	}
	w.failed(ctx, err)
}

// steady is how long a connection lasts that is no sign of trouble: nobody's
// server minds a login every ten seconds for a while.
const steady = 10 * time.Second

// failed reports an error and waits.
func (w *poller) failed(ctx context.Context, err error) {
	w.healthy = false
	w.report(err)
	w.pause(ctx, err)
}

// pause waits, longer with each failure in a row, and as long as is asked for.
func (w *poller) pause(ctx context.Context, err error) {
	d := pauseAfter(err, or(w.p.Backoff, defaultBackoff), w.failures)
	w.failures++
	sleep(ctx, d)
}

// pauseAfter is how long to wait after so many failures in a row before. What a
// person must mend is tried seldom, and a refused login more and more so: who
// counts refusals locks the mailbox, or keeps out the address that all Channels
// come from. A change of the Channel or its Secret begins anew at once.
func pauseAfter(err error, first time.Duration, failures int) time.Duration {
	d := min(first<<min(failures, 10), maxBackoff)
	var e *platform.Error
	if !errors.As(err, &e) {
		return d
	}
	switch e.Class {
	case wire.ErrAuthInvalid:
		d = min(definitiveBackoff<<min(failures, 10), maxAuthBackoff)
	case wire.ErrMisconfigured:
		d = definitiveBackoff
	}
	return max(d, e.RetryAfter)
}

func sleep(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// wait returns when there may be new mail.
func (w *poller) wait(ctx context.Context, m *mailbox) error {
	if w.noIdle || !m.Caps().Has(imap.CapIdle) {
		sleep(ctx, or(w.p.PollEvery, defaultPoll))
		defer m.watch(m.patience)()
		return m.Noop().Wait()
	}
	idle, err := m.idle()
	var refused *imap.Error
	if errors.As(err, &refused) && refused.Type != imap.StatusResponseTypeBye {
		w.noIdle = true
		return nil
	}
	if err != nil {
		return err
	}
	timer := time.NewTimer(or(w.p.IdleFor, defaultIdle))
	defer timer.Stop()
	select {
	case <-w.news:
	case <-timer.C:
	case <-m.Closed():
	case <-ctx.Done():
	}
	defer m.watch(m.patience)()
	if err := idle.Close(); err != nil {
		return err
	}
	return idle.Wait()
}

// fetchNew hands over everything that came since the cursor: first what a look
// at older mail is to find, then what is behind it.
func (w *poller) fetchNew(ctx context.Context, m *mailbox) error {
	for {
		uids, err := w.find(m)
		if err != nil {
			return err
		}
		for len(uids) > 0 {
			chunk := uids[:min(len(uids), w.chunk(uids[0]))]
			if err := w.fetchChunk(ctx, m, chunk); err != nil {
				w.note(chunk[0], err)
				return err
			}
			uids = uids[len(chunk):]
		}
		if w.at.look.until == 0 {
			break
		}
		if err := w.endLook(ctx, m); err != nil {
			return err
		}
	}
	if w.at.String() != w.stored { // a cursor that knew less of its mailbox
		return w.commit(ctx, batch{}, w.at)
	}
	return nil
}

// endLook moves the cursor behind what was looked at.
func (w *poller) endLook(ctx context.Context, m *mailbox) error {
	to := w.at
	if last := to.look.until - 1; last > to.uid || to.uid == 0 {
		to.uid, to.mark = last, ""
	}
	if to.mark == "" && to.uid > 0 && !w.noMark {
		mark, err := m.mark(to.uid)
		if err != nil {
			w.noMark = garbled(err)
			return err
		}
		to.mark = mark
	}
	to.look = look{}
	return w.commit(ctx, batch{}, to)
}

// find lists the UIDs to fetch, in order.
func (w *poller) find(m *mailbox) ([]imap.UID, error) {
	after, look := w.at.uid, w.at.look
	// "*" is the last mail, even if that is before the first number asked for.
	numbers := imap.UIDRange{Start: imap.UID(after) + 1, Stop: 0}
	criteria := &imap.SearchCriteria{}
	if look.until != 0 {
		if look.until <= after+1 {
			return nil, nil
		}
		numbers.Stop = imap.UID(look.until - 1)
		criteria.Since = look.since
		unread := imap.SearchCriteria{NotFlag: []imap.Flag{imap.FlagSeen}}
		if look.kind == lookUnread {
			criteria.NotFlag = unread.NotFlag
		} else {
			// Many a move makes all mails arrive on that day. What was written long
			// ago and has been read is none that anybody waits for.
			criteria.Or = [][2]imap.SearchCriteria{{unread, {SentSince: look.since.Add(-onTheWay)}}}
		}
	}
	criteria.UID = []imap.UIDSet{{numbers}}
	var options *imap.SearchOptions
	if caps := m.Caps(); caps.Has(imap.CapESearch) || caps.Has(imap.CapIMAP4rev2) {
		options = &imap.SearchOptions{ReturnAll: true} // ranges instead of every number
	}
	defer m.watch(m.patience * searchPatience)()
	found, err := m.UIDSearch(criteria, options).Wait()
	if err != nil {
		return nil, err
	}
	uids := found.AllUIDs()
	slices.Sort(uids)
	return slices.DeleteFunc(slices.Compact(uids), func(uid imap.UID) bool {
		return uint32(uid) <= after || look.until != 0 && uint32(uid) >= look.until
	}), nil
}

// commit delivers a batch, again and again until the store has it, and moves
// the cursor.
func (w *poller) commit(ctx context.Context, b batch, to cursor) error {
	raw, err := b.raw()
	if err != nil {
		return err
	}
	out := platform.Batch{Raw: raw, Cursor: to.String()}
	if len(raw) > 0 {
		if out.Events, err = w.p.Parse(w.c.account, raw); err != nil {
			return &platform.Error{Class: wire.ErrUnknown, Reason: err.Error()}
		}
	}
	for {
		err := w.deliver(ctx, out)
		if err == nil {
			w.at, w.stored, w.failures = to, out.Cursor, 0
			return nil
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		w.failed(ctx, err)
	}
}

func or[T comparable](value, otherwise T) T {
	var zero T
	if value == zero {
		return otherwise
	}
	return value
}
