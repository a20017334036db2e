-- What the look back has found that is not what was written: the first files, in the order in which
-- they were found. Their place in `look_back` is not used any more.
CREATE TABLE look_back_wrong (
    place BIGINT PRIMARY KEY,
    -- Which file and why, in words; of which bundle, none for the edge; and since when, as recorded.
    what TEXT NOT NULL,
    bundle BIGINT,
    found_at_ms BIGINT NOT NULL
) /* sqlite: STRICT */;
INSERT INTO look_back_wrong (place, what, bundle, found_at_ms)
    SELECT 0, COALESCE(wrong, ''), wrong_bundle, wrong_at_ms FROM look_back
    WHERE wrong_at_ms IS NOT NULL;
