package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/bridgekeeper/bridgekeeper/bridge/routing"
)

// Two contacts that are one person become one: what one has is the other's from
// then on, and its id leads there.
//
//	from ── identities, conversations, lanes ──────────────► into
//	     ── agent, texts of policies (the later ones) ─────►
//	     ── surveys: clocks, draws, dialogues, consents ───►  survey_merge.go
//	     ── name, language, attributes that into has not ──►
//	     └─ contacts.merged_into: the id of from goes on to mean the person
//
// REST asks for it (MergeContacts), and a platform does that says that an address
// has become another one (joinIdentities).

const (
	// mergePatience is how long a merge waits for messages that are being sent to
	// both contacts on one channel: a platform answers within seconds.
	mergePatience = 10 * time.Second
	// mergeRetry is how often it looks meanwhile.
	mergeRetry = 100 * time.Millisecond
)

// errSending: something is being sent that must come to its end first.
var errSending = errors.New("a message is being sent to the contact at this moment")

// errMergedSince: a contact became another one between reading and locking it.
var errMergedSince = errors.New("the contact was merged into another one meanwhile")

// MergeContacts makes the contact from one with into, which stays. Both must be
// of one namespace. Merging them again does nothing. ErrUnavailable: messages are
// being sent to both on one channel, and none may pass the other.
func (s *Store) MergeContacts(ctx context.Context, scope Scope, into, from string) (Contact, error) {
	if err := scope.Write.check(); err != nil {
		return Contact{}, err
	}
	return untilSent(ctx, s, func() (Contact, error) { return s.mergeContacts(ctx, scope, into, from) })
}

// untilSent does something again while it meets messages that are being sent, or
// contacts that were merged meanwhile.
func untilSent[T any](ctx context.Context, s *Store, do func() (T, error)) (T, error) {
	for began := time.Now(); ; {
		out, err := do()
		busy := errors.Is(err, errSending)
		switch {
		case !busy && !errors.Is(err, errMergedSince):
			return out, err
		case time.Since(began) > mergePatience || ctx.Err() != nil:
			return out, fmt.Errorf("%w: %w", ErrUnavailable, err)
		case busy:
			pause(ctx, mergeRetry, nil)
			if err := s.expireLeases(ctx); err != nil { // of who does not report any more
				return out, err
			}
		}
	}
}

func (s *Store) mergeContacts(ctx context.Context, scope Scope, into, from string) (Contact, error) {
	kept, err := s.Contact(ctx, scope, into)
	if err != nil {
		return Contact{}, err
	}
	gone, err := s.Contact(ctx, scope, from)
	if err != nil {
		return Contact{}, renamedNotFound(err, "from")
	}
	if kept.Namespace != gone.Namespace {
		return Contact{}, &FieldError{Field: "from", Message: "is a contact of another namespace; contacts of different namespaces stay apart"}
	}
	needs := newLocks()
	s.contactLocks(needs, &kept)
	s.contactLocks(needs, &gone)
	if scope.Write.Key != "" {
		needs = needs.key(kept.Namespace, scope.Write.Key)
	}
	err = s.writeLocked(ctx, 2, needs, func(t *txn) error {
		if _, done, err := t.repeated(kept.Namespace, scope.Write); err != nil || done {
			return err
		}
		if err := t.remember(kept.Namespace, scope.Write, ""); err != nil || kept.ID == gone.ID {
			return err
		}
		return t.joinContacts(gone.ID, kept.ID, true)
	})
	if err != nil {
		return Contact{}, err
	}
	return s.Contact(ctx, scope, kept.ID)
}

// renamedNotFound tells a contact that a field names from the one of the path.
func renamedNotFound(err error, field string) error {
	if errors.Is(err, ErrNotFound) {
		return &FieldError{Field: field, Message: "there is no such contact"}
	}
	return err
}

// contactLocks are what keeps a contact as it is: its addresses, what is sent to
// them, and its surveys.
func (s *Store) contactLocks(l *locks, c *Contact) {
	l.survey(c.ID)
	for _, i := range c.Identities {
		channel := c.Namespace + "/" + i.Channel
		l.party(channel, i.ExternalID).outbox(channel)
	}
}

// personRow is a contact as a merge reads it.
type personRow struct {
	id, namespace, displayName, language, attributes, mergedInto string
	createdAt                                                    int64
}

