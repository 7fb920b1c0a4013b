-- Which process of a Bridge has which channel's connection and duties.
-- Conventions as in 0001_core.sql.

-- +goose Up

-- One row per living bridge process. revision grows when its channels change.
CREATE TABLE sessions (
    bridge     TEXT COLLATE "C" NOT NULL, -- "namespace/name"
    instance   TEXT COLLATE "C" NOT NULL,
    expires_at BIGINT           NOT NULL,
    revision   BIGINT           NOT NULL,
    PRIMARY KEY (bridge, instance)
);
CREATE INDEX sessions_expiry ON sessions (expires_at);

-- A cursor belongs to a platform account: a Channel that is deleted and made
-- again for another account must not begin at the old one's offset.
ALTER TABLE assignments ADD COLUMN account TEXT COLLATE "C" NOT NULL DEFAULT '';
CREATE INDEX assignments_session ON assignments (session);

-- +goose Down
DROP INDEX assignments_session;
ALTER TABLE assignments DROP COLUMN account;
DROP TABLE sessions;
