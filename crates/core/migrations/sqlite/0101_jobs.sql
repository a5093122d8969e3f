-- Work that outlives a request, until it is finished: imports and archives. `id` is that of the import or the archive.
CREATE TABLE jobs (
    id         BLOB   NOT NULL PRIMARY KEY,
    owner_id   BLOB   NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    kind       TEXT   NOT NULL CHECK (kind IN ('import', 'archive')),
    claimed_by BLOB,            -- a worker; without a row in `workers` the job is free
    due_at     INTEGER NOT NULL, -- the job that has been due longest is next
    attempts   INTEGER NOT NULL, -- claims since it last got further
    created_at INTEGER NOT NULL
) STRICT;
CREATE INDEX jobs_due ON jobs (due_at, id);
CREATE INDEX jobs_owner ON jobs (owner_id, due_at);
CREATE INDEX jobs_claimed ON jobs (claimed_by) WHERE claimed_by IS NOT NULL;

-- Files that every node can read: uploads, the rows that an import rejected, archives.
CREATE TABLE files (
    owner_id   BLOB   NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    id         BLOB   NOT NULL,
    bytes      INTEGER NOT NULL,
    expires_at INTEGER, -- it may be removed from then on; NULL: something refers to it
    created_at INTEGER NOT NULL,
    PRIMARY KEY (owner_id, id)
) STRICT;
CREATE INDEX files_expired ON files (expires_at);
CREATE TABLE file_parts (
    owner_id   BLOB   NOT NULL,
    file_id    BLOB   NOT NULL,
    part       INTEGER NOT NULL, -- ascending, not always without gaps
    bytes      BLOB   NOT NULL, -- about 1 MiB
    PRIMARY KEY (owner_id, file_id, part),
    FOREIGN KEY (owner_id, file_id) REFERENCES files (owner_id, id) ON DELETE CASCADE
) STRICT;

-- Everything that an account owns, as a ZIP file.
CREATE TABLE archives (
    owner_id   BLOB   NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    id         BLOB   NOT NULL,
    state      TEXT   NOT NULL CHECK (state IN ('running', 'ready', 'failed')),
    file_id    BLOB,
    expires_at INTEGER NOT NULL, -- it is forgotten then
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    PRIMARY KEY (owner_id, id)
) STRICT;
CREATE INDEX archives_expired ON archives (expires_at);

ALTER TABLE imports ADD COLUMN file_id BLOB;     -- the upload; NULL once it is read, and for uploads of older versions
ALTER TABLE imports ADD COLUMN rejected_id BLOB; -- the file of the rows that were rejected
-- Records of the file that are stored, for each of the two transactions that store a batch.
ALTER TABLE imports ADD COLUMN stored_0 INTEGER NOT NULL DEFAULT 0;
ALTER TABLE imports ADD COLUMN stored_1 INTEGER NOT NULL DEFAULT 0;

-- The process that has the file in its data folder continues these; without a file they fail after an hour.
UPDATE imports SET updated_at = unixepoch() * 1000 WHERE state = 'running';
