-- A session on the pages of another host: of which, and the digest of the session on the vault's own
-- pages that it was begun from, with which it ends.
ALTER TABLE session ADD COLUMN host TEXT;
ALTER TABLE session ADD COLUMN parent BYTEA;
CREATE INDEX session_of_parent ON session (parent) WHERE parent IS NOT NULL;

-- A code that a browser carries from the vault to another host, once and for a minute: the host, where
-- it goes on there, the digest of the session that it was made in, and of what the browser shows.
CREATE TABLE host_code (
    digest BYTEA PRIMARY KEY,
    host TEXT NOT NULL,
    target TEXT NOT NULL,
    parent BYTEA NOT NULL,
    browser BYTEA NOT NULL,
    made_ms BIGINT NOT NULL
) /* sqlite: STRICT, WITHOUT ROWID */;
CREATE INDEX host_code_by_time ON host_code (made_ms);
