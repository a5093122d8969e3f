-- Forms that made something: the same form that arrives again makes nothing more.
CREATE TABLE submissions (
    owner_id   UUID   NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    id         UUID   NOT NULL, -- drawn when the form was shown
    digest     BYTEA  NOT NULL, -- of what it held
    made       UUID,            -- the id of what it made
    created_at BIGINT NOT NULL,
    PRIMARY KEY (owner_id, id)
);
CREATE INDEX submissions_old ON submissions (created_at);
-- as migration 0097 says
ALTER TABLE submissions
    ALTER COLUMN owner_id SET STATISTICS 0, ALTER COLUMN id SET STATISTICS 0, ALTER COLUMN digest SET STATISTICS 0,
    ALTER COLUMN made SET STATISTICS 0, ALTER COLUMN created_at SET STATISTICS 0;
