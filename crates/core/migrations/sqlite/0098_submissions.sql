-- Forms that made something: the same form that arrives again makes nothing more.
CREATE TABLE submissions (
    owner_id   BLOB    NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    id         BLOB    NOT NULL, -- drawn when the form was shown
    digest     BLOB    NOT NULL, -- of what it held
    made       BLOB,             -- the id of what it made
    created_at INTEGER NOT NULL,
    PRIMARY KEY (owner_id, id)
) STRICT;
CREATE INDEX submissions_old ON submissions (created_at);
