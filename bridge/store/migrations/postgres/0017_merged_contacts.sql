-- Two contacts that are one person become one; what is known of one is erased.

-- +goose Up

-- The contact that this one was merged into; '' for one that stands for itself.
-- The row stays, so that its id still leads to the person.
ALTER TABLE contacts ADD COLUMN merged_into TEXT COLLATE "C" NOT NULL DEFAULT '';
CREATE INDEX contacts_merged ON contacts (merged_into) WHERE merged_into <> '';

-- What is left to erase of a contact that is gone: payloads of the journal that have
-- one of its addresses in them. Done within minutes, and removed then.
CREATE TABLE journal_erasures (
    id      TEXT COLLATE "C" NOT NULL PRIMARY KEY, -- entries up to it
    channel TEXT COLLATE "C" NOT NULL,
    address TEXT COLLATE "C" NOT NULL, -- external id of the contact there
    after   TEXT COLLATE "C" NOT NULL DEFAULT '' -- entries up to it have been looked at
);

-- +goose Down
DROP TABLE journal_erasures;
DROP INDEX contacts_merged;
ALTER TABLE contacts DROP COLUMN merged_into;
