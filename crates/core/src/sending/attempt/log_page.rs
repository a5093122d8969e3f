//! The log of all of an owner's mailings, newest attempt first.
//!
//! There is no index on owner and time, because it would cost an index write per letter. A page
//! finds its rows in other ways. Attempts at one address are found through that recipient's
//! deliveries. Attempts that were not accepted have an index. All others are merged from the logs
//! of the runs, starting with the run that ended last, until no newer attempt can follow.
//!
//! *Invariant*: a page looks at no more than about [`ROWS_SCANNED_MAX`] attempts and
//! [`RUNS_PER_SCAN`] runs. If that does not fill it, the page ends where everything newer has been
//! looked at, and sets [`LogPage::cut`].

use super::{Attempt, AttemptOutcome};
use crate::platform::db::{Tx, dialect, on_db};
use crate::platform::error::Error;
use crate::platform::ids::{DeliveryId, MailingId, RecipientId, RunId, UserId};
use crate::platform::paging::like_pattern;
use crate::platform::time::Timestamp;
use crate::sending::delivery::DeliveryState;

/// Maximum number of attempts that one page scans.
const ROWS_SCANNED_MAX: usize = 10_000;
/// Maximum number of runs that one page looks into.
const RUNS_PER_SCAN: usize = 60;
/// Maximum number of runs considered when only one mailing is shown.
const RUNS_OF_MAILING: i64 = 10_000;

/// Selects attempts of an owner. All conditions must hold.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LogFilter {
    /// Only attempts of this mailing.
    pub mailing: Option<MailingId>,
    /// Only attempts with this outcome.
    pub outcome: Option<AttemptOutcome>,
    /// Only deliveries that are in this state now.
    pub state: Option<DeliveryState>,
    /// Only attempts with this class.
    pub class: Option<String>,
    /// Only attempts with this reply code.
    pub code: Option<i64>,
    /// Only servers whose `host:port` contains this text.
    pub server: Option<String>,
    /// Only addresses of this domain.
    pub domain: Option<String>,
    /// Only addresses that contain this text. The full address of a recipient is looked up
    /// directly.
    pub address: Option<String>,
    /// Only attempts at or after this time.
    pub from: Option<Timestamp>,
    /// Only attempts before this time.
    pub to: Option<Timestamp>,
}

/// Position in the log. The next page contains what is older.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct LogCursor {
    /// When the attempt ended.
    pub at: Timestamp,
    /// Id of the delivery.
    pub delivery: i64,
    /// Number of the attempt within the delivery.
    pub number: i64,
}

/// One row of the log of all mailings.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, sqlx::FromRow)]
pub struct LogRow {
    /// The attempt.
    #[sqlx(flatten)]
    #[serde(flatten)]
    pub attempt: Attempt,
    /// The mailing it belongs to.
    #[serde(rename = "mailing")]
    pub mailing_id: MailingId,
    /// The mailing's current title.
    pub title: String,
    /// The recipient; may have been removed since.
    pub recipient_id: RecipientId,
}

/// One page of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogPage {
    /// Newest first.
    pub rows: Vec<LogRow>,
    /// Where the next page begins; `None` when there is nothing older.
    pub next: Option<LogCursor>,
    /// Whether the scan limit was reached before the page was full.
    pub cut: bool,
}

#[derive(sqlx::FromRow)]
struct Span {
    id: RunId,
    finished_at: Option<Timestamp>,
}

/// Result of scanning a part of the log, newest first.
struct ScannedAttempts {
    rows: Vec<LogRow>,
    /// Nothing older than this was looked at; `None` when there is nothing older.
    floor: Option<LogCursor>,
}

/// Newest attempts of a run. `$1` owner, `$2` run, `$3` `$4` `$5` only older than this position,
/// `$6` earliest time, `$7` maximum rows.
macro_rules! place_run {
    ($db:ident) => {
        newest!(of_run!($db))
    };
}

/// Like [`place_run`], for attempts of all runs that were not accepted. `$2` is not used.
macro_rules! place_unsuccessful {
    (sqlite) => {
        newest!(
            "attempts INDEXED BY attempts_trouble_log
             WHERE owner_id = $1 AND outcome <> 'sent' AND CAST($2 AS TEXT) IS NULL"
        )
    };
    (postgres) => {
        newest!("attempts WHERE owner_id = $1 AND outcome <> 'sent' AND CAST($2 AS TEXT) IS NULL")
    };
}

