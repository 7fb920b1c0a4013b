-- What every message writes, and nobody reads in between, costs less.

-- +goose Up

-- Lists of conversations, the one with the latest activity first, follow the
-- minute of the activity: a conversation moves in their index once a minute and
-- not with every message. Within a minute they are sorted when they are read.
-- An update that moves it in no index stays on its page, where there is room.
-- (A replica of the version before lists slower meanwhile: it sorts. The table is
-- written anew, a few seconds for a million conversations; writers that cannot
-- wait for it are told so, and platforms come again.)
ALTER TABLE conversations SET (fillfactor = 80);
ALTER TABLE conversations ADD COLUMN activity BIGINT NOT NULL GENERATED ALWAYS AS (updated_at / 60000) STORED;
CREATE INDEX conversations_minute ON conversations (channel, state, activity, id);
DROP INDEX conversations_activity;

-- +goose Down
CREATE INDEX conversations_activity ON conversations (channel, state, updated_at, id);
DROP INDEX conversations_minute;
ALTER TABLE conversations DROP COLUMN activity;
ALTER TABLE conversations RESET (fillfactor);
