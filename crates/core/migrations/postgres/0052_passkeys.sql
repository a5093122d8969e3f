-- Passkeys: the public halves of keys that browsers and phones keep.
CREATE TABLE passkeys (
    user_id       UUID NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    id            UUID NOT NULL,
    credential_id BYTEA NOT NULL UNIQUE, -- what the key calls itself
    name          TEXT NOT NULL,
    credential    TEXT NOT NULL, -- the public key and its counter, as JSON
    created_at    BIGINT NOT NULL,
    used_at       BIGINT,
    PRIMARY KEY (user_id, id)
);
