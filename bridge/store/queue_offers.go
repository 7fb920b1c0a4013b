package store

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/bridgekeeper/bridgekeeper/bridge/routing"
)

// AgentOffer is a conversation that an agent is asked to take.
type AgentOffer struct {
	ID           string    `json:"id"`
	Agent        string    `json:"agent"`
	Queue        string    `json:"queue"` // "namespace/name"
	Conversation string    `json:"conversation"`
	Units        int       `json:"units"`
	MadeAt       time.Time `json:"madeAt"`
	Until        time.Time `json:"until"`
}

// offerRow is a row of offers with the address of its conversation.
type offerRow struct {
	AgentOffer
	channel, address string
}

const selectOffers = `SELECT o.id, o.agent, o.queue, o.conversation, o.units, o.made_at, o.until, v.channel, i.external_id
	FROM offers o JOIN conversations v ON v.id = o.conversation JOIN identities i ON i.id = v.identity `

func scanOffer(rows *sql.Rows) (o offerRow, err error) {
	var made, until int64
	err = rows.Scan(&o.ID, &o.Agent, &o.Queue, &o.Conversation, &o.Units, &made, &until, &o.channel, &o.address)
	o.MadeAt, o.Until = fromMS(made), fromMS(until)
	return o, err
}

// OffersWaitMax bounds a long poll for offers, so that a connection that died
// unnoticed is not waited on for ever; the servers of REST give an answer 30 s.
const OffersWaitMax = 25 * time.Second

// Offers are the open offers of an agent, the oldest first. Where there are none
// it waits for one, up to wait (at most OffersWaitMax) or until ctx is done.
func (s *Store) Offers(ctx context.Context, scope Scope, agent string, wait time.Duration) ([]AgentOffer, error) {
	if _, err := s.Agent(ctx, scope, agent); err != nil {
		return nil, err
	}
	until := time.NewTimer(min(wait, OffersWaitMax))
	defer until.Stop()
	for {
		made := s.signals.next(topicOffers)
		rows, err := all(ctx, s.read, scanOffer, selectOffers+`WHERE o.agent = ? AND o.until > ? ORDER BY o.id`, agent, ms(s.now()))
		if err != nil || len(rows) > 0 || wait <= 0 {
			offers := make([]AgentOffer, len(rows))
			for i, r := range rows {
				offers[i] = r.AgentOffer
			}
			return offers, err
		}
		select {
		case <-made:
		case <-until.C:
			return []AgentOffer{}, nil
		case <-ctx.Done():
			return []AgentOffer{}, nil
		}
	}
}

// errOfferOver says that an offer cannot be answered any more.
func errOfferOver(id string) error {
	return fmt.Errorf("offer %s is over: it expired, was answered, or the conversation went elsewhere: %w", id, ErrConflict)
}

// answerOffer answers an offer. One that this very write has answered before is
// not over for it: the caller did not hear the answer.
func (s *Store) answerOffer(ctx context.Context, scope Scope, id, verb string, answer func(t *txn, v *convRow, e *entryRow, o offerRow) error) (Conversation, error) {
	if err := scope.Write.check(); err != nil {
		return Conversation{}, err
	}
	after, err := s.answerOpen(ctx, scope, id, verb, answer)
	if scope.Write.Key == "" || !errors.Is(err, ErrConflict) {
		return after, err
	}
	conversation, done, lookErr := s.writtenBefore(ctx, scope)
	if lookErr != nil || !done {
		return after, cmp.Or(lookErr, err)
	}
	return s.Conversation(ctx, scope, conversation)
}

// answerOpen runs an answer to an offer that is open, with its conversation
// locked.
func (s *Store) answerOpen(ctx context.Context, scope Scope, id, verb string, answer func(t *txn, v *convRow, e *entryRow, o offerRow) error) (Conversation, error) {
	find := func(ctx context.Context, q querier) (offerRow, error) {
		list, err := all(ctx, q, scanOffer, selectOffers+`WHERE o.id = ?`, id)
		if err != nil {
			return offerRow{}, err
		}
		if len(list) == 0 || !scope.Allows(namespaceOf(list[0].channel)) || !scope.Allows(namespaceOf(list[0].Queue)) {
			return offerRow{}, errOfferOver(id) // as it is removed when it is over, who has its id has seen it
		}
		return list[0], nil
	}
	known, err := find(ctx, s.read)
	if err != nil {
		return Conversation{}, err
	}
	var after Conversation
	err = s.writeLocked(ctx, 1, newLocks().party(known.channel, known.address), func(t *txn) error {
		v, err := s.lockConversation(t, scope, known.Conversation)
		if err != nil {
			return err
		}
		o, err := find(t.ctx, t)
		if err != nil {
			return err
		}
		e, err := t.entry(v.id)
		if err != nil {
			return err
		}
		if e == nil || e.state != entryOffered || !o.Until.After(t.now) {
			return errOfferOver(id)
		}
		if _, done, err := t.repeated(v.namespace, scope.Write); err != nil {
			return err
		} else if done {
			return errOfferOver(id)
		}
		if err := answer(t, &v, e, o); err != nil {
			return err
		}
		t.afterCommit(func() { s.queues.metrics.offer(o.Queue, verb) })
		if err := t.remember(v.namespace, scope.Write, v.id); err != nil {
			return err
		}
		after, err = t.view(&v)
		return err
	})
	return after, err
}

