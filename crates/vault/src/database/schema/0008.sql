-- For how long the vault was off and has not caught up yet, in milliseconds: no more of a lag may be
-- caught up at once.
ALTER TABLE clock ADD COLUMN off_ms BIGINT NOT NULL DEFAULT 0;
