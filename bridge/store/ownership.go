package store

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
	"time"

	"github.com/bridgekeeper/bridgekeeper/bridge/routing"
)

// Ownership. A conversation has exactly one owner at every moment, and transfer
// is the only place that changes it:
//
//	REST  :assign :request :pass :take :release ──┐
//	routing (a policy's decision, a bot's handover)├──► transfer ──► conversations.owner, epoch + 1
//	queue (accept, Assign, agent offline)        ──┘       ├──► owner_changes: who, from, to, why
//	                                                       ├──► queue_entries: waits, is carried, or neither
//	                                                       └──► event conversation.updated
//
// The epoch fences whoever acted on what they knew before: a verb with another
// epoch is refused (409), and messages of automated authors are superseded, when
// they are queued and again when they are leased. Two changes cannot have the
// same epoch: it is the key of owner_changes.

// OwnerCause is why a conversation changed its owner. The words are stable.
type OwnerCause string

const (
	CauseAssigned  OwnerCause = "assigned"  // :assign
	CauseRequested OwnerCause = "requested" // :request
	CausePassed    OwnerCause = "passed"    // :pass
	CauseTaken     OwnerCause = "taken"     // :take
	CauseReleased  OwnerCause = "released"  // :release
	CauseRouted    OwnerCause = "routed"    // by a policy
	CauseGiven     OwnerCause = "given"     // by a queue that assigns
	CauseAccepted  OwnerCause = "accepted"  // an offer
	CauseOffline   OwnerCause = "offline"   // the agent went offline
	CauseRemoved   OwnerCause = "removed"   // the agent was removed
	CauseHandover  OwnerCause = "handover"  // a bot gave it up
	CauseSurvey    OwnerCause = "survey"    // an action of a survey
)

// ownerCause is why, at whose request, and by which decision.
type ownerCause struct {
	why      OwnerCause
	caller   string // name of a token
	decision string // id
}

// OwnerChange is an entry of a conversation's transcript: from then on it had
// another owner. Epoch is the new one.
type OwnerChange struct {
	At       time.Time  `json:"at"`
	Epoch    int64      `json:"epoch"`
	From     Owner      `json:"from"`
	To       Owner      `json:"to"`
	Cause    OwnerCause `json:"cause"`
	Caller   string     `json:"caller,omitempty"`
	Decision string     `json:"decision,omitempty"`
}

var (
	newOwnerChanges = bulkInsert("owner_changes", "", "conversation text", "epoch bigint", "from_kind text", "from_name text", "to_kind text", "to_name text",
		"cause text", "caller text", "decision text", "at bigint")
	saveContactAgents = bulkInsert("contact_agents", "ON CONFLICT (contact) DO UPDATE SET agent = excluded.agent, at = excluded.at", "contact text", "agent text", "at bigint")
	saveOwners        = bulkUpdate("conversations", []string{"id text"}, "owner_kind text", "owner_name text", "epoch bigint", "updated_at bigint")
)

// transfer gives a conversation another owner. v must have been read in this
// transaction with its row locked (lockConversation), or be new in it; it is
// brought up to date. What a former owner has queued and not sent is superseded
// by its epoch. A transfer to the owner that it has does nothing.
func (t *txn) transfer(v *convRow, to Owner, cause ownerCause) error {
	if v.owner == to {
		return nil
	}
	e, err := t.entry(v.id)
	if err != nil {
		return err
	}
	return t.move(v, to, cause, e, nil)
}

