-- The first schema of a vault. Times are milliseconds since 1970; numbers of leaves count from 0.

-- One row: the clock (docs/vault.md, "Times").
CREATE TABLE clock (
    one BIGINT PRIMARY KEY,
    vault_ms BIGINT NOT NULL,
    recorded_ms BIGINT NOT NULL,
    wall_ms BIGINT NOT NULL,
    boot TEXT NOT NULL,
    boottime_ms BIGINT NOT NULL,
    doubted BIGINT NOT NULL
) /* sqlite: STRICT */;

-- One row: how many leaves there are, and how many of them are in the log's files.
CREATE TABLE log_head (
    one BIGINT PRIMARY KEY,
    leaves BIGINT NOT NULL,
    published BIGINT NOT NULL
) /* sqlite: STRICT */;

-- Leaves that are not yet in a full bundle of the log's files.
CREATE TABLE leaf (
    number BIGINT PRIMARY KEY,
    entry BYTEA NOT NULL
) /* sqlite: STRICT */;

-- From which leaf on a recorded time holds; one row a commit.
CREATE TABLE moment (
    first_leaf BIGINT PRIMARY KEY,
    recorded_ms BIGINT NOT NULL
) /* sqlite: STRICT */;
CREATE INDEX moment_by_time ON moment (recorded_ms, first_leaf);

CREATE TABLE repository (
    id BIGINT PRIMARY KEY,
    path TEXT NOT NULL UNIQUE,
    -- `config`, once it is there, and its SHA-256: written once, so they are not left to storage.
    config BYTEA,
    config_bytes BYTEA,
    retention_ms BIGINT NOT NULL,
    grace_ms BIGINT NOT NULL,
    quota_bytes BIGINT,
    objects BIGINT NOT NULL,
    bytes BIGINT NOT NULL,
    -- How many tombstones the day of vault time has seen.
    tombstone_day BIGINT NOT NULL,
    tombstones BIGINT NOT NULL,
    -- Since when purging is held, by vault time.
    purge_held_ms BIGINT
) /* sqlite: STRICT */;

CREATE TABLE token (
    id BIGINT PRIMARY KEY,
    -- What people call it by, and the first part of the token itself.
    name TEXT NOT NULL UNIQUE,
    -- SHA-256 of the secret part.
    secret BYTEA NOT NULL,
    access TEXT NOT NULL,
    -- The repository, or the folder in which repositories lie.
    prefix TEXT NOT NULL,
    made_ms BIGINT NOT NULL,
    expires_ms BIGINT,
    used_ms BIGINT,
    revoked_ms BIGINT,
    -- What it may put in a day of vault time.
    daily_bytes BIGINT,
    daily_objects BIGINT,
    day BIGINT NOT NULL,
    day_bytes BIGINT NOT NULL,
    day_objects BIGINT NOT NULL
) /* sqlite: STRICT */;

-- What holds of an object now.
CREATE TABLE object (
    repository BIGINT NOT NULL,
    kind BIGINT NOT NULL,
    name BYTEA NOT NULL,
    generation BIGINT NOT NULL,
    bytes BIGINT NOT NULL,
    -- 0 live, 1 tombstoned, 2 hidden, 3 pending, 4 purging
    state BIGINT NOT NULL,
    token BIGINT NOT NULL,
    -- The leaves between which this life is seen: began <= n < ended.
    began BIGINT NOT NULL,
    ended BIGINT,
    arrived_ms BIGINT NOT NULL,
    tombstoned_ms BIGINT,
    -- The token that asked for the deletion.
    ended_by BIGINT,
    PRIMARY KEY (repository, kind, name)
) /* sqlite: STRICT, WITHOUT ROWID */;
CREATE INDEX object_tombstoned ON object (repository, tombstoned_ms) WHERE state = 1;

-- Earlier lives of an object whose bytes are still there.
CREATE TABLE past (
    repository BIGINT NOT NULL,
    kind BIGINT NOT NULL,
    name BYTEA NOT NULL,
    began BIGINT NOT NULL,
    ended BIGINT NOT NULL,
    PRIMARY KEY (repository, kind, name, began)
) /* sqlite: STRICT, WITHOUT ROWID */;

-- Who put an object that somebody else had put before.
CREATE TABLE putter (
    repository BIGINT NOT NULL,
    kind BIGINT NOT NULL,
    name BYTEA NOT NULL,
    token BIGINT NOT NULL,
    PRIMARY KEY (repository, kind, name, token)
) /* sqlite: STRICT, WITHOUT ROWID */;

-- The last generation of what was purged, so that the next body gets another name.
CREATE TABLE purged (
    repository BIGINT NOT NULL,
    kind BIGINT NOT NULL,
    name BYTEA NOT NULL,
    generation BIGINT NOT NULL,
    PRIMARY KEY (repository, kind, name)
) /* sqlite: STRICT, WITHOUT ROWID */;

-- restic's locks: small, never in the log, dropped when not renewed.
CREATE TABLE lock (
    repository BIGINT NOT NULL,
    name BYTEA NOT NULL,
    token BIGINT NOT NULL,
    renewed_ms BIGINT NOT NULL,
    content BYTEA NOT NULL,
    PRIMARY KEY (repository, name)
) /* sqlite: STRICT, WITHOUT ROWID */;

CREATE TABLE lease (
    name TEXT PRIMARY KEY,
    holder BYTEA NOT NULL,
    until_ms BIGINT NOT NULL
) /* sqlite: STRICT */;

INSERT INTO log_head (one, leaves, published) VALUES (1, 0, 0);
