-- One row that changes with everything that strangers are shown: a page kept from before is shown only while it is the same.
CREATE TABLE content_version (
    id      INTEGER NOT NULL PRIMARY KEY CHECK (id = 1),
    version BLOB    NOT NULL
) STRICT;
INSERT INTO content_version (id, version) VALUES (1, zeroblob(16));