// move is transfer with the conversation's entry (nil: none), and what a queue is
// told.
func (t *txn) move(v *convRow, to Owner, cause ownerCause, e *entryRow, w *waiting) error {
	from := v.owner
	v.owner, v.epoch, v.updatedAt = to, v.epoch+1, ms(t.now)
	if err := t.moveEntry(v, e, w); err != nil {
		return err
	}
	if err := t.row(newOwnerChanges, "",
		v.id, v.epoch, string(from.Kind), from.Name, string(to.Kind), to.Name, string(cause.why), cause.caller, cause.decision, ms(t.now)); err != nil {
		return err
	}
	if to.Kind == OwnerAgent {
		if err := t.row(saveContactAgents, v.contact, v.contact, to.Name, ms(t.now)); err != nil {
			return err
		}
	}
	if !v.fresh { // else its creation is told, and who reads that finds the owner
		t.event(Event{Type: EventConversationUpdated, Channel: v.channel, Conversation: v.id, Contact: v.contact})
	}
	v.fresh = false
	t.afterCommit(func() { t.c.queues.metrics.owned(cause.why) })
	if err := t.row(saveOwners, v.id, string(to.Kind), to.Name, v.epoch, v.updatedAt, v.id); err != nil {
		return err
	}
	if cause.why == CauseRouted || cause.why == CauseHandover { // routing says itself what begins with it
		return nil
	}
	switch to.Kind {
	case OwnerBot:
		return t.botTakesOver(v)
	case OwnerQueue:
		return t.stepAgain(v, cause.why)
	}
	return nil
}

// lostOwner withdraws what a bot or a policy is about to say in a conversation that
// another owner has by now: the lease may be older than the change. What is being
// sent already gets its outcome.
func (u *turn) lostOwner(p *partRow) (bool, error) {
	if !automated(u.d.authorKind) || p.state != partQueued {
		return false, nil
	}
	var epoch int64
	if _, err := one(u.t.ctx, u.t, []any{&epoch}, `SELECT epoch FROM conversations WHERE id = ?`, u.d.conversation); err != nil || epoch == u.d.epoch {
		return false, err
	}
	u.d.withdraw(deliverySuperseded, fmt.Sprintf("the conversation has another owner since (epoch %d, now %d)", u.d.epoch, epoch))
	return true, nil
}

// errStale says that the caller acts on what was before.
func (s *Store) errStale(v *convRow, epoch int64, verb string) error {
	s.queues.metrics.stale.WithLabelValues(verb).Inc()
	return fmt.Errorf("conversation %s is at epoch %d, not %d: it has another owner by now: %w", v.id, v.epoch, epoch, ErrConflict)
}

// changeOwner runs a verb about the owner of a conversation. An epoch of 0 is
// not looked at.
func (s *Store) changeOwner(ctx context.Context, scope Scope, id, verb string, epoch int64, change func(t *txn, v *convRow) error) (Conversation, error) {
	return s.changeConversation(ctx, scope, id, func(t *txn, v *convRow) (bool, error) {
		if epoch != 0 && epoch != v.epoch {
			return false, s.errStale(v, epoch, verb)
		}
		return false, change(t, v) // which writes by itself
	})
}

// Assign gives a conversation its owner. With an epoch other than 0 it does so
// only where the epoch is still the same, so that a late writer cannot take
// back what another one has given; else it is ErrConflict. A new owner raises
// the epoch; assigning the owner that it has changes nothing.
func (s *Store) Assign(ctx context.Context, scope Scope, id string, owner Owner, epoch int64) (Conversation, error) {
	if err := checkOwner(owner); err != nil {
		return Conversation{}, err
	}
	return s.changeOwner(ctx, scope, id, "assign", epoch, func(t *txn, v *convRow) error {
		if err := t.checkTarget(v, "owner", owner); err != nil {
			return err
		}
		return t.transfer(v, owner, ownerCause{why: CauseAssigned, caller: scope.Caller})
	})
}

// Request asks for a conversation on behalf of an agent or a bot. It is granted
// where no other agent has it: an agent may ask a bot or a queue for it, or get
// one that nobody has; a bot only what nobody has. Else it is ErrConflict, as is
// an epoch that is over.
func (s *Store) Request(ctx context.Context, scope Scope, id string, by Owner, epoch int64) (Conversation, error) {
	if err := checkClaim(by, epoch); err != nil {
		return Conversation{}, err
	}
	return s.changeOwner(ctx, scope, id, "request", epoch, func(t *txn, v *convRow) error {
		if v.owner == by {
			return nil
		}
		if v.owner.Kind == OwnerAgent || by.Kind == OwnerBot && v.owner.Kind != OwnerNone {
			return fmt.Errorf("conversation %s has an owner (%s) who does not give it up by being asked; they can pass it, and a supervisor can take it: %w", id, v.owner.Kind, ErrConflict)
		}
		if err := t.checkTarget(v, "by", by); err != nil {
			return err
		}
		return t.transfer(v, by, ownerCause{why: CauseRequested, caller: scope.Caller})
	})
}

