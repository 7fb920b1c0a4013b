package store

import (
	"context"
	"database/sql"
	"strings"
	"time"
)

// txn is a transaction as the functions of its callers see it. It is used on
// the committer's goroutine only and is dead when the function returns.
type txn struct {
	c *committer
	// now is the store's clock at the beginning of the transaction, in UTC and
	// whole milliseconds as the database keeps it.
	now time.Time

	wrote      bool // since the mark
	failed     bool // a statement failed
	events     []Event
	woken      map[topic]bool
	afterwards []func()
}

func newTxn(c *committer) *txn {
	return &txn{c: c, now: c.clock().UTC().Truncate(time.Millisecond), woken: map[topic]bool{}}
}

// exec runs a statement and returns how many rows it changed.
func (t *txn) exec(query string, args ...any) (int64, error) {
	s, err := t.prepare(query) //nolint:sqlclosecheck // kept and closed by the committer
	if err != nil {
		return 0, err
	}
	t.wrote = true
	r, err := s.ExecContext(background, args...)
	if err != nil {
		return 0, t.fail(err)
	}
	return r.RowsAffected()
}

// query runs a SELECT, or a statement with RETURNING. Read the rows to their
// end, or close them, before the next statement: not every database can have
// two at once on one connection.
func (t *txn) query(query string, args ...any) (*sql.Rows, error) {
	s, err := t.prepare(query) //nolint:sqlclosecheck // kept and closed by the committer
	if err != nil {
		return nil, err
	}
	if !strings.HasPrefix(query, "SELECT") {
		t.wrote = true
	}
	rows, err := s.QueryContext(background, args...)
	if err != nil {
		return nil, t.fail(err)
	}
	return rows, nil
}

// event appends to the event log. The cursor is given at the end of the
// transaction; Time and Namespace are filled in from the transaction and the
// channel.
func (t *txn) event(e Event) { t.events = append(t.events, e) }

// wake makes those who wait for a topic look again, after the commit.
func (t *txn) wake(tp topic) { t.woken[tp] = true }

// afterCommit runs f once the transaction is committed, before the callers are
// answered, on the committer's goroutine.
func (t *txn) afterCommit(f func()) { t.afterwards = append(t.afterwards, f) }

// newID draws an id that is greater than all before it.
func (t *txn) newID() string { return t.c.ids.next(t.now) }

func (t *txn) fail(err error) error {
	t.failed = true
	return t.c.db.classify(err)
}

// prepare keeps every statement it has seen: their texts are constants of the
// code, so there are some hundred of them at most.
func (t *txn) prepare(query string) (*sql.Stmt, error) {
	if s, ok := t.c.stmts[query]; ok {
		return s, nil
	}
	s, err := t.c.conn.PrepareContext(background, t.c.db.rebind(query))
	if err != nil {
		return nil, t.fail(err)
	}
	t.c.stmts[query] = s
	return s, nil
}

// direct runs a statement that is not worth keeping, or cannot be prepared.
func (t *txn) direct(query string) error {
	_, err := t.c.conn.ExecContext(background, query)
	return t.c.db.classify(err)
}

// txnMark is what a failed function's leftovers are cut back to.
type txnMark struct{ events, afterwards int }

func (t *txn) mark() txnMark {
	t.wrote, t.failed = false, false
	return txnMark{len(t.events), len(t.afterwards)}
}

func (t *txn) reset(m txnMark) {
	t.events, t.afterwards = t.events[:m.events], t.afterwards[:m.afterwards]
}

func (t *txn) topics() []topic {
	topics := make([]topic, 0, len(t.woken)+1)
	for tp := range t.woken {
		topics = append(topics, tp)
	}
	if len(t.events) > 0 {
		topics = append(topics, topicEvents)
	}
	return topics
}

// eventRows is how many events one statement inserts. Larger ones save little
// more, and the rest of a batch goes in one by one.
const eventRows = 32

var (
	insertEvent     = insertEvents(1)
	insertEventRows = insertEvents(eventRows)
)

func insertEvents(rows int) string {
	return `INSERT INTO events (cursor, type, time, channel, conversation, contact, message) VALUES ` +
		strings.TrimSuffix(strings.Repeat("(?, ?, ?, ?, ?, ?, ?), ", rows), ", ")
}

// numberEvents is the last thing a transaction does. Taking the numbers locks
// the head row until the commit, so that the order of cursors is the order of
// commits and a reader that has seen a cursor has seen all before it.
func (t *txn) numberEvents() error {
	n := len(t.events)
	if n == 0 {
		return nil
	}
	var head int64
	if _, err := one(background, t, []any{&head}, `UPDATE event_head SET cursor = cursor + ? WHERE id = 1 RETURNING cursor`, n); err != nil {
		return err
	}
	next := head - int64(n)
	args := make([]any, 0, 7*eventRows)
	for i := range t.events {
		e := &t.events[i]
		next++
		e.Cursor = next
		args = append(args, e.Cursor, string(e.Type), ms(t.now), e.Channel, e.Conversation, e.Contact, e.MessageID)
		if len(args) < 7*eventRows {
			continue
		}
		if _, err := t.exec(insertEventRows, args...); err != nil {
			return err
		}
		args = args[:0]
	}
	for ; len(args) > 0; args = args[7:] {
		if _, err := t.exec(insertEvent, args[:7]...); err != nil {
			return err
		}
	}
	return nil
}

// rows implements querier; a transaction takes no context of its callers.
func (t *txn) rows(_ context.Context, query string, args ...any) (*sql.Rows, error) {
	return t.query(query, args...)
}
