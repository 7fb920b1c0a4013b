package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"time"
)

// Restored settles a PostgreSQL database that pg_restore has just filled, before
// any store opens it: what waited to be sent at the time of the dump becomes
// unknown, since the store that the dump is of may have sent it since, and event
// cursors of that store are refused from now on. It returns how many messages
// became unknown; doing it twice changes nothing more. The schema is brought up to
// date on the way. A database that stores are connected to is refused: to them
// nothing was restored.
func Restored(ctx context.Context, opts Options) (unknown int, err error) {
	db, err := openPostgres(ctx, opts.PostgresDSNFile, slog.New(slog.DiscardHandler))
	if err != nil {
		return 0, err
	}
	err = refuseStores(ctx, db.writer)
	if err = errors.Join(err, db.closePools()); err != nil {
		return 0, err
	}
	s, err := Open(ctx, opts)
	if err != nil {
		return 0, err
	}
	unknown, err = s.disownOutbox(ctx)
	return unknown, errors.Join(err, s.Close())
}

// leaving is how long the connections of a store that has just stopped may be
// there still: the server sees an end that was said at once.
const leaving = 5 * time.Second

// refuseStores looks for connections of stores beside our own.
func refuseStores(ctx context.Context, pool *sql.DB) error {
	var others int
	for until := time.Now().Add(leaving); ; pause(ctx, leaving/50, nil) {
		if err := pool.QueryRowContext(ctx, `SELECT COUNT(*) FROM pg_stat_activity
			WHERE datname = current_database() AND application_name = $1 AND pid <> pg_backend_pid()`, applicationName).Scan(&others); err != nil {
			return err
		}
		if others == 0 || time.Now().After(until) {
			break
		}
	}
	if others > 0 {
		return fmt.Errorf("stores are connected to this database (%d connections), and may have sent what waited already: restore into a database that no ConversationStore names yet", others)
	}
	return nil
}
