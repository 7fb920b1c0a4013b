package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/bridgekeeper/bridgekeeper/bridge/document"
	"github.com/bridgekeeper/bridgekeeper/bridge/message"
	"github.com/bridgekeeper/bridgekeeper/bridge/survey"
)

// Erasure of one contact, as somebody asks for it who wants to be forgotten.
//
//	removed   the contact with its name, attributes and addresses, all ids that were
//	          merged into it; conversations, messages with their versions, reactions,
//	          attachments and keys; what is queued for it, lanes, idempotency keys of
//	          what was sent; decisions, errands and bots' memories; triggers, dialogues
//	          and words of surveys, opt-ins, clocks and draws; events that wait for its
//	          messages; the journal's payloads that it came with and, within minutes,
//	          those that have one of its addresses in them
//	remains   counts, and scores, which say nothing of who gave them; that it opted out
//	          of a purpose, under a salted hash, so that nobody asks again should they
//	          come back; the event log's ids, without a word; keys of edits, receipts and
//	          the like, which are the platform's numbers, as long as messages are kept;
//	          payloads that nobody could route or that are enciphered, as long as the
//	          journal is (retention.raw); what backups hold
//
// It goes in steps, each a transaction: messages in batches, then all that is left.
// One that is broken off goes on when it is asked for again.

const (
	reasonErased = "Erased: the contact was erased before the message was sent"
	// leastNeedle is how long an address must be for the journal to be searched for
	// it: a shorter one is in nearly every payload.
	leastNeedle = 4
	// journalBatch is how many entries of the journal are searched at a time: some
	// megabytes, and milliseconds.
	journalBatch = 1000
)

// EraseContact removes a contact with all that is known of it.
func (s *Store) EraseContact(ctx context.Context, scope Scope, id string) error {
	if err := scope.Write.check(); err != nil {
		return err
	}
	known, err := s.Contact(ctx, scope, id)
	if errors.Is(err, ErrNotFound) && scope.Write.Key != "" {
		if _, done, lookErr := s.writtenBefore(ctx, scope); lookErr != nil || done {
			return lookErr
		}
	}
	if err != nil {
		return err
	}
	_, err = untilSent(ctx, s, func() (more bool, err error) {
		for more = true; more && err == nil; {
			more, err = s.eraseSome(ctx, scope, known.ID)
		}
		return more, err
	})
	return err
}

// eraseSome removes a batch of a contact's messages or, where there are few, all that
// is left.
func (s *Store) eraseSome(ctx context.Context, scope Scope, id string) (more bool, err error) {
	known, err := s.Contact(ctx, Scope{All: true}, id)
	if err != nil {
		return false, err
	}
	needs := newLocks()
	s.contactLocks(needs, &known)
	if scope.Write.Key != "" {
		needs = needs.key(known.Namespace, scope.Write.Key)
	}
	err = s.writeLocked(ctx, sweepBatch, needs, func(t *txn) (err error) {
		if _, done, err := t.repeated(known.Namespace, scope.Write); err != nil || done {
			more = false
			return err
		}
		now, err := t.survivor(known.ID)
		if err != nil || now != known.ID {
			more = false
			if now != "" && err == nil {
				err = errMergedSince
			}
			return err // nobody: another request was faster
		}
		e := &erasure{s: s, t: t, id: now, namespace: known.Namespace}
		if more, err = e.run(); err != nil || more {
			return err
		}
		return t.remember(known.Namespace, scope.Write, "")
	})
	return more, err
}

// erasure is one step of it.
type erasure struct {
	s         *Store
	t         *txn
	id        string
	namespace string
	merged    []string // ids that were merged into it
}

// run does one step. more: there are messages left.
func (e *erasure) run() (more bool, err error) {
	if err := e.t.holdContacts(e.id); err != nil {
		return false, err
	}
	if e.merged, err = all(e.t.ctx, e.t, scanText, `SELECT id FROM contacts WHERE merged_into = ? AND merged_into <> '' ORDER BY id`, e.id); err != nil {
		return false, err
	}
	for _, step := range []func() error{e.stopSending, e.endSurveys} {
		if err := step(); err != nil {
			return false, err
		}
	}
	if more, err = e.messages(); err != nil || more {
		return more, err
	}
	for _, step := range []func() error{e.conversations, e.keepOptOuts, e.journal, e.parked, e.person} {
		if err := step(); err != nil {
			return false, err
		}
	}
	return false, nil
}

