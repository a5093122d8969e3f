-- Deleted accounts, and when an account was last there.

-- Nobody finds a deleted account any more; its row goes when everything it owned is removed.
ALTER TABLE users ADD COLUMN deleted_at BIGINT;
CREATE INDEX users_deleted ON users (deleted_at) WHERE deleted_at IS NOT NULL;

-- From now on written with the session's; it outlives the session.
UPDATE users SET seen_at = (SELECT max(s.seen_at) FROM sessions s WHERE s.user_id = users.id) WHERE seen_at IS NULL;
