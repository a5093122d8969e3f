-- Mail servers that letters may go over, each with its limits. The one in the configuration has no row here; where other
-- tables speak of it they use the id 00000000-0000-0000-0000-000000000000.
CREATE TABLE sending_servers (
    id             UUID    NOT NULL PRIMARY KEY,
    name           TEXT    NOT NULL,
    name_key       TEXT    NOT NULL UNIQUE, -- the name in lower case
    host           TEXT    NOT NULL,
    port           BIGINT  NOT NULL,
    tls            TEXT    NOT NULL CHECK (tls IN ('required', 'implicit', 'opportunistic', 'none')),
    username       TEXT    NOT NULL,        -- empty: no AUTH
    secret         BYTEA,                   -- the password, sealed with a key made from the service's secret
    hello          TEXT    NOT NULL,        -- empty: our address
    priority       BIGINT  NOT NULL,        -- 1 is asked first
    weight         BIGINT  NOT NULL,        -- among those of one priority
    enabled        BOOLEAN NOT NULL,
    connections    BIGINT  NOT NULL,        -- of all nodes together, as the other limits
    per_connection BIGINT,                  -- letters
    per_second     BIGINT,
    per_minute     BIGINT,
    per_hour       BIGINT,
    per_day        BIGINT,
    domains        TEXT    NOT NULL,        -- limits by domain of the recipient, one a line: 'gmail.com 20/s 5'
    warm_up        TEXT    NOT NULL,        -- letters on day 1, 2, ...: '50 100 200'; empty: none
    warm_up_from   BIGINT,                  -- when day 1 began
    version        BIGINT  NOT NULL,
    created_at     BIGINT  NOT NULL,
    updated_at     BIGINT  NOT NULL
);

-- How a server does, as seen by all nodes. The row appears with the first news.
CREATE TABLE sending_server_health (
    server_id     UUID   NOT NULL PRIMARY KEY,
    state         TEXT   NOT NULL CHECK (state IN ('closed', 'open', 'probing', 'paused')),
    until         BIGINT,          -- of open and paused: when it is tried again
    class         TEXT   NOT NULL, -- of the trouble: connection, auth, limit, ...; empty: none
    reply         TEXT   NOT NULL, -- what it said last, or what happened
    changed_at    BIGINT NOT NULL,
    answered_at   BIGINT,          -- its last good answer
    alerted_at    BIGINT,          -- administrators were told about this pause
    limited_by    TEXT   NOT NULL, -- hour, day, warm_up: this limit is used up; empty: none
    limited_until BIGINT,
    busy_until    BIGINT,          -- letters are in flight, and a node said so until then
    tested_at     BIGINT,          -- the last test that was asked for and carried out
    test_asked_at BIGINT,          -- a test that somebody waits for
    test_ok       BOOLEAN,
    test_result   TEXT   NOT NULL
);

-- How many letters a server got, by minute.
CREATE TABLE sending_server_use (
    server_id UUID   NOT NULL,
    minute    BIGINT NOT NULL, -- its beginning
    taken     BIGINT NOT NULL, -- let through; limits per hour and day count these
    sent      BIGINT NOT NULL,
    deferred  BIGINT NOT NULL,
    failed    BIGINT NOT NULL,
    PRIMARY KEY (server_id, minute)
);

-- The next free turn of everything that leaves evenly spaced: a server, or one domain on it. In microseconds.
CREATE TABLE sending_server_turns (
    server_id UUID   NOT NULL,
    domain    TEXT   NOT NULL, -- empty: the server
    next_at   BIGINT NOT NULL,
    PRIMARY KEY (server_id, domain)
);
