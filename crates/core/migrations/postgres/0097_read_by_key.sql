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

-- PostgreSQL counts the values of columns now and then, and plans by what it found: one owner, when a trial was all there
-- was. It believes then that another owner has no rows, takes any index for good enough, and reads all of them for each
-- row that is wanted. Without such statistics it expects the same of every value, and how large a table is it sees by
-- itself. `tests/plans` holds that no column of a table of ours is counted.
DO $$
DECLARE
    col RECORD;
BEGIN
    FOR col IN
        SELECT c.oid::regclass AS table_name, quote_ident(a.attname) AS column_name,
               format_type(a.atttypid, a.atttypmod) AS column_type,
               EXISTS (SELECT 1 FROM pg_stats s
                       WHERE s.schemaname = current_schema() AND s.tablename = c.relname AND s.attname = a.attname) AS counted
        FROM pg_class c
        JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
        WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind = 'r' AND c.relname IN (
            'attempts', 'audit_log', 'content_version', 'deliveries', 'grants', 'imports', 'limits', 'lists',
            'login_steps', 'mailing_events', 'mailing_lists', 'mailing_recipients', 'mailings', 'media',
            'media_files', 'memberships', 'messages', 'outbox', 'passkeys', 'post_drafts', 'post_media',
            'post_slugs', 'post_tags', 'post_versions', 'posts', 'queue', 'recipients', 'recovery_codes',
            'reports', 'runs', 'second_factors', 'sending_server_health', 'sending_server_turns',
            'sending_server_use', 'sending_servers', 'sessions', 'suppressions', 'users', 'workers')
    LOOP
        -- naming the type that it has already removes what was counted; nothing is written anew
        IF col.counted THEN
            EXECUTE format('ALTER TABLE %s ALTER COLUMN %s TYPE %s', col.table_name, col.column_name, col.column_type);
        END IF;
        EXECUTE format('ALTER TABLE %s ALTER COLUMN %s SET STATISTICS 0', col.table_name, col.column_name);
    END LOOP;
END
$$;
