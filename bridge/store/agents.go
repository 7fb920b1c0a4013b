package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/bridgekeeper/bridgekeeper/bridge/routing"
)

// Agent is a person who answers. Agents are made by REST, as they are people:
// what is about them is in no log, metric or status.
type Agent struct {
	ID        string            `json:"id"`
	Namespace string            `json:"namespace"`
	Name      string            `json:"name"`
	Labels    map[string]string `json:"labels,omitempty"`
	Skills    map[string]int    `json:"skills,omitempty"` // level by name
	// Units the agent can carry; 0: as many as their queues say.
	Units      int                          `json:"units,omitempty"`
	ClassUnits map[routing.ChannelClass]int `json:"classUnits,omitempty"`
	CreatedAt  time.Time                    `json:"createdAt"`
	UpdatedAt  time.Time                    `json:"updatedAt"`

	State  string     `json:"state"` // online, away, offline
	Since  *time.Time `json:"since,omitempty"`
	SeenAt *time.Time `json:"seenAt,omitempty"`
	Load   int        `json:"load"` // units in use
}

// AgentSpec is what a caller says of an agent.
type AgentSpec struct {
	Namespace  string // cannot be changed
	Name       string // unique in its namespace
	Labels     map[string]string
	Skills     map[string]int
	Units      int
	ClassUnits map[routing.ChannelClass]int
}

// Bounds of an agent: what a person can oversee.
const (
	maxAgentValues = 64
	maxAgentUnits  = 1_000_000 // as routing.CheckQueue bounds a queue's
)

// check says what is wrong with a spec.
func (a AgentSpec) check() error {
	text := func(field, s string, empty bool) error {
		if s == "" && !empty {
			return &FieldError{Field: field, Message: "is required"}
		}
		if len(s) > routing.MaxValueBytes || clean(s) != s {
			return &FieldError{Field: field, Message: fmt.Sprintf("must be valid text of at most %d bytes", routing.MaxValueBytes)}
		}
		return nil
	}
	if err := text("name", a.Name, false); err != nil {
		return err
	}
	if a.Units < 0 || a.Units > maxAgentUnits {
		return &FieldError{Field: "units", Message: fmt.Sprintf("must be 0 to %d", maxAgentUnits)}
	}
	for field, n := range map[string]int{"labels": len(a.Labels), "skills": len(a.Skills), "classUnits": len(a.ClassUnits)} {
		if n > maxAgentValues {
			return &FieldError{Field: field, Message: fmt.Sprintf("has %d entries, %d is the limit", n, maxAgentValues)}
		}
	}
	for k, v := range a.Labels {
		if err := cmpErr(text("labels", k, false), text("labels."+k, v, true)); err != nil {
			return err
		}
	}
	for k, level := range a.Skills {
		if err := text("skills", k, false); err != nil {
			return err
		}
		if level < 0 || level > routing.MaxSkillLevel {
			return &FieldError{Field: "skills." + k, Message: fmt.Sprintf("must be a level of 0 to %d", routing.MaxSkillLevel)}
		}
	}
	for class, units := range a.ClassUnits {
		if !slices.Contains([]routing.ChannelClass{routing.ClassVoice, routing.ClassChat, routing.ClassMail}, class) {
			return &FieldError{Field: "classUnits", Message: fmt.Sprintf("%q is none of voice, chat, mail", class)}
		}
		if units < 0 || units > maxAgentUnits {
			return &FieldError{Field: "classUnits." + string(class), Message: fmt.Sprintf("must be 0 to %d", maxAgentUnits)}
		}
	}
	return nil
}

