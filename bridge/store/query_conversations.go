package store

import (
	"context"
	"time"
)

// conversationStates is every state, as parts of a merged list.
var conversationStates = []ConversationState{ConversationOpen, ConversationPending, ConversationSnoozed, ConversationSolved}

// activity is one run of the index of conversations.
type activity struct {
	channel string
	state   ConversationState
}

// activityOf is the column that the index has in place of updated_at, which every
// message changes: its minute.
func activityOf(updatedAt int64) int64 { return updatedAt / time.Minute.Milliseconds() }

// Conversations lists conversations, the one with the latest activity first.
func (s *Store) Conversations(ctx context.Context, scope Scope, q ConversationQuery) (Page[Conversation], error) {
	limit, pos, from, err := start(listConversations, q.PageQuery)
	if err != nil {
		return Page[Conversation]{}, err
	}
	var before *sortKey
	if from {
		before = &sortKey{pos.At, pos.ID}
	}
	keys, err := s.conversationKeys(ctx, scope, q, before, limit+1)
	if err != nil {
		return Page[Conversation]{}, err
	}
	load := func(ids []string) ([]Conversation, error) { return s.loadConversations(ctx, ids) }
	return pageOf(listConversations, keys, limit, func(v Conversation) string { return v.ID }, load)
}

func (s *Store) loadConversations(ctx context.Context, ids []string) ([]Conversation, error) {
	if len(ids) == 0 {
		return nil, nil
	}
	rows, err := all(ctx, s.read, scanConversation, selectConversations+`WHERE v.id IN `+in(len(ids)), anys(ids)...)
	list := make([]Conversation, len(rows))
	for i, v := range rows {
		list[i] = v.api()
	}
	if err != nil {
		return nil, err
	}
	return list, s.routed(ctx, list)
}

// conversationKeys reads keys along the index that fits the query.
func (s *Store) conversationKeys(ctx context.Context, scope Scope, q ConversationQuery, before *sortKey, limit int) ([]sortKey, error) {
	read := func(c conditions) ([]sortKey, error) {
		if before != nil {
			c.add("v.activity <= ? AND (v.updated_at, v.id) < (?, ?)", activityOf(before.at), before.at, before.id)
		}
		return all(ctx, s.read, scanKey, `SELECT v.updated_at, v.id FROM conversations v `+c.where()+`ORDER BY v.activity DESC, v.updated_at DESC, v.id DESC LIMIT ?`, append(c.args, limit)...)
	}
	channels := []string{q.Channel}
	if q.Channel != "" {
		if err := seeChannel(scope, q.Channel); err != nil {
			return nil, err
		}
	}
	if q.Contact != "" {
		contact, visible, err := s.seeContact(ctx, scope, q.Contact)
		if err != nil || !visible {
			return nil, err
		}
		q.Contact = contact
		return read(ofContact(q))
	}
	if q.Channel == "" {
		var err error
		if channels, err = s.channels(ctx, scope); err != nil {
			return nil, err
		}
	}
	return merge(activities(channels, q.State), limit, latestFirst, func(a activity, bound *sortKey) ([]sortKey, error) {
		var c conditions
		c.add("v.channel = ? AND v.state = ?", a.channel, string(a.state))
		if bound != nil {
			c.add("v.activity >= ? AND (v.updated_at, v.id) > (?, ?)", activityOf(bound.at), bound.at, bound.id)
		}
		return read(c)
	})
}

func ofContact(q ConversationQuery) (c conditions) {
	c.add("v.contact = ?", q.Contact)
	if q.Channel != "" {
		c.add("v.channel || '' = ?", q.Channel) // not by the channel's index: a contact has fewer conversations
	}
	if q.State != "" {
		c.add("v.state = ?", string(q.State))
	}
	return c
}

func activities(channels []string, only ConversationState) (list []activity) {
	for _, ch := range channels {
		for _, state := range conversationStates {
			if only == "" || only == state {
				list = append(list, activity{ch, state})
			}
		}
	}
	return list
}
