-- Keys, index files and snapshots are few, and nothing opens without them: so they are counted for
-- themselves. How many of a type are live; no row where there never was one.
CREATE TABLE vital (
    repository BIGINT NOT NULL,
    kind BIGINT NOT NULL,
    objects BIGINT NOT NULL,
    PRIMARY KEY (repository, kind)
) /* sqlite: STRICT, WITHOUT ROWID */;
INSERT INTO vital (repository, kind, objects)
    SELECT repository, kind, COUNT(*) FROM object
    WHERE state = 0 AND kind IN (1, 3, 4) GROUP BY repository, kind;

-- What an hour of vault time has seen of each of these types: how many were live when the hour was
-- noted, and how many were asked to be deleted in it.
CREATE TABLE vital_hour (
    repository BIGINT NOT NULL,
    hour BIGINT NOT NULL,
    kind BIGINT NOT NULL,
    objects BIGINT,
    tombstones BIGINT NOT NULL,
    PRIMARY KEY (repository, hour, kind)
) /* sqlite: STRICT, WITHOUT ROWID */;

-- Of a key that waits though it was seen before: the token that ended that. No row that is live has
-- one.
ALTER TABLE object ADD COLUMN life_ended_by BIGINT;

-- Of a tombstone, the leaf of its deletion. `ended` is where its life ended, which may be earlier:
-- what waited for an operator was never seen.
ALTER TABLE object ADD COLUMN tombstone BIGINT;
UPDATE object SET tombstone = ended WHERE state IN (1, 4);
CREATE INDEX object_tombstone ON object (repository, tombstone) WHERE state = 1;

-- The first leaf that can tell of anything in a repository: nothing is seen as of an earlier one.
ALTER TABLE repository ADD COLUMN began BIGINT NOT NULL DEFAULT 0;
UPDATE repository SET began = COALESCE(
    (SELECT MIN(o.began) FROM object o WHERE o.repository = repository.id), 0);
UPDATE repository SET began =
    (SELECT MIN(p.began) FROM past p WHERE p.repository = repository.id)
    WHERE EXISTS (SELECT 1 FROM past p
        WHERE p.repository = repository.id AND p.began < repository.began);

-- Lives of one object do not overlap, so the first one that ended at a leaf or later is the only one
-- that can have been seen then.
CREATE INDEX past_by_end ON past (repository, kind, name, ended);

-- How many leaves there were when the day began that `tombstone_day` says.
ALTER TABLE repository ADD COLUMN tombstone_day_began BIGINT NOT NULL DEFAULT 0;

-- Every token has a bound to what it puts and deletes in a day.
UPDATE token SET daily_objects = 1000000 WHERE daily_objects IS NULL;

-- What an operator has asked for of very many objects, done a part at a time: so many others come
-- between, and who dies meanwhile leaves the rest to another.
CREATE TABLE under_way (
    id BIGINT PRIMARY KEY,
    -- 1 hides, 2 shows again, 3 takes deletions back.
    deed BIGINT NOT NULL,
    -- Of which token, 0 where of all; and its name.
    token BIGINT NOT NULL,
    token_name TEXT NOT NULL,
    -- Of which repository, 0 where of all; and its path.
    repository BIGINT NOT NULL,
    path TEXT NOT NULL,
    -- The leaves between which: since <= n < before.
    since BIGINT NOT NULL,
    before BIGINT NOT NULL,
    -- Behind which object the next part begins.
    at_leaf BIGINT NOT NULL,
    at_repository BIGINT NOT NULL,
    at_kind BIGINT NOT NULL,
    at_name BYTEA NOT NULL,
    -- How many objects it was so far.
    objects BIGINT NOT NULL,
    -- When the last part was done, by the clock of leases.
    at_ms BIGINT NOT NULL
) /* sqlite: STRICT */;
