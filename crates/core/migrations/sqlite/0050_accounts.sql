-- Accounts: links in letters, remembered browsers, limits against guessing.

-- What the bearer of a secret link may do, once. The link holds 256 random bits, the table their hash.
CREATE TABLE grants (
    token_hash BLOB NOT NULL PRIMARY KEY,
    user_id    BLOB NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    purpose    TEXT NOT NULL CHECK (purpose IN ('verify', 'reset', 'change_email', 'undo_email')),
    email      TEXT NOT NULL, -- the address the purpose is about
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX grants_user ON grants (user_id, purpose);
CREATE INDEX grants_expiry ON grants (expires_at);

-- A session ends this long after its last use.
ALTER TABLE sessions ADD COLUMN idle_ms INTEGER NOT NULL DEFAULT 86400000;

-- Tries per subject, shared by all nodes. The key is a hash: it names neither an account nor an address.
CREATE TABLE limits (
    key       BLOB NOT NULL PRIMARY KEY,
    tries     INTEGER NOT NULL,
    until_at  INTEGER NOT NULL, -- no further try before
    forget_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX limits_forget ON limits (forget_at);
