-- Which snapshots an hour of vault time has seen deleted, by the hour in which they had arrived: so
-- those that were there before a day are known from those that came and went within it.
CREATE TABLE snapshot_hour (
    repository BIGINT NOT NULL,
    hour BIGINT NOT NULL,
    arrived BIGINT NOT NULL,
    tombstones BIGINT NOT NULL,
    -- How many of them tell what comes and goes every day: none once a deletion was taken back.
    usual BIGINT NOT NULL,
    PRIMARY KEY (repository, hour, arrived)
) /* sqlite: STRICT, WITHOUT ROWID */;
INSERT INTO snapshot_hour (repository, hour, arrived, tombstones, usual)
    SELECT repository, tombstoned_ms / 3600000, arrived_ms / 3600000, COUNT(*), 0 FROM object
    WHERE state = 1 AND kind = 4 AND tombstoned_ms IS NOT NULL
    GROUP BY repository, tombstoned_ms / 3600000, arrived_ms / 3600000;

-- A tombstone of a time when its leaf was not noted is found by the end of its life.
DROP INDEX object_tombstone;
CREATE INDEX object_tombstone ON object (repository, (COALESCE(tombstone, ended)))
    WHERE state = 1;