// Pass gives a conversation on: from the owner at this epoch to another one.
func (s *Store) Pass(ctx context.Context, scope Scope, id string, to Owner, epoch int64) (Conversation, error) {
	if err := checkEpoch(epoch); err != nil {
		return Conversation{}, err
	}
	if err := checkOwner(to); err != nil {
		return Conversation{}, renamed(err, "owner", "to")
	}
	if to.Kind == OwnerNone {
		return Conversation{}, &FieldError{Field: "to.kind", Message: "passing needs somebody to pass to; use :release to let go"}
	}
	return s.changeOwner(ctx, scope, id, "pass", epoch, func(t *txn, v *convRow) error {
		if err := t.checkTarget(v, "to", to); err != nil {
			return err
		}
		return t.transfer(v, to, ownerCause{why: CausePassed, caller: scope.Caller})
	})
}

// Take gives a conversation to an agent or a bot, whoever has it: for
// supervisors. The epoch says that they have seen who it is taken from.
func (s *Store) Take(ctx context.Context, scope Scope, id string, by Owner, epoch int64) (Conversation, error) {
	if err := checkClaim(by, epoch); err != nil {
		return Conversation{}, err
	}
	return s.changeOwner(ctx, scope, id, "take", epoch, func(t *txn, v *convRow) error {
		if err := t.checkTarget(v, "by", by); err != nil {
			return err
		}
		return t.transfer(v, by, ownerCause{why: CauseTaken, caller: scope.Caller})
	})
}

// Release lets go of a conversation: it goes back to the queue that it came
// from, as old as it is. Where it came from none, the policies of its channel say
// who gets it (of a bot, as if it had handed over), and without policies nobody
// has it. What waits in a queue stays there.
func (s *Store) Release(ctx context.Context, scope Scope, id string, epoch int64) (Conversation, error) {
	if err := checkEpoch(epoch); err != nil {
		return Conversation{}, err
	}
	return s.changeOwner(ctx, scope, id, "release", epoch, func(t *txn, v *convRow) error {
		if v.owner.Kind == OwnerQueue {
			return nil
		}
		return t.giveBack(v, ownerCause{why: CauseReleased, caller: scope.Caller})
	})
}

// giveBack returns a conversation to its queue, or to whom its policies say, or
// to nobody.
func (t *txn) giveBack(v *convRow, cause ownerCause) error {
	e, err := t.entry(v.id)
	if err != nil {
		return err
	}
	if e != nil && e.queue != "" {
		return t.move(v, Owner{Kind: OwnerQueue, Name: e.queue}, cause, e, nil)
	}
	r := t.c.dispatcher
	if v.state == ConversationSolved {
		return t.transfer(v, Owner{Kind: OwnerNone}, cause)
	}
	row, err := readRouting(t.ctx, t, v.id)
	if err != nil {
		return err
	}
	if !r.s.state.Load().enforces(v.channel) {
		return t.letGo(v, row, cause)
	}
	o := &occasion{event: routing.EventOpened, reason: string(cause.why), caller: cause.caller, row: row}
	if v.owner.Kind == OwnerBot {
		o.event, o.bot = routing.EventHandoffRequested, v.owner.Name
	}
	return r.route(t, v, o)
}

