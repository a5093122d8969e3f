-- What a user's new mailings begin with.
ALTER TABLE users ADD COLUMN from_name TEXT NOT NULL DEFAULT '';
ALTER TABLE users ADD COLUMN from_email TEXT NOT NULL DEFAULT '';
ALTER TABLE users ADD COLUMN reply_to TEXT NOT NULL DEFAULT '';
-- as migration 0097 says
ALTER TABLE users ALTER COLUMN from_name SET STATISTICS 0, ALTER COLUMN from_email SET STATISTICS 0, ALTER COLUMN reply_to SET STATISTICS 0;
