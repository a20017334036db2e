-- How many repositories a token has made: one has a bound of its own, and uses up that of no other.
ALTER TABLE token ADD COLUMN repositories BIGINT NOT NULL DEFAULT 0;
