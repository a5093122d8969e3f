-- Addresses of colleagues to whom a user sends test letters, once they agreed.
CREATE TABLE colleagues (
    owner_id     BLOB   NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    email_key    TEXT   NOT NULL, -- as addresses are compared
    email        TEXT   NOT NULL,
    token_hash   BLOB  NOT NULL, -- SHA-256 of the token in the letter that asks
    asked_at     INTEGER NOT NULL,
    confirmed_at INTEGER,          -- NULL: has not agreed yet
    PRIMARY KEY (owner_id, email_key)
) STRICT;
CREATE UNIQUE INDEX colleagues_token ON colleagues (token_hash);

ALTER TABLE outbox ADD COLUMN unsubscribe TEXT NOT NULL DEFAULT ''; -- the link for the header; empty: the letter has none
CREATE INDEX outbox_tests ON outbox (id) WHERE kind = 'test';

ALTER TABLE files ADD COLUMN is_upload INTEGER NOT NULL DEFAULT 0; -- counts against the limits of uploads
UPDATE files SET is_upload = 1
WHERE EXISTS (SELECT 1 FROM imports i WHERE i.owner_id = files.owner_id AND i.file_id = files.id);
