-- Peers that no setting trusts and that say whom they speak for: probably a proxy that `trusted_proxies` should name.
CREATE TABLE untrusted_peers (
    peer    TEXT   NOT NULL PRIMARY KEY, -- its IP address
    header  TEXT   NOT NULL,             -- the header in which it named somebody
    seen_at BIGINT NOT NULL
);

-- One row, written to find out whether the database can be written.
CREATE TABLE write_probes (
    id         BIGINT NOT NULL PRIMARY KEY,
    written_at BIGINT NOT NULL
);
-- as migration 0097 says
ALTER TABLE untrusted_peers
    ALTER COLUMN peer SET STATISTICS 0, ALTER COLUMN header SET STATISTICS 0, ALTER COLUMN seen_at SET STATISTICS 0;
ALTER TABLE write_probes
    ALTER COLUMN id SET STATISTICS 0, ALTER COLUMN written_at SET STATISTICS 0;
