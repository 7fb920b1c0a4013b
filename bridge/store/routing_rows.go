package store

import (
	"context"
	"encoding/json"
	"sync"
	"time"

	"github.com/bridgekeeper/bridgekeeper/bridge/routing"
)

// routingRow is where a conversation is in a policy.
type routingRow struct {
	conversation string
	decision     string
	position     routing.Position
	epoch        int64
	enteredAt    int64
	dueAt        int64
	asking       bool
	message      string
	priority     routing.Priority
	labels       map[string]string
	topics       []string
	language     string // that somebody said; BCP 47
	known        bool   // it is in the database
}

const routingColumns = `decision, policy, hash, rule, step, queue, epoch, entered_at, due_at, asking, message, priority, labels, topics, language`

// routing reads where a conversation is in a policy; nowhere is not an error.
func readRouting(ctx context.Context, q querier, conversation string) (*routingRow, error) {
	r := &routingRow{conversation: conversation}
	var labels, topics string
	var asking int64
	found, err := one(ctx, q, []any{&r.decision, &r.position.Policy, &r.position.Hash, &r.position.Rule, &r.position.Step, &r.position.Queue,
		&r.epoch, &r.enteredAt, &r.dueAt, &asking, &r.message, &r.priority, &labels, &topics, &r.language},
		`SELECT `+routingColumns+` FROM routings WHERE conversation = ?`, conversation)
	if err != nil || !found {
		return r, err
	}
	r.known, r.asking = true, asking == 1
	if err := unmarshalSome(labels, &r.labels); err != nil {
		return nil, err
	}
	return r, unmarshalSome(topics, &r.topics)
}

// unmarshalSome reads JSON that may be empty.
func unmarshalSome(raw string, into any) error {
	if raw == "" {
		return nil
	}
	return json.Unmarshal([]byte(raw), into)
}

// marshalSome is JSON, empty for an empty list or map.
func marshalSome(v any, size int) (string, error) {
	if size == 0 {
		return "", nil
	}
	raw, err := json.Marshal(v)
	return string(raw), err
}

// save writes the row.
func (r *routingRow) save(t *txn) error {
	labels, err := marshalSome(r.labels, len(r.labels))
	if err != nil {
		return err
	}
	topics, err := marshalSome(r.topics, len(r.topics))
	if err != nil {
		return err
	}
	p := r.position
	r.known = true
	return t.row(saveRoutings, r.conversation, r.decision, p.Policy, p.Hash, p.Rule, p.Step, p.Queue, r.epoch, r.enteredAt, r.dueAt, boolInt(r.asking),
		r.message, string(r.priority), labels, topics, r.language, r.conversation)
}

// saveRoutings writes whole rows, newDecisions one for each decision.
var (
	saveRoutings = bulkInsert("routings", `ON CONFLICT (conversation) DO UPDATE SET decision = excluded.decision, policy = excluded.policy, hash = excluded.hash,
		rule = excluded.rule, step = excluded.step, queue = excluded.queue, epoch = excluded.epoch, entered_at = excluded.entered_at, due_at = excluded.due_at,
		asking = excluded.asking, message = excluded.message, priority = excluded.priority, labels = excluded.labels, topics = excluded.topics, language = excluded.language`,
		"decision text", "policy text", "hash text", "rule text", "step text", "queue text", "epoch bigint", "entered_at bigint", "due_at bigint", "asking bigint",
		"message text", "priority text", "labels text", "topics text", "language text", "conversation text")
	newDecisions = bulkInsert("decisions", "", "id text", "conversation text", "shadow bigint", "hash text", "facts text", "decision text", "reason text")
)

// archives remembers which programs this process has lately put into the archive.
type archives struct {
	mu    sync.Mutex
	noted map[string]int64 // by hash: decided_at
}

// archiveEvery is how often the archive is told that a policy is still decided by.
const archiveEvery = time.Hour

// stale says whether the archive has to be written for a decision now.
func (a *archives) stale(hash string, now int64) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	at, ok := a.noted[hash]
	return !ok || now-at >= archiveEvery.Milliseconds() || now < at
}

func (a *archives) note(hash string, now int64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.noted == nil {
		a.noted = map[string]int64{}
	}
	a.noted[hash] = now
}

// archive keeps the policy that a decision was made by.
func (s *Store) archive(t *txn, p *routing.Program) error {
	now := ms(t.now)
	if !s.dispatcher.archives.stale(p.Hash(), now) {
		return nil
	}
	t.afterCommit(func() { s.dispatcher.archives.note(p.Hash(), now) })
	return t.later(`INSERT INTO policy_archive (hash, policy, archive, decided_at) VALUES (?, ?, ?, ?)
		ON CONFLICT (hash) DO UPDATE SET decided_at = CASE WHEN policy_archive.decided_at > excluded.decided_at THEN policy_archive.decided_at ELSE excluded.decided_at END`,
		p.Hash(), p.Name(), string(p.Archive()), now)
}

// keepDecision keeps a decision with its facts, apart from the message's text:
// that stands in the message, and goes when it goes.
func (s *Store) keepDecision(t *txn, p *routing.Program, f *routing.Facts, d routing.Decision, reason string) (id string, err error) {
	if err := s.archive(t, p); err != nil {
		return "", err
	}
	kept := *f
	kept.Message.Text = ""
	facts, err := json.Marshal(kept)
	if err != nil {
		return "", err
	}
	decision, err := json.Marshal(d)
	if err != nil {
		return "", err
	}
	id = t.newID()
	return id, t.row(newDecisions, "", id, f.Conversation.ID, boolInt(d.Mode == routing.ModeShadow), d.Hash, string(facts), string(decision), reason)
}

// originalText is what a message said when it came; empty when it was deleted since.
func originalText(ctx context.Context, q querier, id string) (kind, text string, found bool, err error) {
	found, err = one(ctx, q, []any{&kind, &text}, `SELECT m.type, COALESCE((SELECT w.text FROM message_versions w WHERE w.message = m.id AND w.version = 1), m.text) FROM messages m WHERE m.id = ?`, id)
	return kind, text, found, err
}

// keepAnswer keeps what a webhook said beside the decision that it was asked by.
func (m *matter) keepAnswer(answer any) error {
	raw, err := json.Marshal(answer)
	if err != nil {
		return err
	}
	return m.t.later(`UPDATE decisions SET answer = ? WHERE conversation = ? AND id = ?`, string(raw), m.v.id, m.e.decision)
}
