package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/bridgekeeper/bridgekeeper/bridge/message"
)

// maxEvents bounds one read of the event log; each may bring a message along.
const maxEvents = 500

// Events returns up to limit events after a cursor (0 is the beginning of time;
// EventsOldest and EventsLatest are always there), with
// their messages as they are now, and the cursor to go on from. That one moves
// on also when everything up to it was outside the scope, so that a list
// without events is not the end of the log; see WaitEvents for that.
// A cursor before the horizon, or one that this log never gave (the database
// was restored from an older backup), is ErrGone: read everything anew.
func (s *Store) Events(ctx context.Context, scope Scope, after int64, limit int) ([]Event, int64, error) {
	if limit <= 0 || limit > maxEvents {
		limit = maxEvents
	}
	if after == EventsOldest {
		_, horizon, err := s.eventHead(ctx)
		if err != nil {
			return nil, after, err
		}
		list, next, err := s.Events(ctx, scope, horizon, limit)
		if errors.Is(err, ErrGone) { // removed in between: the oldest is another one now
			return s.Events(ctx, scope, after, limit)
		}
		return list, next, err
	}
	list, err := all(ctx, s.read, scanEvent, `SELECT cursor, type, time, channel, conversation, contact, message FROM events WHERE cursor > ? ORDER BY cursor LIMIT ?`, after, limit)
	if err != nil {
		return nil, after, err
	}
	// The head is read last: what retention removes meanwhile is noticed.
	head, horizon, err := s.eventHead(ctx)
	switch {
	case err != nil:
		return nil, after, err
	case after == EventsLatest:
		return []Event{}, head, nil
	case after < horizon:
		return nil, after, fmt.Errorf("events up to cursor %d have been removed by retention, %d is before it: %w", horizon, after, ErrGone)
	case after > head:
		return nil, after, fmt.Errorf("cursor %d was never given, the last one is %d; was the store restored from a backup? %w", after, head, ErrGone)
	}
	next := after
	visible := make([]Event, 0, len(list))
	for _, e := range list {
		next = e.Cursor
		if scope.Allows(e.Namespace) {
			visible = append(visible, e)
		}
	}
	return visible, next, s.joinMessages(ctx, visible)
}

func scanEvent(rows *sql.Rows) (e Event, err error) {
	var at int64
	err = rows.Scan(&e.Cursor, &e.Type, &at, &e.Channel, &e.Conversation, &e.Contact, &e.MessageID)
	e.Time = fromMS(at)
	e.Namespace, e.Channel = splitChannel(e.Channel)
	return e, err
}

func (s *Store) eventHead(ctx context.Context) (head, horizon int64, err error) {
	_, err = one(ctx, s.read, []any{&head, &horizon}, `SELECT cursor, horizon FROM event_head WHERE id = 1`)
	return head, horizon, err
}

// joinMessages adds the messages that events are about. One that is no longer
// there (retention) leaves its event with the id alone.
func (s *Store) joinMessages(ctx context.Context, events []Event) error {
	seen := map[string]bool{}
	var ids []string
	for _, e := range events {
		if e.MessageID != "" && !seen[e.MessageID] {
			seen[e.MessageID] = true
			ids = append(ids, e.MessageID)
		}
	}
	list, err := s.loadMessages(ctx, s.read, ids)
	if err != nil {
		return err
	}
	index := make(map[string]*message.Message, len(list))
	for i := range list {
		index[list[i].ID] = &list[i]
	}
	for i := range events {
		events[i].Message = index[events[i].MessageID]
	}
	return s.joinMerged(ctx, events)
}

// joinMerged adds who merged contacts are by now.
func (s *Store) joinMerged(ctx context.Context, events []Event) error {
	var ids []any
	for _, e := range events {
		if e.Type == EventContactMerged {
			ids = append(ids, e.Contact)
		}
	}
	if len(ids) == 0 {
		return nil
	}
	into := map[string]string{}
	_, err := all(ctx, s.read, func(rows *sql.Rows) (struct{}, error) {
		var id, now string
		err := rows.Scan(&id, &now)
		into[id] = now
		return struct{}{}, err
	}, `SELECT id, merged_into FROM contacts WHERE id IN `+in(len(ids)), ids...)
	for i := range events {
		if events[i].Type == EventContactMerged {
			events[i].MergedInto = into[events[i].Contact]
		}
	}
	return err
}

// WaitEvents returns nil as soon as there are events after the cursor, in any
// namespace, and the context's error when it is done before.
func (s *Store) WaitEvents(ctx context.Context, after int64) error {
	for {
		grown := s.signals.next(topicEvents)
		head, _, err := s.eventHead(ctx)
		if err != nil || head > after {
			return err
		}
		select {
		case <-grown:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
