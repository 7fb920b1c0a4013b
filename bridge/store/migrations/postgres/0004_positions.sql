-- Order where several replicas write to one database: ids alone are in the
-- order of commits only as long as one process draws them.

-- +goose Up

-- The time of the latest id that was drawn, in milliseconds: every transaction
-- draws greater ones than those that were committed before it began.
ALTER TABLE event_head ADD COLUMN clock BIGINT NOT NULL DEFAULT 0;

-- Lists of messages follow the log, whose order is that of the commits. The
-- entry about a message's creation is therefore kept as long as the message,
-- also behind the horizon of the log.
CREATE INDEX events_created ON events (channel, cursor) WHERE type = 'message.created';

DROP INDEX messages_channel;

-- +goose Down
CREATE INDEX messages_channel ON messages (channel, id);
DROP INDEX events_created;
ALTER TABLE event_head DROP COLUMN clock;
