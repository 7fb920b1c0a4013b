-- Two contacts that are one person become one.

-- +goose Up

-- The contact that this one was merged into; '' for one that stands for itself.
-- The row stays, so that its id still leads to the person.
ALTER TABLE contacts ADD COLUMN merged_into TEXT COLLATE "C" NOT NULL DEFAULT '';
CREATE INDEX contacts_merged ON contacts (merged_into) WHERE merged_into <> '';

-- +goose Down
DROP INDEX contacts_merged;
ALTER TABLE contacts DROP COLUMN merged_into;
