-- Since when the letter about a run is to be written; NULL: it is, or there is none.
ALTER TABLE reports ADD COLUMN summary_since BIGINT;
-- as migration 0097 says
ALTER TABLE reports ALTER COLUMN summary_since SET STATISTICS 0;
CREATE INDEX reports_untold ON reports (owner_id, summary_since) WHERE summary_since IS NOT NULL;
