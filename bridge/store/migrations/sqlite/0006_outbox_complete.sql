-- The outbox's breaker says why it is open, dead letters are found without
-- walking everything that was ever sent, and every write of REST can be
-- repeated.

-- +goose Up

-- Why the platform refused the channel as a whole: the class of the refusal
-- (wire.ErrorClass) while failures > 0, else ''.
ALTER TABLE outbox_channels ADD COLUMN refused TEXT NOT NULL DEFAULT '';
-- Sends in a row that the platform did not answer or was not able to do, each
-- of another lane than the one before: strikes against the channel.
ALTER TABLE outbox_channels ADD COLUMN strikes INTEGER NOT NULL DEFAULT 0;
ALTER TABLE outbox_channels ADD COLUMN strike_lane INTEGER NOT NULL DEFAULT 0;
CREATE INDEX outbox_channels_refused ON outbox_channels (channel) WHERE refused <> '';

CREATE INDEX deliveries_dead ON deliveries (message) WHERE state IN ('failed', 'unknown');

-- Idempotency keys of writes that make no message (those are in
-- idempotency_keys), kept as long as a caller may repeat them. result is what
-- the write made, '' where it changed something that is there.
CREATE TABLE idempotent_writes (
    namespace  TEXT    NOT NULL,
    key        TEXT    NOT NULL,
    hash       TEXT    NOT NULL, -- of the request
    result     TEXT    NOT NULL DEFAULT '',
    created_at INTEGER NOT NULL,
    PRIMARY KEY (namespace, key)
) WITHOUT ROWID;
CREATE INDEX idempotent_writes_age ON idempotent_writes (created_at);

-- +goose Down
DROP TABLE idempotent_writes;
DROP INDEX deliveries_dead;
DROP INDEX outbox_channels_refused;
ALTER TABLE outbox_channels DROP COLUMN strike_lane;
ALTER TABLE outbox_channels DROP COLUMN strikes;
ALTER TABLE outbox_channels DROP COLUMN refused;
