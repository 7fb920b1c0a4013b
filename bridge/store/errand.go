package store

import (
	"context"
	"database/sql"
	"errors"
	"sync"
	"time"
)

// An errand is what follows a commit of routing: a text of the policy to send, a
// bot's turn, a webhook to ask. Its row is written with what it follows from, so
// that neither happens without the other; it is done after the commit, as it needs
// the outbox or the network, by whichever replica comes first:
//
//	row ──► due, first of its conversation ──► text, built-in bot: done in one transaction
//	                                       └─► webhook: claimed (lease), asked, done in another
//
// The transaction that does it removes the row first: what is gone was done by
// somebody else. It carries the epoch of who it speaks for: when the conversation
// has another owner by then, it is dropped, and nothing is said.
type errand struct {
	id, conversation string
	kind             errandKind
	target           string // policy, Bot or Webhook
	message          string // that is answered
	epoch            int64
	decision         string
	payload          string // of a text
	attempts         int
	dueAt            int64
	lease            int64
	createdAt        int64
}

type errandKind string

const (
	errandText    errandKind = "text"
	errandBot     errandKind = "bot"
	errandWebhook errandKind = "webhook"
	errandSurvey  errandKind = "survey" // of a dialogue: a text, or an action
)

const (
	// errandsAtOnce bounds what one replica does side by side without the network:
	// enough for a transaction to be shared.
	errandsAtOnce = 64

	// callsAtOnce bounds the questions of one replica that wait for an answer: at
	// 200 ms each these are 600 a second.
	callsAtOnce = 128

	// errandsRecheck bounds the wait for the next one, so that a clock that was set,
	// and what other replicas left, is noticed.
	errandsRecheck = 5 * time.Second
)

var newErrands = bulkInsert("errands", "", "id text", "conversation text", "kind text", "target text", "message text", "epoch bigint", "decision text", "payload text",
	"remote bigint", "due_at bigint", "created_at bigint")

// addErrand adds an errand, due now.
func (t *txn) addErrand(e errand) error {
	t.wake(topicErrands)
	return t.row(newErrands, "", t.newID(), e.conversation, string(e.kind), e.target, e.message, e.epoch, e.decision, e.payload, boolInt(t.c.dispatcher.remote(e)), ms(t.now), ms(t.now))
}

func scanErrand(rows *sql.Rows) (e errand, err error) {
	return e, rows.Scan(&e.id, &e.conversation, &e.kind, &e.target, &e.message, &e.epoch, &e.decision, &e.payload, &e.attempts, &e.dueAt, &e.lease, &e.createdAt)
}

const selectErrands = `SELECT e.id, e.conversation, e.kind, e.target, e.message, e.epoch, e.decision, e.payload, e.attempts, e.due_at, e.lease, e.created_at FROM errands e `

// calls counts the questions that wait for an answer.
type calls struct {
	mu      sync.Mutex
	waiting int
	done    sync.WaitGroup
}

func (c *calls) begin() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.waiting >= callsAtOnce {
		return false
	}
	c.waiting++
	return true
}

func (c *calls) end() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.waiting--
}

// runErrands does errands as they come.
func (r *dispatcher) runErrands(ctx context.Context) {
	defer r.calls.done.Wait()
	for ctx.Err() == nil {
		changed := r.s.signals.next(topicErrands)
		wait, err := r.doErrands(ctx)
		if err != nil && ctx.Err() == nil {
			r.s.log.Warn("bots and texts of policies have to wait; it is tried again", "err", err)
			wait = time.Second
		}
		pause(ctx, wait, changed)
	}
}

// doErrands does what is due, and says how long nothing will be.
func (r *dispatcher) doErrands(ctx context.Context) (wait time.Duration, err error) {
	for {
		done := false
		for _, remote := range []bool{false, true} { // neither keeps the other waiting
			due, err := all(ctx, r.s.read, scanErrand, selectErrands+`WHERE e.remote = ? AND e.due_at <= ?
				AND NOT EXISTS (SELECT 1 FROM errands o WHERE o.conversation = e.conversation AND o.id < e.id) ORDER BY e.due_at, e.id LIMIT ?`,
				boolInt(remote), ms(r.s.now()), errandsAtOnce)
			if err != nil {
				return 0, err
			}
			some, err := r.doThese(ctx, due)
			if err != nil {
				return 0, err
			}
			done = done || some
		}
		if !done {
			return r.nextErrand(ctx)
		}
	}
}

// nextErrand is how long it is until the next errand is due.
func (r *dispatcher) nextErrand(ctx context.Context) (time.Duration, error) {
	var next sql.NullInt64
	if _, err := one(ctx, r.s.read, []any{&next}, `SELECT MIN(due_at) FROM errands WHERE due_at > ?`, ms(r.s.now())); err != nil || !next.Valid {
		return errandsRecheck, err
	}
	return min(errandsRecheck, max(fromMS(next.Int64).Sub(r.s.now()), time.Millisecond)), nil
}

