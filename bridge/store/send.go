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
	conv, err := s.conversation(ctx, s.read, scope, conversation)
	if err != nil {
		return message.Message{}, err
	}
	out := &outgoing{s: s, req: req, conv: conv}
	if err := out.checkKey(); err != nil {
		return message.Message{}, err
	}
	// A repeated request gets its first answer even when it would be refused by
	// now: that one was carried out.
	first, err := out.first(ctx, s.read)
	if err == nil && first == "" {
		if err = out.plan(ctx); err == nil {
			err = s.writeLocked(ctx, 1+len(out.parts), newLocks().party(conv.channel, conv.address).outbox(conv.channel), func(t *txn) (err error) {
				first, err = out.queue(t)
				return err
			})
		}
	}
	if err != nil {
		return message.Message{}, err
	}
	return s.Message(ctx, scope, first)
}

// outgoing is a message on its way into the outbox.
type outgoing struct {
	s    *Store
	req  SendRequest
	conv convRow
	hash string
	// Set by plan.
	ch    *Channel
	caps  platform.Capabilities
	m     message.Message
	parts []wire.Part
	media []string
}

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

// first is the message that was queued under the same key; "" when there is none.
func (o *outgoing) first(ctx context.Context, q querier) (id string, err error) {
	if o.req.IdempotencyKey == "" {
		return "", nil
	}
	var hash string
	found, err := one(ctx, q, []any{&id, &hash}, `SELECT message, hash FROM idempotency_keys WHERE namespace = ? AND key = ?`, o.conv.namespace, o.req.IdempotencyKey)
	if err != nil || !found {
		return "", err
	}
	if hash != o.hash {
		return "", fmt.Errorf("idempotency key %q was used for another message (%s); use a new key for other content: %w", o.req.IdempotencyKey, id, ErrConflict)
	}
	return id, nil
}

// plan checks the message and divides it into parts, outside of any transaction.
func (o *outgoing) plan(ctx context.Context) error {
	if err := o.serve(o.conv.channel); err != nil {
		return err
	}
	if err := checkAuthor(o.req); err != nil {
		return err
	}
	if err := o.allowed(ctx, o.s.read, o.conv); err != nil {
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

// allowed checks what may change between now and the transaction.
func (o *outgoing) allowed(ctx context.Context, q querier, conv convRow) error {
	if automated(o.req.Author.Kind) && o.req.Epoch != conv.epoch {
		return fmt.Errorf("conversation %s is at epoch %d, the author %s speaks for epoch %d: another owner has it by now: %w",
			conv.id, conv.epoch, o.req.Author.Kind, o.req.Epoch, ErrConflict)
	}
	if !conv.reachable {
		return fmt.Errorf("the contact of conversation %s blocked this account or left, and cannot be written to until they write or opt in again: %w", conv.id, ErrConflict)
	}
	if o.caps.Window > 0 {
		last, err := lastInbound(ctx, q, conv.channel, conv.contact)
		if err != nil {
			return err
		}
		if windowOf(o.caps, o.ch.AgentWindow, o.req.Author.Kind, last, o.s.now()) == windowClosed {
			return fmt.Errorf("conversation %s: %s: %w", conv.id, windowReason(o.caps, o.ch.AgentWindow, o.req.Author.Kind), ErrConflict)
		}
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

// queue puts the message into the database, in the last place of its lane.
func (o *outgoing) queue(t *txn) (string, error) {
	if id, err := o.first(background, t); err != nil || id != "" {
		return id, err
	}
	conv, err := o.s.lockConversation(t, Scope{All: true}, o.conv.id)
	if err != nil {
		return "", err
	}
	if err := o.allowed(background, t, conv); err != nil {
		return "", err
	}
	content, err := encodeContent(o.m)
	if err != nil {
		return "", err
	}
	id := t.newID()
	if err := t.insertMessage(messageRow{
		ID: id, Channel: conv.channel, Conversation: conv.id, Direction: message.Outbound, Type: o.m.Type, Timestamp: t.now,
		AuthorKind: o.req.Author.Kind, AuthorName: o.req.Author.Name, Text: o.m.Text, Content: content, ReplyTo: o.m.ReplyTo, Status: message.StatusQueued,
	}); err != nil {
		return "", err
	}
	if err := o.s.linkMedia(t, conv.namespace, id, o.media); err != nil {
		return "", err
	}
	if err := o.queueDelivery(t, id, conv); err != nil {
		return "", err
	}
	if o.req.IdempotencyKey != "" {
		// Another replica may have taken the key for another conversation meanwhile:
		// this fails then, and the next attempt finds it.
		if err := t.later(`INSERT INTO idempotency_keys (namespace, key, hash, message, created_at) VALUES (?, ?, ?, ?, ?)`,
			conv.namespace, o.req.IdempotencyKey, o.hash, id, ms(t.now)); err != nil {
			return "", err
		}
	}
	t.event(Event{Type: EventMessageCreated, Channel: conv.channel, Conversation: conv.id, Contact: conv.contact, MessageID: id})
	return id, t.touchConversation(conv.id)
}

func (o *outgoing) queueDelivery(t *txn, id string, conv convRow) error {
	l, err := laneFor(t, conv.channel, conv.contact)
	if err != nil {
		return err
	}
	epoch := int64(0)
	if automated(o.req.Author.Kind) {
		epoch = o.req.Epoch
	}
	if err := t.later(`INSERT INTO deliveries (message, lane, conversation, state, action, author_kind, epoch, reply_to) VALUES (?, ?, ?, ?, ?, ?, ?, ?)`,
		id, l.id, conv.id, string(deliveryQueued), string(o.parts[0].Action), string(o.req.Author.Kind), epoch, o.m.ReplyTo); err != nil {
		return err
	}
	for _, p := range o.parts {
		payload, err := json.Marshal(p)
		if err != nil {
			return err
		}
		if err := t.later(`INSERT INTO delivery_parts (message, part, state, payload) VALUES (?, ?, ?, ?)`, id, p.Index, string(partQueued), string(payload)); err != nil {
			return err
		}
	}
	return o.s.joinQueue(t, &l)
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
