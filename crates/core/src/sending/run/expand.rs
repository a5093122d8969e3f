//! Expansion: recipients become deliveries, slice by slice (R19).
//!
//! Recipients are taken in order of id between `cursor` and `bound`, the last one that existed when
//! the run began. So each slice is a range, and after a crash expansion continues from the last
//! commit. The range is read from the memberships of each of the mailing's lists, never from all
//! recipients: a small list is fast even if its owner has a million recipients.
//!
//! A run whose end comes before it is expanded is still expanded, with deliveries that are expired
//! from the start. So its report says for everybody who was chosen what became of them.
//!
//! *Invariants*: deliveries, cursor and counters change in one transaction. Within a run, an
//! address has one delivery.

use crate::platform::db::{Tx, on_db};
use crate::platform::error::Error;
use crate::platform::ids::{ListId, MailingId, RecipientId, RunId, UserId};
use crate::platform::time::Timestamp;
use crate::sending::delivery::{DeliveryState, queue};
use crate::sending::run::Run;

/// Result of expanding one slice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ExpandedSlice {
    /// The run's owner.
    pub owner: UserId,
    /// The run.
    pub run: RunId,
    /// Number of new deliveries.
    pub added: i64,
    /// Whether all deliveries of the run exist now.
    pub complete: bool,
}

#[derive(sqlx::FromRow)]
struct OpenExpansion {
    owner_id: UserId,
    id: RunId,
    mailing_id: MailingId,
    due_at: Timestamp,
    bound: Option<RecipientId>,
    cursor: Option<RecipientId>,
    /// Whether the run's end has passed.
    expired: bool,
}

/// Picks a run to expand, with the row lock that only PostgreSQL has.
macro_rules! pick_sql {
    ($lock:literal) => {
        concat!(
            "SELECT r.owner_id, r.id, r.mailing_id, r.due_at, r.bound, r.cursor, r.state = 'expired' AS expired
             FROM runs r
             JOIN mailings m ON m.owner_id = r.owner_id AND m.id = r.mailing_id
             JOIN users u ON u.id = r.owner_id
             WHERE r.finished_at IS NULL AND NOT r.expanded
               AND (r.state = 'expired'
                    OR r.state IN ('expanding', 'sending') AND (r.end_at IS NULL OR r.end_at > $1)
                       AND m.disabled_at IS NULL AND u.blocked_at IS NULL)
               AND ($2 IS NULL OR r.mailing_id = $2)
             ORDER BY r.state = 'expired', r.planned, r.id
             LIMIT 1 ",
            $lock
        )
    };
}

/// Ids of a mailing's audience in a range. `$1` owner, `$2` mailing, `$3` after this id, `$4` up to
/// this id.
macro_rules! range_sql {
    () => {
        "SELECT m.recipient_id
         FROM mailing_lists ml
         JOIN memberships m ON m.owner_id = ml.owner_id AND m.list_id = ml.list_id
         WHERE ml.owner_id = $1 AND ml.mailing_id = $2 AND m.recipient_id > $3 AND m.recipient_id <= $4
         UNION
         SELECT mr.recipient_id
         FROM mailing_recipients mr
         WHERE mr.owner_id = $1 AND mr.mailing_id = $2 AND mr.recipient_id > $3 AND mr.recipient_id <= $4"
    };
}

/// Joins the recipient `r` of each id in `chosen` by key. `OFFSET 0` keeps PostgreSQL from changing
/// the join order.
macro_rules! with_recipient {
    (sqlite) => {
        " CROSS JOIN recipients r ON r.owner_id = $1 AND r.id = chosen.recipient_id "
    };
    (postgres) => {
        " CROSS JOIN LATERAL
              (SELECT * FROM recipients WHERE owner_id = $1 AND id = chosen.recipient_id OFFSET 0) AS r "
    };
}

