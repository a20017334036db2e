-- Receipts: what clients claim that snapshots need (docs/vault.md, "Receipts").

-- The public key by which the client of a token signs; bound at its first receipt.
CREATE TABLE client_key (
    token BIGINT PRIMARY KEY,
    public_key BYTEA NOT NULL,
    bound_ms BIGINT NOT NULL
) /* sqlite: STRICT */;

-- What a token has sent on its last day of vault time: receipts, files that they were about, bytes.
CREATE TABLE receipt_day (
    token BIGINT PRIMARY KEY,
    day BIGINT NOT NULL,
    receipts BIGINT NOT NULL,
    files BIGINT NOT NULL,
    bytes BIGINT NOT NULL
) /* sqlite: STRICT */;

-- The receipts of one client and source, in the order in which they came.
CREATE TABLE lineage (
    id BIGINT PRIMARY KEY,
    repository BIGINT NOT NULL,
    client BYTEA NOT NULL,
    source TEXT NOT NULL,
    receipts BIGINT NOT NULL,
    UNIQUE (repository, client, source)
) /* sqlite: STRICT */;

CREATE TABLE receipt (
    repository BIGINT NOT NULL,
    id BYTEA NOT NULL,
    lineage BIGINT NOT NULL,
    -- From 0 on, without gaps.
    position BIGINT NOT NULL,
    snapshot BYTEA NOT NULL,
    parent BYTEA,
    host TEXT NOT NULL,
    -- By the client's clock.
    time TEXT NOT NULL,
    config BYTEA NOT NULL,
    token BIGINT NOT NULL,
    arrived_ms BIGINT NOT NULL,
    -- 1 while the snapshot is stored, whether it is seen or not: then nothing is purged that the
    -- receipt names.
    held BIGINT NOT NULL,
    -- The size of the envelope as it came, and the envelope until the snapshot is purged.
    bytes BIGINT NOT NULL,
    envelope BYTEA,
    PRIMARY KEY (repository, id)
) /* sqlite: STRICT */;
CREATE UNIQUE INDEX receipt_by_position ON receipt (lineage, position);
CREATE INDEX receipt_of_snapshot ON receipt (repository, snapshot);
CREATE INDEX receipt_held ON receipt (lineage, position) WHERE held = 1;

-- Which files the receipts of a lineage need: those at the positions began <= p < ended.
CREATE TABLE need (
    repository BIGINT NOT NULL,
    kind BIGINT NOT NULL,
    name BYTEA NOT NULL,
    lineage BIGINT NOT NULL,
    began BIGINT NOT NULL,
    -- 9223372036854775807 while the last receipt needs it.
    ended BIGINT NOT NULL,
    -- 1 while the file is not here, or not sound.
    lacking BIGINT NOT NULL,
    PRIMARY KEY (repository, kind, name, lineage, began)
) /* sqlite: STRICT, WITHOUT ROWID */;
CREATE INDEX need_of_lineage ON need (lineage, kind, name);
CREATE INDEX need_lacking ON need (lineage, kind, name) WHERE lacking = 1;

-- How many bytes the envelopes of a repository have.
CREATE TABLE receipt_room (
    repository BIGINT PRIMARY KEY,
    bytes BIGINT NOT NULL
) /* sqlite: STRICT */;

CREATE INDEX object_hidden ON object (repository) WHERE state = 2;
