-- What is looked for often, or in an emergency, is found without reading every object.

-- What a token has put, for `hide`. What it puts comes at the end of its part of the index.
CREATE INDEX object_of_token ON object (token, put);
CREATE INDEX putter_of_token ON putter (token, put);
-- Purges that have begun.
CREATE INDEX object_purging ON object (repository, tombstoned_ms) WHERE state = 4;

-- 1 where a tombstone's token was hidden: no undelete shows it before that token is shown again.
ALTER TABLE object ADD COLUMN out_of_sight BIGINT NOT NULL DEFAULT 0;

-- What an hour of vault time has seen of a repository: what was live when the hour was noted, and
-- what was asked to be deleted in it.
CREATE TABLE repository_hour (
    repository BIGINT NOT NULL,
    hour BIGINT NOT NULL,
    objects BIGINT,
    bytes BIGINT,
    tombstones BIGINT NOT NULL,
    tombstone_bytes BIGINT NOT NULL,
    PRIMARY KEY (repository, hour)
) /* sqlite: STRICT, WITHOUT ROWID */;

-- Receipts count as what a repository holds, so that objects and receipts share its quota.
UPDATE repository SET bytes = bytes + COALESCE(
    (SELECT r.bytes FROM receipt_room r WHERE r.repository = repository.id), 0);
