//! Statements that may read a whole table, and why.

/// Tables that do not grow with use.
pub const SMALL: &[&str] = &[
    "content_version",
    "workers",
    "sending_servers",
    "sending_server_health",
    "sending_server_use",
    "sending_server_turns",
    "untrusted_peers",
    "write_probes",
];

/// A part of the statement, and the reason.
pub const EXCEPTIONS: &[(&str, &str)] = &[
    (
        "SELECT created_at FROM users LIMIT 1",
        "stops at the first row",
    ),
    (
        "(SELECT count(*) FROM users WHERE verified_at IS NOT NULL AND blocked_at IS NULL)",
        "the moderators' overview counts the accounts",
    ),
    (
        "FROM users u WHERE u.deleted_at IS NULL AND ($1 = '%%' OR u.email_key LIKE",
        "the moderators' list walks the accounts, newest first, and LIMIT ends it; a search reads on until it has a page",
    ),
    (
        "FROM audit_log WHERE ($1 = '%%' OR search LIKE",
        "the moderators' log walks the entries, newest first, and LIMIT ends it; a search reads on until it has a page",
    ),
    (
        "FROM (SELECT x.owner_id AS owner, x.id AS mailing FROM mailings x",
        "the moderators' list walks the mailings, newest first, and LIMIT ends it; a search reads on until it has a page",
    ),
    (
        "SELECT (SELECT count(*) FROM mailings) AS mailings,",
        "the home page's figures; counted at most a twentieth of the time, by one node, and kept",
    ),
    (
        "FROM media m JOIN media_files f ON f.media_id = m.id WHERE m.state = 'removing'",
        "the blog's pictures, once an hour; people uploaded each of them",
    ),
    (
        "UPDATE media SET state = 'removing'",
        "the blog's pictures, once an hour; people uploaded each of them",
    ),
    (
        "FROM post_tags t JOIN posts p ON p.id = t.post_id",
        "the blog's tags, when a page is made again; people wrote each of them",
    ),
    (
        "FROM posts WHERE search LIKE",
        "the blog's posts in the admin panel; people wrote each of them",
    ),
];

/// Statements that may use different indexes, depending on the size of the tables, and why.
pub const EITHER: &[(&str, &str)] = &[
    (
        "SELECT id, finished_at FROM runs WHERE owner_id = $1 AND finished_at IS NULL AND state <> 'skipped' AND created_at <=",
        "an owner's open runs, from the index of open runs or from that of all by their end",
    ),
    (
        "FROM memberships WHERE owner_id = $1 AND list_id = $2 AND recipient_id > $3 AND recipient_id <= $4",
        "the end of a slice: a range of one list, or of all lists of the owner while they are small",
    ),
    (
        "JOIN memberships m ON m.owner_id = ml.owner_id AND m.list_id = ml.list_id WHERE ml.owner_id = $1 AND ml.mailing_id = $2",
        "a slice: a range of one list, or of all lists of the owner while they are small",
    ),
    (
        "FROM runs WHERE owner_id = $1 AND created_at >= $2 AND created_at < $3",
        "the runs of one owner, in the order of ids or of moments",
    ),
    (
        "WHERE owner_id = $1 AND id = $2 AND finished_at IS NULL",
        "one run, or one among the few that are open",
    ),
    (
        "WHERE owner_id = $1 AND mailing_id = $2 AND finished_at IS NULL",
        "the runs of one mailing, or the few that are open",
    ),
    (
        "FROM deliveries WHERE owner_id = $1 AND run_id = $2 AND id > $3",
        "the deliveries of one run, or those behind a place, which lie together",
    ),
    (
        "JOIN mailings m ON m.owner_id = r.owner_id AND m.id = r.mailing_id",
        "the mailing of a run, by either of its keys",
    ),
    (
        "FROM suppressions s JOIN recipients r ON r.owner_id = s.owner_id AND r.email_key = s.email_key",
        "who of a list gets nothing: from the list, or from the suppressions where these are fewer",
    ),
    (
        "FROM post_tags t WHERE t.post_id = p.id AND t.slug = $3",
        "the few tags of a post, or the posts of a tag",
    ),
    (
        "WHERE id = $1 AND state = 'claimed' AND claimed_by = $2",
        "one letter, or the few that a worker has in hand",
    ),
    (
        "FROM mailings WHERE waiting <> '' AND status = 'running' AND next_due_at IS NOT NULL",
        "three partial indexes hold what is wanted, and the smallest is read",
    ),
    (
        "DELETE FROM memberships WHERE owner_id = $1",
        "in slices: both keys of the table lead to the same few rows",
    ),
    (
        "DELETE FROM outbox WHERE owner_id = $1",
        "in slices: both keys of the table lead to the same few rows",
    ),
];

/// Statements about the schema, which does not grow.
pub const STRAY: &[&str] = &[
    "sqlite_master",
    "to_regclass",
    "_sqlx_migrations",
    "pg_stat_xact",
    "sqlite_stat1",
];
