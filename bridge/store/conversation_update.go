package store

import (
	"context"
	"database/sql"
	"fmt"
	"maps"
	"slices"

	"github.com/bridgekeeper/bridgekeeper/bridge/routing"
)

// ConversationUpdate is what a caller says of a conversation: what rules go by, and
// its place in queues. What is nil stays as it is; what is not replaces what was.
type ConversationUpdate struct {
	Priority *routing.Priority
	Labels   *map[string]string
	Topics   *[]string
	// Language that the contact speaks, BCP 47; empty: nothing is said about it any more.
	Language *string
}

// UpdateConversation writes what a caller says of a conversation. Its priority counts at
// once where it waits; rules look at all of it with the next decision, such as
// when its bot lets go of it.
func (s *Store) UpdateConversation(ctx context.Context, scope Scope, id string, u ConversationUpdate) (Conversation, error) {
	if err := u.check(); err != nil {
		return Conversation{}, err
	}
	return s.changeConversation(ctx, scope, id, func(t *txn, v *convRow) (bool, error) {
		row, err := readRouting(t.ctx, t, v.id)
		if err != nil {
			return false, err
		}
		changed := false
		if u.Labels != nil && !maps.Equal(*u.Labels, row.labels) {
			row.labels, changed = *u.Labels, true
		}
		if u.Topics != nil && !slices.Equal(*u.Topics, row.topics) {
			row.topics, changed = *u.Topics, true
		}
		if u.Language != nil && *u.Language != row.language {
			row.language, changed = *u.Language, true
		}
		if u.Priority != nil && *u.Priority != row.priority {
			row.priority, changed = *u.Priority, true
			if err := t.prioritize(v.id, row.priority); err != nil {
				return false, err
			}
		}
		if !changed {
			return false, nil
		}
		return true, row.save(t)
	})
}

// prioritize changes the place of a conversation in its queue.
func (t *txn) prioritize(conversation string, p routing.Priority) error {
	e, err := t.entry(conversation)
	if err != nil || e == nil {
		return err
	}
	e.priority = rankOf(p)
	t.stir(e.queue)
	return t.saveEntry(e)
}

func (u ConversationUpdate) check() error {
	if p := u.Priority; p != nil && !slices.Contains(priorities, *p) {
		return &FieldError{Field: "priority", Message: fmt.Sprintf("%q is none of Low, Normal, High, Urgent", *p)}
	}
	if u.Labels != nil {
		if err := checkPairs("labels", *u.Labels); err != nil {
			return err
		}
	}
	if u.Language != nil && *u.Language != "" && !validLanguage(*u.Language) {
		return &FieldError{Field: "language", Message: fmt.Sprintf("%q is not a language; write a BCP 47 tag like de or pt-BR, or nothing", cut(*u.Language, routing.MaxLanguageBytes))}
	}
	if u.Topics == nil {
		return nil
	}
	if n := len(*u.Topics); n > maxTopics {
		return &FieldError{Field: "topics", Message: fmt.Sprintf("has %d entries, %d is the limit", n, maxTopics)}
	}
	for i, topic := range *u.Topics {
		if topic == "" || len(topic) > routing.MaxValueBytes || clean(topic) != topic || slices.Contains((*u.Topics)[:i], topic) {
			return &FieldError{Field: fmt.Sprintf("topics[%d]", i), Message: fmt.Sprintf("must be valid text of 1 to %d bytes, and there once", routing.MaxValueBytes)}
		}
	}
	return nil
}

// view is a conversation as REST shows it, with what routing keeps of it.
func (t *txn) view(v *convRow) (Conversation, error) {
	row, err := readRouting(t.ctx, t, v.id)
	if err != nil {
		return Conversation{}, err
	}
	c := v.api()
	c.Priority, c.Labels, c.Topics = row.priority, row.labels, row.topics
	c.Language = t.c.queues.state().language(v.channel, row.language, v.language)
	return c, nil
}

// routed adds what routing keeps of conversations.
func (s *Store) routed(ctx context.Context, list []Conversation) error {
	at := make(map[string]*Conversation, len(list))
	ids := make([]string, len(list))
	st := s.state.Load()
	for i := range list {
		c := &list[i]
		ids[i], at[c.ID] = c.ID, c
		c.Language = st.language(c.Namespace+"/"+c.Channel, "", c.Contact.Language)
	}
	for part := range slices.Chunk(ids, maxPadded) {
		rows, err := all(ctx, s.read, scanTags, `SELECT conversation, priority, labels, topics, language FROM routings WHERE conversation IN `+in(paddedTo(len(part))), padded(part)...)
		if err != nil {
			return err
		}
		for _, r := range rows {
			c := at[r.conversation]
			c.Priority, c.Labels, c.Topics = r.priority, r.labels, r.topics
			c.Language = st.language(c.Namespace+"/"+c.Channel, r.language, c.Contact.Language)
		}
	}
	return nil
}

func scanTags(rows *sql.Rows) (r routingRow, err error) {
	var labels, topics string
	if err := rows.Scan(&r.conversation, &r.priority, &labels, &topics, &r.language); err != nil {
		return r, err
	}
	if err := unmarshalSome(labels, &r.labels); err != nil {
		return r, err
	}
	return r, unmarshalSome(topics, &r.topics)
}
