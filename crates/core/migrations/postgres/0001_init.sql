-- The first schema. Every table of a user's things has `owner_id` first in its key, and references carry it too,
-- so a row of another user cannot be referenced and the tables can be distributed by owner.
-- Moments are milliseconds since the epoch in UTC. States are text with a check.

CREATE TABLE users (
    id            UUID    NOT NULL PRIMARY KEY,
    email         TEXT    NOT NULL,
    email_key     TEXT    NOT NULL UNIQUE,
    name          TEXT    NOT NULL,
    password_hash TEXT    NOT NULL,
    role          TEXT    NOT NULL CHECK (role IN ('user', 'manager', 'content_manager', 'admin')),
    language      TEXT    CHECK (language IN ('ru', 'en')),
    theme         TEXT    CHECK (theme IN ('light', 'dark')),
    zone          TEXT    NOT NULL,
    created_at    BIGINT  NOT NULL,
    verified_at   BIGINT,
    blocked_at    BIGINT,
    seen_at       BIGINT
);

CREATE TABLE sessions (
    token_hash BYTEA  NOT NULL PRIMARY KEY,
    user_id    UUID   NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    created_at BIGINT NOT NULL,
    seen_at    BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    address    TEXT   NOT NULL,
    agent      TEXT   NOT NULL
);
CREATE INDEX sessions_user ON sessions (user_id);
CREATE INDEX sessions_expiry ON sessions (expires_at);

CREATE TABLE recipients (
    owner_id   UUID   NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    id         UUID   NOT NULL,
    email      TEXT   NOT NULL,
    email_key  TEXT   NOT NULL,
    name       TEXT   NOT NULL,
    comment    TEXT   NOT NULL,
    attributes JSONB  NOT NULL,
    search     TEXT   NOT NULL, -- address and name in lower case
    version    BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    PRIMARY KEY (owner_id, id),
    UNIQUE (owner_id, email_key)
);

CREATE TABLE lists (
    owner_id   UUID   NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    id         UUID   NOT NULL,
    name       TEXT   NOT NULL,
    name_key   TEXT   NOT NULL, -- the name in lower case
    comment    TEXT   NOT NULL,
    version    BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    PRIMARY KEY (owner_id, id),
    UNIQUE (owner_id, name_key)
);

CREATE TABLE memberships (
    owner_id     UUID   NOT NULL,
    list_id      UUID   NOT NULL,
    recipient_id UUID   NOT NULL,
    added_at     BIGINT NOT NULL,
    PRIMARY KEY (owner_id, list_id, recipient_id),
    FOREIGN KEY (owner_id, list_id) REFERENCES lists (owner_id, id) ON DELETE CASCADE,
    FOREIGN KEY (owner_id, recipient_id) REFERENCES recipients (owner_id, id) ON DELETE CASCADE
);
CREATE INDEX memberships_recipient ON memberships (owner_id, recipient_id);

-- Addresses that get nothing more from this owner. By address, not by recipient: a deleted and imported again
-- person stays unsubscribed.
CREATE TABLE suppressions (
    owner_id   UUID   NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    email_key  TEXT   NOT NULL,
    email      TEXT   NOT NULL,
    reason     TEXT   NOT NULL CHECK (reason IN ('unsubscribed', 'manual', 'bounced', 'complained')),
    mailing_id UUID,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (owner_id, email_key)
);
CREATE INDEX suppressions_new ON suppressions (owner_id, created_at);

CREATE TABLE imports (
    owner_id    UUID   NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    id          UUID   NOT NULL,
    file_name   TEXT   NOT NULL,
    list_id     UUID,
    state       TEXT   NOT NULL CHECK (state IN ('uploaded', 'running', 'done', 'failed')),
    options     JSONB  NOT NULL, -- encoding, delimiter, mapping of columns
    bytes       BIGINT NOT NULL,
    bytes_read  BIGINT NOT NULL,
    added       BIGINT NOT NULL,
    updated     BIGINT NOT NULL,
    unchanged   BIGINT NOT NULL,
    duplicate   BIGINT NOT NULL,
    invalid     BIGINT NOT NULL,
    suppressed  BIGINT NOT NULL,
    error       TEXT,
    created_at  BIGINT NOT NULL,
    updated_at  BIGINT NOT NULL,
    PRIMARY KEY (owner_id, id)
);

CREATE TABLE messages (
    owner_id     UUID   NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    id           UUID   NOT NULL,
    subject      TEXT   NOT NULL,
    preview_text TEXT   NOT NULL,
    html         TEXT   NOT NULL, -- empty: none
    text         TEXT   NOT NULL, -- empty: derived from the HTML
    search       TEXT   NOT NULL DEFAULT '', -- subject in lower case
    version      BIGINT NOT NULL,
    created_at   BIGINT NOT NULL,
    updated_at   BIGINT NOT NULL,
    PRIMARY KEY (owner_id, id)
);

