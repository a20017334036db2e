-- Who may do what: docs/people.md. Times are of vault time; what somebody shows is kept as SHA-256.

-- A name is never given to another one, so that the log stays clear.
CREATE TABLE operator (
    id BIGINT PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    -- What his passkeys know him by.
    handle BYTEA NOT NULL UNIQUE,
    roles TEXT NOT NULL,
    standing TEXT NOT NULL,
    -- Until when he may enrol, where he is invited.
    until_ms BIGINT,
    -- When a factor was last replaced by a recovery code or by a link.
    replaced_ms BIGINT,
    -- When others last ended all his sessions.
    ended_ms BIGINT
) /* sqlite: STRICT */;

-- A passkey, or a password together with TOTP. No number is ever given twice: others agree to the
-- removal of one.
CREATE TABLE factor (
    id BIGINT PRIMARY KEY,
    operator BIGINT NOT NULL,
    kind TEXT NOT NULL,
    label TEXT NOT NULL,
    added_ms BIGINT NOT NULL,
    used_ms BIGINT,
    removed_ms BIGINT,
    -- The id that a passkey has, the passkey as the library keeps it, its public key as an
    -- uncompressed point of P-256, and what vouches for the device.
    credential BYTEA UNIQUE,
    passkey TEXT,
    public_key BYTEA,
    attestation TEXT,
    -- The password by argon2id, what the secret of TOTP is derived from, and the last step of 30 s
    -- that was accepted.
    password TEXT,
    salt BYTEA,
    step BIGINT
) /* sqlite: STRICT */;
CREATE INDEX factor_of_operator ON factor (operator, id);
-- A password is one factor, and nobody has two.
CREATE UNIQUE INDEX factor_password ON factor (operator)
    WHERE kind = 'password' AND removed_ms IS NULL;

CREATE TABLE recovery_code (
    operator BIGINT NOT NULL,
    digest BYTEA NOT NULL,
    used_ms BIGINT,
    PRIMARY KEY (operator, digest)
) /* sqlite: STRICT, WITHOUT ROWID */;

CREATE TABLE session (
    number BIGINT PRIMARY KEY,
    digest BYTEA NOT NULL UNIQUE,
    operator BIGINT NOT NULL,
    place TEXT NOT NULL,
    shown TEXT NOT NULL,
    shown_ms BIGINT NOT NULL,
    began_ms BIGINT NOT NULL,
    used_ms BIGINT NOT NULL,
    -- For people to look at: where it was begun, and by which program.
    address TEXT NOT NULL,
    program TEXT NOT NULL
) /* sqlite: STRICT */;
CREATE INDEX session_of_operator ON session (operator, number);

-- Wrong guesses of a password: of a browser in which its owner was signed in, by the digest of its
-- cookie, and of all others, by the account or by the number of a bucket.
CREATE TABLE guessing (
    bucket BYTEA PRIMARY KEY,
    operator BIGINT,
    wrong BIGINT NOT NULL,
    last_ms BIGINT NOT NULL
) /* sqlite: STRICT, WITHOUT ROWID */;
CREATE INDEX guessing_of_operator ON guessing (operator, last_ms);

-- What an operator was asked to sign, which whoever answers removes; and the answers by which somebody
-- has signed in lately, each of which counts once.
CREATE TABLE challenge (
    digest BYTEA PRIMARY KEY,
    purpose TEXT NOT NULL,
    operator BIGINT,
    operation BYTEA,
    nonce BYTEA,
    state TEXT NOT NULL,
    made_ms BIGINT NOT NULL
) /* sqlite: STRICT, WITHOUT ROWID */;
CREATE INDEX challenge_by_time ON challenge (made_ms);
CREATE INDEX challenge_of_operator ON challenge (operator, made_ms);

-- The link by which somebody comes who has no factors; the first one is for nobody yet.
CREATE TABLE link (
    digest BYTEA PRIMARY KEY,
    operator BIGINT,
    used_ms BIGINT
) /* sqlite: STRICT, WITHOUT ROWID */;
CREATE INDEX link_of_operator ON link (operator);

CREATE TABLE operation (
    number BIGINT PRIMARY KEY,
    id BYTEA NOT NULL UNIQUE,
    -- What shall be done, as JSON: this is what others agree to.
    act TEXT NOT NULL,
    subject BYTEA NOT NULL,
    nonce BYTEA NOT NULL,
    asker BIGINT NOT NULL,
    -- What the asker says of it.
    reason TEXT NOT NULL,
    asked_ms BIGINT NOT NULL,
    state TEXT NOT NULL,
    -- Since when it waits.
    since_ms BIGINT,
    stopped_by BIGINT
) /* sqlite: STRICT */;
CREATE INDEX operation_open ON operation (number) WHERE state IN ('asked', 'waiting');
CREATE INDEX operation_stopped ON operation (subject, stopped_by) WHERE stopped_by IS NOT NULL;

CREATE TABLE yes (
    operation BIGINT NOT NULL,
    operator BIGINT NOT NULL,
    said_ms BIGINT NOT NULL,
    PRIMARY KEY (operation, operator)
) /* sqlite: STRICT, WITHOUT ROWID */;

-- One row for each seal, by the leaf that tells of it; the one without an end holds.
CREATE TABLE seal (
    leaf BIGINT PRIMARY KEY,
    since_ms BIGINT NOT NULL,
    opened_leaf BIGINT,
    opened_ms BIGINT
) /* sqlite: STRICT */;

CREATE TABLE seal_code (
    digest BYTEA PRIMARY KEY,
    holder TEXT NOT NULL UNIQUE,
    made_ms BIGINT NOT NULL
) /* sqlite: STRICT, WITHOUT ROWID */;

-- One row: where set-up stands, how many have to agree, the code on paper, and a recovery of the
-- operators that was announced.
CREATE TABLE regime (
    one BIGINT PRIMARY KEY,
    setup TEXT NOT NULL,
    setup_ms BIGINT,
    setup_first BIGINT,
    rule BIGINT NOT NULL,
    paper BYTEA,
    recovery TEXT NOT NULL,
    recovery_ms BIGINT,
    -- Who has come by the link of a recovery.
    recovery_first BIGINT
) /* sqlite: STRICT */;
INSERT INTO regime (one, setup, rule, recovery) VALUES (1, 'unclaimed', 2, 'none');

-- For how long several agreed last that things are kept, or what the repository was made with; and
-- whether that is never lowered.
ALTER TABLE repository ADD COLUMN agreed_retention_ms BIGINT NOT NULL DEFAULT 0;
ALTER TABLE repository ADD COLUMN agreed_grace_ms BIGINT NOT NULL DEFAULT 0;
ALTER TABLE repository ADD COLUMN compliant BIGINT NOT NULL DEFAULT 0;
UPDATE repository SET agreed_retention_ms = retention_ms, agreed_grace_ms = grace_ms;

-- The token that was made in place of a revoked one.
ALTER TABLE token ADD COLUMN replaced_by TEXT;
