-- Who moderated what, when and why. Rows have no foreign keys: they stay when the user or the mailing goes.
CREATE TABLE audit_log (
    id           BLOB    NOT NULL PRIMARY KEY, -- grows with time
    at           INTEGER NOT NULL,
    actor_id     BLOB,             -- null: the operator's command, or the service itself
    actor        TEXT    NOT NULL, -- the address then, or 'command'; empty: the account was deleted
    kind         TEXT    NOT NULL,
    subject_kind TEXT    NOT NULL,
    subject_id   BLOB,
    subject      TEXT    NOT NULL, -- what the subject was called then; empty: the account was deleted
    owner_id     BLOB,             -- whose the subject is
    reason       TEXT    NOT NULL,
    details      TEXT    NOT NULL, -- JSON without names and addresses
    search       TEXT    NOT NULL  -- actor, subject and reason in lower case
) STRICT;
CREATE INDEX audit_log_subject ON audit_log (subject_id, id);
CREATE INDEX audit_log_actor ON audit_log (actor_id, id);

-- Append-only. The one change there is: the name of a deleted account is emptied.
CREATE TRIGGER audit_log_keeps_rows BEFORE DELETE ON audit_log
BEGIN
    SELECT RAISE(ABORT, 'the audit log is append-only');
END;
CREATE TRIGGER audit_log_keeps_values BEFORE UPDATE ON audit_log
WHEN NOT (NEW.id IS OLD.id AND NEW.at IS OLD.at AND NEW.actor_id IS OLD.actor_id AND NEW.kind IS OLD.kind
    AND NEW.subject_kind IS OLD.subject_kind AND NEW.subject_id IS OLD.subject_id AND NEW.owner_id IS OLD.owner_id
    AND NEW.reason IS OLD.reason AND NEW.details IS OLD.details
    AND NEW.actor IN (OLD.actor, '') AND NEW.subject IN (OLD.subject, '') AND NEW.search IN (OLD.search, ''))
BEGIN
    SELECT RAISE(ABORT, 'the audit log is append-only');
END;