/// Like [`place_run`], for one recipient, `$2`.
macro_rules! place_person {
    (sqlite) => {
        newest!(
            "(SELECT a.* FROM deliveries p
              CROSS JOIN attempts a ON a.owner_id = p.owner_id AND a.delivery_id = p.id
              WHERE p.owner_id = $1 AND p.recipient_id = $2) AS a WHERE TRUE"
        )
    };
    (postgres) => {
        newest!(
            "(SELECT a.* FROM deliveries p
              CROSS JOIN LATERAL
                  (SELECT * FROM attempts WHERE owner_id = p.owner_id AND delivery_id = p.id OFFSET 0) AS a
              WHERE p.owner_id = $1 AND p.recipient_id = $2) AS a WHERE TRUE"
        )
    };
}

macro_rules! newest {
    ($from:expr) => {
        concat!(
            $from,
            " AND (at, delivery_id, number) < ($3, $4, $5) AND at >= $6
             ORDER BY at DESC, delivery_id DESC, number DESC LIMIT $7"
        )
    };
}

/// The scanned attempts that match the filter (`$8` to `$15`), at most `$16`.
macro_rules! look_sql {
    ($db:ident, $place:ident) => {
        lines_sql!(
            $db,
            ", m.id AS mailing_id, m.title, d.recipient_id",
            $place!($db),
            "JOIN runs r ON r.owner_id = a.owner_id AND r.id = a.run_id
             JOIN mailings m ON m.owner_id = r.owner_id AND m.id = r.mailing_id
             WHERE ($8 IS NULL OR a.outcome = $8) AND ($9 IS NULL OR d.state = $9) AND ($10 IS NULL OR a.class = $10)
               AND ($11 IS NULL OR a.code = $11) AND ($12 IS NULL OR a.server LIKE $12 ESCAPE '\\')
               AND ($13 IS NULL OR d.email_key LIKE $13 ESCAPE '\\') AND ($14 IS NULL OR d.email_key LIKE $14 ESCAPE '\\')
               AND ($15 IS NULL OR m.id = $15)
             ORDER BY a.at DESC, a.delivery_id DESC, a.number DESC
             LIMIT $16"
        )
    };
}

/// Position of the last attempt of a full scan. `$8` is the scan limit minus one, so a scan that
/// reached the end finds nothing.
macro_rules! last_sql {
    ($db:ident, $place:ident) => {
        concat!(
            "SELECT a.at, a.delivery_id, a.number FROM (SELECT * FROM ",
            $place!($db),
            ") AS a ORDER BY a.at DESC, a.delivery_id DESC, a.number DESC LIMIT 1 OFFSET $8"
        )
    };
}

impl LogCursor {
    /// Newer than every attempt.
    const NEWEST: Self = Self {
        at: Timestamp::from_millis(i64::MAX),
        delivery: i64::MAX,
        number: i64::MAX,
    };

    /// Older than every attempt at `at` or later.
    const fn before(at: Timestamp) -> Self {
        Self {
            at,
            delivery: i64::MIN,
            number: i64::MIN,
        }
    }

    /// Newer than every attempt at `at` or earlier.
    const fn behind(at: Timestamp) -> Self {
        Self {
            at,
            delivery: i64::MAX,
            number: i64::MAX,
        }
    }

    const fn of(row: &Attempt) -> Self {
        let DeliveryId(delivery) = row.delivery_id;
        Self {
            at: row.at,
            delivery,
            number: row.number,
        }
    }
}

impl LogFilter {
    /// Whether only attempts that were not accepted can match.
    fn is_unsuccessful(&self) -> bool {
        let outcome = self
            .outcome
            .is_some_and(|outcome| outcome != AttemptOutcome::Sent);
        let code = self.code.is_some_and(|code| code >= 400);
        let class = self
            .class
            .as_deref()
            .is_some_and(|class| class != "accepted");
        outcome || code || class
    }

    /// Whether scanned attempts may fail to match.
    fn is_selective(&self) -> bool {
        let Self {
            outcome,
            state,
            class,
            code,
            server,
            domain,
            address,
            ..
        } = self;
        let words = [class, server, domain, address];
        outcome.is_some()
            || state.is_some()
            || code.is_some()
            || words.into_iter().any(Option::is_some)
    }
}

/// Which part of the log to scan.
#[derive(Clone, Copy)]
enum LogSource {
    Run(RunId),
    Trouble,
    Person(RecipientId),
}

