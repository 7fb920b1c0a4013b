-- What every message writes, and nobody reads in between, costs less.

-- +goose Up

-- Lists of conversations, the one with the latest activity first, follow the
-- minute of the activity: a conversation moves in their index once a minute and
-- not with every message. Within a minute they are sorted when they are read.
ALTER TABLE conversations ADD COLUMN activity INTEGER NOT NULL DEFAULT 0; -- updated_at / 60000
UPDATE conversations SET activity = updated_at / 60000;
CREATE INDEX conversations_minute ON conversations (channel, state, activity, id);
DROP INDEX conversations_activity;

-- +goose StatementBegin
CREATE TRIGGER conversations_begun AFTER INSERT ON conversations BEGIN
    UPDATE conversations SET activity = NEW.updated_at / 60000 WHERE id = NEW.id;
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER conversations_moved AFTER UPDATE OF updated_at ON conversations WHEN NEW.updated_at / 60000 <> OLD.activity BEGIN
    UPDATE conversations SET activity = NEW.updated_at / 60000 WHERE id = NEW.id;
END;
-- +goose StatementEnd

-- +goose Down
DROP TRIGGER conversations_moved;
DROP TRIGGER conversations_begun;
CREATE INDEX conversations_activity ON conversations (channel, state, updated_at, id);
DROP INDEX conversations_minute;
ALTER TABLE conversations DROP COLUMN activity;
