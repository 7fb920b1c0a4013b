package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/bridgekeeper/bridgekeeper/bridge/message"
)

// Those who send at the same time share everything: what is read before, the
// transaction, and what is read after it. No timer is involved; a group is
// whatever came while the groups before it were on their way, and one who is
// alone waits for nobody.
//
//	Send ─┐             ┌─ conversations, keys, windows ─► plan each ─┐
//	Send ─┼─► waiting ──┤                                             ├─► transaction ─► messages
//	Send ─┘             └─ (one that is refused goes no further) ─────┘

// sendGroupMax bounds a group where the database is near; elsewhere it is the
// batch of a transaction. Planning one takes some 20 µs.
const sendGroupMax = 256

// senders gather what is to be sent into groups.
type senders struct {
	s *Store

	mu      sync.Mutex
	waiting []*outgoing
	groups  int // on their way
	active  sync.WaitGroup
}

// do sends one, with others.
func (q *senders) do(ctx context.Context, o *outgoing) (message.Message, error) {
	q.mu.Lock()
	q.waiting = append(q.waiting, o)
	if q.groups <= q.s.db.writers { // one more than can write: it reads meanwhile
		q.groups++
		q.active.Go(q.work)
	}
	q.mu.Unlock()
	select {
	case <-o.done:
	case <-ctx.Done():
		if o.fate.CompareAndSwap(jobWaiting, jobAbandoned) {
			return message.Message{}, fmt.Errorf("%w: %w", ErrUnavailable, context.Cause(ctx))
		}
		<-o.done
	}
	return o.sent, o.err
}

func (q *senders) work() {
	for group := q.take(); group != nil; group = q.take() {
		q.s.sendTogether(group)
		for _, o := range group {
			close(o.done)
		}
	}
}

// take is the next group; nil ends a worker.
func (q *senders) take() []*outgoing {
	q.mu.Lock()
	defer q.mu.Unlock()
	n := min(len(q.waiting), q.s.db.batch, sendGroupMax)
	if n == 0 {
		q.waiting = nil
		q.groups--
		return nil
	}
	group := q.waiting[:n:n]
	q.waiting = q.waiting[n:]
	return group
}

// fate says what becomes of one: until its transaction begins the caller may
// leave, and nothing is done.
type fate struct{ atomic.Int32 }

func (f *fate) begins() bool {
	return f.CompareAndSwap(jobWaiting, jobTaken) || f.Load() == jobTaken
}

// sendGroup are messages that go into the outbox together.
type sendGroup struct {
	s    *Store
	list []*outgoing
}

// sendTogether sends a group. What is wrong with one is its own error; without
// the database all of them fail.
func (s *Store) sendTogether(group []*outgoing) {
	g := sendGroup{s, group}
	for _, step := range []func() error{g.converse, g.recognise, g.plan, g.queue, g.load} {
		if err := step(); err != nil {
			for _, o := range g.open() {
				o.err = err
			}
			for _, o := range group {
				if o.err == nil && o.sent.ID == "" {
					o.err = err
				}
			}
			return
		}
	}
}

// open are those that nothing was found wrong with, and that are not sent yet.
func (g sendGroup) open() (list []*outgoing) {
	for _, o := range g.list {
		if o.err == nil && o.first == "" && o.fate.Load() != jobAbandoned {
			list = append(list, o)
		}
	}
	return list
}

// each does something with each that is open.
func (g sendGroup) each(do func(*outgoing) error) {
	for _, o := range g.open() {
		o.err = g.protect(o, do)
	}
}

// protect keeps a mistake that one message meets from the others.
func (g sendGroup) protect(o *outgoing, do func(*outgoing) error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			g.s.log.Error("panic while a message was planned", "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
			err = fmt.Errorf("internal error: %v", p)
		}
	}()
	return do(o)
}

// converse finds the conversations.
func (g sendGroup) converse() error {
	var ids []string
	for _, o := range g.list {
		ids = append(ids, o.id)
	}
	rows, err := all(background, g.s.read, scanConversation, g.s.outbox.sql.conversations, g.s.db.list(ids))
	if err != nil {
		return err
	}
	found := map[string]convRow{}
	for _, v := range rows {
		found[v.id] = v
	}
	g.each(func(o *outgoing) error {
		conv, ok := found[o.id]
		if !ok || !o.scope.Allows(conv.namespace) {
			return notThere(o.id)
		}
		o.conv = conv
		return o.checkKey()
	})
	return nil
}

