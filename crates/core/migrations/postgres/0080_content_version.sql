-- One row that changes with everything that strangers are shown: a page kept from before is shown only while it is the same.
CREATE TABLE content_version (
    id      BIGINT NOT NULL PRIMARY KEY CHECK (id = 1),
    version UUID   NOT NULL
);
INSERT INTO content_version (id, version) VALUES (1, '00000000-0000-0000-0000-000000000000');
