//! The log of all of an owner's mailings, the newest attempt first.
//!
//! There is no index over all attempts of an owner in order of time: it would have to be written for every letter. What a page needs
//! is found otherwise. Attempts at one address come from its deliveries; attempts that were not accepted have an index of their own;
//! all others are merged from the logs of the runs, beginning with the run that ended last, until nothing newer
//! can come.
//!
//! *Invariant*: a page looks at no more than about [`SCAN`] attempts and [`RUNS`] runs. When that is not enough to fill it, it ends
//! where everything newer has been looked at, and says so.

use super::{Attempt, AttemptOutcome};
use crate::platform::db::{Tx, on_db, worded};
use crate::platform::error::Error;
use crate::platform::ids::{DeliveryId, MailingId, RecipientId, RunId, UserId};
use crate::platform::page::containing;
use crate::platform::time::Moment;
use crate::sending::delivery::DeliveryState;

/// Most attempts that a page looks at.
const SCAN: usize = 10_000;
/// Most runs that a page looks into.
const RUNS: usize = 60;
/// Most runs of one mailing.
const RUNS_OF_MAILING: i64 = 10_000;

/// Which attempts of an owner.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LogFilter {
    /// Of this mailing only.
    pub mailing: Option<MailingId>,
    /// With this outcome.
    pub outcome: Option<AttemptOutcome>,
    /// Of deliveries that are in this state now.
    pub state: Option<DeliveryState>,
    /// With this class.
    pub class: Option<String>,
    /// With this reply code.
    pub code: Option<i64>,
    /// With a server whose name contains this.
    pub server: Option<String>,
    /// At addresses of this domain.
    pub domain: Option<String>,
    /// At addresses that contain this; a whole address that is known is found at once.
    pub address: Option<String>,
    /// From this moment on.
    pub from: Option<Moment>,
    /// Before this moment.
    pub to: Option<Moment>,
}

/// Where a page ends: the next one begins with what is older.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct LogCursor {
    /// The moment.
    pub at: Moment,
    /// The delivery.
    pub delivery: i64,
    /// The number of the attempt.
    pub number: i64,
}

/// One line of the log of all mailings.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, sqlx::FromRow)]
pub struct LogRow {
    /// The attempt.
    #[sqlx(flatten)]
    #[serde(flatten)]
    pub attempt: Attempt,
    /// Its mailing.
    #[serde(rename = "mailing")]
    pub mailing_id: MailingId,
    /// The mailing's title.
    pub title: String,
    /// Its recipient.
    pub recipient_id: RecipientId,
}

/// A page of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogPage {
    /// The newest attempt first.
    pub rows: Vec<LogRow>,
    /// Where the next page begins; none: there is nothing older.
    pub next: Option<LogCursor>,
    /// So much was looked at that the page ends before it is full.
    pub cut: bool,
}

#[derive(sqlx::FromRow)]
struct Span {
    id: RunId,
    finished_at: Option<Moment>,
}

/// Some attempts, looked through from the newest on.
struct Looked {
    rows: Vec<LogRow>,
    /// Nothing older than this was looked at; none: there is nothing older.
    floor: Option<LogCursor>,
}

/// The newest attempts of a run: `$1` owner, `$2` run, `$3` `$4` `$5` older than, `$6` from, `$7` most that are looked at.
macro_rules! place_run {
    ($db:ident) => {
        newest!(of_run!($db))
    };
}