// lockContacts reads contacts in order to change them; the rows stay locked, so
// that nobody meets another address of theirs meanwhile.
func (t *txn) lockContacts(ids ...string) (map[string]personRow, error) {
	list, err := all(t.ctx, t, func(rows *sql.Rows) (p personRow, err error) {
		return p, rows.Scan(&p.id, &p.namespace, &p.displayName, &p.language, &p.attributes, &p.mergedInto, &p.createdAt)
	}, `SELECT id, namespace, display_name, language, attributes, merged_into, created_at FROM contacts WHERE id IN `+in(len(ids))+` ORDER BY id`+t.c.db.forUpdate(), anys(ids)...)
	people := map[string]personRow{}
	for _, p := range list {
		people[p.id] = p
	}
	return people, err
}

// survivor is who a contact is by now: itself, the one that it was merged into, or
// nobody (it was erased). Its row stays locked.
func (t *txn) survivor(id string) (string, error) {
	people, err := t.lockContacts(id)
	p := people[id]
	return or(p.mergedInto, p.id), err
}

// joinContacts gives all that a contact has to another one. patient callers can
// come again when messages are being sent to both (errSending); for the others
// what is queued then stays in the lane that it is in.
func (t *txn) joinContacts(from, into string, patient bool) error {
	people, err := t.lockContacts(from, into)
	if err != nil {
		return err
	}
	gone, kept := people[from], people[into]
	if gone.id == "" || kept.id == "" || gone.mergedInto != "" || kept.mergedInto != "" {
		return errMergedSince
	}
	if err := t.holdContacts(from, into); err != nil {
		return err
	}
	if err := t.joinLanes(from, into, patient); err != nil {
		return err
	}
	for _, query := range []string{
		`UPDATE identities SET contact = ? WHERE contact = ?`,
		`UPDATE conversations SET contact = ? WHERE contact = ?`,
		// Of who had them last, and which text they got last, the later one counts.
		`INSERT INTO contact_agents (contact, agent, at) SELECT ?, agent, at FROM contact_agents WHERE contact = ?
			ON CONFLICT (contact) DO UPDATE SET agent = excluded.agent, at = excluded.at WHERE excluded.at > contact_agents.at`,
		`INSERT INTO policy_texts (contact, kind, sent_at) SELECT ?, kind, sent_at FROM policy_texts WHERE contact = ?
			ON CONFLICT (contact, kind) DO UPDATE SET sent_at = excluded.sent_at WHERE excluded.sent_at > policy_texts.sent_at`,
	} {
		if _, err := t.exec(query, into, from); err != nil {
			return err
		}
	}
	if err := t.mergeSurveys(from, into); err != nil {
		return err
	}
	if err := t.joinProfiles(gone, kept); err != nil {
		return err
	}
	channel := kept.namespace + "/"
	t.event(Event{Type: EventContactMerged, Channel: channel, Contact: from})
	t.event(Event{Type: EventContactUpdated, Channel: channel, Contact: into})
	return nil
}

// joinProfiles keeps what is known of the contact that stays, and adds what was
// known of the other one alone.
func (t *txn) joinProfiles(gone, kept personRow) error {
	attributes, err := joinAttributes(kept.attributes, gone.attributes)
	if err != nil {
		return err
	}
	if _, err := t.exec(`UPDATE contacts SET display_name = ?, language = ?, attributes = ?, created_at = ? WHERE id = ?`,
		or(kept.displayName, gone.displayName), or(kept.language, gone.language), attributes, min(kept.createdAt, gone.createdAt), kept.id); err != nil {
		return err
	}
	for _, query := range []string{`DELETE FROM contact_agents WHERE contact = ?`, `DELETE FROM policy_texts WHERE contact = ?`} {
		if _, err := t.exec(query, gone.id); err != nil {
			return err
		}
	}
	// Whoever was merged into the contact that goes is the one that stays, too.
	_, err = t.exec(`UPDATE contacts SET merged_into = ?, display_name = '', language = '', attributes = '', surveyed_until = 0
		WHERE id = ? OR (merged_into = ? AND merged_into <> '')`, kept.id, gone.id, gone.id)
	return err
}

// joinAttributes are those of the contact that stays, and of the other one those
// that it has not, in the order of their names, as far as there is room.
func joinAttributes(kept, gone string) (string, error) {
	var have, more map[string]string
	if err := errors.Join(unmarshalSome(kept, &have), unmarshalSome(gone, &more)); err != nil {
		return "", err
	}
	if len(more) == 0 {
		return kept, nil
	}
	joined := maps.Clone(have)
	if joined == nil {
		joined = map[string]string{}
	}
	for _, name := range slices.Sorted(maps.Keys(more)) {
		if _, ok := joined[name]; !ok && len(joined) < routing.MaxValues {
			joined[name] = more[name]
		}
	}
	raw, err := json.Marshal(joined)
	return string(raw), err
}

