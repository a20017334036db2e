-- The leaf of the POST that brought an object. `began` moves with every new life, and an undelete
-- begins one too; but what was put before a time must not be hidden with what came after it.
ALTER TABLE object ADD COLUMN put BIGINT NOT NULL DEFAULT 0;
UPDATE object SET put = began;

-- How many leaves there were when somebody else put it as well.
ALTER TABLE putter ADD COLUMN put BIGINT NOT NULL DEFAULT 0;
