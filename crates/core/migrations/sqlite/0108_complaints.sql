-- What recipients report about letters, for managers. A report has no foreign key to the mailing: it outlives it.
CREATE TABLE complaints (
    id         BLOB    NOT NULL PRIMARY KEY, -- grows with time
    owner_id   BLOB    NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    mailing_id BLOB    NOT NULL,
    title      TEXT    NOT NULL, -- of the mailing then; empty: it was deleted before
    email_key  TEXT    NOT NULL,
    email      TEXT    NOT NULL,
    text       TEXT    NOT NULL, -- may be empty
    created_at INTEGER NOT NULL,
    UNIQUE (owner_id, mailing_id, email_key)
) STRICT;
CREATE INDEX complaints_mailing ON complaints (owner_id, mailing_id, id);
CREATE INDEX complaints_owner ON complaints (owner_id, created_at);

-- Suppressions that were lifted: by whom, when and why.
CREATE TABLE lifted_suppressions (
    owner_id      BLOB    NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    email_key     TEXT    NOT NULL,
    lifted_at     INTEGER NOT NULL,
    lifted_by     TEXT    NOT NULL CHECK (lifted_by IN ('owner', 'recipient')),
    why           TEXT    NOT NULL, -- what the owner said; empty when the recipient did it
    reason        TEXT    NOT NULL, -- of the suppression
    suppressed_at INTEGER NOT NULL,
    PRIMARY KEY (owner_id, email_key, lifted_at)
) STRICT, WITHOUT ROWID;
