package store

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/bridgekeeper/bridgekeeper/bridge/message"
	"github.com/bridgekeeper/bridgekeeper/bridge/routing"
)

// Whoever writes first while no policy of the channel is in force is nobody's: it was
// away, a shadow, could not be compiled as its default queue was gone, was damaged when
// the process began, or this replica got it later than others. Once the channel begins
// to be enforced, the policies say who gets them:
//
//	Load ──► moves: channels that begin ──► sync (what went by the state before is committed)
//	                                          └──► runTimers ──► routeUnrouted, oldest first
//
// It happens once for each such document, and with the first one of a process, off the
// path of messages.

const (
	// unroutedAge is how old the contact's last message may be for that, so that a first
	// policy does not stir up years. It is the time within which the strictest platforms
	// (Messenger, WhatsApp) let a shop answer freely; who wrote before is routed with
	// their next message.
	unroutedAge = 24 * time.Hour
	// unroutedBatch is how many are routed in one transaction: with a lock for each
	// conversation's address that is well below maxLocks.
	unroutedBatch = 32
)

// unrouted is a conversation that nobody has and no policy was asked about.
type unrouted struct {
	id, address string
	activity    int64
}

// selectUnrouted reads them in the order of the minute in which something last
// happened, which the index has.
const selectUnrouted = `SELECT v.id, i.external_id, v.activity FROM conversations v JOIN identities i ON i.id = v.identity
	WHERE v.channel = ? AND v.state = 'open' AND (v.activity, v.id) > (?, ?) AND v.owner_kind = 'none' AND v.last_inbound_at >= ?
	AND NOT EXISTS (SELECT 1 FROM routings r WHERE r.conversation = v.id AND r.decision <> '')
	ORDER BY v.activity, v.id LIMIT ?`

func scanUnrouted(rows *sql.Rows) (u unrouted, err error) {
	return u, rows.Scan(&u.id, &u.address, &u.activity)
}

// routeUnrouted routes what came while a channel was not enforced that is by now; left
// says that it is to be called again: the database is not in line with the document
// yet, or others have some of the conversations.
func (r *dispatcher) routeUnrouted(ctx context.Context) (left bool, err error) {
	if r.s.outbox.synced.Load() != r.s.state.Load() {
		return r.s.moves.anyBegun(), nil
	}
	for _, channel := range r.s.moves.takeBegun() {
		passedOver, failed := r.routeUnroutedOf(ctx, channel)
		if passedOver || failed != nil {
			left, err = true, errors.Join(err, failed)
			r.s.moves.noteBegun(channel)
		}
	}
	return left, err
}

func (r *dispatcher) routeUnroutedOf(ctx context.Context, channel string) (left bool, err error) {
	since := ms(r.s.now().Add(-unroutedAge))
	for last := (unrouted{activity: activityOf(since) - 1}); ; {
		page, err := all(ctx, r.s.read, scanUnrouted, selectUnrouted, channel, last.activity, last.id, since, unroutedBatch)
		if err != nil || len(page) == 0 {
			return left, err
		}
		last = page[len(page)-1]
		needs, ids := newLocks(), make([]string, len(page))
		for i, u := range page {
			needs.party(channel, u.address)
			ids[i] = u.id
		}
		if err := r.s.writeLocked(ctx, len(page), needs, func(t *txn) error {
			passedOver, err := r.routeSome(t, ids)
			left = left || passedOver
			return err
		}); err != nil {
			return left, err
		}
	}
}

// routeSome routes those of some conversations that still are nobody's and wait for an
// answer.
func (r *dispatcher) routeSome(t *txn, ids []string) (passedOver bool, err error) {
	convs, err := r.s.lockRows(t, ids)
	if err != nil {
		return false, err
	}
	for _, id := range ids {
		v := convs[id]
		if v == nil {
			passedOver = true
			continue
		}
		if v.state != ConversationOpen || v.owner.Kind != OwnerNone {
			continue
		}
		row, err := readRouting(t.ctx, t, id)
		if err != nil {
			return passedOver, err
		}
		m, err := t.unansweredMessage(v)
		if err != nil {
			return passedOver, err
		}
		if row.decision != "" || m == nil {
			continue
		}
		if err := t.ownerless(v, &occasion{event: routing.EventOpened, message: m}); err != nil {
			return passedOver, err
		}
	}
	return passedOver, nil
}

// unansweredMessage is the contact's last message, if nobody has written since who
// answers; nil else, also for one that concerns nobody: another app is to answer it, or
// it answered a survey. A bot answers, but not one that had the conversation and let go.
func (t *txn) unansweredMessage(v *convRow) (*messageRow, error) {
	silent := []any{string(message.AuthorSystem), string(message.AuthorPolicy), string(message.AuthorSurvey)}
	if v.epoch > 1 {
		silent = append(silent, string(message.AuthorBot))
	}
	var id, direction, raw string
	var surveyed int64
	found, err := one(t.ctx, t, []any{&id, &direction, &raw, &surveyed}, `SELECT m.id, m.direction, m.content, (SELECT COUNT(*) FROM survey_messages n WHERE n.message = m.id) FROM messages m
		WHERE m.conversation = ? AND (m.direction = 'inbound' OR m.author_kind NOT IN `+in(len(silent))+`) ORDER BY m.timestamp DESC, m.id DESC LIMIT 1`,
		append([]any{v.id}, silent...)...)
	if err != nil || !found || direction != string(message.Inbound) || surveyed > 0 {
		return nil, err
	}
	if c, err := decodeContent(raw); err != nil || c.Standby {
		return nil, err
	}
	return messageOf(t.ctx, t, id)
}
