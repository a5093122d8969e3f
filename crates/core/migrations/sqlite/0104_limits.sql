-- What one account may use, and how new accounts begin.
ALTER TABLE users ADD COLUMN limits TEXT NOT NULL DEFAULT ''; -- a JSON object: this user's own limits by name, null for none; empty: the settings'
ALTER TABLE users ADD COLUMN is_new INTEGER NOT NULL DEFAULT 0; -- registered, and not yet approved by a manager
CREATE INDEX users_new ON users (created_at, id) WHERE is_new;

-- Letters that owners with a limit per hour or day have claimed.
CREATE TABLE letter_use (
    owner_id   BLOB    NOT NULL PRIMARY KEY REFERENCES users (id) ON DELETE CASCADE,
    hour_from  INTEGER NOT NULL,   -- when the hour began
    hour_until INTEGER NOT NULL,   -- and when it ends
    hour_taken INTEGER NOT NULL,   -- letters claimed in it
    day_from   INTEGER NOT NULL,
    day_until  INTEGER NOT NULL,   -- a midnight in the owner's zone
    day_taken  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
-- When the letters of a claimed range were counted there, so that those given back are subtracted; empty: they were not.
ALTER TABLE queue ADD COLUMN counted_at INTEGER;
