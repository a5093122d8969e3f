-- What is told about a run: made from its rows by the engine, again and again while it is open and once for good.
CREATE TABLE reports (
    owner_id   BLOB    NOT NULL,
    run_id     BLOB    NOT NULL,
    made_at    INTEGER,          -- the moment it tells of; none: never made
    took_ms    INTEGER NOT NULL, -- how long making it took
    in_doubt   INTEGER NOT NULL, -- attempts in doubt
    busy_until INTEGER NOT NULL, -- somebody is making it until then
    final      INTEGER NOT NULL,
    body       TEXT,             -- JSON
    PRIMARY KEY (owner_id, run_id),
    FOREIGN KEY (owner_id, run_id) REFERENCES runs (owner_id, id) ON DELETE CASCADE
) STRICT;

ALTER TABLE runs ADD COLUMN reported INTEGER NOT NULL DEFAULT 0; -- its final report is made
CREATE INDEX runs_unreported ON runs (owner_id, id) WHERE NOT reported AND state <> 'skipped';
-- An owner's runs in the order in which they ended; open ones have no moment.
CREATE INDEX runs_finished ON runs (owner_id, finished_at, created_at, id) WHERE state <> 'skipped';
-- Everybody's runs by the moment they ended, for those who moderate.
CREATE INDEX runs_ended ON runs (finished_at);
-- The log of all attempts that were not accepted; those that were are found by their run.
CREATE INDEX attempts_trouble_log ON attempts (owner_id, at, delivery_id, number) WHERE outcome <> 'sent';
ALTER TABLE runs ADD COLUMN forgotten_at INTEGER; -- since when its deliveries and attempts are removed
CREATE INDEX runs_kept ON runs (finished_at) WHERE reported AND forgotten_at IS NULL;
