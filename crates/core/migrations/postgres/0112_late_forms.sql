-- What people typed into forms that arrived after their session had ended, for a day.
CREATE TABLE late_forms (
    token_hash BYTEA PRIMARY KEY,  -- of the secret in the address at which it is shown again
    user_id    UUID REFERENCES users (id) ON DELETE CASCADE, -- who typed it; NULL: a visitor without an account
    holder     BYTEA NOT NULL,     -- the user's id, or a hash of the visitor's cookie
    address    TEXT NOT NULL,      -- path and query to which it was sent
    page       TEXT NOT NULL,      -- path and query of the page it was on, as the browser says; may be empty
    body       BYTEA NOT NULL,     -- its fields, without passwords
    created_at BIGINT NOT NULL
);
CREATE INDEX late_forms_holder ON late_forms (holder, created_at);
CREATE INDEX late_forms_visitors ON late_forms (created_at) WHERE user_id IS NULL;
CREATE INDEX late_forms_old ON late_forms (created_at);
CREATE INDEX late_forms_user ON late_forms (user_id) WHERE user_id IS NOT NULL;
-- as migration 0097 says
ALTER TABLE late_forms
    ALTER COLUMN token_hash SET STATISTICS 0, ALTER COLUMN user_id SET STATISTICS 0, ALTER COLUMN holder SET STATISTICS 0,
    ALTER COLUMN address SET STATISTICS 0, ALTER COLUMN page SET STATISTICS 0, ALTER COLUMN body SET STATISTICS 0,
    ALTER COLUMN created_at SET STATISTICS 0;
