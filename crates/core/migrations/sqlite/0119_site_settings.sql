-- Settings that administrators change while the service runs.
CREATE TABLE site_settings (
    name TEXT PRIMARY KEY,
    value TEXT NOT NULL
) STRICT;