impl Attempt {
    /// Up to `limit` attempts of an owner older than `after`, newest first.
    pub async fn explore(
        tx: &mut Tx,
        owner: UserId,
        filter: &LogFilter,
        after: Option<LogCursor>,
        limit: usize,
    ) -> Result<LogPage, Error> {
        let mut top = after.unwrap_or(LogCursor::NEWEST);
        if let Some(to) = filter.to {
            top = top.min(LogCursor::before(to));
        }
        let person = person(tx, owner, filter).await?;
        tx.keep_plans().await?;
        let mut looked = match person {
            Some(person) => {
                look(
                    tx,
                    owner,
                    LogSource::Person(person),
                    filter,
                    top,
                    ROWS_SCANNED_MAX,
                    limit,
                )
                .await?
            }
            None if filter.is_unsuccessful() => {
                look(
                    tx,
                    owner,
                    LogSource::Trouble,
                    filter,
                    top,
                    ROWS_SCANNED_MAX,
                    limit,
                )
                .await?
            }
            None => merge(tx, owner, filter, top, limit).await?,
        };
        let cut = looked.floor;
        if let Some(floor) = cut {
            looked
                .rows
                .retain(|row| LogCursor::of(&row.attempt) >= floor);
        }
        if looked.rows.len() > limit {
            looked.rows.truncate(limit);
            let next = looked.rows.last().map(|row| LogCursor::of(&row.attempt));
            return Ok(LogPage {
                rows: looked.rows,
                next,
                cut: false,
            });
        }
        Ok(LogPage {
            rows: looked.rows,
            next: cut,
            cut: cut.is_some(),
        })
    }
}

/// The recipient whose full address the filter contains.
async fn person(
    tx: &mut Tx,
    owner: UserId,
    filter: &LogFilter,
) -> Result<Option<RecipientId>, Error> {
    let Some(address) = filter.address.as_deref().map(|a| a.trim().to_lowercase()) else {
        return Ok(None);
    };
    if !address.contains('@') {
        return Ok(None);
    }
    Ok(on_db!(tx, conn => sqlx::query_scalar(
        "SELECT id FROM recipients WHERE owner_id = $1 AND email_key = $2",
    )
    .bind(owner)
    .bind(&address)
    .fetch_optional(conn)
    .await)?)
}

/// Merges the logs of runs, starting with those that ended last.
async fn merge(
    tx: &mut Tx,
    owner: UserId,
    filter: &LogFilter,
    top: LogCursor,
    limit: usize,
) -> Result<ScannedAttempts, Error> {
    let runs = runs(tx, owner, filter, top).await?;
    let mut budget = ROWS_SCANNED_MAX;
    let mut rows: Vec<LogRow> = Vec::new();
    let mut floor: Option<LogCursor> = None;
    let mut visited = 0;
    for run in &runs {
        let end = run.finished_at.map(LogCursor::behind);
        let full = rows.len() > limit;
        if let Some(end) = end {
            // this run has nothing newer than what was found
            let enough = full
                && rows
                    .get(limit)
                    .is_some_and(|row| LogCursor::of(&row.attempt) >= end);
            if enough || floor.is_some_and(|floor| floor >= end) {
                break;
            }
            if visited == RUNS_PER_SCAN || budget == 0 {
                floor = floor.max(Some(end));
                break;
            }
        }
        visited += 1;
        let scan = if filter.is_selective() {
            budget.max(limit + 1)
        } else {
            limit + 1
        };
        let looked = look(tx, owner, LogSource::Run(run.id), filter, top, scan, limit).await?;
        if filter.is_selective() {
            budget = budget.saturating_sub(if looked.floor.is_some() {
                scan
            } else {
                ROWS_SCANNED_MAX / RUNS_PER_SCAN
            });
        }
        floor = floor.max(looked.floor);
        rows.extend(looked.rows);
        rows.sort_by_key(|row| std::cmp::Reverse(LogCursor::of(&row.attempt)));
        rows.truncate(limit + 1);
    }
    let more_runs = runs.len() > RUNS_PER_SCAN && visited == runs.len();
    if more_runs && let Some(end) = runs.last().and_then(|run| run.finished_at) {
        floor = floor.max(Some(LogCursor::behind(end)));
    }
    // a full page needs no floor
    if rows.len() > limit
        && let (Some(last), Some(low)) = (rows.get(limit), floor)
        && LogCursor::of(&last.attempt) >= low
    {
        floor = None;
    }
    Ok(ScannedAttempts { rows, floor })
}

