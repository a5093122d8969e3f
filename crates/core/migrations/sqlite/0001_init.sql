-- The first schema. Every table of a user's things has `owner_id` first in its key, and references carry it too,
-- so a row of another user cannot be referenced and the tables can be distributed by owner.
-- Moments are milliseconds since the epoch in UTC. States are text with a check.

CREATE TABLE users (
    id            BLOB    NOT NULL PRIMARY KEY,
    email         TEXT    NOT NULL,
    email_key     TEXT    NOT NULL UNIQUE,
    name          TEXT    NOT NULL,
    password_hash TEXT    NOT NULL,
    role          TEXT    NOT NULL CHECK (role IN ('user', 'manager', 'content_manager', 'admin')),
    language      TEXT    CHECK (language IN ('ru', 'en')),
    theme         TEXT    CHECK (theme IN ('light', 'dark')),
    zone          TEXT    NOT NULL,
    created_at    INTEGER  NOT NULL,
    verified_at   INTEGER,
    blocked_at    INTEGER,
    seen_at       INTEGER
) STRICT;

CREATE TABLE sessions (
    token_hash BLOB  NOT NULL PRIMARY KEY,
    user_id    BLOB   NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    created_at INTEGER NOT NULL,
    seen_at    INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    address    TEXT   NOT NULL,
    agent      TEXT   NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX sessions_user ON sessions (user_id);
CREATE INDEX sessions_expiry ON sessions (expires_at);

CREATE TABLE recipients (
    owner_id   BLOB   NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    id         BLOB   NOT NULL,
    email      TEXT   NOT NULL,
    email_key  TEXT   NOT NULL,
    name       TEXT   NOT NULL,
    comment    TEXT   NOT NULL,
    attributes TEXT  NOT NULL,
    search     TEXT   NOT NULL, -- address and name in lower case
    version    INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    PRIMARY KEY (owner_id, id),
    UNIQUE (owner_id, email_key)
) STRICT, WITHOUT ROWID;

CREATE TABLE lists (
    owner_id   BLOB   NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    id         BLOB   NOT NULL,
    name       TEXT   NOT NULL,
    name_key   TEXT   NOT NULL, -- the name in lower case
    comment    TEXT   NOT NULL,
    version    INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    PRIMARY KEY (owner_id, id),
    UNIQUE (owner_id, name_key)
) STRICT, WITHOUT ROWID;

CREATE TABLE memberships (
    owner_id     BLOB   NOT NULL,
    list_id      BLOB   NOT NULL,
    recipient_id BLOB   NOT NULL,
    added_at     INTEGER NOT NULL,
    PRIMARY KEY (owner_id, list_id, recipient_id),
    FOREIGN KEY (owner_id, list_id) REFERENCES lists (owner_id, id) ON DELETE CASCADE,
    FOREIGN KEY (owner_id, recipient_id) REFERENCES recipients (owner_id, id) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;
CREATE INDEX memberships_recipient ON memberships (owner_id, recipient_id);

-- Addresses that get nothing more from this owner. By address, not by recipient: a deleted and imported again
-- person stays unsubscribed.
CREATE TABLE suppressions (
    owner_id   BLOB   NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    email_key  TEXT   NOT NULL,
    email      TEXT   NOT NULL,
    reason     TEXT   NOT NULL CHECK (reason IN ('unsubscribed', 'manual', 'bounced', 'complained')),
    mailing_id BLOB,
    created_at INTEGER NOT NULL,
    PRIMARY KEY (owner_id, email_key)
) STRICT, WITHOUT ROWID;
CREATE INDEX suppressions_new ON suppressions (owner_id, created_at);

CREATE TABLE imports (
    owner_id    BLOB   NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    id          BLOB   NOT NULL,
    file_name   TEXT   NOT NULL,
    list_id     BLOB,
    state       TEXT   NOT NULL CHECK (state IN ('uploaded', 'running', 'done', 'failed')),
    options     TEXT  NOT NULL, -- encoding, delimiter, mapping of columns
    bytes       INTEGER NOT NULL,
    bytes_read  INTEGER NOT NULL,
    added       INTEGER NOT NULL,
    updated     INTEGER NOT NULL,
    unchanged   INTEGER NOT NULL,
    duplicate   INTEGER NOT NULL,
    invalid     INTEGER NOT NULL,
    suppressed  INTEGER NOT NULL,
    error       TEXT,
    created_at  INTEGER NOT NULL,
    updated_at  INTEGER NOT NULL,
    PRIMARY KEY (owner_id, id)
) STRICT;

CREATE TABLE messages (
    owner_id     BLOB   NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    id           BLOB   NOT NULL,
    subject      TEXT   NOT NULL,
    preview_text TEXT   NOT NULL,
    html         TEXT   NOT NULL, -- empty: none
    text         TEXT   NOT NULL, -- empty: derived from the HTML
    search       TEXT   NOT NULL DEFAULT '', -- subject in lower case
    version      INTEGER NOT NULL,
    created_at   INTEGER NOT NULL,
    updated_at   INTEGER NOT NULL,
    PRIMARY KEY (owner_id, id)
) STRICT;

CREATE TABLE mailings (
    owner_id        BLOB    NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    id              BLOB    NOT NULL,
    title           TEXT    NOT NULL,
    search          TEXT    NOT NULL DEFAULT '', -- the title in lower case
    message_id      BLOB,
    from_name       TEXT    NOT NULL,
    from_email      TEXT    NOT NULL, -- empty: the service's own sender
    reply_to        TEXT    NOT NULL, -- empty: none
    every           TEXT    NOT NULL CHECK (every IN ('once', 'day', 'week', 'month')),
    zone            TEXT    NOT NULL,
    start_at        INTEGER,           -- null: when Start is pressed
    start_wall      TEXT,             -- the wall time in the zone that the recurrence is anchored at
    end_at          INTEGER,
    status          TEXT    NOT NULL CHECK (status IN ('created', 'running', 'paused', 'completed', 'cancelled')),
    next_due_at     INTEGER,
    disabled_at     INTEGER,           -- a manager's flag on top of the status
    disabled_by     BLOB,
    disabled_reason TEXT,
    version         INTEGER  NOT NULL,
    created_at      INTEGER  NOT NULL,
    updated_at      INTEGER  NOT NULL,
    started_at      INTEGER,
    PRIMARY KEY (owner_id, id),
    FOREIGN KEY (owner_id, message_id) REFERENCES messages (owner_id, id)
) STRICT;
CREATE INDEX mailings_due ON mailings (next_due_at) WHERE status = 'running' AND next_due_at IS NOT NULL;
CREATE INDEX mailings_end ON mailings (end_at) WHERE status IN ('running', 'paused') AND end_at IS NOT NULL;
CREATE INDEX mailings_message ON mailings (owner_id, message_id);

CREATE TABLE mailing_lists (
    owner_id   BLOB NOT NULL,
    mailing_id BLOB NOT NULL,
    list_id    BLOB NOT NULL,
    PRIMARY KEY (owner_id, mailing_id, list_id),
    FOREIGN KEY (owner_id, mailing_id) REFERENCES mailings (owner_id, id) ON DELETE CASCADE,
    FOREIGN KEY (owner_id, list_id) REFERENCES lists (owner_id, id) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;
CREATE INDEX mailing_lists_list ON mailing_lists (owner_id, list_id);

CREATE TABLE mailing_recipients (
    owner_id     BLOB NOT NULL,
    mailing_id   BLOB NOT NULL,
    recipient_id BLOB NOT NULL,
    PRIMARY KEY (owner_id, mailing_id, recipient_id),
    FOREIGN KEY (owner_id, mailing_id) REFERENCES mailings (owner_id, id) ON DELETE CASCADE,
    FOREIGN KEY (owner_id, recipient_id) REFERENCES recipients (owner_id, id) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;
CREATE INDEX mailing_recipients_recipient ON mailing_recipients (owner_id, recipient_id);

-- Who changed the state of a mailing, when and why.
CREATE TABLE mailing_events (
    owner_id   BLOB   NOT NULL,
    mailing_id BLOB   NOT NULL,
    number     INTEGER NOT NULL,
    at         INTEGER NOT NULL,
    actor      TEXT   NOT NULL, -- a user's address, 'scheduler' or 'command'
    what       TEXT   NOT NULL, -- created, started, paused, resumed, cancelled, completed, skipped, ...
    detail     TEXT   NOT NULL,
    PRIMARY KEY (owner_id, mailing_id, number),
    FOREIGN KEY (owner_id, mailing_id) REFERENCES mailings (owner_id, id) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;

-- One due moment of a mailing, with all that it needs to be sent and read later, whatever happens to the message,
-- the lists and the recipients.
CREATE TABLE runs (
    owner_id     BLOB   NOT NULL,
    id           BLOB   NOT NULL,
    mailing_id   BLOB   NOT NULL,
    due_at       INTEGER NOT NULL,
    end_at       INTEGER,
    state        TEXT   NOT NULL CHECK (state IN ('expanding', 'sending', 'paused', 'done', 'expired', 'cancelled', 'skipped')),
    subject      TEXT   NOT NULL,
    html         TEXT   NOT NULL,
    text         TEXT   NOT NULL,
    from_name    TEXT   NOT NULL,
    from_email   TEXT   NOT NULL,
    reply_to     TEXT   NOT NULL,
    expanded     INTEGER NOT NULL,  -- all deliveries exist
    bound        BLOB,              -- the last recipient that existed at the start
    cursor       BLOB,              -- the last recipient that was expanded
    chosen       INTEGER NOT NULL,   -- in the lists or chosen, distinct
    suppressed   INTEGER NOT NULL,   -- chosen, but unsubscribed or suppressed before the start
    planned      INTEGER NOT NULL,   -- deliveries; = sent + failed + skipped + expired + cancelled + still to send
    sent         INTEGER NOT NULL,
    failed       INTEGER NOT NULL,
    skipped      INTEGER NOT NULL,
    expired      INTEGER NOT NULL,
    cancelled    INTEGER NOT NULL,
    deferred     INTEGER NOT NULL,   -- waiting for another attempt, part of "still to send"
    waiting      TEXT   NOT NULL,   -- why nothing moves, for people; empty: it moves
    created_at   INTEGER NOT NULL,
    started_at   INTEGER,
    progress_at  INTEGER,            -- the last recorded outcome
    finished_at  INTEGER,
    PRIMARY KEY (owner_id, id),
    UNIQUE (owner_id, mailing_id, due_at),
    FOREIGN KEY (owner_id, mailing_id) REFERENCES mailings (owner_id, id) ON DELETE CASCADE
) STRICT;
-- A run is open until each of its deliveries is over; those of a cancelled or expired run are closed in slices.
CREATE INDEX runs_open ON runs (state) WHERE finished_at IS NULL;

-- The two big tables have no foreign keys: a run is deleted with its deliveries and attempts in one place
-- (`Run::delete_all_of`), and checking a reference for each letter would cost more than writing it.
CREATE TABLE deliveries (
    owner_id     BLOB   NOT NULL,
    id           INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    run_id       BLOB   NOT NULL,
    recipient_id BLOB   NOT NULL,
    email        TEXT   NOT NULL,
    email_key    TEXT   NOT NULL,
    state        TEXT   NOT NULL CHECK (state IN ('queued', 'claimed', 'sent', 'deferred', 'failed', 'skipped', 'expired', 'cancelled')),
    why          TEXT,             -- of skipped: unsubscribed, suppressed, removed, blocked; of failed and deferred: the class
    attempts     INTEGER NOT NULL,
    due_at       INTEGER NOT NULL,  -- not before
    claimed_by   BLOB,
    done_at      INTEGER,
    UNIQUE (owner_id, run_id, email_key),
    UNIQUE (owner_id, recipient_id, run_id)
) STRICT;
CREATE INDEX deliveries_due ON deliveries (run_id, due_at, id) WHERE state IN ('queued', 'deferred');
CREATE INDEX deliveries_claimed ON deliveries (claimed_by) WHERE state = 'claimed';

CREATE TABLE attempts (
    owner_id      BLOB   NOT NULL,
    delivery_id   INTEGER NOT NULL,
    number        INTEGER NOT NULL, -- 1, 2, … within the delivery
    run_id        BLOB   NOT NULL,
    at            INTEGER NOT NULL,
    outcome       TEXT   NOT NULL CHECK (outcome IN ('sent', 'deferred', 'failed', 'in_doubt')),
    class         TEXT   NOT NULL,
    phase         TEXT   NOT NULL,
    code          INTEGER,
    enhanced_code TEXT,
    reply         TEXT   NOT NULL,
    reply_group   TEXT   NOT NULL, -- the reply without ids and addresses, so that equal answers can be counted; empty: sent
    server        TEXT   NOT NULL,
    duration_ms   INTEGER NOT NULL,
    PRIMARY KEY (owner_id, delivery_id, number)
) STRICT, WITHOUT ROWID;
CREATE INDEX attempts_log ON attempts (run_id, at, delivery_id);
CREATE INDEX attempts_trouble ON attempts (owner_id, run_id, reply_group) WHERE outcome <> 'sent';

-- A process that sends, as long as it lives. When its lease is over, its claims return to the queue.
CREATE TABLE workers (
    id          BLOB   NOT NULL PRIMARY KEY,
    host        TEXT   NOT NULL,
    started_at  INTEGER NOT NULL,
    lease_until INTEGER NOT NULL
) STRICT;

-- Letters of the service itself and test letters: durable, retried, kept out of all statistics.
CREATE TABLE outbox (
    id         BLOB   NOT NULL PRIMARY KEY,
    owner_id   BLOB   REFERENCES users (id) ON DELETE CASCADE,
    kind       TEXT   NOT NULL,
    email      TEXT   NOT NULL,
    name       TEXT   NOT NULL,
    from_name  TEXT   NOT NULL,
    from_email TEXT   NOT NULL,
    reply_to   TEXT   NOT NULL,
    subject    TEXT   NOT NULL,
    html       TEXT   NOT NULL,
    text       TEXT   NOT NULL,
    state      TEXT   NOT NULL CHECK (state IN ('queued', 'claimed', 'sent', 'deferred', 'failed')),
    attempts   INTEGER NOT NULL,
    due_at     INTEGER NOT NULL,
    claimed_by BLOB,
    code       INTEGER,
    reply      TEXT   NOT NULL,
    created_at INTEGER NOT NULL,
    done_at    INTEGER
) STRICT;
CREATE INDEX outbox_due ON outbox (due_at) WHERE state IN ('queued', 'deferred');
CREATE INDEX outbox_claimed ON outbox (claimed_by) WHERE state = 'claimed';