// AcceptOffer makes the conversation the agent's. ErrConflict when the offer is
// over.
func (s *Store) AcceptOffer(ctx context.Context, scope Scope, id string) (Conversation, error) {
	return s.answerOffer(ctx, scope, id, offerAccepted, func(t *txn, v *convRow, _ *entryRow, o offerRow) error {
		return t.transfer(v, Owner{Kind: OwnerAgent, Name: o.Agent}, ownerCause{why: CauseAccepted, caller: scope.Caller})
	})
}

// DeclineOffer lets the conversation wait for another agent, as old as it is.
// ErrConflict when the offer is over.
func (s *Store) DeclineOffer(ctx context.Context, scope Scope, id string) (Conversation, error) {
	return s.answerOffer(ctx, scope, id, offerDeclined, func(t *txn, _ *convRow, e *entryRow, o offerRow) error {
		t.note(tallyEntry{agent: o.Agent, answered: true})
		return t.waitAgain(e, o.Agent)
	})
}

// waitAgain puts an entry that was offered back: it waits for somebody else than
// the decliner ("": nobody declined).
func (t *txn) waitAgain(e *entryRow, decliner string) error {
	if err := t.withdraw(e); err != nil {
		return err
	}
	if decliner != "" {
		if err := e.decline(decliner); err != nil {
			return err
		}
	}
	e.state, e.agent, e.units = entryWaiting, "", 0
	t.stir(e.queue)
	return t.saveEntry(e)
}

// expireOffers ends the offers that nobody answered in time. The agent counts as
// one who declined; who lets several pass is away.
func (s *Store) expireOffers(ctx context.Context) error {
	for {
		due, err := all(ctx, s.read, scanText, `SELECT conversation FROM offers WHERE until <= ? ORDER BY until LIMIT ?`, ms(s.now()), dueBatch)
		if err != nil || len(due) == 0 {
			return err
		}
		ended := 0
		if err := s.writeLocked(ctx, len(due), newLocks(), func(t *txn) (err error) {
			ended, err = s.expireSome(t, due)
			return err
		}); err != nil || ended == 0 {
			return err // others have the rest: the next sweep comes soon
		}
	}
}

func (s *Store) expireSome(t *txn, conversations []string) (ended int, err error) {
	convs, err := s.lockRows(t, conversations)
	if err != nil {
		return 0, err
	}
	st := s.state.Load()
	for _, id := range conversations {
		if convs[id] == nil { // another transaction has it, or it was removed by a version that forgot the offer
			n, err := t.exec(`DELETE FROM offers WHERE conversation = ? AND NOT EXISTS (SELECT 1 FROM conversations WHERE id = ?)`, id, id)
			if err != nil {
				return 0, err
			}
			ended += int(n)
			continue
		}
		e, err := t.entry(id)
		if err != nil {
			return 0, err
		}
		var until int64
		if found, err := one(t.ctx, t, []any{&until}, `SELECT until FROM offers WHERE conversation = ?`, id); err != nil {
			return 0, err
		} else if !found || until > ms(t.now) || e == nil || e.state != entryOffered {
			continue
		}
		var offer routing.Offer
		if q := st.queues[e.queue]; q != nil {
			offer = q.Offer
		}
		queue, agent := e.queue, e.agent
		t.note(tallyEntry{agent: agent, missed: true, away: offer.Away})
		t.afterCommit(func() { s.queues.metrics.offer(queue, offerExpired) })
		if err := t.waitAgain(e, agent); err != nil {
			return 0, err
		}
		ended++
	}
	return ended, nil
}

// withdrawOffers takes back what an agent was offered: nobody declined it.
func (s *Store) withdrawOffers(t *txn, agent string) error {
	ids, err := all(t.ctx, t, scanText, `SELECT conversation FROM offers WHERE agent = ? ORDER BY conversation`, agent)
	if err != nil {
		return err
	}
	convs, err := s.lockRows(t, ids)
	if err != nil {
		return err
	}
	for _, id := range slices.DeleteFunc(ids, func(id string) bool { return convs[id] == nil }) { // what another transaction has expires by itself
		e, err := t.entry(id)
		if err != nil {
			return err
		}
		if e != nil && e.state == entryOffered && e.agent == agent {
			queue := e.queue
			t.afterCommit(func() { s.queues.metrics.offer(queue, offerWithdrawn) })
			if err := t.waitAgain(e, ""); err != nil {
				return err
			}
		}
	}
	return nil
}