// stopSending cancels what is queued. What is being sent comes to its end first: its
// outcome would be nobody's.
func (e *erasure) stopSending() error {
	ids := append([]string{e.id}, e.merged...)
	lanes, err := all(e.t.ctx, e.t, scanLane, `SELECT `+laneColumns+` FROM lanes WHERE contact IN `+in(len(ids))+` ORDER BY id`, anys(ids)...)
	if err != nil {
		return err
	}
	for _, l := range lanes {
		if l.leaseUntil > 0 {
			return errSending
		}
		if l.dueAt == 0 {
			continue
		}
		queued, err := all(e.t.ctx, e.t, scanText, `SELECT message FROM deliveries WHERE lane = ? AND state = 'queued' ORDER BY message`, l.id)
		if err == nil {
			err = e.s.cancelDeliveries(e.t, queued, reasonErased)
		}
		if err == nil {
			_, err = e.t.exec(`UPDATE lanes SET due_at = 0 WHERE id = ?`, l.id)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// endSurveys gives what campaigns have not decided, and questions that wait, their
// exits and outcomes: the funnel goes on to add up.
func (e *erasure) endSurveys() error {
	if err := e.t.endTriggers(`due_at > 0 AND contact = ?`, e.id); err != nil {
		return err
	}
	open, err := all(e.t.ctx, e.t, scanText, `SELECT id FROM survey_dialogues WHERE contact = ? AND (open = 1 OR next_at > 0) ORDER BY id`, e.id)
	if err != nil {
		return err
	}
	for _, id := range open {
		d, err := e.t.lockDialogue(id)
		if err == nil && d != nil {
			err = e.t.c.surveys.conclude(e.t, d)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// erasedMessage is what is needed of a message to remove what hangs on it.
type erasedMessage struct {
	oldMessage
	raw string
}

// messages removes a batch of messages, with what came with them.
func (e *erasure) messages() (more bool, err error) {
	t := e.t
	list, err := all(t.ctx, t, func(rows *sql.Rows) (m erasedMessage, err error) {
		return m, rows.Scan(&m.id, &m.conversation, &m.channel, &m.externalID, &m.direction, &m.raw)
	}, `SELECT m.id, m.conversation, m.channel, m.external_id, m.direction, m.raw FROM conversations v JOIN messages m ON m.conversation = v.id WHERE v.contact = ? LIMIT ?`, e.id, sweepBatch)
	if err != nil || len(list) == 0 {
		return false, err
	}
	var ids, raws []string
	for _, m := range list {
		ids = append(ids, m.id)
		if m.raw != "" {
			raws = append(raws, m.raw)
		}
		if m.direction == message.Inbound {
			if _, err := t.exec(`DELETE FROM external_ids WHERE external_id = ? AND channel = ? AND direction = 'inbound' AND id = ?`, m.externalID, m.channel, m.id); err != nil {
				return false, err
			}
		}
	}
	media, err := all(t.ctx, t, scanMedia, selectMedia+`WHERE id IN (SELECT media FROM message_media WHERE message IN `+in(len(ids))+`)`, anys(ids)...)
	if err != nil {
		return false, err
	}
	if _, err := t.exec(`DELETE FROM external_ids WHERE `+agedKeys+` AND id IN `+in(len(ids)), anys(ids)...); err != nil {
		return false, err
	}
	if err := t.eraseEntries(raws); err != nil {
		return false, err
	}
	if _, err := t.exec(`DELETE FROM messages WHERE id IN `+in(len(ids)), anys(ids)...); err != nil {
		return false, err
	}
	for _, m := range media {
		if err := e.s.removeMedia(t, m, mediaGoes); err != nil {
			return false, err
		}
	}
	return len(list) == sweepBatch, nil
}

// eraseEntries removes entries of the journal. One that holds what several people
// wrote goes as a whole: what it brought is kept elsewhere.
func (t *txn) eraseEntries(ids []string) error {
	ids = slices.Compact(slices.Sorted(slices.Values(ids)))
	if len(ids) == 0 {
		return nil
	}
	_, err := t.exec(`DELETE FROM raw_entries WHERE id IN `+in(len(ids)), anys(ids)...)
	return err
}

// conversations removes them, with all that queues, routing and bots know of them. They
// are locked before: what gives them to agents has no other lock.
func (e *erasure) conversations() error {
	ids, err := all(e.t.ctx, e.t, scanText, `SELECT id FROM conversations WHERE contact = ? ORDER BY id`+e.s.db.forUpdate(), e.id)
	if err != nil {
		return err
	}
	for _, id := range ids {
		if err := e.t.forgetEntry(id); err != nil {
			return err
		}
	}
	for _, query := range []string{`UPDATE identities SET conversation = '', survey = '' WHERE contact = ?`, `DELETE FROM conversations WHERE contact = ?`} {
		if _, err := e.t.exec(query, e.id); err != nil {
			return err
		}
	}
	return nil
}

// keepOptOuts keeps what the contact does not want, for every id under which they
// could come back, and forgets what else the ledger knows.
func (e *erasure) keepOptOuts() error {
	x, t := e.s.surveys, e.t
	hash, err := x.hashes.of(t.ctx, t, e.id)
	if errors.Is(err, errNoSalt) {
		return nil
	}
	if err != nil {
		return err
	}
	back, err := e.comesBackAs()
	if err != nil {
		return err
	}
	for _, id := range back {
		other, err := x.hashes.of(t.ctx, t, id)
		if err != nil {
			return err
		}
		if err := t.later(`INSERT INTO contact_consents (contact, purpose, state, at, source) SELECT ?, purpose, state, at, source FROM contact_consents
			WHERE contact = ? AND state = ? ON CONFLICT DO NOTHING`, other, hash, string(survey.ConsentOptedOut)); err != nil {
			return err
		}
	}
	if err := t.later(`DELETE FROM contact_consents WHERE contact = ? AND state <> ?`, hash, string(survey.ConsentOptedOut)); err != nil {
		return err
	}
	return t.later(`DELETE FROM survey_ledger WHERE contact = ?`, hash)
}

// comesBackAs are the ids, other than its own, that the contact gets who writes from
// one of its addresses again.
func (e *erasure) comesBackAs() ([]string, error) {
	ids := slices.Clone(e.merged)
	st := e.s.state.Load()
	list, err := e.addresses()
	for _, a := range list {
		if ch := st.channel(a.channel); ch != nil {
			ids = append(ids, contactID(ch.Namespace, ch.Platform, ch.Account, a.externalID, 0))
		}
	}
	slices.Sort(ids)
	return slices.DeleteFunc(slices.Compact(ids), func(id string) bool { return id == e.id }), err
}

func (e *erasure) addresses() ([]address, error) {
	return all(e.t.ctx, e.t, func(rows *sql.Rows) (a address, err error) { return a, rows.Scan(&a.channel, &a.externalID) },
		`SELECT channel, external_id FROM identities WHERE contact = ? ORDER BY id`, e.id)
}

// journal notes what is to be looked for in the journal: edits and reactions came
// with payloads that no message names.
func (e *erasure) journal() error {
	list, err := e.addresses()
	for _, a := range list {
		if len(a.externalID) < leastNeedle {
			continue
		}
		if err := e.t.later(`INSERT INTO journal_erasures (id, channel, address) VALUES (?, ?, ?)`, e.t.newID(), a.channel, a.externalID); err != nil {
			return err
		}
	}
	return err
}

// parked removes what waits for a message, or for the contact, and is theirs.
func (e *erasure) parked() error {
	list, err := e.addresses()
	if err != nil {
		return err
	}
	for _, a := range list {
		type waiting struct{ id, target, event string }
		rows, err := all(e.t.ctx, e.t, func(rows *sql.Rows) (w waiting, err error) { return w, rows.Scan(&w.id, &w.target, &w.event) },
			`SELECT id, target, event FROM parked_events WHERE channel = ?`, a.channel) // maxParked of them
		if err != nil {
			return err
		}
		for _, w := range rows {
			var ev message.Event
			if err := json.Unmarshal([]byte(w.event), &ev); err != nil {
				return fmt.Errorf("parked event %s: %w", w.id, err)
			}
			theirs := w.target == watermarkTarget(a.externalID) ||
				ev.Message != nil && ev.Message.Contact != nil && ev.Message.Contact.ExternalID == a.externalID
			if !theirs {
				continue
			}
			if _, err := e.t.exec(`DELETE FROM parked_events WHERE id = ?`, w.id); err != nil {
				return err
			}
		}
	}
	return nil
}

// person removes the contact itself; lanes, triggers, dialogues and words go with it.
func (e *erasure) person() error {
	for _, query := range []string{`DELETE FROM identities WHERE contact = ?`, `DELETE FROM contacts WHERE merged_into = ? AND merged_into <> ''`, `DELETE FROM contacts WHERE id = ?`} {
		if _, err := e.t.exec(query, e.id); err != nil {
			return err
		}
	}
	for _, id := range append([]string{e.id}, e.merged...) {
		e.t.event(Event{Type: EventContactErased, Channel: e.namespace + "/", Contact: id})
	}
	e.t.afterCommit(e.s.metrics.removed.WithLabelValues("contacts").Inc)
	return nil
}

// journalErasure is what is left to look for in the journal.
type journalErasure struct{ id, channel, address, after string }

// erasedJournal removes the journal's payloads that have an erased contact's address
// in them. Entries of several channels have none of their own.
func (w *sweeper) erasedJournal(ctx context.Context, _ document.Retention) error {
	list, err := all(ctx, w.s.read, func(rows *sql.Rows) (j journalErasure, err error) {
		return j, rows.Scan(&j.id, &j.channel, &j.address, &j.after)
	}, `SELECT id, channel, address, after FROM journal_erasures ORDER BY id`)
	for _, j := range list {
		for done := false; !done && err == nil; {
			done, err = w.eraseJournal(ctx, &j)
		}
	}
	return err
}

// eraseJournal looks at the next entries.
func (w *sweeper) eraseJournal(ctx context.Context, j *journalErasure) (done bool, err error) {
	type entry struct {
		id    string
		found bool
	}
	// Payloads may have the address as JSON writes it.
	escaped := strings.Trim(string(mustJSON(j.address)), `"`)
	page := `SELECT id, CASE WHEN unrouted = 0 AND (` + w.s.db.holds("payload") + ` OR ` + w.s.db.holds("payload") + `) THEN 1 ELSE 0 END FROM raw_entries WHERE channel = ? AND id > ? AND id < ? ORDER BY id LIMIT ?`
	var found []string
	var last string
	for _, channel := range []string{j.channel, ""} {
		list, err := all(ctx, w.s.read, func(rows *sql.Rows) (e entry, err error) {
			var n int64
			err = rows.Scan(&e.id, &n)
			e.found = n == 1
			return e, err
		}, page, []byte(j.address), []byte(escaped), channel, j.after, j.id, journalBatch)
		if err != nil {
			return false, err
		}
		if len(list) == journalBatch && (last == "" || list[len(list)-1].id < last) {
			last = list[len(list)-1].id // nothing after it is looked at yet
		}
		for _, e := range list {
			if e.found {
				found = append(found, e.id)
			}
		}
	}
	done = last == ""
	return done, w.s.write(ctx, len(found)+1, func(t *txn) error {
		if err := t.eraseEntries(found); err != nil {
			return err
		}
		if done {
			return t.later(`DELETE FROM journal_erasures WHERE id = ?`, j.id)
		}
		j.after = last
		return t.later(`UPDATE journal_erasures SET after = ? WHERE id = ?`, last, j.id)
	})
}

// mustJSON is a text as JSON, which every text has.
func mustJSON(text string) []byte {
	raw, _ := json.Marshal(text) //nolint:errchkjson // a string
	return raw
}