/// Creates deliveries. `$1` to `$4` as in `range_sql`, `$5` run, `$6` due time, `$7` state, `$8`
/// when it is over.
macro_rules! insert_sql {
    ($db:ident) => {
        concat!(
            "INSERT INTO deliveries (owner_id, run_id, recipient_id, email, email_key, state, attempts, due_at, done_at)
             SELECT r.owner_id, $5, r.id, r.email, r.email_key, $7, 0, $6, $8
             FROM (",
            range_sql!(),
            ") AS chosen",
            with_recipient!($db),
            "WHERE NOT EXISTS (SELECT 1 FROM suppressions s WHERE s.owner_id = $1 AND s.email_key = r.email_key)
             ON CONFLICT DO NOTHING"
        )
    };
}

impl Run {
    /// Whether there is anything to expand, of all mailings or of one.
    pub async fn any_to_expand(
        tx: &mut Tx,
        only: Option<MailingId>,
        now: Timestamp,
    ) -> Result<bool, Error> {
        let open: Option<OpenExpansion> = on_db!(tx, conn => sqlx::query_as(pick_sql!(""))
            .bind(now)
            .bind(only)
            .fetch_optional(conn)
            .await)?;
        Ok(open.is_some())
    }

    /// Expands the next slice of the run with the fewest deliveries, of all mailings or of one.
    /// Looks at about `limit` recipients. `None` when there is nothing to expand, or other
    /// processes are expanding it.
    pub async fn expand_next(
        tx: &mut Tx,
        only: Option<MailingId>,
        limit: i64,
        now: Timestamp,
    ) -> Result<Option<ExpandedSlice>, Error> {
        let sql = match tx {
            Tx::Sqlite(_) => pick_sql!(""),
            Tx::Postgres(_) => pick_sql!("FOR UPDATE OF r SKIP LOCKED"),
        };
        let open: Option<OpenExpansion> = on_db!(tx, conn => sqlx::query_as(sql)
            .bind(now)
            .bind(only)
            .fetch_optional(conn)
            .await)?;
        let Some(open) = open else {
            return Ok(None);
        };
        expand_slice(tx, &open, limit, now).await.map(Some)
    }
}

async fn expand_slice(
    tx: &mut Tx,
    open: &OpenExpansion,
    limit: i64,
    now: Timestamp,
) -> Result<ExpandedSlice, Error> {
    let after = open.cursor.unwrap_or(RecipientId(uuid::Uuid::nil()));
    let bound = open.bound.unwrap_or(after);
    let (up_to, complete) = slice_end(tx, open, after, bound, limit).await?;
    let chosen: i64 = on_db!(tx, conn => sqlx::query_scalar(concat!(
        "SELECT count(*) FROM (", range_sql!(), ") AS chosen",
    ))
    .bind(open.owner_id)
    .bind(open.mailing_id)
    .bind(after)
    .bind(up_to)
    .fetch_one(conn)
    .await)?;
    let (added, ids) = insert(tx, open, after, up_to, now).await?;
    if let Some(ids) = ids
        && !open.expired
    {
        queue::add_fresh(tx, open.owner_id, open.id, ids, open.due_at).await?;
    }
    on_db!(tx, conn => sqlx::query(
        "UPDATE runs
         SET cursor = $3, chosen = chosen + $4, planned = planned + $5, suppressed = suppressed + $6,
             expanded = $7, expired = expired + CASE WHEN state = 'expired' THEN $5 ELSE 0 END,
             started_at = CASE WHEN state = 'expired' THEN started_at ELSE coalesce(started_at, $8) END,
             state = CASE WHEN state = 'expired' THEN state ELSE 'sending' END
         WHERE owner_id = $1 AND id = $2",
    )
    .bind(open.owner_id)
    .bind(open.id)
    .bind(up_to)
    .bind(chosen)
    .bind(added)
    .bind(chosen - added)
    .bind(complete)
    .bind(now)
    .execute(conn)
    .await
    .map(|_| ()))?;
    if complete {
        // nothing was left to send: everybody is suppressed, or the workers were faster
        Run::finish_if_over(tx, open.owner_id, open.id, now).await?;
    }
    Ok(ExpandedSlice {
        owner: open.owner_id,
        run: open.id,
        added,
        complete,
    })
}

/// Creates the deliveries of a range of recipients. Returns how many, and the first and last id.
async fn insert(
    tx: &mut Tx,
    open: &OpenExpansion,
    after: RecipientId,
    up_to: RecipientId,
    now: Timestamp,
) -> Result<(i64, Option<(i64, i64)>), Error> {
    let (state, done_at) = if open.expired {
        (DeliveryState::Expired, Some(now))
    } else {
        (DeliveryState::Queued, None)
    };
    let (added, first, last): (i64, Option<i64>, Option<i64>) = match tx {
        Tx::Sqlite(tx) => {
            let before: Option<i64> = sqlx::query_scalar("SELECT max(id) FROM deliveries")
                .fetch_one(&mut **tx)
                .await?;
            sqlx::query(insert_sql!(sqlite))
                .bind(open.owner_id)
                .bind(open.mailing_id)
                .bind(after)
                .bind(up_to)
                .bind(open.id)
                .bind(open.due_at)
                .bind(state.as_str())
                .bind(done_at)
                .execute(&mut **tx)
                .await?;
            // SQLite has one writer, so these are the new rows
            sqlx::query_as("SELECT count(*), min(id), max(id) FROM deliveries WHERE id > $1")
                .bind(before.unwrap_or(0))
                .fetch_one(&mut **tx)
                .await?
        }
        Tx::Postgres(tx) => {
            sqlx::query_as(concat!(
                "WITH made AS (",
                insert_sql!(postgres),
                " RETURNING id) SELECT count(*), min(id), max(id) FROM made"
            ))
            .bind(open.owner_id)
            .bind(open.mailing_id)
            .bind(after)
            .bind(up_to)
            .bind(open.id)
            .bind(open.due_at)
            .bind(state.as_str())
            .bind(done_at)
            .fetch_one(&mut **tx)
            .await?
        }
    };
    Ok((added, first.zip(last)))
}

/// Where the slice ends, and whether it is the last one: no list contributes more than its share.
async fn slice_end(
    tx: &mut Tx,
    open: &OpenExpansion,
    after: RecipientId,
    bound: RecipientId,
    limit: i64,
) -> Result<(RecipientId, bool), Error> {
    let lists: Vec<ListId> = on_db!(tx, conn => sqlx::query_scalar(
        "SELECT list_id FROM mailing_lists WHERE owner_id = $1 AND mailing_id = $2",
    )
    .bind(open.owner_id)
    .bind(open.mailing_id)
    .fetch_all(conn)
    .await)?;
    let sources = i64::try_from(lists.len()).unwrap_or(i64::MAX).max(1);
    let share = (limit / sources).max(1);
    let mut end: Option<RecipientId> = None;
    for list in lists {
        let nth: Option<RecipientId> = on_db!(tx, conn => sqlx::query_scalar(
            "SELECT recipient_id FROM memberships
             WHERE owner_id = $1 AND list_id = $2 AND recipient_id > $3 AND recipient_id <= $4
             ORDER BY recipient_id
             LIMIT 1 OFFSET $5",
        )
        .bind(open.owner_id)
        .bind(list)
        .bind(after)
        .bind(bound)
        .bind(share - 1)
        .fetch_optional(conn)
        .await)?;
        end = match (end, nth) {
            (Some(end), Some(nth)) => Some(end.min(nth)),
            (end, nth) => end.or(nth),
        };
    }
    let end = end.unwrap_or(bound);
    Ok((end, end == bound))
}