// keyRow is a message that was queued under an idempotency key.
type keyRow struct{ namespace, key, message, hash string }

// recognise finds requests that are repeated. They get their first answer even
// when they would be refused by now: that one was carried out.
func (g sendGroup) recognise() error {
	keys := keysOf(g.open())
	if len(keys) == 0 {
		return nil
	}
	rows, err := all(background, g.s.read, func(r *sql.Rows) (k keyRow, err error) { return k, r.Scan(&k.namespace, &k.key, &k.message, &k.hash) },
		g.s.outbox.sql.keys, g.s.db.pairList(keys)...)
	if err != nil {
		return err
	}
	known := map[[2]string]keyRow{}
	for _, k := range rows {
		known[[2]string{k.namespace, k.key}] = k
	}
	g.each(func(o *outgoing) (err error) {
		o.first, err = o.repeats(known)
		return err
	})
	return nil
}

func keysOf(list []*outgoing) (keys [][2]string) {
	for _, o := range list {
		if o.req.IdempotencyKey != "" {
			keys = append(keys, o.key())
		}
	}
	return keys
}

// plan checks the messages and divides them into parts, outside of any
// transaction.
func (g sendGroup) plan() error {
	g.each(func(o *outgoing) error {
		if err := o.serve(o.conv.channel); err != nil {
			return err
		}
		return checkAuthor(o.req)
	})
	windows := map[address]acts{}
	if contacts := ofWindows(g.open()); len(contacts) > 0 {
		rows, err := all(background, g.s.read, func(r *sql.Rows) (w windowRow, err error) { return w, r.Scan(w.fields()...) },
			g.s.outbox.sql.windows, g.s.db.list(contacts))
		if err != nil {
			return err
		}
		for _, w := range rows {
			windows[w.address] = w.acts()
		}
	}
	g.each(func(o *outgoing) error { return o.plan(background, windows[o.party()]) })
	return nil
}

// windowRow is what a contact (address.externalID) did on a channel.
type windowRow struct {
	address
	actsRow
}

func (w *windowRow) fields() []any {
	return append([]any{&w.channel, &w.externalID}, w.actsRow.fields()...)
}

// ofWindows are the contacts of those whose platform has a messaging window.
func ofWindows(list []*outgoing) (contacts []string) {
	for _, o := range list {
		if o.caps.Window > 0 {
			contacts = append(contacts, o.conv.contact)
		}
	}
	return contacts
}

// queue writes what is left. A mistake in one that only the database finds must
// not spoil the others: then each goes alone.
func (g sendGroup) queue() error {
	open := g.open()
	err := g.write(open)
	if err == nil || errors.Is(err, ErrUnavailable) || len(open) == 1 {
		return err
	}
	for _, o := range open {
		if err := g.write([]*outgoing{o}); err != nil {
			o.err = err
		}
	}
	return nil
}

func (g sendGroup) write(list []*outgoing) error {
	if len(list) == 0 {
		return nil
	}
	weight, needs := 0, newLocks()
	for _, o := range list {
		weight += 1 + len(o.parts)
		needs.party(o.conv.channel, o.conv.address).outbox(o.conv.channel)
		if key := o.req.IdempotencyKey; key != "" {
			needs.key(o.conv.namespace, key)
		}
	}
	return g.s.writeLocked(background, weight, needs, func(t *txn) error {
		begun := slices.DeleteFunc(slices.Clone(list), func(o *outgoing) bool {
			o.err, o.first = nil, ""
			return !o.fate.begins()
		})
		return g.s.queueTogether(t, begun)
	})
}

// load reads what was queued, as everybody will see it.
func (g sendGroup) load() error {
	var ids []string
	for _, o := range g.list {
		if o.err == nil && o.first != "" {
			ids = append(ids, o.first)
		}
	}
	if len(ids) == 0 {
		return nil
	}
	list, err := g.s.queryMessages(background, g.s.read, `WHERE `+g.s.db.among("m.id"), g.s.db.list(ids))
	if err != nil {
		return err
	}
	byID := map[string]message.Message{}
	for _, m := range list {
		byID[m.ID] = m
	}
	for _, o := range g.list {
		if o.err != nil || o.first == "" {
			continue
		}
		m, ok := byID[o.first]
		if !ok || !o.scope.Allows(m.Namespace) {
			o.err = fmt.Errorf("message %s: %w", o.first, ErrNotFound)
			continue
		}
		o.sent = m
	}
	return nil
}
