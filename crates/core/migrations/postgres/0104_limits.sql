-- What one account may use, and how new accounts begin.
ALTER TABLE users ADD COLUMN limits TEXT NOT NULL DEFAULT ''; -- a JSON object: this user's own limits by name, null for none; empty: the settings'
ALTER TABLE users ADD COLUMN is_new BOOLEAN NOT NULL DEFAULT FALSE; -- registered, and not yet approved by a manager
-- as migration 0097 says
ALTER TABLE users ALTER COLUMN limits SET STATISTICS 0;
ALTER TABLE users ALTER COLUMN is_new SET STATISTICS 0;
CREATE INDEX users_new ON users (created_at, id) WHERE is_new;

-- Letters that owners with a limit per hour or day have claimed.
CREATE TABLE letter_use (
    owner_id   UUID   NOT NULL PRIMARY KEY REFERENCES users (id) ON DELETE CASCADE,
    hour_from  BIGINT NOT NULL,    -- when the hour began
    hour_until BIGINT NOT NULL,    -- and when it ends
    hour_taken BIGINT NOT NULL,    -- letters claimed in it
    day_from   BIGINT NOT NULL,
    day_until  BIGINT NOT NULL,    -- a midnight in the owner's zone
    day_taken  BIGINT NOT NULL
);
-- When the letters of a claimed range were counted there, so that those given back are subtracted; empty: they were not.
ALTER TABLE queue ADD COLUMN counted_at BIGINT;
ALTER TABLE queue ALTER COLUMN counted_at SET STATISTICS 0;
-- as migration 0097 says
ALTER TABLE letter_use
    ALTER COLUMN owner_id SET STATISTICS 0, ALTER COLUMN hour_from SET STATISTICS 0, ALTER COLUMN hour_until SET STATISTICS 0,
    ALTER COLUMN hour_taken SET STATISTICS 0, ALTER COLUMN day_from SET STATISTICS 0, ALTER COLUMN day_until SET STATISTICS 0,
    ALTER COLUMN day_taken SET STATISTICS 0;
