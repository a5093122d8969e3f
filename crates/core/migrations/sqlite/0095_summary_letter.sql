ALTER TABLE users ADD COLUMN summaries INTEGER NOT NULL DEFAULT 1; -- gets a letter about each run that is over
