-- Mail servers that letters may go over, each with its limits. The one in the configuration has no row here; where other
-- tables speak of it they use the id 00000000-0000-0000-0000-000000000000.
CREATE TABLE sending_servers (
    id             BLOB    NOT NULL PRIMARY KEY,
    name           TEXT    NOT NULL,
    name_key       TEXT    NOT NULL UNIQUE, -- the name in lower case
    host           TEXT    NOT NULL,
    port           INTEGER  NOT NULL,
    tls            TEXT    NOT NULL CHECK (tls IN ('required', 'implicit', 'opportunistic', 'none')),
    username       TEXT    NOT NULL,        -- empty: no AUTH
    secret         BLOB,                   -- the password, sealed with a key made from the service's secret
    hello          TEXT    NOT NULL,        -- empty: our address
    priority       INTEGER  NOT NULL,        -- 1 is asked first
    weight         INTEGER  NOT NULL,        -- among those of one priority
    enabled        INTEGER NOT NULL,
    connections    INTEGER  NOT NULL,        -- of all nodes together, as the other limits
    per_connection INTEGER,                  -- letters
    per_second     INTEGER,
    per_minute     INTEGER,
    per_hour       INTEGER,
    per_day        INTEGER,
    domains        TEXT    NOT NULL,        -- limits by domain of the recipient, one a line: 'gmail.com 20/s 5'
    warm_up        TEXT    NOT NULL,        -- letters on day 1, 2, ...: '50 100 200'; empty: none
    warm_up_from   INTEGER,                  -- when day 1 began
    version        INTEGER  NOT NULL,
    created_at     INTEGER  NOT NULL,
    updated_at     INTEGER  NOT NULL
) STRICT, WITHOUT ROWID;

-- How a server does, as seen by all nodes. The row appears with the first news.
CREATE TABLE sending_server_health (
    server_id     BLOB   NOT NULL PRIMARY KEY,
    state         TEXT   NOT NULL CHECK (state IN ('closed', 'open', 'probing', 'paused')),
    until         INTEGER,          -- of open and paused: when it is tried again
    class         TEXT   NOT NULL, -- of the trouble: connection, auth, limit, ...; empty: none
    reply         TEXT   NOT NULL, -- what it said last, or what happened
    changed_at    INTEGER NOT NULL,
    answered_at   INTEGER,          -- its last good answer
    alerted_at    INTEGER,          -- administrators were told about this pause
    limited_by    TEXT   NOT NULL, -- hour, day, warm_up: this limit is used up; empty: none
    limited_until INTEGER,
    busy_until    INTEGER,          -- letters are in flight, and a node said so until then
    tested_at     INTEGER,          -- the last test that was asked for and carried out
    test_asked_at INTEGER,          -- a test that somebody waits for
    test_ok       INTEGER,
    test_result   TEXT   NOT NULL
) STRICT, WITHOUT ROWID;

-- How many letters a server got, by minute.
CREATE TABLE sending_server_use (
    server_id BLOB   NOT NULL,
    minute    INTEGER NOT NULL, -- its beginning
    taken     INTEGER NOT NULL, -- let through; limits per hour and day count these
    sent      INTEGER NOT NULL,
    deferred  INTEGER NOT NULL,
    failed    INTEGER NOT NULL,
    PRIMARY KEY (server_id, minute)
) STRICT, WITHOUT ROWID;

-- The next free turn of everything that leaves evenly spaced: a server, or one domain on it. In microseconds.
CREATE TABLE sending_server_turns (
    server_id BLOB   NOT NULL,
    domain    TEXT   NOT NULL, -- empty: the server
    next_at   INTEGER NOT NULL,
    PRIMARY KEY (server_id, domain)
) STRICT, WITHOUT ROWID;
