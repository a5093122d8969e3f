-- What managers see and do.

-- Why an account is blocked; who and when besides stands in the audit log.
ALTER TABLE users ADD COLUMN blocked_reason TEXT;

-- All mailings, whosever they are, the newest first.
CREATE INDEX mailings_newest ON mailings (id);

-- Whoever does not send cannot own a mailing or a message: a manager or content manager gets none by any way.
CREATE FUNCTION refuse_owner_that_does_not_send() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF (SELECT role FROM users WHERE id = NEW.owner_id) NOT IN ('user', 'admin') THEN
        RAISE EXCEPTION 'this role owns no %', TG_TABLE_NAME;
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER mailings_of_senders BEFORE INSERT ON mailings
FOR EACH ROW EXECUTE FUNCTION refuse_owner_that_does_not_send();
CREATE TRIGGER messages_of_senders BEFORE INSERT ON messages
FOR EACH ROW EXECUTE FUNCTION refuse_owner_that_does_not_send();
