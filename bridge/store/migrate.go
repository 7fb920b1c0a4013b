package store

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/pressly/goose/v3"
)

// migrate brings the schema up to what this version knows. A schema from a
// newer version is refused: going on with it could break what that version
// relies on, and it is the sign of a rollback that went too far.
func migrate(ctx context.Context, db *database, log *slog.Logger) error {
	files, kind := db.migrations()
	p, err := goose.NewProvider(kind, db.writer, files, goose.WithSlog(log), goose.WithDisableGlobalRegistry(true))
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
