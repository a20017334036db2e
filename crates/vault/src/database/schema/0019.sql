-- The leaf of a receipt, by which `hide` goes as it does by that of an object; 0 for those that came
-- before this step.
ALTER TABLE receipt ADD COLUMN put BIGINT NOT NULL DEFAULT 0;
CREATE INDEX receipt_anew_of_token ON receipt (token, put) WHERE replaces IS NOT NULL;

-- Of hidden tokens, the leaves between which (since <= n < before) what they have said anew takes the
-- place of nothing.
CREATE TABLE silenced (
    token BIGINT NOT NULL,
    since BIGINT NOT NULL,
    before BIGINT NOT NULL,
    PRIMARY KEY (token, since, before)
) /* sqlite: STRICT, WITHOUT ROWID */;
