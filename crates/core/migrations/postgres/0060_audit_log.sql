-- Who moderated what, when and why. Rows have no foreign keys: they stay when the user or the mailing goes.
CREATE TABLE audit_log (
    id           UUID    NOT NULL PRIMARY KEY, -- grows with time
    at           BIGINT  NOT NULL,
    actor_id     UUID,             -- null: the operator's command, or the service itself
    actor        TEXT    NOT NULL, -- the address then, or 'command'; empty: the account was deleted
    kind         TEXT    NOT NULL,
    subject_kind TEXT    NOT NULL,
    subject_id   UUID,
    subject      TEXT    NOT NULL, -- what the subject was called then; empty: the account was deleted
    owner_id     UUID,             -- whose the subject is
    reason       TEXT    NOT NULL,
    details      JSONB   NOT NULL, -- without names and addresses
    search       TEXT    NOT NULL  -- actor, subject and reason in lower case
);
CREATE INDEX audit_log_subject ON audit_log (subject_id, id);
CREATE INDEX audit_log_actor ON audit_log (actor_id, id);

-- Append-only. The one change there is: the name of a deleted account is emptied.
CREATE FUNCTION audit_log_refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the audit log is append-only';
END
$$;
CREATE TRIGGER audit_log_keeps_rows BEFORE DELETE ON audit_log
FOR EACH ROW EXECUTE FUNCTION audit_log_refuse();
CREATE TRIGGER audit_log_keeps_all BEFORE TRUNCATE ON audit_log
FOR EACH STATEMENT EXECUTE FUNCTION audit_log_refuse();
CREATE TRIGGER audit_log_keeps_values BEFORE UPDATE ON audit_log
FOR EACH ROW
WHEN (NOT (NEW.id = OLD.id AND NEW.at = OLD.at AND NEW.actor_id IS NOT DISTINCT FROM OLD.actor_id
    AND NEW.kind = OLD.kind AND NEW.subject_kind = OLD.subject_kind
    AND NEW.subject_id IS NOT DISTINCT FROM OLD.subject_id AND NEW.owner_id IS NOT DISTINCT FROM OLD.owner_id
    AND NEW.reason = OLD.reason AND NEW.details = OLD.details
    AND NEW.actor IN (OLD.actor, '') AND NEW.subject IN (OLD.subject, '') AND NEW.search IN (OLD.search, '')))
EXECUTE FUNCTION audit_log_refuse();
