-- What pages show, the newest first.
CREATE INDEX object_snapshot ON object (repository, put) WHERE kind = 4;

-- The hours of a month are kept, so those of one hour are looked for by themselves.
CREATE INDEX repository_hour_noted ON repository_hour (hour) WHERE objects IS NOT NULL;
