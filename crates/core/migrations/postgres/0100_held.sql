ALTER TABLE mailings ADD COLUMN waiting TEXT NOT NULL DEFAULT ''; -- why a mailing that is due gets no run; empty: nothing is in its way
CREATE INDEX mailings_waiting ON mailings (next_due_at) WHERE waiting <> '';
ALTER TABLE outbox ADD COLUMN site TEXT NOT NULL DEFAULT ''; -- what the links in the letter begin with
-- as migration 0097 says
ALTER TABLE mailings ALTER COLUMN waiting SET STATISTICS 0;
ALTER TABLE outbox ALTER COLUMN site SET STATISTICS 0;
