-- Core of the store: who wrote what, where, and in which order it happened.
--
-- Conventions, also for later migrations and for the other dialect:
--   * channel is "namespace/name"; ids are ULIDs (in time order) unless said otherwise;
--   * times are integers, milliseconds since 1970 UTC, 0 = not set;
--   * booleans are integers 0 and 1; text is '' when there is none (no NULLs).

-- +goose Up

-- A person. id is derived from (namespace, platform, account, external id of
-- the first identity), so that the same traffic gives the same ids everywhere.
CREATE TABLE contacts (
    id           TEXT    NOT NULL PRIMARY KEY,
    namespace    TEXT    NOT NULL,
    display_name TEXT    NOT NULL DEFAULT '',
    language     TEXT    NOT NULL DEFAULT '',
    created_at   INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX contacts_namespace ON contacts (namespace, id);

-- An address of a contact on a channel. conversation is the latest one held
-- with it, so that an inbound message finds everything with one read.
CREATE TABLE identities (
    id           INTEGER NOT NULL PRIMARY KEY,
    channel      TEXT    NOT NULL,
    external_id  TEXT    NOT NULL,
    contact      TEXT    NOT NULL REFERENCES contacts (id),
    username     TEXT    NOT NULL DEFAULT '',
    reachable    INTEGER NOT NULL DEFAULT 1,
    reachable_at INTEGER NOT NULL DEFAULT 0, -- platform time of the last opt-in or opt-out
    conversation TEXT    NOT NULL DEFAULT '',
    created_at   INTEGER NOT NULL,
    UNIQUE (external_id, channel) -- what differs comes first: comparisons are half of an insert
);
CREATE INDEX identities_contact ON identities (contact);

-- An exchange with one identity. updated_at is the latest activity.
CREATE TABLE conversations (
    id              TEXT    NOT NULL PRIMARY KEY,
    channel         TEXT    NOT NULL,
    contact         TEXT    NOT NULL REFERENCES contacts (id),
    identity        INTEGER NOT NULL REFERENCES identities (id),
    state           TEXT    NOT NULL, -- open, pending, snoozed, solved
    snoozed_until   INTEGER NOT NULL DEFAULT 0,
    owner_kind      TEXT    NOT NULL DEFAULT 'none',
    owner_name      TEXT    NOT NULL DEFAULT '',
    epoch           INTEGER NOT NULL DEFAULT 1, -- grows with every change of owner
    follow_up_of    TEXT    NOT NULL DEFAULT '',
    created_at      INTEGER NOT NULL,
    updated_at      INTEGER NOT NULL,
    solved_at       INTEGER NOT NULL DEFAULT 0,
    last_inbound_at INTEGER NOT NULL DEFAULT 0
) WITHOUT ROWID;
-- Every message moves its conversation in this index, so there is only one:
-- lists over several channels or states are merged when they are read.
CREATE INDEX conversations_activity ON conversations (channel, state, updated_at, id);
CREATE INDEX conversations_contact ON conversations (contact);
CREATE INDEX conversations_snoozed ON conversations (snoozed_until) WHERE state = 'snoozed';

-- A message, inbound or outbound. content is JSON of what is not text
-- (attachments, location, buttons …), '' when there is nothing else.
CREATE TABLE messages (
    id           TEXT    NOT NULL PRIMARY KEY,
    channel      TEXT    NOT NULL,
    conversation TEXT    NOT NULL REFERENCES conversations (id),
    direction    TEXT    NOT NULL, -- inbound, outbound
    type         TEXT    NOT NULL,
    external_id  TEXT    NOT NULL DEFAULT '', -- the first one; all are in external_ids
    timestamp    INTEGER NOT NULL, -- platform time, clamped
    author_kind  TEXT    NOT NULL DEFAULT '',
    author_name  TEXT    NOT NULL DEFAULT '',
    text         TEXT    NOT NULL DEFAULT '',
    content      TEXT    NOT NULL DEFAULT '',
    reply_to     TEXT    NOT NULL DEFAULT '',
    status       TEXT    NOT NULL,
    reason       TEXT    NOT NULL DEFAULT '',
    edited_at    INTEGER NOT NULL DEFAULT 0,
    deleted_at   INTEGER NOT NULL DEFAULT 0,
    raw          TEXT    NOT NULL DEFAULT '' -- entry of the raw journal it came with, for erasure
);
CREATE INDEX messages_channel ON messages (channel, id);
CREATE INDEX messages_conversation ON messages (conversation, timestamp, id);

-- THE unique key: what a platform told is taken once. For messages and
-- postbacks, id is the message's; for other kinds (edit, reaction, receipt …)
-- it is drawn when the event is taken. Keys of inbound messages are found (and
-- removed with retention) by what their row says, all others by their age.
CREATE TABLE external_ids (
    external_id TEXT NOT NULL,
    channel     TEXT NOT NULL,
    kind        TEXT NOT NULL, -- message.Event.Kind
    direction   TEXT NOT NULL, -- '' for kinds without one
    id          TEXT NOT NULL,
    PRIMARY KEY (external_id, channel, kind, direction)
) WITHOUT ROWID;
CREATE INDEX external_ids_id ON external_ids (id) WHERE kind <> 'message' OR direction = 'outbound';

-- What a message said before each edit.
CREATE TABLE message_versions (
    message TEXT    NOT NULL REFERENCES messages (id) ON DELETE CASCADE,
    version INTEGER NOT NULL, -- 1 is the original
    until   INTEGER NOT NULL, -- when it was replaced
    text    TEXT    NOT NULL,
    content TEXT    NOT NULL,
    PRIMARY KEY (message, version)
) WITHOUT ROWID;

-- Reactions that stand now: one per message and actor.
CREATE TABLE reactions (
    message   TEXT    NOT NULL REFERENCES messages (id) ON DELETE CASCADE,
    actor     TEXT    NOT NULL, -- external id of the contact, or 'shop'
    emoji     TEXT    NOT NULL,
    timestamp INTEGER NOT NULL,
    PRIMARY KEY (message, actor)
) WITHOUT ROWID;

-- Events that came before the message they are about; bounded in age and number.
CREATE TABLE parked_events (
    id      TEXT NOT NULL PRIMARY KEY,
    channel TEXT NOT NULL,
    target  TEXT NOT NULL, -- external id of the message
    event   TEXT NOT NULL  -- JSON of message.Event
);
CREATE INDEX parked_events_target ON parked_events (channel, target);

-- Bytes of attachments: fetched from a platform (ref) or uploaded.
CREATE TABLE media (
    id          TEXT    NOT NULL PRIMARY KEY,
    namespace   TEXT    NOT NULL,
    channel     TEXT    NOT NULL DEFAULT '', -- '' for uploads
    kind        TEXT    NOT NULL DEFAULT '',
    ref         TEXT    NOT NULL DEFAULT '', -- the platform's handle
    state       TEXT    NOT NULL, -- pending, stored, unavailable
    reason      TEXT    NOT NULL DEFAULT '',
    mime_type   TEXT    NOT NULL DEFAULT '',
    name        TEXT    NOT NULL DEFAULT '',
    size        INTEGER NOT NULL DEFAULT 0,
    sha256      TEXT    NOT NULL DEFAULT '', -- hex; name of the file
    lease       INTEGER NOT NULL DEFAULT 0,
    attempts    INTEGER NOT NULL DEFAULT 0,
    next_at     INTEGER NOT NULL DEFAULT 0 -- when it may be leased (again)
);
CREATE INDEX media_pending ON media (channel, next_at) WHERE state = 'pending';
CREATE INDEX media_sha256 ON media (sha256);

CREATE TABLE message_media (
    message TEXT NOT NULL REFERENCES messages (id) ON DELETE CASCADE,
    media   TEXT NOT NULL REFERENCES media (id) ON DELETE CASCADE,
    PRIMARY KEY (message, media)
) WITHOUT ROWID;
CREATE INDEX message_media_media ON message_media (media);

-- Platform requests as they came. namespace is '' where a payload speaks of
-- several namespaces or of none: only callers that see everything see it.
CREATE TABLE raw_entries (
    id          TEXT    NOT NULL PRIMARY KEY,
    platform    TEXT    NOT NULL,
    namespace   TEXT    NOT NULL DEFAULT '',
    channel     TEXT    NOT NULL DEFAULT '',
    transport   TEXT    NOT NULL,
    received_at INTEGER NOT NULL,
    unrouted    INTEGER NOT NULL DEFAULT 0,
    payload     BLOB    NOT NULL
);
CREATE INDEX raw_entries_channel ON raw_entries (channel, id);
CREATE INDEX raw_entries_unrouted ON raw_entries (id) WHERE unrouted = 1;

-- Who holds a channel's connection. token grows with every new holder; cursor
-- is the platform's offset, committed with the messages it stands for.
CREATE TABLE assignments (
    channel TEXT    NOT NULL PRIMARY KEY,
    session TEXT    NOT NULL DEFAULT '',
    token   INTEGER NOT NULL DEFAULT 0,
    cursor  TEXT    NOT NULL DEFAULT ''
);

-- The event log: ids only, content is joined when it is read.
CREATE TABLE events (
    cursor       INTEGER NOT NULL PRIMARY KEY,
    type         TEXT    NOT NULL,
    time         INTEGER NOT NULL,
    channel      TEXT    NOT NULL DEFAULT '',
    conversation TEXT    NOT NULL DEFAULT '',
    contact      TEXT    NOT NULL DEFAULT '',
    message      TEXT    NOT NULL DEFAULT ''
);

-- One row: the last number given (its lock makes cursor order commit order)
-- and the highest one that retention has removed.
CREATE TABLE event_head (
    id      INTEGER NOT NULL PRIMARY KEY CHECK (id = 1),
    cursor  INTEGER NOT NULL,
    horizon INTEGER NOT NULL
);
INSERT INTO event_head (id, cursor, horizon) VALUES (1, 0, 0);

-- +goose Down
DROP TABLE event_head;
DROP TABLE events;
DROP TABLE assignments;
DROP TABLE raw_entries;
DROP TABLE message_media;
DROP TABLE media;
DROP TABLE parked_events;
DROP TABLE reactions;
DROP TABLE message_versions;
DROP TABLE external_ids;
DROP TABLE messages;
DROP TABLE conversations;
DROP TABLE identities;
DROP TABLE contacts;