func cmpErr(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

const selectAgents = `SELECT a.id, a.namespace, a.name, a.labels, a.skills, a.units, a.class_units, a.created_at, a.updated_at,
	p.state, p.changed_at, p.seen_at, p.load_voice + p.load_chat + p.load_mail FROM agents a JOIN presence p ON p.agent = a.id `

func scanAgent(rows *sql.Rows) (a Agent, err error) {
	var labels, skills, units string
	var created, updated, since, seen int64
	if err = rows.Scan(&a.ID, &a.Namespace, &a.Name, &labels, &skills, &a.Units, &units, &created, &updated, &a.State, &since, &seen, &a.Load); err != nil {
		return a, err
	}
	a.CreatedAt, a.UpdatedAt, a.Since, a.SeenAt = fromMS(created), fromMS(updated), optionalMS(since), optionalMS(seen)
	for _, column := range []struct {
		text string
		into any
	}{{labels, &a.Labels}, {skills, &a.Skills}, {units, &a.ClassUnits}} {
		if column.text != "" && err == nil {
			err = json.Unmarshal([]byte(column.text), column.into)
		}
	}
	return a, err
}

// listAgents is the list of agents.
const listAgents = "a"

// Agents lists agents in the order of their ids; of one namespace, if it is not
// empty.
func (s *Store) Agents(ctx context.Context, scope Scope, namespace string, q PageQuery) (Page[Agent], error) {
	limit, pos, _, err := start(listAgents, q)
	if err != nil {
		return Page[Agent]{}, err
	}
	var c conditions
	c.add("a.id > ?", pos.ID)
	switch {
	case namespace != "":
		if !scope.Allows(namespace) {
			return Page[Agent]{Items: []Agent{}}, nil
		}
		c.add("a.namespace = ?", namespace)
	case !scope.All:
		if len(scope.Namespaces) == 0 {
			return Page[Agent]{Items: []Agent{}}, nil
		}
		c.add("a.namespace IN "+in(len(scope.Namespaces)), anys(scope.Namespaces)...)
	}
	list, err := all(ctx, s.read, scanAgent, selectAgents+c.where()+`ORDER BY a.id LIMIT ?`, append(c.args, limit+1)...)
	if err != nil {
		return Page[Agent]{}, err
	}
	page := Page[Agent]{Items: append([]Agent{}, list[:min(len(list), limit)]...)}
	if len(list) > limit {
		page.Next = position{List: listAgents, ID: list[limit-1].ID}.cursor()
	}
	return page, nil
}

// Agent returns one agent.
func (s *Store) Agent(ctx context.Context, scope Scope, id string) (Agent, error) {
	list, err := all(ctx, s.read, scanAgent, selectAgents+`WHERE a.id = ?`, id)
	if err != nil {
		return Agent{}, err
	}
	if len(list) == 0 || !scope.Allows(list[0].Namespace) {
		return Agent{}, fmt.Errorf("agent %s: %w", id, ErrNotFound)
	}
	return list[0], nil
}

// agentsOf are the agents of a namespace, or one of them.
func (t *txn) agentsOf(namespace, id string) ([]Agent, error) {
	if id != "" {
		return all(t.ctx, t, scanAgent, selectAgents+`WHERE a.id = ?`, id)
	}
	return all(t.ctx, t, scanAgent, selectAgents+`WHERE a.namespace = ?`, namespace)
}

// CreateAgent makes an agent, who is offline until their first heartbeat.
// ErrConflict when the namespace has one of this name.
func (s *Store) CreateAgent(ctx context.Context, scope Scope, spec AgentSpec) (Agent, error) {
	if err := scope.Write.check(); err != nil {
		return Agent{}, err
	}
	if spec.Namespace == "" || !scope.Allows(spec.Namespace) {
		return Agent{}, &FieldError{Field: "namespace", Message: "must be one of the token's namespaces"}
	}
	if err := spec.check(); err != nil {
		return Agent{}, err
	}
	labels, skills, units, err := spec.encode()
	if err != nil {
		return Agent{}, err
	}
	var id string
	err = s.writeLocked(ctx, 1, newLocks().agents(spec.Namespace), func(t *txn) error {
		made, done, err := t.repeated(spec.Namespace, scope.Write)
		if id = made; err != nil || done {
			return err
		}
		id = t.newID()
		n, err := t.exec(`INSERT INTO agents (id, namespace, name, labels, skills, units, class_units, created_at, updated_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING`,
			id, spec.Namespace, spec.Name, labels, skills, spec.Units, units, ms(t.now), ms(t.now))
		if err != nil {
			return err
		}
		if n == 0 {
			return errAgentName(spec)
		}
		if _, err := t.exec(`INSERT INTO presence (agent, namespace) VALUES (?, ?)`, id, spec.Namespace); err != nil {
			return err
		}
		if err := t.remember(spec.Namespace, scope.Write, id); err != nil {
			return err
		}
		st := s.state.Load()
		return t.recruit(st, id, st.queueNames(spec.Namespace))
	})
	if err != nil {
		return Agent{}, err
	}
	return s.Agent(ctx, scope, id)
}

func errAgentName(spec AgentSpec) error {
	return fmt.Errorf("namespace %s has an agent of this name already: %w", spec.Namespace, ErrConflict)
}

func (a AgentSpec) encode() (labels, skills, units string, err error) {
	enc := func(n int, v any) string {
		if n == 0 || err != nil {
			return ""
		}
		var raw []byte
		raw, err = json.Marshal(v)
		return string(raw)
	}
	return enc(len(a.Labels), a.Labels), enc(len(a.Skills), a.Skills), enc(len(a.ClassUnits), a.ClassUnits), err
}

// UpdateAgent replaces what is said of an agent; what they have stays theirs.
func (s *Store) UpdateAgent(ctx context.Context, scope Scope, id string, spec AgentSpec) (Agent, error) {
	if err := scope.Write.check(); err != nil {
		return Agent{}, err
	}
	known, err := s.Agent(ctx, scope, id)
	if err != nil {
		return Agent{}, err
	}
	if spec.Namespace != "" && spec.Namespace != known.Namespace {
		return Agent{}, &FieldError{Field: "namespace", Message: "cannot be changed; make another agent"}
	}
	if err := spec.check(); err != nil {
		return Agent{}, err
	}
	spec.Namespace = known.Namespace
	labels, skills, units, err := spec.encode()
	if err != nil {
		return Agent{}, err
	}
	err = s.writeLocked(ctx, 1, newLocks().agents(known.Namespace), func(t *txn) error {
		if _, done, err := t.repeated(known.Namespace, scope.Write); err != nil || done {
			return err
		}
		var others int
		if _, err := one(t.ctx, t, []any{&others}, `SELECT COUNT(*) FROM agents WHERE namespace = ? AND name = ? AND id <> ?`, known.Namespace, spec.Name, id); err != nil {
			return err
		}
		if others > 0 {
			return errAgentName(spec)
		}
		n, err := t.exec(`UPDATE agents SET name = ?, labels = ?, skills = ?, units = ?, class_units = ?, updated_at = ? WHERE id = ?`,
			spec.Name, labels, skills, spec.Units, units, ms(t.now), id)
		if err != nil {
			return err
		}
		if n == 0 {
			return fmt.Errorf("agent %s: %w", id, ErrNotFound)
		}
		if err := t.remember(known.Namespace, scope.Write, ""); err != nil {
			return err
		}
		st := s.state.Load()
		return t.recruit(st, id, st.queueNames(known.Namespace))
	})
	if err != nil {
		return Agent{}, err
	}
	return s.Agent(ctx, scope, id)
}

// DeleteAgent removes an agent. What they have goes back to the queues it came
// from, or to whom its policies say.
func (s *Store) DeleteAgent(ctx context.Context, scope Scope, id string) error {
	known, err := s.Agent(ctx, scope, id)
	if err != nil {
		return err
	}
	cause := ownerCause{why: CauseRemoved, caller: scope.Caller}
	return s.writeLocked(ctx, 1, everythingLocked(), func(t *txn) error { // rare, and touches conversations of any channel
		ids, err := all(t.ctx, t, scanText, `SELECT conversation FROM queue_entries WHERE agent = ? AND state IN ('assigned', 'offered') ORDER BY waiting_since`, id)
		if err != nil {
			return err
		}
		for _, conversation := range ids {
			v, err := s.lockConversation(t, Scope{All: true}, conversation)
			if err != nil {
				return err
			}
			if v.owner == (Owner{Kind: OwnerAgent, Name: id}) {
				err = t.giveBack(&v, cause)
			} else if e, lookErr := t.entry(v.id); lookErr == nil && e != nil && e.state == entryOffered {
				err = t.waitAgain(e, "")
			} else {
				err = lookErr
			}
			if err != nil {
				return err
			}
		}
		for _, query := range []string{`DELETE FROM queue_members WHERE agent = ?`, `DELETE FROM contact_agents WHERE agent = ?`, `DELETE FROM presence WHERE agent = ?`, `DELETE FROM agents WHERE id = ?`,
			`UPDATE queue_entries SET reserved = '', reserved_until = 0 WHERE reserved = ?`} {
			if _, err := t.exec(query, id); err != nil {
				return err
			}
		}
		for name := range s.state.Load().queueNames(known.Namespace) {
			t.note(tallyEntry{queue: name, recount: true})
			t.stir(name)
		}
		return nil
	})
}
