-- Routing: who has a conversation and who had it, the agents, and the queues in
-- which conversations wait for them.
--
--   queues 1 ── n queue_entries 1 ── 0..1 offers n ── 1 agents 1 ── 1 presence
--      └── n queue_members n ───────────────────────────┘
--
-- Counters (queues, presence) are written last in a transaction, in one order:
-- see tally.go. Conventions as in 0001_core.sql; queues are "namespace/name".

-- +goose Up

-- Every change of a conversation's owner; epoch is that of the new one.
CREATE TABLE owner_changes (
    conversation TEXT    NOT NULL REFERENCES conversations (id) ON DELETE CASCADE,
    epoch        INTEGER NOT NULL,
    from_kind    TEXT    NOT NULL,
    from_name    TEXT    NOT NULL,
    to_kind      TEXT    NOT NULL,
    to_name      TEXT    NOT NULL,
    cause        TEXT    NOT NULL, -- see OwnerCause
    caller       TEXT    NOT NULL DEFAULT '', -- token of REST that asked for it
    decision     TEXT    NOT NULL DEFAULT '', -- of routing, if it was one
    at           INTEGER NOT NULL,
    PRIMARY KEY (conversation, epoch)
) WITHOUT ROWID;
CREATE INDEX owner_changes_given ON owner_changes (to_name, at) WHERE to_kind = 'agent';

-- People who answer. They belong to a namespace, and to the queues there that
-- select them.
CREATE TABLE agents (
    id          TEXT    NOT NULL PRIMARY KEY,
    namespace   TEXT    NOT NULL,
    name        TEXT    NOT NULL, -- what their desk calls them
    labels      TEXT    NOT NULL DEFAULT '', -- JSON
    skills      TEXT    NOT NULL DEFAULT '', -- JSON: level by name
    units       INTEGER NOT NULL DEFAULT 0, -- 0: the queue's
    class_units TEXT    NOT NULL DEFAULT '', -- JSON: units by channel class
    created_at  INTEGER NOT NULL,
    updated_at  INTEGER NOT NULL,
    UNIQUE (namespace, name)
) WITHOUT ROWID;

-- Who of them is there, and what they carry.
CREATE TABLE presence (
    agent       TEXT    NOT NULL PRIMARY KEY,
    namespace   TEXT    NOT NULL,
    state       TEXT    NOT NULL DEFAULT 'offline', -- online, away, offline
    told        TEXT    NOT NULL DEFAULT 'offline', -- what their desk said last
    changed_at  INTEGER NOT NULL DEFAULT 0, -- when it became that
    seen_at     INTEGER NOT NULL DEFAULT 0, -- latest heartbeat
    missed      INTEGER NOT NULL DEFAULT 0, -- offers in a row that expired
    due_at      INTEGER NOT NULL DEFAULT 0, -- offline: when to look at what they have
    units       INTEGER NOT NULL DEFAULT 0, -- the most that any of their queues lets them carry
    load_voice  INTEGER NOT NULL DEFAULT 0, -- units in use, open offers included
    load_chat   INTEGER NOT NULL DEFAULT 0,
    load_mail   INTEGER NOT NULL DEFAULT 0,
    assigned_at INTEGER NOT NULL DEFAULT 0 -- when they were last given something
) WITHOUT ROWID;
CREATE INDEX presence_free ON presence (namespace, agent) WHERE state = 'online' AND load_voice + load_chat + load_mail < units;
CREATE INDEX presence_seen ON presence (seen_at) WHERE state <> 'offline';
CREATE INDEX presence_due ON presence (due_at) WHERE due_at > 0;

