-- Several processes on one database. Times of leaves never run backwards, whichever process writes
-- them; the newest checkpoint is here, where it cannot be overwritten by an older one; and all
-- sign with one key, whose public half is remembered.
ALTER TABLE log_head ADD COLUMN recorded_ms BIGINT NOT NULL DEFAULT 0;
ALTER TABLE log_head ADD COLUMN vault_ms BIGINT NOT NULL DEFAULT 0;
ALTER TABLE log_head ADD COLUMN checkpoint BYTEA;
ALTER TABLE log_head ADD COLUMN public_key TEXT;
UPDATE log_head SET
    recorded_ms = COALESCE((SELECT recorded_ms FROM clock), 0),
    vault_ms = COALESCE((SELECT vault_ms FROM clock), 0);