// checkTarget keeps a conversation in its namespace: queues and bots are named
// "namespace/name", and agents of the store belong to one. Other names are those
// of the caller's own desks; a queue of theirs would be left at once where policies
// say who comes next. Who was removed gets nothing: nobody would take it back.
func (t *txn) checkTarget(v *convRow, field string, to Owner) error {
	namespace := v.namespace
	switch to.Kind {
	case OwnerQueue, OwnerBot:
		ns, _, ok := strings.Cut(to.Name, "/")
		if ok {
			namespace = ns
		} else if to.Kind == OwnerQueue && t.c.queues.state().enforces(v.channel) {
			return &FieldError{Field: field + ".name", Message: fmt.Sprintf("%q is no AgentQueue, and the channel has routing policies; write namespace/name of a queue", to.Name)}
		}
	case OwnerAgent:
		found, err := one(t.ctx, t, []any{&namespace}, `SELECT namespace FROM agents WHERE id = ?`, to.Name)
		if err != nil {
			return err
		}
		if !found && v.owner != to && isAgentID(to.Name) {
			return &FieldError{Field: field + ".name", Message: "there is no such agent (any more); GET /v1/agents lists those who are there"}
		}
	}
	if namespace != v.namespace {
		return &FieldError{Field: field + ".name", Message: "is of another namespace than the conversation"}
	}
	return nil
}

func checkClaim(by Owner, epoch int64) error {
	if err := checkEpoch(epoch); err != nil {
		return err
	}
	if err := checkOwner(by); err != nil {
		return renamed(err, "owner", "by")
	}
	if by.Kind != OwnerAgent && by.Kind != OwnerBot {
		return &FieldError{Field: "by.kind", Message: fmt.Sprintf("%q is neither agent nor bot", by.Kind)}
	}
	return nil
}

func checkEpoch(epoch int64) error {
	if epoch < 1 {
		return &FieldError{Field: "epoch", Message: "is required: the epoch of the conversation as you know it"}
	}
	return nil
}

// renamed puts a FieldError under the name that the request has for it.
func renamed(err error, from, to string) error {
	if fe, ok := err.(*FieldError); ok && len(fe.Field) > len(from) && fe.Field[:len(from)] == from { //nolint:errorlint // made right here
		return &FieldError{Field: to + fe.Field[len(from):], Message: fe.Message}
	}
	return err
}

// ownerChanges is how often a conversation changed its owner since a time.
func (t *txn) ownerChanges(conversation string, since time.Time) (n int, err error) {
	_, err = one(t.ctx, t, []any{&n}, `SELECT COUNT(*) FROM owner_changes WHERE conversation = ? AND at >= ?`, conversation, ms(since))
	return n, err
}

// listOwners is the list of one conversation's changes.
const listOwners = "o"

// OwnerChanges are the changes of a conversation's owner, in their order.
func (s *Store) OwnerChanges(ctx context.Context, scope Scope, id string, q PageQuery) (Page[OwnerChange], error) {
	limit, pos, _, err := start(listOwners, q)
	if err != nil {
		return Page[OwnerChange]{}, err
	}
	if _, err := s.conversation(ctx, s.read, scope, id); err != nil {
		return Page[OwnerChange]{}, err
	}
	list, err := all(ctx, s.read, scanOwnerChange, `SELECT epoch, from_kind, from_name, to_kind, to_name, cause, caller, decision, at FROM owner_changes
		WHERE conversation = ? AND epoch > ? ORDER BY epoch LIMIT ?`, id, pos.At, limit+1)
	if err != nil {
		return Page[OwnerChange]{}, err
	}
	page := Page[OwnerChange]{Items: list}
	if len(list) > limit {
		page.Items = list[:limit]
		page.Next = position{List: listOwners, At: list[limit-1].Epoch, ID: id}.cursor()
	}
	return page, nil
}

func scanOwnerChange(rows *sql.Rows) (c OwnerChange, err error) {
	var at int64
	err = rows.Scan(&c.Epoch, &c.From.Kind, &c.From.Name, &c.To.Kind, &c.To.Name, &c.Cause, &c.Caller, &c.Decision, &at)
	c.At = fromMS(at)
	return c, err
}
