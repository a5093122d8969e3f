//! SQL of the log.
//!
//! The statements fix the join order: first the attempts in index order, then each one's delivery
//! by key. Without statistics about an owner, both databases would otherwise read all of that
//! owner's rows.

/// Attempts of a run in log order. `$1` owner, `$2` run.
macro_rules! of_run {
    (sqlite) => {
        "attempts INDEXED BY attempts_log WHERE run_id = $2 AND owner_id = $1"
    };
    (postgres) => {
        "attempts WHERE run_id = $2 AND owner_id IS NOT DISTINCT FROM $1"
    };
}

/// Attempts of a run that were not accepted, in order of reply group. `$1` owner, `$2` run.
macro_rules! unsuccessful_of_run {
    (sqlite) => {
        "attempts INDEXED BY attempts_trouble WHERE owner_id = $1 AND run_id = $2 AND outcome <> 'sent'"
    };
    (postgres) => {
        "attempts WHERE owner_id = $1 AND run_id = $2 AND outcome <> 'sent'"
    };
}

/// Joins the delivery `d` of each attempt `a`. `OFFSET 0` keeps PostgreSQL from changing the join
/// order.
macro_rules! with_delivery {
    (sqlite) => {
        " CROSS JOIN deliveries d ON d.owner_id = a.owner_id AND d.id = a.delivery_id "
    };
    (postgres) => {
        " CROSS JOIN LATERAL
              (SELECT * FROM deliveries WHERE owner_id = a.owner_id AND id = a.delivery_id OFFSET 0) AS d "
    };
}

/// Selects an `Attempt` for each row `a` of `$from`, with the extra columns `$more`. `$rest` ends
/// the statement.
macro_rules! lines_sql {
    ($db:ident, $more:literal, $from:expr, $rest:expr) => {
        concat!(
            "SELECT a.at, d.email AS recipient, a.number, a.outcome, a.class, a.phase, a.code, a.enhanced_code, a.reply,
                    a.server, a.duration_ms, a.run_id, a.delivery_id, d.state,
                    CASE WHEN d.state = 'deferred' AND d.attempts = a.number THEN d.due_at END AS next_at",
            $more,
            " FROM (SELECT * FROM ",
            $from,
            ") AS a",
            with_delivery!($db),
            $rest
        )
    };
}

/// The statement of `Attempt::page` for one run.
macro_rules! page_sql {
    ($db:ident, $compare:literal, $direction:literal) => {
        lines_sql!(
            $db,
            "",
            concat!(of_run!($db), " AND (at, delivery_id, number) ", $compare, " ($3, $4, $5)"),
            concat!(
                "WHERE ($6 IS NULL OR a.outcome = $6) AND ($7 IS NULL OR d.state = $7) AND ($8 IS NULL OR a.code = $8)
                   AND ($9 IS NULL OR a.reply_group = $9) AND ($10 IS NULL OR d.email_key LIKE $10 ESCAPE '\\')
                   AND a.at >= $11 AND a.at < $12
                 ORDER BY a.at ",
                $direction,
                ", a.delivery_id ",
                $direction,
                ", a.number ",
                $direction,
                " LIMIT $13"
            )
        )
    };
}

/// The statement of `Attempt::of_delivery`.
macro_rules! of_delivery_sql {
    ($db:ident) => {
        lines_sql!(
            $db,
            "",
            "attempts WHERE owner_id = $1 AND delivery_id = $2",
            "ORDER BY a.number"
        )
    };
}

/// The statement of `Attempt::groups`.
macro_rules! groups_sql {
    ($db:ident) => {
        concat!(
            "SELECT a.reply_group, a.class, a.code, d.state, count(*) AS count, min(a.phase) AS phase, min(a.reply) AS reply,
                    max(a.at) AS last_at
             FROM (SELECT * FROM ",
            unsuccessful_of_run!($db),
            ") AS a",
            with_delivery!($db),
            "WHERE d.attempts = a.number AND d.state <> 'sent'
             GROUP BY a.reply_group, a.class, a.code, d.state
             ORDER BY count DESC, a.reply_group, d.state
             LIMIT $3"
        )
    };
}

/// The statement of `Attempt::sent_since`.
macro_rules! sent_since_sql {
    ($db:ident) => {
        concat!(
            "SELECT count(*) FROM ",
            of_run!($db),
            " AND at >= $3 AND outcome = 'sent'"
        )
    };
}

/// The statement of `Attempt::sent_by_second`.
macro_rules! sent_by_second_sql {
    ($db:ident) => {
        concat!(
            "SELECT at / 1000 AS second, count(*)
             FROM (SELECT at FROM ",
            of_run!($db),
            " AND at >= $3 AND outcome = 'sent' ORDER BY at DESC LIMIT $4) AS latest
             GROUP BY at / 1000
             ORDER BY second"
        )
    };
}

pub(crate) use {of_run, unsuccessful_of_run, with_delivery};