-- Who had a contact last.
CREATE TABLE contact_agents (
    contact TEXT    NOT NULL PRIMARY KEY REFERENCES contacts (id) ON DELETE CASCADE,
    agent   TEXT    NOT NULL,
    at      INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX contact_agents_agent ON contact_agents (agent);

-- One row per queue that is in force or that something waits in.
CREATE TABLE queues (
    queue     TEXT    NOT NULL PRIMARY KEY,
    hash      TEXT    NOT NULL DEFAULT '', -- of the entry that its members are in line with; '': not in force
    depth     INTEGER NOT NULL DEFAULT 0, -- entries that wait or are offered
    online    INTEGER NOT NULL DEFAULT 0, -- members
    available INTEGER NOT NULL DEFAULT 0, -- of these, with units left
    cursor    TEXT    NOT NULL DEFAULT '' -- agent who was given something last
) WITHOUT ROWID;

CREATE TABLE queue_members (
    queue TEXT NOT NULL,
    agent TEXT NOT NULL,
    PRIMARY KEY (queue, agent)
) WITHOUT ROWID;
CREATE INDEX queue_members_agent ON queue_members (agent);

-- What waits for an agent, or has one: one row per conversation, so that none
-- waits twice. It stays while an agent or a bot has the conversation, so that one
-- that comes back is as old as it is, and goes with the conversation.
CREATE TABLE queue_entries (
    conversation   TEXT    NOT NULL PRIMARY KEY,
    queue          TEXT    NOT NULL, -- '' for what an agent has without one
    state          TEXT    NOT NULL, -- waiting, offered, assigned, left
    class          TEXT    NOT NULL, -- of the channel: voice, chat, mail
    priority       INTEGER NOT NULL, -- 0 low to 3 urgent
    need           TEXT    NOT NULL, -- class and skills: what is alike finds agents alike
    reserved       TEXT    NOT NULL DEFAULT '', -- for this agent
    reserved_until INTEGER NOT NULL DEFAULT 0, -- 0: without end
    declined       TEXT    NOT NULL DEFAULT '', -- JSON: agents who did, or let the offer expire
    waiting_since  INTEGER NOT NULL, -- when it first came
    entered_at     INTEGER NOT NULL, -- into this queue
    step_at        INTEGER NOT NULL, -- into this step
    hold           INTEGER NOT NULL DEFAULT 0, -- it waits although the queue is full
    due_at         INTEGER NOT NULL DEFAULT 0, -- when to look at it
    agent          TEXT    NOT NULL DEFAULT '', -- who has it, or had it
    units          INTEGER NOT NULL DEFAULT 0, -- that it takes of them
    idle           INTEGER NOT NULL DEFAULT 0, -- the contact is silent
    assigned_at    INTEGER NOT NULL DEFAULT 0
) WITHOUT ROWID;
CREATE INDEX queue_entries_waiting ON queue_entries (queue, need, priority, waiting_since, conversation) WHERE state = 'waiting';
CREATE INDEX queue_entries_oldest ON queue_entries (queue, waiting_since) WHERE state IN ('waiting', 'offered');
CREATE INDEX queue_entries_due ON queue_entries (due_at) WHERE due_at > 0;
CREATE INDEX queue_entries_agent ON queue_entries (agent) WHERE state = 'assigned';
CREATE INDEX queue_entries_reserved ON queue_entries (reserved) WHERE reserved <> '';

-- Offers that are open: at most one per conversation.
CREATE TABLE offers (
    id           TEXT    NOT NULL PRIMARY KEY,
    conversation TEXT    NOT NULL UNIQUE,
    queue        TEXT    NOT NULL,
    agent        TEXT    NOT NULL,
    class        TEXT    NOT NULL,
    units        INTEGER NOT NULL,
    made_at      INTEGER NOT NULL,
    until        INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX offers_agent ON offers (agent, id);
CREATE INDEX offers_until ON offers (until);

-- +goose Down
DROP TABLE offers;
DROP TABLE queue_entries;
DROP TABLE queue_members;
DROP TABLE queues;
DROP TABLE contact_agents;
DROP TABLE presence;
DROP TABLE agents;
DROP TABLE owner_changes;
