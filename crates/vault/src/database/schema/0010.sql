-- The last time of which `moment` tells, and the one before: so that most leaves need not look there.
ALTER TABLE log_head ADD COLUMN moment_ms BIGINT NOT NULL DEFAULT -9223372036854775807;
ALTER TABLE log_head ADD COLUMN moment_before_ms BIGINT NOT NULL DEFAULT -9223372036854775807;
UPDATE log_head SET moment_ms = COALESCE((SELECT MAX(recorded_ms) FROM moment), moment_ms);
