-- What somebody is to be told. A row is written in the transaction of the act that it is about.
CREATE TABLE notice (
    id BIGINT PRIMARY KEY,
    kind TEXT NOT NULL,
    -- 0 ordinary, 1 critical
    level BIGINT NOT NULL,
    subject TEXT NOT NULL,
    body TEXT NOT NULL,
    -- SHA-256 of the four above, by which equal ones are found.
    digest BYTEA NOT NULL,
    -- When it was told first, by vault time and as recorded.
    made_ms BIGINT NOT NULL,
    made_at_ms BIGINT NOT NULL,
    -- How often the same was told within a minute behind that.
    repeated BIGINT NOT NULL,
    -- 0 no channel has it yet, 1 some delivery is still to be made, 2 done with
    state BIGINT NOT NULL,
    -- When somebody said that he has seen it, by vault time, and which operator; none on the vault's
    -- own host.
    acknowledged_ms BIGINT,
    acknowledged_by BIGINT
) /* sqlite: STRICT */;
CREATE INDEX notice_new ON notice (id) WHERE state = 0;
CREATE INDEX notice_waiting ON notice (level, id) WHERE state < 2;
CREATE INDEX notice_done ON notice (made_ms, id) WHERE state = 2;
CREATE INDEX notice_by_digest ON notice (digest, made_ms);

-- The last id of a notice, which is never used again.
CREATE TABLE notice_id (
    one BIGINT PRIMARY KEY,
    last BIGINT NOT NULL
) /* sqlite: STRICT */;

-- What has become of a notice at each channel, by vault time.
CREATE TABLE delivery (
    notice BIGINT NOT NULL,
    channel TEXT NOT NULL,
    -- When it is sent next; none where it is not.
    next_ms BIGINT,
    -- How often sending has failed since it was sent last.
    attempts BIGINT NOT NULL,
    -- When it was sent last.
    delivered_ms BIGINT,
    -- Since when sending fails, and why.
    failed_ms BIGINT,
    error TEXT NOT NULL,
    PRIMARY KEY (notice, channel)
) /* sqlite: STRICT, WITHOUT ROWID */;
CREATE INDEX delivery_due ON delivery (channel, next_ms) WHERE next_ms IS NOT NULL;
CREATE INDEX delivery_failing ON delivery (channel, failed_ms) WHERE failed_ms IS NOT NULL;
