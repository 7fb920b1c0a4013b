-- The messaging window knows what else opens it, and a lane which Bridge had it before.

-- +goose Up

-- Beside what a contact writes, which conversations know: when they last did what
-- opens the platform's window as a message does (a reaction), and when an ad last
-- led to a message of theirs. Only for channels of platforms that have such rules.
ALTER TABLE identities ADD COLUMN acted_at BIGINT NOT NULL DEFAULT 0;
ALTER TABLE identities ADD COLUMN ad_at BIGINT NOT NULL DEFAULT 0;

-- The Bridge that leased the lane before the channel moved to another one, and the
-- last lease that it had: what it sent under that and tells late is still recorded.
-- (A replica of the version before notes no moves meanwhile.)
ALTER TABLE lanes ADD COLUMN former_bridge TEXT COLLATE "C" NOT NULL DEFAULT '';
ALTER TABLE lanes ADD COLUMN former_lease BIGINT NOT NULL DEFAULT 0;

-- +goose Down
ALTER TABLE lanes DROP COLUMN former_lease;
ALTER TABLE lanes DROP COLUMN former_bridge;
ALTER TABLE identities DROP COLUMN ad_at;
ALTER TABLE identities DROP COLUMN acted_at;
