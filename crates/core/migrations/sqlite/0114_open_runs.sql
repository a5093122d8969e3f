-- Whether a mailing is being sent right now, for lists and counts; the other index of open runs is by state.
CREATE INDEX runs_open_of ON runs (owner_id, mailing_id) WHERE finished_at IS NULL;
