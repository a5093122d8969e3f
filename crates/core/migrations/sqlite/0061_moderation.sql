-- What managers see and do.

-- Why an account is blocked; who and when besides stands in the audit log.
ALTER TABLE users ADD COLUMN blocked_reason TEXT;

-- All mailings, whosever they are, the newest first.
CREATE INDEX mailings_newest ON mailings (id);

-- Whoever does not send cannot own a mailing or a message: a manager or content manager gets none by any way.
CREATE TRIGGER mailings_of_senders BEFORE INSERT ON mailings
WHEN (SELECT role FROM users WHERE id = NEW.owner_id) NOT IN ('user', 'admin')
BEGIN
    SELECT RAISE(ABORT, 'this role owns no mailings');
END;
CREATE TRIGGER messages_of_senders BEFORE INSERT ON messages
WHEN (SELECT role FROM users WHERE id = NEW.owner_id) NOT IN ('user', 'admin')
BEGIN
    SELECT RAISE(ABORT, 'this role owns no messages');
END;
