-- The outbox: what is to be sent, in which order, and how far it came.
--
--   outbox_channels 1 ── n lanes 1 ── n deliveries 1 ── n delivery_parts
--        round, rate,      order,        one per          one platform
--        pause             lease         message          request each
--
-- Conventions as in 0001_core.sql.

-- +goose Up

-- One row per channel that ever sent. due_at is when the channel wants to be
-- served next: a channel that was served goes to the end of the round, so that
-- one with a hundred thousand messages does not starve the others.
CREATE TABLE outbox_channels (
    channel      TEXT    NOT NULL PRIMARY KEY,
    bridge       TEXT    NOT NULL DEFAULT '', -- whose pods may send; '' while nobody may (suspended, not in force)
    due_at       INTEGER NOT NULL DEFAULT 0, -- 0: nothing to do
    rounds       INTEGER NOT NULL DEFAULT 0, -- how often it was served; breaks ties within a millisecond
    ready_at     INTEGER NOT NULL DEFAULT 0, -- not before: rate, or paused
    paused_until INTEGER NOT NULL DEFAULT 0, -- by Retry-After or refused credentials
    failures     INTEGER NOT NULL DEFAULT 0, -- how often in a row the platform refused the channel as such
    tokens       REAL    NOT NULL DEFAULT 0, -- token bucket of the channel's rate
    refilled_at  INTEGER NOT NULL DEFAULT 0
) WITHOUT ROWID;
CREATE INDEX outbox_channels_due ON outbox_channels (bridge, due_at, rounds) WHERE due_at > 0;

-- One row per channel and contact. Workers claim this row, never a message, so
-- that the order within a lane is by completion. A row that is not leased and
-- has something to send has due_at > 0.
CREATE TABLE lanes (
    id              INTEGER NOT NULL PRIMARY KEY,
    channel         TEXT    NOT NULL,
    contact         TEXT    NOT NULL REFERENCES contacts (id) ON DELETE CASCADE,
    due_at          INTEGER NOT NULL DEFAULT 0, -- 0: leased, or nothing to do
    ready_at        INTEGER NOT NULL DEFAULT 0, -- not before: rate per contact, backoff
    releases        INTEGER NOT NULL DEFAULT 0, -- how often in a row it was given back untried
    lease           INTEGER NOT NULL DEFAULT 0, -- token; grows with every claim
    lease_bridge    TEXT    NOT NULL DEFAULT '',
    lease_instance  TEXT    NOT NULL DEFAULT '',
    lease_delivery  TEXT    NOT NULL DEFAULT '',
    lease_until     INTEGER NOT NULL DEFAULT 0, -- 0: not leased
    delivered_until INTEGER NOT NULL DEFAULT 0, -- watermarks of receipts
    read_until      INTEGER NOT NULL DEFAULT 0,
    UNIQUE (contact, channel)
);
CREATE INDEX lanes_due ON lanes (channel, due_at) WHERE due_at > 0;
CREATE INDEX lanes_leased ON lanes (lease_until) WHERE lease_until > 0;

-- One row per message to send; its id is the message's, so that ids are in the
-- order of the lane.
CREATE TABLE deliveries (
    message          TEXT    NOT NULL PRIMARY KEY REFERENCES messages (id) ON DELETE CASCADE,
    lane             INTEGER NOT NULL, -- of lanes; no foreign key: its index would tempt planners to walk a lane's whole past
    conversation     TEXT    NOT NULL,
    state            TEXT    NOT NULL, -- queued, sent, failed, unknown, cancelled, superseded
    action           TEXT    NOT NULL DEFAULT '', -- edit, deletion, reaction
    author_kind      TEXT    NOT NULL,
    epoch            INTEGER NOT NULL DEFAULT 0, -- of the conversation, for automated authors
    reply_to         TEXT    NOT NULL DEFAULT '',
    attempts         INTEGER NOT NULL DEFAULT 0,
    first_attempt_at INTEGER NOT NULL DEFAULT 0,
    reason           TEXT    NOT NULL DEFAULT '' -- of the latest trouble
) WITHOUT ROWID;
CREATE INDEX deliveries_queued ON deliveries (lane, message) WHERE state = 'queued';

-- One row per platform request; payload is JSON of wire.Part, fixed when the
-- message was queued.
CREATE TABLE delivery_parts (
    message  TEXT    NOT NULL REFERENCES deliveries (message) ON DELETE CASCADE,
    part     INTEGER NOT NULL,
    state    TEXT    NOT NULL, -- queued, sending, sent, failed, unknown, held, cancelled
    payload  TEXT    NOT NULL,
    lease    INTEGER NOT NULL DEFAULT 0, -- under which it was sent, or is being sent
    unknowns INTEGER NOT NULL DEFAULT 0, -- how often its outcome was not learnt
    PRIMARY KEY (message, part)
) WITHOUT ROWID;

-- The platform's ids of what was sent, with the receipts for each.
CREATE TABLE sent_ids (
    channel     TEXT    NOT NULL,
    external_id TEXT    NOT NULL,
    message     TEXT    NOT NULL REFERENCES messages (id) ON DELETE CASCADE,
    part        INTEGER NOT NULL,
    lane        INTEGER NOT NULL,
    sent_at     INTEGER NOT NULL,
    receipt     TEXT    NOT NULL DEFAULT '', -- sent, failed, delivered, read
    reason      TEXT    NOT NULL DEFAULT '',
    PRIMARY KEY (channel, external_id)
) WITHOUT ROWID;
CREATE INDEX sent_ids_message ON sent_ids (message, part);
CREATE INDEX sent_ids_lane ON sent_ids (lane, sent_at);

-- Idempotency keys of writes, kept as long as a caller may repeat them.
CREATE TABLE idempotency_keys (
    namespace  TEXT    NOT NULL,
    key        TEXT    NOT NULL,
    hash       TEXT    NOT NULL, -- of the content
    message    TEXT    NOT NULL REFERENCES messages (id) ON DELETE CASCADE,
    created_at INTEGER NOT NULL,
    PRIMARY KEY (namespace, key)
) WITHOUT ROWID;
CREATE INDEX idempotency_keys_message ON idempotency_keys (message);
CREATE INDEX idempotency_keys_age ON idempotency_keys (created_at);

-- +goose Down
DROP TABLE idempotency_keys;
DROP TABLE sent_ids;
DROP TABLE delivery_parts;
DROP TABLE deliveries;
DROP TABLE lanes;
DROP TABLE outbox_channels;