/// As [`place_run`], of all that were not accepted; `$2` is not used.
macro_rules! place_trouble {
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

/// As [`place_run`]; `$2` is the recipient.
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

/// What is found in them.
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

/// Where the last of them stands, when there are as many as could be looked at: `$8` is one less.
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
    /// Newer than everything.
    const NEWEST: Self = Self {
        at: Moment::from_millis(i64::MAX),
        delivery: i64::MAX,
        number: i64::MAX,
    };

    /// Older than everything at this moment or later.
    const fn before(at: Moment) -> Self {
        Self {
            at,
            delivery: i64::MIN,
            number: i64::MIN,
        }
    }

    /// Newer than everything at this moment or before.
    const fn behind(at: Moment) -> Self {
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
    /// Every attempt that can match was not accepted.
    fn is_trouble(&self) -> bool {
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

    /// What is looked at need not match.
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

/// Where attempts are looked for.
#[derive(Clone, Copy)]
enum Place {
    Run(RunId),
    Trouble,
    Person(RecipientId),
}

impl Attempt {
    /// Up to `limit` attempts of an owner that are older than `after`.
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
        tx.by_key().await?;
        let mut looked = match person {
            Some(person) => {
                look(tx, owner, Place::Person(person), filter, top, SCAN, limit).await?
            }
            None if filter.is_trouble() => {
                look(tx, owner, Place::Trouble, filter, top, SCAN, limit).await?
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

/// The recipient whose whole address is asked for.
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

/// Merges the logs of runs, those that ended last first.
async fn merge(
    tx: &mut Tx,
    owner: UserId,
    filter: &LogFilter,
    top: LogCursor,
    limit: usize,
) -> Result<Looked, Error> {
    let runs = runs(tx, owner, filter, top).await?;
    let mut budget = SCAN;
    let mut rows: Vec<LogRow> = Vec::new();
    let mut floor: Option<LogCursor> = None;
    let mut visited = 0;
    for run in &runs {
        let end = run.finished_at.map(LogCursor::behind);
        let full = rows.len() > limit;
        if let Some(end) = end {
            // nothing newer than what is there already can come
            let enough = full
                && rows
                    .get(limit)
                    .is_some_and(|row| LogCursor::of(&row.attempt) >= end);
            if enough || floor.is_some_and(|floor| floor >= end) {
                break;
            }
            if visited == RUNS || budget == 0 {
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
        let looked = look(tx, owner, Place::Run(run.id), filter, top, scan, limit).await?;
        if filter.is_selective() {
            budget = budget.saturating_sub(if looked.floor.is_some() {
                scan
            } else {
                SCAN / RUNS
            });
        }
        floor = floor.max(looked.floor);
        rows.extend(looked.rows);
        rows.sort_by_key(|row| std::cmp::Reverse(LogCursor::of(&row.attempt)));
        rows.truncate(limit + 1);
    }
    let more_runs = runs.len() > RUNS && visited == runs.len();
    if more_runs && let Some(end) = runs.last().and_then(|run| run.finished_at) {
        floor = floor.max(Some(LogCursor::behind(end)));
    }
    // what was found in full needs no floor
    if rows.len() > limit
        && let (Some(last), Some(low)) = (rows.get(limit), floor)
        && LogCursor::of(&last.attempt) >= low
    {
        floor = None;
    }
    Ok(Looked { rows, floor })
}

/// The runs that can have attempts older than `top`: open ones first, then those that ended last.
async fn runs(
    tx: &mut Tx,
    owner: UserId,
    filter: &LogFilter,
    top: LogCursor,
) -> Result<Vec<Span>, Error> {
    let from = filter.from.unwrap_or(Moment::from_millis(i64::MIN));
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
    .bind(i64::try_from(RUNS + 1).unwrap_or(i64::MAX))
    .fetch_all(conn)
    .await)?;
    runs.extend(finished);
    Ok(runs)
}

/// Looks through up to `scan` attempts at one place.
async fn look(
    tx: &mut Tx,
    owner: UserId,
    place: Place,
    filter: &LogFilter,
    top: LogCursor,
    scan: usize,
    limit: usize,
) -> Result<Looked, Error> {
    let (sql, last) = match place {
        Place::Run(_) => (
            worded!(tx, look_sql, place_run),
            worded!(tx, last_sql, place_run),
        ),
        Place::Trouble => (
            worded!(tx, look_sql, place_trouble),
            worded!(tx, last_sql, place_trouble),
        ),
        Place::Person(_) => (
            worded!(tx, look_sql, place_person),
            worded!(tx, last_sql, place_person),
        ),
    };
    let id = match place {
        Place::Run(run) => Some(run.0),
        Place::Person(person) => Some(person.0),
        Place::Trouble => None,
    };
    // a person is found by the whole address: it need not be looked for in each line
    let address = filter.address.as_deref().map(containing);
    let rows: Vec<LogRow> = on_db!(tx, conn => sqlx::query_as(sql)
        .bind(owner)
        .bind(id)
        .bind(top.at)
        .bind(top.delivery)
        .bind(top.number)
        .bind(filter.from.map_or(i64::MIN, Moment::millis))
        .bind(i64::try_from(scan).unwrap_or(i64::MAX))
        .bind(filter.outcome.map(AttemptOutcome::as_str))
        .bind(filter.state.map(DeliveryState::as_str))
        .bind(filter.class.as_deref())
        .bind(filter.code)
        .bind(filter.server.as_deref().map(containing))
        .bind(filter.domain.as_deref().map(crate::sending::delivery::of_domain))
        .bind(address)
        .bind(filter.mailing)
        .bind(i64::try_from(limit).unwrap_or(i64::MAX - 1) + 1)
        .fetch_all(conn)
        .await)?;
    if rows.len() > limit {
        return Ok(Looked {
            floor: rows.last().map(|row| LogCursor::of(&row.attempt)),
            rows,
        });
    }
    let lowest: Option<(Moment, i64, i64)> = on_db!(tx, conn => sqlx::query_as(last)
        .bind(owner)
        .bind(id)
        .bind(top.at)
        .bind(top.delivery)
        .bind(top.number)
        .bind(filter.from.map_or(i64::MIN, Moment::millis))
        .bind(i64::try_from(scan).unwrap_or(i64::MAX))
        .bind(i64::try_from(scan).unwrap_or(i64::MAX) - 1)
        .fetch_optional(conn)
        .await)?;
    Ok(Looked {
        rows,
        floor: lowest.map(|(at, delivery, number)| LogCursor {
            at,
            delivery,
            number,
        }),
    })
}
