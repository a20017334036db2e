-- Receipts of very many files on their way in: what a receipt changes is written down a part at a
-- time, at a position that no receipt has yet, and so is seen by nobody before the receipt stands.
CREATE TABLE coming (
    lineage BIGINT PRIMARY KEY,
    -- The position that the receipt will have.
    position BIGINT NOT NULL,
    -- Which attempt writes it down, random; empty where what is written is taken back.
    attempt TEXT NOT NULL,
    -- Behind which file taking back goes on.
    at_kind BIGINT NOT NULL,
    at_name BYTEA NOT NULL,
    -- When the last part was done, by the clock of leases.
    at_ms BIGINT NOT NULL
) /* sqlite: STRICT */;
