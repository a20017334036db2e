-- The newest snapshot of a source is found by one look, however many older ones were said anew since.
CREATE INDEX receipt_first ON receipt (lineage, position) WHERE replaces IS NULL;
