package store

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/bridgekeeper/bridgekeeper/bridge/message"
	"github.com/bridgekeeper/bridgekeeper/bridge/platform"
	"github.com/bridgekeeper/bridgekeeper/bridge/wire"
)

const (
	// keyMax bounds an idempotency key; UUIDs have 36 bytes, and a key that is a
	// whole document is a mistake.
	keyMax = 255

	// keysKeptFor is how long a repeated write is recognised: longer than any
	// client's retries (commonly 24 hours), so that a queue that stood still
	// over a long weekend does not send twice.
	keysKeptFor = 7 * 24 * time.Hour

	// forgetBatch bounds the keys that one transaction removes.
	forgetBatch = 1000
)

// Send queues a message. It is checked against what the platform can do and
// planned into parts now, so that whoever writes it learns at once what is
// wrong (*FieldError), and a retry later sends exactly what is missing. A
// channel that is suspended queues. ErrConflict: the contact cannot be written
// to, the channel is deleted, an automated author no longer has the
// conversation, or the idempotency key was used with other content.
func (s *Store) Send(ctx context.Context, scope Scope, conversation string, req SendRequest) (message.Message, error) {
	return s.outbox.senders.do(ctx, &outgoing{s: s, scope: scope, id: conversation, req: req, done: make(chan struct{})})
}

// outgoing is a message on its way into the outbox.
type outgoing struct {
	s     *Store
	scope Scope
	id    string // of the conversation
	req   SendRequest
	fate  fate
	done  chan struct{}

	// What became of it: the id of the message (of the first one, where the request
	// is repeated) and how it reads now, or what was wrong.
	first string
	sent  message.Message
	err   error

	conv convRow
	hash string
	// Set by plan.
	ch    *Channel
	caps  platform.Capabilities
	m     message.Message
	parts []wire.Part
	media []string
}

// party is whom it goes to: a contact on a channel.
func (o *outgoing) party() address { return address{o.conv.channel, o.conv.contact} }

// key is its idempotency key within its namespace.
func (o *outgoing) key() [2]string { return [2]string{o.conv.namespace, o.req.IdempotencyKey} }

// checkKey prepares the idempotency key: content that differs in anything is
// other content.
func (o *outgoing) checkKey() error {
	key := o.req.IdempotencyKey
	if key == "" {
		return nil
	}
	if len(key) > keyMax || clean(key) != key {
		return &FieldError{Field: "idempotencyKey", Message: fmt.Sprintf("must be valid text of at most %d bytes", keyMax)}
	}
	req := o.req
	req.IdempotencyKey = ""
	raw, err := json.Marshal(struct {
		Conversation string
		SendRequest
	}{o.conv.id, req})
	if err != nil { // a coordinate that is not a number
		return &FieldError{Field: "location", Message: "latitude and longitude must be numbers"}
	}
	sum := sha256.Sum256(raw)
	o.hash = hex.EncodeToString(sum[:])
	return nil
}

// repeats is the message that was queued under the same key; "" when there is none.
func (o *outgoing) repeats(known map[[2]string]keyRow) (id string, err error) {
	first, found := known[o.key()]
	if o.req.IdempotencyKey == "" || !found {
		return "", nil
	}
	if first.message == "" {
		return "", fmt.Errorf("idempotency key %q was used for another request, not a message; use a new key: %w", first.key, ErrConflict)
	}
	if first.hash != o.hash {
		return "", fmt.Errorf("idempotency key %q was used for another message (%s); use a new key for other content: %w", first.key, first.message, ErrConflict)
	}
	return first.message, nil
}

// plan checks the message and divides it into parts. did is what the
// contact did, for platforms that have a window.
func (o *outgoing) plan(ctx context.Context, did acts) error {
	if err := o.allowed(o.conv, did); err != nil {
		return err
	}
	o.m = o.message()
	if err := o.describeMedia(ctx); err != nil {
		return err
	}
	if err := o.checkShape(); err != nil {
		return err
	}
	if err := o.thread(ctx); err != nil {
		return err
	}
	parts, err := platform.Plan(o.caps, o.m)
	if fe := (*platform.FieldError)(nil); errors.As(err, &fe) {
		return &FieldError{Field: fe.Field, Message: fe.Message}
	}
	if err != nil {
		return err
	}
	o.parts = parts
	return o.aim(ctx)
}

// serve finds the channel that is to send, and what it can do.
func (o *outgoing) serve(channel string) error {
	st := o.s.state.Load()
	if o.ch = st.channel(channel); o.ch == nil || st.gone(channel) {
		return fmt.Errorf("channel %s is not in service (deleted, or its configuration is invalid), so nothing can be sent there: %w", channel, ErrConflict)
	}
	var known bool
	if o.caps, known = o.s.capabilities(o.ch); !known {
		return fmt.Errorf("this version of the store does not know how to send on platform %q of channel %s: %w", o.ch.Platform, o.ch.Name, ErrConflict)
	}
	return nil
}

// allowed checks what may change between now and the transaction. did is what
// the contact did on the channel, for platforms that have a window.
func (o *outgoing) allowed(conv convRow, did acts) error {
	if automated(o.req.Author.Kind) && o.req.Epoch != conv.epoch {
		o.s.queues.metrics.stale.WithLabelValues("send").Inc()
		return fmt.Errorf("conversation %s is at epoch %d, the author %s speaks for epoch %d: another owner has it by now: %w",
			conv.id, conv.epoch, o.req.Author.Kind, o.req.Epoch, ErrConflict)
	}
	if !conv.reachable {
		return fmt.Errorf("the contact of conversation %s blocked this account or left, and cannot be written to until they write or opt in again: %w", conv.id, ErrConflict)
	}
	if did.window(o.caps, o.ch.AgentWindow, o.req.Author.Kind, o.s.now()) == windowClosed {
		return fmt.Errorf("conversation %s: %s: %w", conv.id, windowReason(o.caps, o.ch.AgentWindow, o.req.Author.Kind), ErrConflict)
	}
	return nil
}

func (o *outgoing) message() message.Message {
	r := o.req
	author := r.Author
	m := message.Message{
		Direction: message.Outbound, Author: &author, Type: r.Type, Text: r.Text, Attachments: append([]message.Attachment(nil), r.Attachments...),
		Location: r.Location, Buttons: r.Buttons, ButtonStyle: r.ButtonStyle, Template: r.Template, ReplyTo: r.ReplyTo, Target: r.Target,
	}
	if r.Reaction != nil {
		reaction := *r.Reaction
		if reaction.Target == "" {
			reaction.Target = r.Target
		}
		m.Reaction, m.Target = &reaction, ""
	}
	return m
}

// forgetKeys removes idempotency keys that nobody repeats any more.
func (s *Store) forgetKeys(ctx context.Context) error {
	if err := s.forgetWrites(ctx); err != nil {
		return err
	}
	for {
		before := ms(s.removalTime().Add(-keysKeptFor))
		var oldest int64
		found, err := one(ctx, s.read, []any{&oldest}, `SELECT created_at FROM idempotency_keys ORDER BY created_at LIMIT 1`)
		if err != nil || !found || oldest >= before {
			return err
		}
		if err := s.write(ctx, forgetBatch, func(t *txn) error {
			err := t.later(`DELETE FROM idempotency_keys WHERE (namespace, key) IN
				(SELECT namespace, key FROM idempotency_keys WHERE created_at < ? ORDER BY created_at LIMIT ?)`, before, forgetBatch)
			return err
		}); err != nil {
			return err
		}
	}
}