// holdContacts takes the locks of what contacts have that were not foreseen: an
// address that came meanwhile, a channel that a platform's news says nothing of.
func (t *txn) holdContacts(ids ...string) error {
	if t.locks == nil {
		return nil
	}
	for _, id := range ids {
		if err := t.hold(spaceSurvey, id); err != nil {
			return err
		}
	}
	list, err := all(t.ctx, t, func(rows *sql.Rows) (a address, err error) { return a, rows.Scan(&a.channel, &a.externalID) },
		`SELECT channel, external_id FROM identities WHERE contact IN `+in(len(ids))+` ORDER BY channel, external_id`, anys(ids)...)
	if err != nil {
		return err
	}
	for _, a := range list {
		if !t.locks.parties[a] && !t.holds(spaceInbox, a.channel) {
			err = t.hold(spaceInbox, a.channel)
		}
		if err == nil {
			err = t.hold(spaceOutbox, a.channel)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// joinLanes makes one lane of two on the same channel, so that what is sent to a
// person goes on in one order: that of ids, which keeps the order of each. The one
// that is leased stays, as its holder is going to report. Other lanes only change
// hands.
func (t *txn) joinLanes(from, into string, patient bool) error {
	list, err := all(t.ctx, t, scanLane, `SELECT `+laneColumns+` FROM lanes WHERE contact IN (?, ?) ORDER BY channel, id`, from, into)
	if err != nil {
		return err
	}
	theirs := map[string]laneRow{}
	for _, l := range list {
		if l.contact == into {
			theirs[l.channel] = l
		}
	}
	for _, l := range list {
		if l.contact == into {
			continue
		}
		other, two := theirs[l.channel]
		switch {
		case !two:
			err = t.moveLane(l, into)
		case l.leaseUntil == 0:
			err = t.joinLane(l, other)
		case other.leaseUntil == 0:
			err = t.joinLane(other, l)
			err = errors.Join(err, t.moveLane(l, into))
		case patient:
			err = errSending
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (t *txn) moveLane(l laneRow, contact string) error {
	_, err := t.exec(`UPDATE lanes SET contact = ? WHERE id = ?`, contact, l.id)
	return err
}

// joinLane puts what is in a lane that nobody has leased into another one, and
// what was sent in it: its receipts are looked for there.
func (t *txn) joinLane(gone, stays laneRow) error {
	due := stays.dueAt
	if stays.leaseUntil == 0 && gone.dueAt > 0 && (due == 0 || gone.dueAt < due) {
		due = gone.dueAt
	}
	for _, q := range []struct {
		query string
		args  []any
	}{
		{`UPDATE deliveries SET lane = ? WHERE lane = ? AND state = 'queued'`, []any{stays.id, gone.id}},
		// What is not queued any more is found by its messages: lanes have no other index.
		{`UPDATE deliveries SET lane = ? WHERE lane = ? AND message IN (SELECT m.id FROM conversations v JOIN messages m ON m.conversation = v.id
			WHERE v.contact IN (?, ?) AND v.channel = ? AND m.direction = 'outbound')`, []any{stays.id, gone.id, gone.contact, stays.contact, gone.channel}},
		{`UPDATE sent_ids SET lane = ? WHERE lane = ?`, []any{stays.id, gone.id}},
		// Who had leased it before its channel moved may still tell what was sent in it.
		{`UPDATE lanes SET former_bridge = CASE WHEN former_bridge = '' THEN (SELECT o.former_bridge FROM lanes o WHERE o.id = ?) ELSE former_bridge END,
			former_lease = CASE WHEN former_bridge = '' THEN (SELECT o.former_lease FROM lanes o WHERE o.id = ?) ELSE former_lease END WHERE id = ?`, []any{gone.id, gone.id, stays.id}},
		{`DELETE FROM lanes WHERE id = ?`, []any{gone.id}},
		// A watermark is of one address: only what is true of both is known of both.
		{`UPDATE lanes SET due_at = ?, ready_at = ?, delivered_until = ?, read_until = ? WHERE id = ?`,
			[]any{due, max(stays.readyAt, gone.readyAt), min(stays.deliveredUntil, gone.deliveredUntil), min(stays.readUntil, gone.readUntil), stays.id}},
	} {
		if _, err := t.exec(q.query, q.args...); err != nil {
			return err
		}
	}
	return nil
}
