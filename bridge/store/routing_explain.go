package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"sync"
	"time"

	"github.com/oklog/ulid/v2"

	"github.com/bridgekeeper/bridgekeeper/bridge/routing"
)

// Explainer says why conversations are where they are, and keeps what rules go by.
type Explainer interface {
	// Routing of a conversation: where it is, and the decisions, latest first. After
	// the first page only Decisions counts.
	Routing(ctx context.Context, s Scope, conversation string, q PageQuery) (Routing, error)
	// SetAttributes replaces the attributes that a contact is known by.
	SetAttributes(ctx context.Context, s Scope, contact string, attributes map[string]string) (Contact, error)
}

var _ Explainer = (*Store)(nil)

// Routing is where a conversation is in the policies of its channel, and how it
// got there.
type Routing struct {
	// Position that it is in; nil: it was never routed.
	Position *routing.Position
	// EnteredAt that position; Until is when its step ends, nil: it lasts, or
	// somebody has the conversation by now.
	EnteredAt time.Time
	Until     *time.Time
	// Asking: a webhook is being asked who gets it.
	Asking   bool
	Priority routing.Priority
	Labels   map[string]string
	Topics   []string
	// Decisions, the latest first.
	Decisions Page[RoutingDecision]
}

// RoutingDecision is one decision with its facts and its reasons. The reasons are
// found by replaying it: by the policy as it was, on the facts as they were.
type RoutingDecision struct {
	ID string
	At time.Time
	// Shadow: of a policy in mode Shadow, nothing was done.
	Shadow   bool
	Decision routing.Decision
	Facts    routing.Facts
	// Reason that the event came for: of a bot's handover, of a step that failed.
	Reason string
	// Answer of the webhook that was asked, as JSON.
	Answer json.RawMessage
	// Explanation of the replay. Nil where the policy is no longer archived.
	Explanation *routing.Explanation
	// Exact: the replay gives this very decision. It does not where the message that
	// it depended on was deleted since; Note says so.
	Exact bool
	Note  string
}

const (
	// listDecisions is the list of a conversation's decisions.
	listDecisions = "d"

	notePolicyGone = "the version of the policy that decided is no longer kept"
	noteTextGone   = "the message was deleted since, and its text is not among the facts any more"
)

// Routing says where a conversation is, and explains the decisions about it.
func (s *Store) Routing(ctx context.Context, scope Scope, id string, q PageQuery) (Routing, error) {
	limit, pos, from, err := start(listDecisions, q)
	if err != nil {
		return Routing{}, err
	}
	v, err := s.conversation(ctx, s.read, scope, id)
	if err != nil {
		return Routing{}, err
	}
	row, err := readRouting(ctx, s.read, id)
	if err != nil {
		return Routing{}, err
	}
	out := Routing{Priority: row.priority, Labels: row.labels, Topics: row.topics}
	if row.decision != "" {
		position := row.position
		out.Position, out.EnteredAt = &position, fromMS(row.enteredAt)
	}
	if row.epoch == v.epoch && v.state != ConversationSolved {
		if out.Asking = row.asking; row.dueAt < shelvedFrom {
			out.Until = optionalMS(row.dueAt)
		}
	}
	before := pos.ID
	if !from {
		before = "~" // after every id
	}
	list, err := all(ctx, s.read, scanDecision, `SELECT id, shadow, facts, decision, reason, answer FROM decisions WHERE conversation = ? AND id < ? ORDER BY id DESC LIMIT ?`, id, before, limit+1)
	if err != nil {
		return Routing{}, err
	}
	if len(list) > limit {
		list = list[:limit]
		out.Decisions.Next = position{List: listDecisions, ID: list[limit-1].ID}.cursor()
	}
	for i := range list {
		if err := s.explain(ctx, &list[i]); err != nil {
			return Routing{}, err
		}
	}
	out.Decisions.Items = list
	return out, nil
}

func scanDecision(rows *sql.Rows) (d RoutingDecision, err error) {
	var shadow int64
	var facts, decision, answer string
	if err := rows.Scan(&d.ID, &shadow, &facts, &decision, &d.Reason, &answer); err != nil {
		return d, err
	}
	d.Shadow = shadow == 1
	if id, err := ulid.ParseStrict(d.ID); err == nil {
		d.At = ulid.Time(id.Time()).UTC()
	}
	if answer != "" {
		d.Answer = json.RawMessage(answer)
	}
	if err := json.Unmarshal([]byte(facts), &d.Facts); err != nil {
		return d, fmt.Errorf("facts of decision %s: %w", d.ID, err)
	}
	if err := json.Unmarshal([]byte(decision), &d.Decision); err != nil {
		return d, fmt.Errorf("decision %s: %w", d.ID, err)
	}
	return d, nil
}

// explain replays a decision.
func (s *Store) explain(ctx context.Context, d *RoutingDecision) error {
	textGone := false
	if id := d.Facts.Message.ID; id != "" {
		var deleted int64
		if _, err := one(ctx, s.read, []any{&deleted}, `SELECT deleted_at FROM messages WHERE id = ?`, id); err != nil {
			return err
		}
		_, text, found, err := originalText(ctx, s.read, id)
		if err != nil {
			return err
		}
		textGone, d.Facts.Message.Text = !found || deleted > 0, text
	}
	p, err := s.dispatcher.programs.get(ctx, s.read, d.Decision.Hash)
	if err != nil {
		return err
	}
	if p == nil {
		d.Note = notePolicyGone
		return nil
	}
	e := routing.Explain(p, &d.Facts, d.Decision)
	if d.Explanation, d.Exact = &e, e.Exact; !d.Exact && textGone {
		d.Note = noteTextGone
	}
	return nil
}

// programCache keeps the programs of archived policies that were looked at lately:
// making one takes some milliseconds where there are expressions.
type programCache struct {
	mu       sync.Mutex
	programs map[string]*routing.Program
}

// programsKept bounds the cache; who looks at decisions looks at a few versions.
const programsKept = 64

// get is an archived program; nil where it is not kept any more.
func (c *programCache) get(ctx context.Context, q querier, hash string) (*routing.Program, error) {
	c.mu.Lock()
	p := c.programs[hash]
	c.mu.Unlock()
	if p != nil {
		return p, nil
	}
	var archive string
	found, err := one(ctx, q, []any{&archive}, `SELECT archive FROM policy_archive WHERE hash = ?`, hash)
	if err != nil || !found {
		return nil, err
	}
	if p, err = routing.FromArchive([]byte(archive)); err != nil {
		return nil, nil // of a newer version's format: it cannot be replayed here
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.programs == nil || len(c.programs) >= programsKept {
		c.programs = map[string]*routing.Program{}
	}
	c.programs[hash] = p
	return p, nil
}
