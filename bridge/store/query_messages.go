package store

import (
	"context"
	"fmt"

	"github.com/bridgekeeper/bridgekeeper/bridge/message"
)

func messageID(m message.Message) string { return m.ID }

// Messages lists messages in the order in which they were stored.
func (s *Store) Messages(ctx context.Context, scope Scope, q MessageQuery) (Page[message.Message], error) {
	limit, pos, from, err := start(listMessages, q.PageQuery)
	if err != nil {
		return Page[message.Message]{}, err
	}
	if !from {
		pos = position{}
	}
	keys, cut, err := s.messageKeys(ctx, scope, q, pos, limit+1)
	if err != nil {
		return Page[message.Message]{}, err
	}
	p, err := pageOf(listMessages, keys, limit, messageID, func(ids []string) ([]message.Message, error) { return s.loadMessages(ctx, s.read, ids) })
	if cut {
		last := pos.ID
		if len(keys) > 0 {
			last = keys[len(keys)-1].id
		}
		p.Next = goOn(listMessages, last)
	}
	return p, err
}

// messageKeys reads keys along the index that fits the query: for one contact,
// whose messages are stored one after another, by their ids; else along the log,
// whose order is that of the commits.
func (s *Store) messageKeys(ctx context.Context, scope Scope, q MessageQuery, pos position, limit int) (keys []sortKey, cut bool, err error) {
	if q.Channel != "" {
		if err := seeChannel(scope, q.Channel); err != nil {
			return nil, false, err
		}
	}
	if q.Contact != "" {
		return s.contactMessageKeys(ctx, scope, q, pos.ID, limit)
	}
	after := pos.At
	if after == 0 && pos.ID != "" { // a cursor from before lists followed the log
		if _, err := one(ctx, s.read, []any{&after}, `SELECT COALESCE(MAX(cursor), 0) FROM events WHERE type = 'message.created' AND message <= ?`, pos.ID); err != nil {
			return nil, false, err
		}
	}
	read := func(channel string, bound *sortKey) ([]sortKey, error) {
		var c conditions
		c.add("e.type = 'message.created' AND e.cursor > ?", after)
		from := `FROM events e `
		if channel != "" {
			c.add("e.channel = ?", channel)
		}
		if bound != nil {
			c.add("e.cursor < ?", bound.at)
		}
		if q.Direction != "" {
			from += `JOIN messages m ON m.id = e.message `
			c.add("m.direction = ?", string(q.Direction))
		}
		return all(ctx, s.read, scanKey, `SELECT e.cursor, e.message `+from+c.where()+`ORDER BY e.cursor LIMIT ?`, append(c.args, limit)...)
	}
	if q.Channel != "" || scope.All {
		keys, err = read(q.Channel, nil)
		return keys, false, err
	}
	channels, err := s.channels(ctx, scope)
	if err != nil {
		return nil, false, err
	}
	keys, err = merge(channels, limit, sortKey.compare, read)
	return keys, false, err
}

func (s *Store) contactMessageKeys(ctx context.Context, scope Scope, q MessageQuery, after string, limit int) (keys []sortKey, cut bool, err error) {
	contact, visible, err := s.seeContact(ctx, scope, q.Contact)
	if err != nil || !visible {
		return nil, false, err
	}
	var c conditions
	c.add("m.conversation IN (SELECT id FROM conversations WHERE contact = ?)", contact)
	if q.Channel != "" {
		c.add("m.channel = ?", q.Channel)
	}
	if q.Direction != "" {
		c.add("m.direction = ?", string(q.Direction))
	}
	c.add("m.id > ?", after)
	return settled(ctx, s, limit, func(k sortKey) string { return k.id }, func(from querier) ([]sortKey, error) {
		return all(ctx, from, scanKey, `SELECT 0, m.id FROM messages m `+c.where()+`ORDER BY m.id LIMIT ?`, append(c.args, limit)...)
	})
}

// seeContact says who a contact is by now, and whether the scope sees them.
func (s *Store) seeContact(ctx context.Context, scope Scope, id string) (now string, visible bool, err error) {
	var ns string
	found, err := one(ctx, s.read, []any{&ns, &now}, `SELECT namespace, CASE WHEN merged_into <> '' THEN merged_into ELSE id END FROM contacts WHERE id = ?`, id)
	return now, found && scope.Allows(ns), err
}

// Message returns one message.
func (s *Store) Message(ctx context.Context, scope Scope, id string) (message.Message, error) {
	list, err := s.loadMessages(ctx, s.read, []string{id})
	if err != nil {
		return message.Message{}, err
	}
	if len(list) == 0 || !scope.Allows(list[0].Namespace) {
		return message.Message{}, fmt.Errorf("message %s: %w", id, ErrNotFound)
	}
	return list[0], nil
}

// ConversationMessages lists a conversation in the order of its messages' time.
func (s *Store) ConversationMessages(ctx context.Context, scope Scope, id string, p PageQuery) (Page[message.Message], error) {
	limit, pos, from, err := start(listConversationMessages, p)
	if err != nil {
		return Page[message.Message]{}, err
	}
	if _, err := s.conversation(ctx, s.read, scope, id); err != nil {
		return Page[message.Message]{}, err
	}
	var c conditions
	c.add("m.conversation = ?", id)
	if from {
		c.add("(m.timestamp, m.id) > (?, ?)", pos.At, pos.ID)
	}
	keys, err := all(ctx, s.read, scanKey, `SELECT m.timestamp, m.id FROM messages m `+c.where()+`ORDER BY m.timestamp, m.id LIMIT ?`, append(c.args, limit+1)...)
	if err != nil {
		return Page[message.Message]{}, err
	}
	return pageOf(listConversationMessages, keys, limit, messageID, func(ids []string) ([]message.Message, error) { return s.loadMessages(ctx, s.read, ids) })
}