// doThese does errands side by side, those that call somebody in the background.
// done says whether there may be more to do at once.
func (r *dispatcher) doThese(ctx context.Context, list []errand) (done bool, err error) {
	var wg sync.WaitGroup
	errs := make([]error, len(list))
	for i, e := range list {
		if !r.remote(e) {
			done = true
			wg.Go(func() { errs[i] = r.doHere(ctx, e) })
			continue
		}
		if !r.calls.begin() {
			continue // an answer that comes wakes us
		}
		done = true
		wg.Go(func() { errs[i] = r.begin(ctx, e) })
	}
	wg.Wait()
	return done, errors.Join(errs...)
}

// begin claims an errand that calls somebody, and asks in the background.
func (r *dispatcher) begin(ctx context.Context, e errand) error {
	hook := r.endpointOf(e)
	if hook == nil { // it left the document
		r.calls.end()
		return r.failed(ctx, e, "it is not in force any more", false)
	}
	e, ask, err := r.claim(ctx, e, hook)
	if err != nil || ask == nil {
		r.calls.end()
		return err
	}
	r.calls.done.Go(func() {
		defer r.calls.end()
		if err := r.consult(ctx, e, hook, ask); err != nil && ctx.Err() == nil {
			r.s.log.Warn("the answer of a bot or a webhook could not be kept; it is asked again", "name", e.target, "err", err)
		}
	})
	return nil
}

// remote says whether an errand calls somebody over the network.
func (r *dispatcher) remote(e errand) bool {
	if e.kind == errandBot {
		b := r.s.state.Load().routes.bots[e.target].content
		return b != nil && b.webhook != nil
	}
	return e.kind == errandWebhook
}

// matter is what an errand is about, read in the transaction that does it.
type matter struct {
	t   *txn
	v   *convRow
	row *routingRow
	e   errand
}

// settle does an errand in a transaction that holds what it takes to send: do is
// called with the conversation, unless somebody else has done the errand or it is
// out of date. What do returns is counted.
func (r *dispatcher) settle(ctx context.Context, e errand, do func(m *matter) (errandResult, error)) error {
	known, err := r.s.conversation(ctx, r.s.read, Scope{All: true}, e.conversation)
	if errors.Is(err, ErrNotFound) {
		return nil // removed, and the errand with it
	}
	if err != nil {
		return err
	}
	var result errandResult
	err = r.s.writeLocked(ctx, 2, newLocks().party(known.channel, known.address).outbox(known.channel), func(t *txn) (err error) {
		result, err = r.settleIn(t, e, do)
		return err
	})
	if err == nil && result != "" {
		r.metrics.errands.WithLabelValues(string(e.kind), string(result)).Inc()
	}
	return err
}

func (r *dispatcher) settleIn(t *txn, e errand, do func(m *matter) (errandResult, error)) (errandResult, error) {
	ours, err := t.exec(`DELETE FROM errands WHERE id = ? AND lease = ?`, e.id, e.lease)
	if err != nil || ours == 0 {
		return "", err
	}
	t.wake(topicErrands) // for the next one of the conversation
	v, err := r.s.lockConversation(t, Scope{All: true}, e.conversation)
	if err != nil {
		return "", err
	}
	row, err := readRouting(t.ctx, t, e.conversation)
	if err != nil {
		return "", err
	}
	m := &matter{t: t, v: &v, row: row, e: e}
	if !m.current() {
		return resultSuperseded, nil
	}
	return do(m)
}

// current says whether an errand may still be done: a bot answers while it has the
// conversation, a webhook is asked about one that nobody has got since, and a text
// is said as long as its decision is the last one and no bot has come in between.
func (m *matter) current() bool {
	if m.e.kind == errandSurvey {
		return true // it looks at its dialogue
	}
	if m.v.state == ConversationSolved {
		return false
	}
	switch m.e.kind {
	case errandBot:
		return m.v.epoch == m.e.epoch && m.v.owner == Owner{Kind: OwnerBot, Name: m.e.target}
	case errandWebhook:
		return m.v.epoch == m.e.epoch && m.row.asking && m.row.decision == m.e.decision
	}
	return m.row.decision == m.e.decision && m.v.owner.Kind != OwnerBot
}

// errandResult is what became of an errand, for metrics.
type errandResult string

const (
	resultDone       errandResult = "done"
	resultHandover   errandResult = "handover"   // by request, keyword, turns: the bot worked
	resultFailed     errandResult = "failed"     // the bot or the webhook did not answer
	resultSuperseded errandResult = "superseded" // the conversation has another owner by now
	resultRefused    errandResult = "refused"    // the text cannot be sent there: outside of the window, contact gone
)

// doHere does an errand that needs no network.
func (r *dispatcher) doHere(ctx context.Context, e errand) error {
	return r.settle(ctx, e, func(m *matter) (errandResult, error) {
		switch e.kind {
		case errandText:
			return r.sayText(m)
		case errandSurvey:
			return r.s.surveys.follow(m)
		}
		return r.takeTurn(m)
	})
}
