-- Passkeys: the public halves of keys that browsers and phones keep.
CREATE TABLE passkeys (
    user_id       BLOB NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    id            BLOB NOT NULL,
    credential_id BLOB NOT NULL UNIQUE, -- what the key calls itself
    name          TEXT NOT NULL,
    credential    TEXT NOT NULL, -- the public key and its counter, as JSON
    created_at    INTEGER NOT NULL,
    used_at       INTEGER,
    PRIMARY KEY (user_id, id)
) STRICT, WITHOUT ROWID;
