package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/oklog/ulid/v2"
)

const (
	// settleWithin is how long a transaction of another replica can be under way
	// with ids that it has drawn: what the committer's patience lets it, twice for
	// good measure. Older ids are all there or never will be.
	settleWithin = 2 * postgresPatience

	// quietWait is how long a reader waits for a moment in which nobody writes, and
	// so long writers wait behind it where a replica hangs: the time of some commits.
	quietWait = 100 * time.Millisecond

	// quietHold is after what time the database takes the moment away from a reader
	// that hangs in it. A look takes some milliseconds.
	quietHold = time.Second

	// loudFor is how long this replica's readers do not ask for such a moment after
	// they got none: they keep writers waiting for a fiftieth of the time.
	loudFor = 50 * quietWait
)

// settled reads a page of a list that is in the order of ids; one of full rows
// is gone on from. Every transaction draws ids above those that were committed
// before it began; but where several replicas write, one that is under way may
// hold ids between those that are there already, and a reader that went on from
// these would miss it. A full page that ends that late is read again at a moment
// when none is under way. Where there is no such moment, as a replica hangs, it
// ends before what is not settled, and cut says that there is more: who goes on
// from its end finds the rest in a while.
func settled[T any](ctx context.Context, s *Store, full int, id func(T) string, read func(querier) ([]T, error)) (list []T, cut bool, err error) {
	list, err = read(s.read)
	if err != nil || len(list) < full || !s.db.shared || s.isSettled(id(list[len(list)-1])) {
		return list, false, err
	}
	if !s.commit.settling.loud() {
		var again []T
		err = s.quietly(ctx, func(q querier) (err error) {
			again, err = read(q)
			return err
		})
		if !errors.Is(err, errLoud) {
			return again, false, err
		}
	}
	for len(list) > 0 && !s.isSettled(id(list[len(list)-1])) {
		list = list[:len(list)-1]
	}
	return list, true, nil
}

// goOn is the cursor after the last item of a page that was cut; "" where nothing
// of the list is settled yet.
func goOn(list, last string) string {
	return position{List: list, ID: or(last, beforeAll)}.cursor()
}

// beforeAll is less than every id.
const beforeAll = "0"

// isSettled says that no transaction under way holds ids below this one: by its
// age, or because what is under way began after later ones were committed.
func (s *Store) isSettled(id string) bool {
	u, err := ulid.ParseStrict(id)
	at := int64(u.Time()) //nolint:gosec // 48 bits
	return err != nil || s.now().Sub(fromMS(at)) > settleWithin || at <= s.commit.settling.until()
}

// settling follows up to which id nothing is under way, whatever the clock
// shows: ids may be ahead of it for long after it was set back.
type settling struct {
	mu sync.Mutex
	// settled is a time of ids that were committed more than settleWithin ago;
	// clock is the one that will be, as seen at seen.
	settled, clock int64
	seen           time.Time
	loudUntil      time.Time
}

// observe notes the time of the latest id that is committed.
func (x *settling) observe(clock int64) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if now := time.Now(); now.Sub(x.seen) > settleWithin {
		x.settled, x.clock, x.seen = x.clock, clock, now
	}
}

func (x *settling) until() int64 {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.clock > 0 && time.Since(x.seen) > settleWithin {
		return x.clock
	}
	return x.settled
}

// loud says that there was no quiet moment lately.
func (x *settling) loud() bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	return time.Now().Before(x.loudUntil)
}

func (x *settling) isLoud() {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.loudUntil = time.Now().Add(loudFor)
}

// errLoud says that there was no moment in which nobody wrote.
var errLoud = errors.New("other replicas write on and on")

// quietly lets read look while no transaction that draws ids is under way: it
// takes the root of all locks, for as long as the look takes.
func (s *Store) quietly(ctx context.Context, read func(querier) error) error {
	within, cancel := s.db.bounded(ctx)
	defer cancel()
	tx, err := s.db.reader.BeginTx(within, nil)
	if err != nil {
		return late(ctx, s.db.classify(err))
	}
	defer tx.Rollback() //nolint:errcheck // it has written nothing
	if _, err := tx.ExecContext(within, `SELECT set_config('lock_timeout', $1, true), set_config('idle_in_transaction_session_timeout', $2, true)`,
		strconv.FormatInt(quietWait.Milliseconds(), 10), strconv.FormatInt(quietHold.Milliseconds(), 10)); err != nil {
		return late(ctx, s.db.classify(err))
	}
	if _, err := tx.ExecContext(within, fmt.Sprintf(`SELECT pg_advisory_xact_lock(%d)`, rootKey)); err != nil {
		if pe := (*pgconn.PgError)(nil); errors.As(err, &pe) && pe.Code == "55P03" { // lock_not_available
			s.commit.settling.isLoud()
			return errLoud
		}
		return late(ctx, s.db.classify(err))
	}
	return read(&quietReader{reader: s.read, tx: tx})
}

// quietReader reads in a transaction of its own.
type quietReader struct {
	*reader
	tx *sql.Tx
}

func (q *quietReader) rows(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	rows, err := q.tx.QueryContext(ctx, q.db.rebind(query), args...)
	return rows, q.db.classify(err)
}
