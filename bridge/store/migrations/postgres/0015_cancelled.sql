-- What was cancelled with its Channel is found, so that it can be sent again where
-- the Channel is back.

-- +goose Up
CREATE INDEX deliveries_cancelled ON deliveries (message) WHERE state = 'cancelled';

-- +goose Down
DROP INDEX deliveries_cancelled;
