package store

import (
	"context"
	"database/sql"
	"fmt"
	"io/fs"
	"log/slog"

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
		locker, err := gooselock.NewPostgresSessionLocker()
		if err != nil {
			return fmt.Errorf("migrations: %w", err)
		}
		options = append(options, goose.WithSessionLocker(locker))
		// Without the time limits of the store's own connections.
		pool = sql.OpenDB(&connector{dsn: db.postgres.dsn})
		defer pool.Close()
	}
	return migrateWith(ctx, db, pool, files, kind, log, options)
}

func migrateWith(ctx context.Context, db *database, pool *sql.DB, files fs.FS, kind goose.Dialect, log *slog.Logger, options []goose.ProviderOption) error {
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
	done, err := p.Up(ctx)
	if err != nil {
		return fmt.Errorf("migrate the schema from version %d to %d: %w", have, known, db.classify(err))
	}
	if len(done) > 0 {
		log.InfoContext(ctx, "schema migrated", "from", have, "to", known)
	}
	return nil
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
