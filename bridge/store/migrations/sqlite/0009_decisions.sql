-- What routing decided, why, and what is left to do about it.
--
--   conversations 1 ── 0..1 routings ── n decisions ── 1 policy_archive
--                   │       where it is    why             as it was then
--                   ├── n errands          what follows a commit: a text, a bot's answer, a webhook's
--                   └── 0..1 bot_states    what its bot remembers
--
-- Conventions as in 0001_core.sql.

-- +goose Up

-- Attributes that contacts are known by, as JSON of names and values: what rules
-- match, e.g. {"tier":"gold"}; '' for none.
ALTER TABLE contacts ADD COLUMN attributes TEXT NOT NULL DEFAULT '';

-- Where a conversation is in a policy, and what routing knows about it.
CREATE TABLE routings (
    conversation TEXT    NOT NULL PRIMARY KEY REFERENCES conversations (id) ON DELETE CASCADE,
    decision     TEXT    NOT NULL DEFAULT '', -- the last one that was carried out
    policy       TEXT    NOT NULL DEFAULT '', -- "namespace/name"
    hash         TEXT    NOT NULL DEFAULT '', -- of that version of it
    rule         TEXT    NOT NULL DEFAULT '',
    step         TEXT    NOT NULL DEFAULT '',
    queue        TEXT    NOT NULL DEFAULT '', -- in which it waits, if it does
    epoch        INTEGER NOT NULL DEFAULT 0, -- of the conversation in this step: with another one the step is over
    entered_at   INTEGER NOT NULL DEFAULT 0,
    due_at       INTEGER NOT NULL DEFAULT 0, -- when the step ends, or is tried again; 0: it lasts
    asking       INTEGER NOT NULL DEFAULT 0, -- a webhook is asked who gets it
    message      TEXT    NOT NULL DEFAULT '', -- that opened it, or asked for a person
    priority     TEXT    NOT NULL DEFAULT '',
    labels       TEXT    NOT NULL DEFAULT '', -- JSON of names and values, '' for none
    topics       TEXT    NOT NULL DEFAULT ''  -- JSON list, '' for none
) WITHOUT ROWID;
CREATE INDEX routings_due ON routings (due_at) WHERE due_at > 0;

-- One row per decision, of shadows, too. Facts are without the message's text:
-- it stands in the message, and goes with it.
CREATE TABLE decisions (
    id           TEXT    NOT NULL PRIMARY KEY,
    conversation TEXT    NOT NULL REFERENCES conversations (id) ON DELETE CASCADE,
    shadow       INTEGER NOT NULL, -- of a policy in mode Shadow: nothing was done
    hash         TEXT    NOT NULL, -- of policy_archive
    facts        TEXT    NOT NULL, -- JSON of routing.Facts
    decision     TEXT    NOT NULL, -- JSON of routing.Decision
    reason       TEXT    NOT NULL DEFAULT '', -- why the event came: of a bot's handover, of a step that failed
    answer       TEXT    NOT NULL DEFAULT ''  -- JSON of what the webhook said that was asked
);
CREATE INDEX decisions_conversation ON decisions (conversation, id);

-- The policies that decisions refer to, as they were (routing.FromArchive).
CREATE TABLE policy_archive (
    hash       TEXT    NOT NULL PRIMARY KEY,
    policy     TEXT    NOT NULL, -- "namespace/name"
    archive    TEXT    NOT NULL,
    decided_at INTEGER NOT NULL -- of the last decision, an hour earlier at most
);

-- When a contact last got each of the policies' own texts.
CREATE TABLE policy_texts (
    contact TEXT    NOT NULL REFERENCES contacts (id) ON DELETE CASCADE,
    kind    TEXT    NOT NULL, -- routing.ReplyKind
    sent_at INTEGER NOT NULL,
    PRIMARY KEY (contact, kind)
) WITHOUT ROWID;

-- What follows a commit: a policy's text to send, an answer of a bot, a webhook
-- to ask. A conversation's errands are done one after another, in the order of
-- their ids; one of an epoch that is over is dropped.
CREATE TABLE errands (
    id           TEXT    NOT NULL PRIMARY KEY,
    conversation TEXT    NOT NULL REFERENCES conversations (id) ON DELETE CASCADE,
    kind         TEXT    NOT NULL, -- text, bot, webhook
    target       TEXT    NOT NULL, -- of the policy, the Bot, the Webhook: "namespace/name…"
    message      TEXT    NOT NULL DEFAULT '', -- that is answered; '' where there is none
    epoch        INTEGER NOT NULL,
    decision     TEXT    NOT NULL DEFAULT '', -- from which it follows
    payload      TEXT    NOT NULL DEFAULT '', -- of a text: JSON of what is said
    remote       INTEGER NOT NULL, -- it calls somebody over the network
    attempts     INTEGER NOT NULL DEFAULT 0,
    due_at       INTEGER NOT NULL, -- when it may be done (again)
    lease        INTEGER NOT NULL DEFAULT 0, -- grows with every claim
    created_at   INTEGER NOT NULL
);
CREATE INDEX errands_due ON errands (remote, due_at, id);
CREATE INDEX errands_conversation ON errands (conversation, id);

-- What the bot that owns a conversation remembers of it.
CREATE TABLE bot_states (
    conversation TEXT    NOT NULL PRIMARY KEY REFERENCES conversations (id) ON DELETE CASCADE,
    bot          TEXT    NOT NULL,
    state        TEXT    NOT NULL -- JSON of bot.State
) WITHOUT ROWID;

-- Bots and webhooks that did not answer the last time. One without a row is well.
CREATE TABLE backend_breakers (
    kind       TEXT    NOT NULL, -- Bot, Webhook
    name       TEXT    NOT NULL,
    failures   INTEGER NOT NULL, -- in a row
    open_until INTEGER NOT NULL, -- nothing is asked before; 0: it is
    PRIMARY KEY (kind, name)
) WITHOUT ROWID;

-- +goose Down
DROP TABLE backend_breakers;
DROP TABLE bot_states;
DROP TABLE errands;
DROP TABLE policy_texts;
DROP TABLE policy_archive;
DROP TABLE decisions;
DROP TABLE routings;
ALTER TABLE contacts DROP COLUMN attributes;
