-- Receipts that say anew what a snapshot needs, as after a prune (docs/vault.md, "Said anew"): the
-- position of the one before it of the same snapshot, in its lineage. What came before this step
-- takes the place of nothing. `held` is 2 where a later receipt holds things back in its stead.
ALTER TABLE receipt ADD COLUMN replaces BIGINT;
CREATE INDEX receipt_of_lineage ON receipt (lineage, snapshot, position);
CREATE INDEX receipt_replaces ON receipt (repository, arrived_ms)
    WHERE replaces IS NOT NULL AND held = 1;
