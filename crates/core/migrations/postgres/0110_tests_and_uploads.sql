-- Addresses of colleagues to whom a user sends test letters, once they agreed.
CREATE TABLE colleagues (
    owner_id     UUID   NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    email_key    TEXT   NOT NULL, -- as addresses are compared
    email        TEXT   NOT NULL,
    token_hash   BYTEA  NOT NULL, -- SHA-256 of the token in the letter that asks
    asked_at     BIGINT NOT NULL,
    confirmed_at BIGINT,          -- NULL: has not agreed yet
    PRIMARY KEY (owner_id, email_key)
);
CREATE UNIQUE INDEX colleagues_token ON colleagues (token_hash);

ALTER TABLE outbox ADD COLUMN unsubscribe TEXT NOT NULL DEFAULT ''; -- the link for the header; empty: the letter has none
CREATE INDEX outbox_tests ON outbox (id) WHERE kind = 'test';

ALTER TABLE files ADD COLUMN is_upload BOOLEAN NOT NULL DEFAULT FALSE; -- counts against the limits of uploads
UPDATE files SET is_upload = TRUE
WHERE EXISTS (SELECT 1 FROM imports i WHERE i.owner_id = files.owner_id AND i.file_id = files.id);

-- as migration 0097 says
ALTER TABLE colleagues
    ALTER COLUMN owner_id SET STATISTICS 0, ALTER COLUMN email_key SET STATISTICS 0,
    ALTER COLUMN email SET STATISTICS 0, ALTER COLUMN token_hash SET STATISTICS 0,
    ALTER COLUMN asked_at SET STATISTICS 0, ALTER COLUMN confirmed_at SET STATISTICS 0;
ALTER TABLE outbox ALTER COLUMN unsubscribe SET STATISTICS 0;
ALTER TABLE files ALTER COLUMN is_upload SET STATISTICS 0;
