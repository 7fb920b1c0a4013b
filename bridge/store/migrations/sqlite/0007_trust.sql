-- The journal says for whom a payload was vouched, and what a platform refused
-- after it had taken it is found among the dead letters.

-- +goose Up

-- JSON of what a replay may go by: see raw_trust.go. '' for entries from before:
-- they lead to the channel that they came in on and to no other.
ALTER TABLE raw_entries ADD COLUMN trust TEXT NOT NULL DEFAULT '';

-- part is below 0 for what was sent anew since: -1 - part. What is told about it
-- does not count any more.
CREATE INDEX sent_ids_refused ON sent_ids (message) WHERE receipt = 'failed' AND part >= 0;

-- +goose Down
DROP INDEX sent_ids_refused;
ALTER TABLE raw_entries DROP COLUMN trust;
