ALTER TABLE users ADD COLUMN summaries BOOLEAN NOT NULL DEFAULT TRUE; -- gets a letter about each run that is over
