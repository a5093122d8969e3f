-- Peers that no setting trusts and that say whom they speak for: probably a proxy that `trusted_proxies` should name.
CREATE TABLE untrusted_peers (
    peer    TEXT    NOT NULL PRIMARY KEY, -- its IP address
    header  TEXT    NOT NULL,             -- the header in which it named somebody
    seen_at INTEGER NOT NULL
) STRICT;

-- One row, written to find out whether the database can be written.
CREATE TABLE write_probes (
    id         INTEGER NOT NULL PRIMARY KEY,
    written_at INTEGER NOT NULL
) STRICT;
