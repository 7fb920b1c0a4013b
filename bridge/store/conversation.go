package store

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"github.com/bridgekeeper/bridgekeeper/bridge/message"
	"github.com/bridgekeeper/bridgekeeper/bridge/routing"
)

// convRow is a conversation with its contact, as it is in the database.
type convRow struct {
	id, namespace, channel string // channel is "namespace/name"
	contact                string
	identityID             int64
	address                string // external id to answer to
	displayName            string
	username, language     string
	reachable              bool
	state                  ConversationState
	owner                  Owner
	epoch                  int64
	followUpOf             string

	snoozedUntil, createdAt, updatedAt, solvedAt, lastInboundAt int64

	dueAt  int64  // by when somebody should have looked at it
	survey string // dialogue that is open with the address

	// fresh: it begins in this transaction, and there is nothing about it to look up.
	fresh bool
}

const selectConversations = `SELECT v.id, v.channel, v.contact, v.identity, i.external_id, c.display_name, i.username, c.language, i.reachable,
	v.state, v.owner_kind, v.owner_name, v.epoch, v.follow_up_of, v.snoozed_until, v.created_at, v.updated_at, v.solved_at, v.last_inbound_at, v.due_at, i.survey
	FROM conversations v JOIN contacts c ON c.id = v.contact JOIN identities i ON i.id = v.identity `

func scanConversation(rows *sql.Rows) (convRow, error) { return readConversation(rows.Scan) }

func readConversation(scan func(...any) error) (v convRow, err error) {
	var reachable int64
	err = scan(&v.id, &v.channel, &v.contact, &v.identityID, &v.address, &v.displayName, &v.username, &v.language, &reachable,
		&v.state, &v.owner.Kind, &v.owner.Name, &v.epoch, &v.followUpOf, &v.snoozedUntil, &v.createdAt, &v.updatedAt, &v.solvedAt, &v.lastInboundAt, &v.dueAt, &v.survey)
	v.reachable, v.namespace = reachable == 1, namespaceOf(v.channel)
	return v, err
}

// api is the conversation as REST shows it.
func (v convRow) api() Conversation {
	_, name := splitChannel(v.channel)
	return Conversation{
		ID: v.id, Namespace: v.namespace, Channel: name, State: v.state, Owner: v.owner, Epoch: v.epoch, FollowUpOf: v.followUpOf,
		Contact:      message.Contact{ID: v.contact, ExternalID: v.address, DisplayName: v.displayName, Username: v.username, Language: v.language},
		SnoozedUntil: optionalMS(v.snoozedUntil), CreatedAt: fromMS(v.createdAt), UpdatedAt: fromMS(v.updatedAt),
		SolvedAt: optionalMS(v.solvedAt), LastInboundAt: optionalMS(v.lastInboundAt), DueAt: optionalMS(v.dueAt),
	}
}

// conversation reads one conversation; what is outside the scope is not found.
func (s *Store) conversation(ctx context.Context, q querier, scope Scope, id string) (convRow, error) {
	list, err := all(ctx, q, scanConversation, selectConversations+`WHERE v.id = ?`, id)
	if err != nil {
		return convRow{}, err
	}
	if len(list) == 0 || !scope.Allows(list[0].namespace) {
		return convRow{}, notThere(id)
	}
	return list[0], nil
}

func notThere(conversation string) error {
	return fmt.Errorf("conversation %s: %w", conversation, ErrNotFound)
}

// lockConversation reads a conversation in order to change it.
func (s *Store) lockConversation(t *txn, scope Scope, id string) (convRow, error) {
	if lock := s.db.forUpdate(); lock != "" {
		if _, err := all(t.ctx, t, scanText, `SELECT id FROM conversations WHERE id = ?`+lock, id); err != nil {
			return convRow{}, err
		}
	}
	return s.conversation(t.ctx, t, scope, id)
}

// touchConversation makes a conversation the one with the latest activity.
func (t *txn) touchConversation(id string) error {
	err := t.later(`UPDATE conversations SET updated_at = ? WHERE id = ?`, ms(t.now), id)
	return err
}