/// Runs that can have attempts older than `top`: open ones first, then those that ended last.
async fn runs(
    tx: &mut Tx,
    owner: UserId,
    filter: &LogFilter,
    top: LogCursor,
) -> Result<Vec<Span>, Error> {
    let from = filter.from.unwrap_or(Timestamp::from_millis(i64::MIN));
    if let Some(mailing) = filter.mailing {
        let mut runs: Vec<Span> = on_db!(tx, conn => sqlx::query_as(
            "SELECT id, finished_at FROM runs
             WHERE owner_id = $1 AND mailing_id = $2 AND state <> 'skipped' AND created_at <= $3
             ORDER BY due_at DESC
             LIMIT $4",
        )
        .bind(owner)
        .bind(mailing)
        .bind(top.at)
        .bind(RUNS_OF_MAILING)
        .fetch_all(conn)
        .await)?;
        runs.retain(|run| run.finished_at.is_none_or(|at| at >= from));
        runs.sort_by_key(|run| std::cmp::Reverse(run.finished_at.unwrap_or(LogCursor::NEWEST.at)));
        return Ok(runs);
    }
    let mut runs: Vec<Span> = on_db!(tx, conn => sqlx::query_as(
        "SELECT id, finished_at FROM runs
         WHERE owner_id = $1 AND finished_at IS NULL AND state <> 'skipped' AND created_at <= $2",
    )
    .bind(owner)
    .bind(top.at)
    .fetch_all(conn)
    .await)?;
    let finished: Vec<Span> = on_db!(tx, conn => sqlx::query_as(
        "SELECT id, finished_at FROM runs
         WHERE owner_id = $1 AND finished_at >= $2 AND state <> 'skipped' AND created_at <= $3
         ORDER BY finished_at DESC
         LIMIT $4",
    )
    .bind(owner)
    .bind(from)
    .bind(top.at)
    .bind(i64::try_from(RUNS_PER_SCAN + 1).unwrap_or(i64::MAX))
    .fetch_all(conn)
    .await)?;
    runs.extend(finished);
    Ok(runs)
}

/// Scans up to `scan` attempts of one part of the log.
async fn look(
    tx: &mut Tx,
    owner: UserId,
    place: LogSource,
    filter: &LogFilter,
    top: LogCursor,
    scan: usize,
    limit: usize,
) -> Result<ScannedAttempts, Error> {
    let (sql, last) = match place {
        LogSource::Run(_) => (
            dialect!(tx, look_sql, place_run),
            dialect!(tx, last_sql, place_run),
        ),
        LogSource::Trouble => (
            dialect!(tx, look_sql, place_unsuccessful),
            dialect!(tx, last_sql, place_unsuccessful),
        ),
        LogSource::Person(_) => (
            dialect!(tx, look_sql, place_person),
            dialect!(tx, last_sql, place_person),
        ),
    };
    let id = match place {
        LogSource::Run(run) => Some(run.0),
        LogSource::Person(person) => Some(person.0),
        LogSource::Trouble => None,
    };
    // needed for a recipient too: their older deliveries may have gone to another address
    let address = filter.address.as_deref().map(like_pattern);
    let rows: Vec<LogRow> = on_db!(tx, conn => sqlx::query_as(sql)
        .bind(owner)
        .bind(id)
        .bind(top.at)
        .bind(top.delivery)
        .bind(top.number)
        .bind(filter.from.map_or(i64::MIN, Timestamp::millis))
        .bind(i64::try_from(scan).unwrap_or(i64::MAX))
        .bind(filter.outcome.map(AttemptOutcome::as_str))
        .bind(filter.state.map(DeliveryState::as_str))
        .bind(filter.class.as_deref())
        .bind(filter.code)
        .bind(filter.server.as_deref().map(like_pattern))
        .bind(filter.domain.as_deref().map(crate::sending::delivery::of_domain))
        .bind(address)
        .bind(filter.mailing)
        .bind(i64::try_from(limit).unwrap_or(i64::MAX - 1) + 1)
        .fetch_all(conn)
        .await)?;
    if rows.len() > limit {
        return Ok(ScannedAttempts {
            floor: rows.last().map(|row| LogCursor::of(&row.attempt)),
            rows,
        });
    }
    let lowest: Option<(Timestamp, i64, i64)> = on_db!(tx, conn => sqlx::query_as(last)
        .bind(owner)
        .bind(id)
        .bind(top.at)
        .bind(top.delivery)
        .bind(top.number)
        .bind(filter.from.map_or(i64::MIN, Timestamp::millis))
        .bind(i64::try_from(scan).unwrap_or(i64::MAX))
        .bind(i64::try_from(scan).unwrap_or(i64::MAX) - 1)
        .fetch_optional(conn)
        .await)?;
    Ok(ScannedAttempts {
        rows,
        floor: lowest.map(|(at, delivery, number)| LogCursor {
            at,
            delivery,
            number,
        }),
    })
}
