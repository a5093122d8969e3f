-- A second factor at login: codes of an authenticator, codes for when it is lost, and what a login has shown so far.

CREATE TABLE second_factors (
    user_id      UUID NOT NULL PRIMARY KEY REFERENCES users (id) ON DELETE CASCADE,
    sealed       BYTEA NOT NULL, -- the secret, encrypted with a key of the service's secret
    confirmed_at BIGINT,          -- null: set up, not yet shown to work
    last_step    BIGINT NOT NULL  -- of the last code that was used: none is good twice
);

CREATE TABLE recovery_codes (
    user_id   UUID NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    code_hash BYTEA NOT NULL, -- keyed with the service's secret
    PRIMARY KEY (user_id, code_hash)
);

-- What a browser has shown so far, and has yet to show. It opens nothing. The browser holds 256 random bits, the table
-- their hash.
CREATE TABLE login_steps (
    token_hash BYTEA NOT NULL PRIMARY KEY,
    user_id    UUID REFERENCES users (id) ON DELETE CASCADE, -- null: the answer will tell
    kind       TEXT NOT NULL CHECK (kind IN ('second', 'passkey_login', 'passkey_new')),
    remember   BOOLEAN NOT NULL,
    question   TEXT NOT NULL, -- what a passkey was asked; empty: nothing
    expires_at BIGINT NOT NULL
);
CREATE INDEX login_steps_user ON login_steps (user_id);
CREATE INDEX login_steps_expiry ON login_steps (expires_at);
