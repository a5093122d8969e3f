-- What people typed into forms that arrived after their session had ended, for a day.
CREATE TABLE late_forms (
    token_hash BLOB PRIMARY KEY,  -- of the secret in the address at which it is shown again
    user_id    BLOB REFERENCES users (id) ON DELETE CASCADE, -- who typed it; NULL: a visitor without an account
    holder     BLOB NOT NULL,     -- the user's id, or a hash of the visitor's cookie
    address    TEXT NOT NULL,      -- path and query to which it was sent
    page       TEXT NOT NULL,      -- path and query of the page it was on, as the browser says; may be empty
    body       BLOB NOT NULL,     -- its fields, without passwords
    created_at INTEGER NOT NULL
) STRICT;
CREATE INDEX late_forms_holder ON late_forms (holder, created_at);
CREATE INDEX late_forms_visitors ON late_forms (created_at) WHERE user_id IS NULL;
CREATE INDEX late_forms_old ON late_forms (created_at);
CREATE INDEX late_forms_user ON late_forms (user_id) WHERE user_id IS NOT NULL;
