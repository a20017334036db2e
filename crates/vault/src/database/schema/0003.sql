-- How the vault watches over itself: scrubbing, and counts.

-- How many objects of a repository are in a state other than live (0); the rest of its objects is.
CREATE TABLE tally (
    repository BIGINT NOT NULL,
    state BIGINT NOT NULL,
    objects BIGINT NOT NULL,
    bytes BIGINT NOT NULL,
    PRIMARY KEY (repository, state)
) /* sqlite: STRICT, WITHOUT ROWID */;
INSERT INTO tally (repository, state, objects, bytes)
    SELECT repository, state, COUNT(*), CAST(SUM(bytes) AS BIGINT)
    FROM object WHERE state > 0 GROUP BY repository, state;

-- When the last object arrived, as recorded: silence must be seen.
ALTER TABLE repository ADD COLUMN arrived_at_ms BIGINT;
UPDATE repository SET arrived_at_ms = (
    SELECT MAX(arrived_ms) FROM object WHERE object.repository = repository.id);

-- How far the reading of a repository is. Times are vault time, and where `at` is in the name as
-- recorded.
CREATE TABLE scrub (
    repository BIGINT PRIMARY KEY,
    -- When the round under way began; none between rounds.
    began_ms BIGINT,
    began_at_ms BIGINT,
    -- The last object that it has looked at, and what it has read.
    kind BIGINT NOT NULL,
    name BYTEA NOT NULL,
    objects BIGINT NOT NULL,
    bytes BIGINT NOT NULL,
    -- The last round that came to its end.
    last_began_ms BIGINT,
    last_began_at_ms BIGINT,
    last_ended_at_ms BIGINT,
    last_objects BIGINT NOT NULL,
    last_bytes BIGINT NOT NULL,
    -- How many objects are marked as rotten.
    rotten BIGINT NOT NULL
) /* sqlite: STRICT */;

-- Objects whose bytes are not what they were; a row goes when sound bytes are there again.
CREATE TABLE rotten (
    repository BIGINT NOT NULL,
    kind BIGINT NOT NULL,
    name BYTEA NOT NULL,
    -- 0 changed, 1 missing, 2 unreadable
    why BIGINT NOT NULL,
    found_ms BIGINT NOT NULL,
    PRIMARY KEY (repository, kind, name)
) /* sqlite: STRICT, WITHOUT ROWID */;
