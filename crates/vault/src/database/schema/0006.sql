-- The log: which one it is, who cosigns it, and whether its files are still what was written.

-- One row: which log this is. A vault that was set back begins another one.
CREATE TABLE log_identity (
    one BIGINT PRIMARY KEY,
    -- Counts from 1.
    number BIGINT NOT NULL,
    origin TEXT NOT NULL,
    -- The number of its first leaf: leaves are numbered on from log to log.
    base BIGINT NOT NULL,
    -- The last checkpoint of the log before, as it was signed.
    before_note TEXT
) /* sqlite: STRICT */;

-- Checkpoints of the log that witnesses have cosigned, with all cosignatures: a few minutes of them.
CREATE TABLE cosigned (
    size BIGINT PRIMARY KEY,
    cosignatures BIGINT NOT NULL,
    note BYTEA NOT NULL,
    -- When the first cosignature came, as recorded.
    at_ms BIGINT NOT NULL
) /* sqlite: STRICT */;

-- What came of asking each witness last.
CREATE TABLE witness (
    vkey TEXT PRIMARY KEY,
    -- How many leaves it has cosigned last, and when by its own clock, in seconds since 1970.
    size BIGINT,
    time_s BIGINT,
    -- What is wrong with it, in words; and whether it says that something is wrong with the log.
    trouble TEXT,
    alarm BIGINT NOT NULL,
    -- When an alarm was told last, by vault time.
    told_ms BIGINT
) /* sqlite: STRICT */;

-- One row: how far the look back at the log's files is. Times are as recorded.
CREATE TABLE look_back (
    one BIGINT PRIMARY KEY,
    -- The next bundle to look at.
    next_bundle BIGINT NOT NULL,
    -- When the round under way began, and the last one that came to its end.
    began_at_ms BIGINT,
    last_began_at_ms BIGINT,
    -- What is not what was written, in words; of which bundle, none for the edge; and since when.
    wrong TEXT,
    wrong_bundle BIGINT,
    wrong_at_ms BIGINT
) /* sqlite: STRICT */;

-- The last checkpoint of each log of others that was cosigned here.
CREATE TABLE witnessed (
    origin TEXT PRIMARY KEY,
    size BIGINT NOT NULL,
    root BYTEA NOT NULL,
    -- When, as recorded; and when a rewriting was last told of, by vault time.
    cosigned_at_ms BIGINT NOT NULL,
    alarm_ms BIGINT
) /* sqlite: STRICT */;

-- One row: the key that this vault cosigns with, in all its processes.
CREATE TABLE witness_key (
    one BIGINT PRIMARY KEY,
    vkey TEXT NOT NULL
) /* sqlite: STRICT */;
