-- What a user's new mailings begin with.
ALTER TABLE users ADD COLUMN from_name TEXT NOT NULL DEFAULT '';
ALTER TABLE users ADD COLUMN from_email TEXT NOT NULL DEFAULT '';
ALTER TABLE users ADD COLUMN reply_to TEXT NOT NULL DEFAULT '';
