-- What was found only by reading a whole table. The same on both databases.
CREATE INDEX users_role ON users (role, id);
CREATE INDEX mailings_running ON mailings (owner_id, id) WHERE status = 'running';
CREATE INDEX runs_created ON runs (created_at) WHERE state <> 'skipped';
CREATE INDEX outbox_owner ON outbox (owner_id, id);
CREATE INDEX outbox_done ON outbox (done_at);
CREATE INDEX imports_id ON imports (id);
CREATE INDEX imports_state ON imports (state, updated_at);
CREATE INDEX audit_log_owner ON audit_log (owner_id);
CREATE INDEX media_state ON media (state);
CREATE INDEX post_drafts_at ON post_drafts (at);
