package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"time"

	"github.com/pressly/goose/v3"
	gooselock "github.com/pressly/goose/v3/lock"
)

// migrate brings the schema up to what this version knows; of several replicas
// one does it, and the others wait. A schema from a newer version is refused
// where one process has the database: going on with it could break what that
// version relies on, and it is the sign of a rollback that went too far. Where
// several replicas have it, the previous version goes on through the upgrade:
// migrations expand first, and one that takes something away says which is the
// oldest version that can still work (store_identity.oldest).
func migrate(ctx context.Context, db *database, log *slog.Logger) error {
	files, kind := db.migrations()
	pool := db.writer
	options := []goose.ProviderOption{goose.WithSlog(log), goose.WithDisableGlobalRegistry(true)}
	if db.postgres != nil {
		// Without the time limits of the store's own connections, but for locks.
		pool = sql.OpenDB(&connector{dsn: db.postgres.dsn, settings: migrationSettings})
		defer pool.Close()
	}
	return migrateWith(ctx, db, pool, files, kind, log, options)
}

func migrateWith(ctx context.Context, db *database, pool *sql.DB, files fs.FS, kind goose.Dialect, log *slog.Logger, options []goose.ProviderOption) error {
	var lock *migrationLock
	if db.postgres != nil {
		others, err := gooselock.NewPostgresSessionLocker()
		if err != nil {
			return fmt.Errorf("migrations: %w", err)
		}
		lock = &migrationLock{SessionLocker: others}
		options = append(options, goose.WithSessionLocker(lock))
	}
	p, err := goose.NewProvider(kind, pool, files, options...)
	if err != nil {
		return fmt.Errorf("migrations: %w", err)
	}
	var known int64
	for _, s := range p.ListSources() {
		known = max(known, s.Version)
	}
	have, err := p.GetDBVersion(ctx)
	if err != nil {
		return fmt.Errorf("schema version: %w", db.classify(err))
	}
	if have > known && db.postgres != nil {
		return checkNewer(ctx, db, have, known, log)
	}
	if have > known {
		return fmt.Errorf("the database has schema version %d, this version of the store knows %d: use the newer version, or a copy of the volume from before the upgrade", have, known)
	}
	done, err := up(ctx, p, lock, log)
	if err != nil {
		return fmt.Errorf("migrate the schema from version %d to %d: %w", have, known, db.classify(err))
	}
	if len(done) > 0 {
		log.InfoContext(ctx, "schema migrated", "from", have, "to", known)
	}
	return nil
}

// migrationSettings: a migration that waits for a table keeps everybody from it
// who comes after it, so it does not wait for long while somebody else has the
// table (a backup, say). A platform waits for 5 s.
var migrationSettings = []setting{{"lock_timeout", "500"}}

// migratePatience is how long a start waits for whoever uses the tables, or is
// migrating them. After it the process ends, and is started again.
const migratePatience = 5 * time.Minute

// up runs the migrations that are missing, as soon as those who use the tables
// meanwhile leave room for them. There is a lock where others may use them.
func up(ctx context.Context, p *goose.Provider, lock *migrationLock, log *slog.Logger) ([]*goose.MigrationResult, error) {
	if lock == nil {
		return p.Up(ctx)
	}
	if pending, err := p.HasPending(ctx); err != nil || !pending {
		return nil, err
	}
	lock.writers = true
	for began := time.Now(); ; {
		done, err := p.Up(ctx)
		if err == nil || !contended(err) || time.Since(began) > migratePatience {
			return done, err
		}
		log.InfoContext(ctx, "the schema is migrated in a moment: others use its tables just now")
		if pause(ctx, time.Second, nil); ctx.Err() != nil {
			return nil, err
		}
	}
}

// migrationLock keeps others out who migrate and, before the first table is
// touched, the writers of all versions. Among them a migration that needs several
// tables would never get the last one: who writes holds it, and waits for the
// first.
type migrationLock struct {
	gooselock.SessionLocker
	writers bool // they are kept out, too
}

// SessionLock implements lock.SessionLocker.
func (l *migrationLock) SessionLock(ctx context.Context, conn *sql.Conn) error {
	err := l.SessionLocker.SessionLock(ctx, conn)
	if err != nil || !l.writers {
		return err
	}
	if _, err := conn.ExecContext(ctx, `SELECT pg_advisory_lock($1)`, rootKey); err != nil {
		return errors.Join(err, l.SessionLocker.SessionUnlock(context.WithoutCancel(ctx), conn))
	}
	return nil
}

// SessionUnlock implements lock.SessionLocker.
func (l *migrationLock) SessionUnlock(ctx context.Context, conn *sql.Conn) (err error) {
	if l.writers {
		_, err = conn.ExecContext(ctx, `SELECT pg_advisory_unlock($1)`, rootKey)
	}
	return errors.Join(err, l.SessionLocker.SessionUnlock(ctx, conn))
}

// checkNewer goes on with a schema that is newer than this version, unless it
// has taken away what this version needs.
func checkNewer(ctx context.Context, db *database, have, known int64, log *slog.Logger) error {
	var oldest int64
	if _, err := one(ctx, &reader{db: db}, []any{&oldest}, `SELECT oldest FROM store_identity WHERE id = 1`); err != nil {
		return fmt.Errorf("schema version: %w", err)
	}
	if known < oldest {
		return fmt.Errorf("the database has schema version %d, which works with stores that know at least version %d; this one knows %d: use the newer version", have, oldest, known)
	}
	log.InfoContext(ctx, "the schema is newer than this version, which can work with it", "schema", have, "known", known)
	return nil
}
