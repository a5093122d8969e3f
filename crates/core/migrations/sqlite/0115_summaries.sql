-- Since when the letter about a run is to be written; NULL: it is, or there is none.
ALTER TABLE reports ADD COLUMN summary_since INTEGER;
CREATE INDEX reports_untold ON reports (owner_id, summary_since) WHERE summary_since IS NOT NULL;
