-- Surveys: who was considered, who was asked, what they said.
--
--   survey_campaigns 1 ── n survey_triggers 1 ── 0..1 survey_dialogues 1 ── 0..1 survey_responses (scores: nobody's)
--         │ 1                why, or why not             │ 1                └── 0..1 survey_answers (words: somebody's)
--         ├── n survey_counts   the funnel               └── n survey_messages   questions, replies
--         └── 0..1 survey_summaries
--   survey_ledger, contact_consents   by a salted hash of the contact: they outlive campaigns and contacts
--
-- Conventions as in 0001_core.sql; campaigns, groups and queues are "namespace/name".

-- +goose Up

-- Until then it is noted for campaigns that the contact comes again.
ALTER TABLE contacts ADD COLUMN surveyed_until BIGINT NOT NULL DEFAULT 0;
-- The dialogue that is open with this address: messages are read together with it.
ALTER TABLE identities ADD COLUMN survey TEXT COLLATE "C" NOT NULL DEFAULT '';
-- By when somebody should have looked at it, as an action of a survey says.
ALTER TABLE conversations ADD COLUMN due_at BIGINT NOT NULL DEFAULT 0;

-- One row per campaign that was ever in force.
CREATE TABLE survey_campaigns (
    campaign   TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    spec       TEXT COLLATE "C" NOT NULL, -- JSON of survey.Campaign, as it was last in force
    hash       TEXT COLLATE "C" NOT NULL, -- of that entry
    removed_at BIGINT           NOT NULL DEFAULT 0, -- when its resource was gone; 0: it is there
    started_at BIGINT           NOT NULL DEFAULT 0, -- when it first asked somebody
    analysis   TEXT COLLATE "C" NOT NULL DEFAULT '', -- JSON of survey.Analysis that it started with
    stopped_at BIGINT           NOT NULL DEFAULT 0, -- when a stop rule was reached
    stop_rule  TEXT COLLATE "C" NOT NULL DEFAULT '', -- survey.StopRule
    stop       TEXT COLLATE "C" NOT NULL DEFAULT '', -- JSON of survey.Stop by which it was
    ended_at   BIGINT           NOT NULL DEFAULT 0, -- when nothing more could change the result
    due_until  BIGINT           NOT NULL DEFAULT 0 -- questions up to then are in survey_counts as due
);

-- What is counted: exits by their name, then what became of questions. arm is the
-- arm's index, -1 before there is one and for who is held out.
CREATE TABLE survey_counts (
    campaign TEXT COLLATE "C" NOT NULL,
    name     TEXT COLLATE "C" NOT NULL,
    arm      BIGINT           NOT NULL,
    n        BIGINT           NOT NULL,
    PRIMARY KEY (campaign, name, arm)
);

-- What the status says of a campaign, so that all replicas say the same.
CREATE TABLE survey_summaries (
    campaign   TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    summary    TEXT COLLATE "C" NOT NULL, -- JSON of survey.Summary
    report     TEXT COLLATE "C" NOT NULL DEFAULT '', -- JSON of survey.Report, once it is final
    counted    TEXT COLLATE "C" NOT NULL DEFAULT '', -- digest of the survey_counts that it was made of
    updated_at BIGINT           NOT NULL
);

-- When a contact was asked, by campaign and by group of campaigns, and where the
-- draws of a campaign put them. contact is a salted hash (survey_salt).
CREATE TABLE survey_ledger (
    contact      TEXT COLLATE "C" NOT NULL,
    kind         TEXT COLLATE "C" NOT NULL, -- campaign, group
    name         TEXT COLLATE "C" NOT NULL,
    sent_at      BIGINT           NOT NULL DEFAULT 0,
    answered_at  BIGINT           NOT NULL DEFAULT 0,
    assigned_at  BIGINT           NOT NULL DEFAULT 0, -- first, of a campaign
    held_out     BIGINT           NOT NULL DEFAULT 0,
    sampled      BIGINT           NOT NULL DEFAULT 0,
    arm          BIGINT           NOT NULL DEFAULT 0,
    returned_at  BIGINT           NOT NULL DEFAULT 0, -- came again within 30 days of assigned_at
    opted_out_at BIGINT           NOT NULL DEFAULT 0, -- since assigned_at
    PRIMARY KEY (contact, kind, name)
);

-- One row: what contacts are hashed with.
CREATE TABLE survey_salt (
    id   BIGINT           NOT NULL PRIMARY KEY CHECK (id = 1),
    salt TEXT COLLATE "C" NOT NULL
);

-- What a contact (salted hash) said about a purpose.
CREATE TABLE contact_consents (
    contact TEXT COLLATE "C" NOT NULL,
    purpose TEXT COLLATE "C" NOT NULL,
    state   TEXT COLLATE "C" NOT NULL, -- survey.ConsentState
    at      BIGINT           NOT NULL,
    source  TEXT COLLATE "C" NOT NULL, -- reply, word, or the token of REST
    PRIMARY KEY (contact, purpose)
);

-- Events that made a campaign consider a contact, with the latest decision.
CREATE TABLE survey_triggers (
    id            TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    campaign      TEXT COLLATE "C" NOT NULL,
    contact       TEXT COLLATE "C" NOT NULL REFERENCES contacts (id) ON DELETE CASCADE,
    conversation  TEXT COLLATE "C" NOT NULL DEFAULT '', -- that the event is about
    resolution    BIGINT           NOT NULL DEFAULT 0, -- when that was solved
    auto_resolved BIGINT           NOT NULL DEFAULT 0,
    event         TEXT COLLATE "C" NOT NULL, -- survey.TriggerEvent
    at            BIGINT           NOT NULL,
    negative_at   BIGINT           NOT NULL DEFAULT 0, -- an event since that makes the question out of place
    exit          TEXT COLLATE "C" NOT NULL DEFAULT '', -- survey.Exit; '' before it is decided
    arm           BIGINT           NOT NULL DEFAULT -1,
    due_at        BIGINT           NOT NULL, -- when to decide (again); 0: it is done with
    claimed_until BIGINT           NOT NULL DEFAULT 0, -- by a replica that decides
    facts         TEXT COLLATE "C" NOT NULL DEFAULT '', -- JSON of survey.Facts
    decision      TEXT COLLATE "C" NOT NULL DEFAULT '' -- JSON of survey.Decision
);
CREATE INDEX survey_triggers_due ON survey_triggers (due_at) WHERE due_at > 0;
CREATE INDEX survey_triggers_contact ON survey_triggers (contact, due_at);
CREATE INDEX survey_triggers_campaign ON survey_triggers (campaign) WHERE due_at > 0;

-- Questions that were asked, with where their dialogues stand.
CREATE TABLE survey_dialogues (
    id            TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    campaign      TEXT COLLATE "C" NOT NULL,
    contact       TEXT COLLATE "C" NOT NULL REFERENCES contacts (id) ON DELETE CASCADE,
    channel       TEXT COLLATE "C" NOT NULL,
    identity      BIGINT           NOT NULL,
    conversation  TEXT COLLATE "C" NOT NULL, -- in which it is led
    subject       TEXT COLLATE "C" NOT NULL, -- conversation that it is about, '' for none
    resolution    BIGINT           NOT NULL,
    arm           BIGINT           NOT NULL,
    language      TEXT COLLATE "C" NOT NULL,
    asked_at      BIGINT           NOT NULL,
    message       TEXT COLLATE "C" NOT NULL, -- the question
    delivery      TEXT COLLATE "C" NOT NULL DEFAULT '', -- of the question: '' on its way, delivered, failed
    outcome       TEXT COLLATE "C" NOT NULL DEFAULT '', -- '' waiting, answered, optedOut, cancelled, expired, failed
    hushed        BIGINT           NOT NULL DEFAULT 0, -- a person writes, or it is over: nothing more is said
    open          BIGINT           NOT NULL, -- it takes messages
    next_at       BIGINT           NOT NULL, -- when time does something to it; 0: never
    claimed_until BIGINT           NOT NULL DEFAULT 0,
    asked         BIGINT           NOT NULL, -- a bit for each question, the first the lowest
    state         TEXT COLLATE "C" NOT NULL -- JSON of survey.State
);
CREATE UNIQUE INDEX survey_dialogues_open ON survey_dialogues (contact, channel) WHERE open = 1;
CREATE INDEX survey_dialogues_next ON survey_dialogues (next_at) WHERE next_at > 0;
CREATE INDEX survey_dialogues_subject ON survey_dialogues (subject, campaign, resolution) WHERE subject <> '';
CREATE INDEX survey_dialogues_campaign ON survey_dialogues (campaign, asked_at);
CREATE INDEX survey_dialogues_contact ON survey_dialogues (contact);

-- Scores, with the attribution of the moment at which they were asked for. They
-- say nothing of who gave them.
CREATE TABLE survey_responses (
    campaign  TEXT COLLATE "C" NOT NULL,
    dialogue  TEXT COLLATE "C" NOT NULL,
    asked_at  BIGINT           NOT NULL,
    at        BIGINT           NOT NULL,
    score     BIGINT           NOT NULL,
    arm       BIGINT           NOT NULL,
    channel   TEXT COLLATE "C" NOT NULL,
    language  TEXT COLLATE "C" NOT NULL,
    late      BIGINT           NOT NULL,
    completed BIGINT           NOT NULL,
    asked     BIGINT           NOT NULL, -- a bit for each question, the first the lowest
    answered  BIGINT           NOT NULL,
    PRIMARY KEY (campaign, dialogue)
);

-- Who gave a score, and their words.
CREATE TABLE survey_answers (
    dialogue     TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    campaign     TEXT COLLATE "C" NOT NULL,
    contact      TEXT COLLATE "C" NOT NULL REFERENCES contacts (id) ON DELETE CASCADE,
    conversation TEXT COLLATE "C" NOT NULL,
    comment      TEXT COLLATE "C" NOT NULL,
    answers      TEXT COLLATE "C" NOT NULL -- JSON of []survey.Answer, '' for none
);
CREATE INDEX survey_answers_campaign ON survey_answers (campaign, dialogue);
CREATE INDEX survey_answers_contact ON survey_answers (contact);

-- Messages that belong to a dialogue.
CREATE TABLE survey_messages (
    message  TEXT COLLATE "C" NOT NULL PRIMARY KEY REFERENCES messages (id) ON DELETE CASCADE,
    dialogue TEXT COLLATE "C" NOT NULL,
    saying   TEXT COLLATE "C" NOT NULL -- survey.Saying; '' for what the contact wrote
);
CREATE INDEX survey_messages_dialogue ON survey_messages (dialogue);

-- +goose Down
DROP TABLE survey_messages;
DROP TABLE survey_answers;
DROP TABLE survey_responses;
DROP TABLE survey_dialogues;
DROP TABLE survey_triggers;
DROP TABLE contact_consents;
DROP TABLE survey_salt;
DROP TABLE survey_ledger;
DROP TABLE survey_summaries;
DROP TABLE survey_counts;
DROP TABLE survey_campaigns;
ALTER TABLE conversations DROP COLUMN due_at;
ALTER TABLE identities DROP COLUMN survey;
ALTER TABLE contacts DROP COLUMN surveyed_until;