// Conversation returns one conversation.
func (s *Store) Conversation(ctx context.Context, scope Scope, id string) (Conversation, error) {
	v, err := s.conversation(ctx, s.read, scope, id)
	if err != nil {
		return Conversation{}, err
	}
	list := []Conversation{v.api()}
	err = s.routed(ctx, list)
	return list[0], err
}

func checkOwner(o Owner) error {
	switch o.Kind {
	case OwnerNone:
		if o.Name != "" {
			return &FieldError{Field: "owner.name", Message: "must be empty when the kind is none"}
		}
		return nil
	case OwnerQueue, OwnerBot, OwnerAgent:
		if o.Name == "" {
			return &FieldError{Field: "owner.name", Message: "is required"}
		}
		if len(o.Name) > maxExternalID || clean(o.Name) != o.Name {
			return &FieldError{Field: "owner.name", Message: fmt.Sprintf("must be valid text of at most %d bytes", maxExternalID)}
		}
		return nil
	}
	return &FieldError{Field: "owner.kind", Message: fmt.Sprintf("%q is none of none, queue, bot, agent", o.Kind)}
}

// Resolve solves a conversation. One that is solved stays as it is.
func (s *Store) Resolve(ctx context.Context, scope Scope, id string) (Conversation, error) {
	return s.changeConversation(ctx, scope, id, func(t *txn, v *convRow) (bool, error) {
		if v.state == ConversationSolved {
			return false, nil
		}
		v.state, v.solvedAt, v.snoozedUntil = ConversationSolved, ms(t.now), 0
		if err := t.dequeue(v.id); err != nil {
			return true, err
		}
		return true, t.surveySolved(v, false)
	})
}

// Snooze puts a conversation aside until a time, or until the contact writes.
// A solved one must be reopened first (ErrConflict). What waits in a queue is not
// offered to agents meanwhile, and its step and its wait there begin anew afterwards.
func (s *Store) Snooze(ctx context.Context, scope Scope, id string, until time.Time) (Conversation, error) {
	if !until.After(s.now()) {
		return Conversation{}, &FieldError{Field: "until", Message: "must be in the future"}
	}
	return s.changeConversation(ctx, scope, id, func(t *txn, v *convRow) (bool, error) {
		if v.state == ConversationSolved {
			return false, fmt.Errorf("conversation %s is solved, reopen it before snoozing it: %w", id, ErrConflict)
		}
		if v.state == ConversationSnoozed && v.snoozedUntil == ms(until) {
			return false, nil
		}
		v.state, v.snoozedUntil = ConversationSnoozed, ms(until)
		t.wake(topicSnooze)
		if v.owner.Kind == OwnerQueue { // nobody is offered it meanwhile
			return true, t.dequeue(v.id)
		}
		return true, nil
	})
}

// Reopen opens a conversation that is pending, snoozed or solved. One that nobody has
// goes to whom the policies of its channel say.
func (s *Store) Reopen(ctx context.Context, scope Scope, id string) (Conversation, error) {
	return s.changeConversation(ctx, scope, id, func(t *txn, v *convRow) (bool, error) {
		if v.state == ConversationOpen {
			return false, nil
		}
		solvedAt, snoozed := int64(0), v.state == ConversationSnoozed
		if v.state == ConversationSolved {
			solvedAt = max(v.solvedAt, 1)
		}
		if v.state, v.solvedAt, v.snoozedUntil = ConversationOpen, 0, 0; solvedAt > 0 {
			if err := t.surveyReopened(v.id); err != nil {
				return true, err
			}
		}
		if snoozed {
			if err := t.awake(v); err != nil {
				return true, err
			}
		}
		return true, t.reopened(v, solvedAt, scope.Caller)
	})
}

// changeConversation reads a conversation, lets change decide, and writes it
// when something changed.
func (s *Store) changeConversation(ctx context.Context, scope Scope, id string, change func(*txn, *convRow) (bool, error)) (Conversation, error) {
	if err := scope.Write.check(); err != nil {
		return Conversation{}, err
	}
	known, err := s.conversation(ctx, s.read, scope, id)
	if err != nil {
		return Conversation{}, err
	}
	var after Conversation
	err = s.writeLocked(ctx, 1, newLocks().party(known.channel, known.address), func(t *txn) error {
		v, err := s.lockConversation(t, scope, id)
		if err != nil {
			return err
		}
		_, done, err := t.repeated(v.namespace, scope.Write)
		if err != nil {
			return err
		}
		if !done {
			if err := t.change(&v, scope.Write, change); err != nil {
				return err
			}
		}
		after, err = t.view(&v)
		return err
	})
	if err != nil {
		return Conversation{}, err
	}
	return after, nil
}