CREATE TABLE mailings (
    owner_id        UUID    NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    id              UUID    NOT NULL,
    title           TEXT    NOT NULL,
    search          TEXT    NOT NULL DEFAULT '', -- the title in lower case
    message_id      UUID,
    from_name       TEXT    NOT NULL,
    from_email      TEXT    NOT NULL, -- empty: the service's own sender
    reply_to        TEXT    NOT NULL, -- empty: none
    every           TEXT    NOT NULL CHECK (every IN ('once', 'day', 'week', 'month')),
    zone            TEXT    NOT NULL,
    start_at        BIGINT,           -- null: when Start is pressed
    start_wall      TEXT,             -- the wall time in the zone that the recurrence is anchored at
    end_at          BIGINT,
    status          TEXT    NOT NULL CHECK (status IN ('created', 'running', 'paused', 'completed', 'cancelled')),
    next_due_at     BIGINT,
    disabled_at     BIGINT,           -- a manager's flag on top of the status
    disabled_by     UUID,
    disabled_reason TEXT,
    version         BIGINT  NOT NULL,
    created_at      BIGINT  NOT NULL,
    updated_at      BIGINT  NOT NULL,
    started_at      BIGINT,
    PRIMARY KEY (owner_id, id),
    FOREIGN KEY (owner_id, message_id) REFERENCES messages (owner_id, id)
);
CREATE INDEX mailings_due ON mailings (next_due_at) WHERE status = 'running' AND next_due_at IS NOT NULL;
CREATE INDEX mailings_end ON mailings (end_at) WHERE status IN ('running', 'paused') AND end_at IS NOT NULL;
CREATE INDEX mailings_message ON mailings (owner_id, message_id);

CREATE TABLE mailing_lists (
    owner_id   UUID NOT NULL,
    mailing_id UUID NOT NULL,
    list_id    UUID NOT NULL,
    PRIMARY KEY (owner_id, mailing_id, list_id),
    FOREIGN KEY (owner_id, mailing_id) REFERENCES mailings (owner_id, id) ON DELETE CASCADE,
    FOREIGN KEY (owner_id, list_id) REFERENCES lists (owner_id, id) ON DELETE CASCADE
);
CREATE INDEX mailing_lists_list ON mailing_lists (owner_id, list_id);

CREATE TABLE mailing_recipients (
    owner_id     UUID NOT NULL,
    mailing_id   UUID NOT NULL,
    recipient_id UUID NOT NULL,
    PRIMARY KEY (owner_id, mailing_id, recipient_id),
    FOREIGN KEY (owner_id, mailing_id) REFERENCES mailings (owner_id, id) ON DELETE CASCADE,
    FOREIGN KEY (owner_id, recipient_id) REFERENCES recipients (owner_id, id) ON DELETE CASCADE
);
CREATE INDEX mailing_recipients_recipient ON mailing_recipients (owner_id, recipient_id);

-- Who changed the state of a mailing, when and why.
CREATE TABLE mailing_events (
    owner_id   UUID   NOT NULL,
    mailing_id UUID   NOT NULL,
    number     BIGINT NOT NULL,
    at         BIGINT NOT NULL,
    actor      TEXT   NOT NULL, -- a user's address, 'scheduler' or 'command'
    what       TEXT   NOT NULL, -- created, started, paused, resumed, cancelled, completed, skipped, ...
    detail     TEXT   NOT NULL,
    PRIMARY KEY (owner_id, mailing_id, number),
    FOREIGN KEY (owner_id, mailing_id) REFERENCES mailings (owner_id, id) ON DELETE CASCADE
);

