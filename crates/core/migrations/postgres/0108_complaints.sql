-- What recipients report about letters, for managers. A report has no foreign key to the mailing: it outlives it.
CREATE TABLE complaints (
    id         UUID    NOT NULL PRIMARY KEY, -- grows with time
    owner_id   UUID    NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    mailing_id UUID    NOT NULL,
    title      TEXT    NOT NULL, -- of the mailing then; empty: it was deleted before
    email_key  TEXT    NOT NULL,
    email      TEXT    NOT NULL,
    text       TEXT    NOT NULL, -- may be empty
    created_at BIGINT  NOT NULL,
    UNIQUE (owner_id, mailing_id, email_key)
);
CREATE INDEX complaints_mailing ON complaints (owner_id, mailing_id, id);
CREATE INDEX complaints_owner ON complaints (owner_id, created_at);

-- Suppressions that were lifted: by whom, when and why.
CREATE TABLE lifted_suppressions (
    owner_id      UUID    NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    email_key     TEXT    NOT NULL,
    lifted_at     BIGINT  NOT NULL,
    lifted_by     TEXT    NOT NULL CHECK (lifted_by IN ('owner', 'recipient')),
    why           TEXT    NOT NULL, -- what the owner said; empty when the recipient did it
    reason        TEXT    NOT NULL, -- of the suppression
    suppressed_at BIGINT  NOT NULL,
    PRIMARY KEY (owner_id, email_key, lifted_at)
);

-- as migration 0097 says
ALTER TABLE complaints
    ALTER COLUMN id SET STATISTICS 0, ALTER COLUMN owner_id SET STATISTICS 0,
    ALTER COLUMN mailing_id SET STATISTICS 0, ALTER COLUMN title SET STATISTICS 0,
    ALTER COLUMN email_key SET STATISTICS 0, ALTER COLUMN email SET STATISTICS 0,
    ALTER COLUMN text SET STATISTICS 0, ALTER COLUMN created_at SET STATISTICS 0;
ALTER TABLE lifted_suppressions
    ALTER COLUMN owner_id SET STATISTICS 0, ALTER COLUMN email_key SET STATISTICS 0,
    ALTER COLUMN lifted_at SET STATISTICS 0, ALTER COLUMN lifted_by SET STATISTICS 0,
    ALTER COLUMN why SET STATISTICS 0, ALTER COLUMN reason SET STATISTICS 0,
    ALTER COLUMN suppressed_at SET STATISTICS 0;
