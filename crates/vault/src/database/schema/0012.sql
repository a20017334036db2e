-- By how much operators had vault time catch up, each time within a day of the one before, and until
-- when what becomes due by that is not purged, by vault time.
ALTER TABLE clock ADD COLUMN leapt_ms BIGINT NOT NULL DEFAULT 0;
ALTER TABLE clock ADD COLUMN leapt_until_ms BIGINT NOT NULL DEFAULT 0;
