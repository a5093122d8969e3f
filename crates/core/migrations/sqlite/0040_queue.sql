-- Deliveries are claimed by ranges: a claim writes a row or two for hundreds of letters, and a delivery is written
-- once when it is made and once for each outcome.

-- The deliveries of a run that wait for their turn, and those that a worker has in hand.
CREATE TABLE queue (
    owner_id   BLOB   NOT NULL,
    run_id     BLOB   NOT NULL,
    first_id   INTEGER NOT NULL,   -- of the deliveries, both ends included
    last_id    INTEGER NOT NULL,
    state      TEXT   NOT NULL CHECK (state IN ('queued', 'deferred')),  -- those of the range in this state are meant
    due_at     INTEGER NOT NULL,   -- not before
    claimed_by BLOB,               -- empty: it waits
    PRIMARY KEY (owner_id, run_id, first_id, state)
) STRICT, WITHOUT ROWID;
CREATE INDEX queue_due ON queue (run_id, due_at, first_id);
CREATE INDEX queue_claimed ON queue (claimed_by) WHERE claimed_by IS NOT NULL;

DROP INDEX deliveries_due;
DROP INDEX deliveries_claimed;
INSERT INTO queue (owner_id, run_id, first_id, last_id, state, due_at, claimed_by)
SELECT owner_id, run_id, id, id, CASE WHEN attempts > 0 THEN 'deferred' ELSE 'queued' END, due_at, claimed_by
FROM deliveries
WHERE state IN ('queued', 'claimed', 'deferred');
UPDATE deliveries SET state = CASE WHEN attempts > 0 THEN 'deferred' ELSE 'queued' END WHERE state = 'claimed';
ALTER TABLE deliveries DROP COLUMN claimed_by;