func (t *txn) change(v *convRow, w Write, change func(*txn, *convRow) (bool, error)) error {
	changed, err := change(t, v)
	if err != nil {
		return err
	}
	if err := t.remember(v.namespace, w, ""); err != nil || !changed {
		return err
	}
	v.updatedAt = ms(t.now)
	return t.updateConversation(*v)
}

func (t *txn) updateConversation(v convRow) error {
	t.event(Event{Type: EventConversationUpdated, Channel: v.channel, Conversation: v.id, Contact: v.contact})
	err := t.later(`UPDATE conversations SET state = ?, snoozed_until = ?, owner_kind = ?, owner_name = ?, epoch = ?, updated_at = ?, solved_at = ? WHERE id = ?`,
		string(v.state), v.snoozedUntil, string(v.owner.Kind), v.owner.Name, v.epoch, v.updatedAt, v.solvedAt, v.id)
	return err
}

const (
	// snoozeBatch is how many conversations wake in one transaction: about as
	// long as a tenth of a full batch of messages.
	snoozeBatch = 100
	// snoozeRecheck bounds the wait for the next one, so that a clock that was
	// set is noticed. A look is one step in an index.
	snoozeRecheck = time.Minute
)

// runSnooze wakes conversations when their time has come.
func (s *Store) runSnooze(ctx context.Context) {
	for ctx.Err() == nil {
		changed := s.signals.next(topicSnooze)
		next, err := s.wakeSnoozed(ctx)
		wait := snoozeRecheck
		switch {
		case err != nil:
			s.log.Warn("snoozed conversations could not be woken; it is tried again", "err", err)
		case !next.IsZero():
			wait = min(wait, next.Sub(s.now()))
		}
		pause(ctx, wait, changed)
	}
}

// pause waits for a time, a signal or the end.
func pause(ctx context.Context, d time.Duration, changed <-chan struct{}) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-changed:
	case <-ctx.Done():
	}
}

// wakeSnoozed opens the conversations whose time has come and returns when the
// next one is due; zero when none is.
func (s *Store) wakeSnoozed(ctx context.Context) (next time.Time, err error) {
	for {
		var due sql.NullInt64
		if _, err := one(ctx, s.read, []any{&due}, `SELECT MIN(snoozed_until) FROM conversations WHERE state = 'snoozed'`); err != nil || !due.Valid {
			return time.Time{}, err
		}
		if next := fromMS(due.Int64); next.After(s.now()) {
			return next, nil
		}
		if err := s.writeLocked(ctx, snoozeBatch, newLocks(), s.wakeDue); err != nil {
			return time.Time{}, err
		}
	}
}

// wakeDue wakes some of them. What another replica is changing, or waking, is passed
// over; what is ours is read once it is locked, so that nobody's change is undone.
func (s *Store) wakeDue(t *txn) error {
	ids, err := all(t.ctx, t, scanText, `SELECT id FROM conversations WHERE state = 'snoozed' AND snoozed_until <= ? ORDER BY snoozed_until LIMIT ?`+s.db.skipLocked(), ms(t.now), snoozeBatch)
	if err != nil {
		return err
	}
	convs, err := s.lockRows(t, ids)
	if err != nil {
		return err
	}
	for _, id := range ids {
		v := convs[id]
		if v == nil || v.state != ConversationSnoozed || v.snoozedUntil > ms(t.now) {
			continue
		}
		v.state, v.snoozedUntil, v.updatedAt = ConversationOpen, 0, ms(t.now)
		if err := t.updateConversation(*v); err != nil {
			return err
		}
		if err := t.awake(v); err != nil {
			return err
		}
		if err := t.ownerless(v, &occasion{event: routing.EventOpened}); err != nil {
			return err
		}
	}
	return nil
}
