-- Work that outlives a request, until it is finished: imports and archives. `id` is that of the import or the archive.
CREATE TABLE jobs (
    id         UUID   NOT NULL PRIMARY KEY,
    owner_id   UUID   NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    kind       TEXT   NOT NULL CHECK (kind IN ('import', 'archive')),
    claimed_by UUID,            -- a worker; without a row in `workers` the job is free
    due_at     BIGINT NOT NULL, -- the job that has been due longest is next
    attempts   BIGINT NOT NULL, -- claims since it last got further
    created_at BIGINT NOT NULL
);
CREATE INDEX jobs_due ON jobs (due_at, id);
CREATE INDEX jobs_owner ON jobs (owner_id, due_at);
CREATE INDEX jobs_claimed ON jobs (claimed_by) WHERE claimed_by IS NOT NULL;

-- Files that every node can read: uploads, the rows that an import rejected, archives.
CREATE TABLE files (
    owner_id   UUID   NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    id         UUID   NOT NULL,
    bytes      BIGINT NOT NULL,
    expires_at BIGINT, -- it may be removed from then on; NULL: something refers to it
    created_at BIGINT NOT NULL,
    PRIMARY KEY (owner_id, id)
);
CREATE INDEX files_expired ON files (expires_at);
CREATE TABLE file_parts (
    owner_id   UUID   NOT NULL,
    file_id    UUID   NOT NULL,
    part       BIGINT NOT NULL, -- ascending, not always without gaps
    bytes      BYTEA  NOT NULL, -- about 1 MiB
    PRIMARY KEY (owner_id, file_id, part),
    FOREIGN KEY (owner_id, file_id) REFERENCES files (owner_id, id) ON DELETE CASCADE
);

-- Everything that an account owns, as a ZIP file.
CREATE TABLE archives (
    owner_id   UUID   NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    id         UUID   NOT NULL,
    state      TEXT   NOT NULL CHECK (state IN ('running', 'ready', 'failed')),
    file_id    UUID,
    expires_at BIGINT NOT NULL, -- it is forgotten then
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    PRIMARY KEY (owner_id, id)
);
CREATE INDEX archives_expired ON archives (expires_at);

ALTER TABLE imports ADD COLUMN file_id UUID;     -- the upload; NULL once it is read, and for uploads of older versions
ALTER TABLE imports ADD COLUMN rejected_id UUID; -- the file of the rows that were rejected
-- Records of the file that are stored, for each of the two transactions that store a batch.
ALTER TABLE imports ADD COLUMN stored_0 BIGINT NOT NULL DEFAULT 0;
ALTER TABLE imports ADD COLUMN stored_1 BIGINT NOT NULL DEFAULT 0;

-- The process that has the file in its data folder continues these; without a file they fail after an hour.
UPDATE imports SET updated_at = CAST(extract(epoch FROM now()) * 1000 AS BIGINT) WHERE state = 'running';

-- as migration 0097 says
ALTER TABLE jobs
    ALTER COLUMN id SET STATISTICS 0, ALTER COLUMN owner_id SET STATISTICS 0, ALTER COLUMN kind SET STATISTICS 0,
    ALTER COLUMN claimed_by SET STATISTICS 0, ALTER COLUMN due_at SET STATISTICS 0,
    ALTER COLUMN attempts SET STATISTICS 0, ALTER COLUMN created_at SET STATISTICS 0;
ALTER TABLE files
    ALTER COLUMN owner_id SET STATISTICS 0, ALTER COLUMN id SET STATISTICS 0, ALTER COLUMN bytes SET STATISTICS 0,
    ALTER COLUMN expires_at SET STATISTICS 0, ALTER COLUMN created_at SET STATISTICS 0;
ALTER TABLE file_parts
    ALTER COLUMN owner_id SET STATISTICS 0, ALTER COLUMN file_id SET STATISTICS 0,
    ALTER COLUMN part SET STATISTICS 0, ALTER COLUMN bytes SET STATISTICS 0;
ALTER TABLE archives
    ALTER COLUMN owner_id SET STATISTICS 0, ALTER COLUMN id SET STATISTICS 0, ALTER COLUMN state SET STATISTICS 0,
    ALTER COLUMN file_id SET STATISTICS 0, ALTER COLUMN expires_at SET STATISTICS 0,
    ALTER COLUMN created_at SET STATISTICS 0, ALTER COLUMN updated_at SET STATISTICS 0;
ALTER TABLE imports
    ALTER COLUMN file_id SET STATISTICS 0, ALTER COLUMN rejected_id SET STATISTICS 0,
    ALTER COLUMN stored_0 SET STATISTICS 0, ALTER COLUMN stored_1 SET STATISTICS 0;
