-- What was said about the language of a conversation's contact.

-- +goose Up
ALTER TABLE routings ADD COLUMN language TEXT NOT NULL DEFAULT ''; -- BCP 47, '' for nothing

-- +goose Down
ALTER TABLE routings DROP COLUMN language;