-- One due moment of a mailing, with all that it needs to be sent and read later, whatever happens to the message,
-- the lists and the recipients.
CREATE TABLE runs (
    owner_id     UUID   NOT NULL,
    id           UUID   NOT NULL,
    mailing_id   UUID   NOT NULL,
    due_at       BIGINT NOT NULL,
    end_at       BIGINT,
    state        TEXT   NOT NULL CHECK (state IN ('expanding', 'sending', 'paused', 'done', 'expired', 'cancelled', 'skipped')),
    subject      TEXT   NOT NULL,
    html         TEXT   NOT NULL,
    text         TEXT   NOT NULL,
    from_name    TEXT   NOT NULL,
    from_email   TEXT   NOT NULL,
    reply_to     TEXT   NOT NULL,
    expanded     BOOLEAN NOT NULL,  -- all deliveries exist
    bound        UUID,              -- the last recipient that existed at the start
    cursor       UUID,              -- the last recipient that was expanded
    chosen       BIGINT NOT NULL,   -- in the lists or chosen, distinct
    suppressed   BIGINT NOT NULL,   -- chosen, but unsubscribed or suppressed before the start
    planned      BIGINT NOT NULL,   -- deliveries; = sent + failed + skipped + expired + cancelled + still to send
    sent         BIGINT NOT NULL,
    failed       BIGINT NOT NULL,
    skipped      BIGINT NOT NULL,
    expired      BIGINT NOT NULL,
    cancelled    BIGINT NOT NULL,
    deferred     BIGINT NOT NULL,   -- waiting for another attempt, part of "still to send"
    waiting      TEXT   NOT NULL,   -- why nothing moves, for people; empty: it moves
    created_at   BIGINT NOT NULL,
    started_at   BIGINT,
    progress_at  BIGINT,            -- the last recorded outcome
    finished_at  BIGINT,
    PRIMARY KEY (owner_id, id),
    UNIQUE (owner_id, mailing_id, due_at),
    FOREIGN KEY (owner_id, mailing_id) REFERENCES mailings (owner_id, id) ON DELETE CASCADE
);
-- A run is open until each of its deliveries is over; those of a cancelled or expired run are closed in slices.
CREATE INDEX runs_open ON runs (state) WHERE finished_at IS NULL;

-- The two big tables have no foreign keys: a run is deleted with its deliveries and attempts in one place
-- (`Run::delete_all_of`), and checking a reference for each letter would cost more than writing it.
CREATE TABLE deliveries (
    owner_id     UUID   NOT NULL,
    id           BIGINT NOT NULL GENERATED ALWAYS AS IDENTITY,
    run_id       UUID   NOT NULL,
    recipient_id UUID   NOT NULL,
    email        TEXT   NOT NULL,
    email_key    TEXT   NOT NULL,
    state        TEXT   NOT NULL CHECK (state IN ('queued', 'claimed', 'sent', 'deferred', 'failed', 'skipped', 'expired', 'cancelled')),
    why          TEXT,             -- of skipped: unsubscribed, suppressed, removed, blocked; of failed and deferred: the class
    attempts     BIGINT NOT NULL,
    due_at       BIGINT NOT NULL,  -- not before
    claimed_by   UUID,
    done_at      BIGINT,
    PRIMARY KEY (owner_id, id),
    UNIQUE (owner_id, run_id, email_key),
    UNIQUE (owner_id, recipient_id, run_id)
);
CREATE INDEX deliveries_due ON deliveries (run_id, due_at, id) WHERE state IN ('queued', 'deferred');
CREATE INDEX deliveries_claimed ON deliveries (claimed_by) WHERE state = 'claimed';

CREATE TABLE attempts (
    owner_id      UUID   NOT NULL,
    delivery_id   BIGINT NOT NULL,
    number        BIGINT NOT NULL, -- 1, 2, … within the delivery
    run_id        UUID   NOT NULL,
    at            BIGINT NOT NULL,
    outcome       TEXT   NOT NULL CHECK (outcome IN ('sent', 'deferred', 'failed', 'in_doubt')),
    class         TEXT   NOT NULL,
    phase         TEXT   NOT NULL,
    code          BIGINT,
    enhanced_code TEXT,
    reply         TEXT   NOT NULL,
    reply_group   TEXT   NOT NULL, -- the reply without ids and addresses, so that equal answers can be counted; empty: sent
    server        TEXT   NOT NULL,
    duration_ms   BIGINT NOT NULL,
    PRIMARY KEY (owner_id, delivery_id, number)
);
CREATE INDEX attempts_log ON attempts (run_id, at, delivery_id);
CREATE INDEX attempts_trouble ON attempts (owner_id, run_id, reply_group) WHERE outcome <> 'sent';

-- A process that sends, as long as it lives. When its lease is over, its claims return to the queue.
CREATE TABLE workers (
    id          UUID   NOT NULL PRIMARY KEY,
    host        TEXT   NOT NULL,
    started_at  BIGINT NOT NULL,
    lease_until BIGINT NOT NULL
);

-- Letters of the service itself and test letters: durable, retried, kept out of all statistics.
CREATE TABLE outbox (
    id         UUID   NOT NULL PRIMARY KEY,
    owner_id   UUID   REFERENCES users (id) ON DELETE CASCADE,
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
    attempts   BIGINT NOT NULL,
    due_at     BIGINT NOT NULL,
    claimed_by UUID,
    code       BIGINT,
    reply      TEXT   NOT NULL,
    created_at BIGINT NOT NULL,
    done_at    BIGINT
);
CREATE INDEX outbox_due ON outbox (due_at) WHERE state IN ('queued', 'deferred');
CREATE INDEX outbox_claimed ON outbox (claimed_by) WHERE state = 'claimed';
