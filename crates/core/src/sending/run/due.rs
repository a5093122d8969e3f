//! Makes the run of a mailing that is due (R17, R19, R21).
//!
//! *Invariants*: one transaction makes the run and moves `next_due_at`, so a due time has one run,
//! however many processes look: PostgreSQL skips rows that another process has locked, SQLite has
//! one writer, and `UNIQUE (owner_id, mailing_id, due_at)` would reject a second run.

use std::collections::VecDeque;

use crate::messages::letter::{FrozenMessage, MessageContent, MessageProblem};
use crate::platform::db::{Db, Tx, on_db};
use crate::platform::error::{Error, FieldError};
use crate::platform::ids::{MailingId, RecipientId, RunId, UserId};
use crate::platform::time::Timestamp;
use crate::sending::mailing::{FromIdentity, HistoryEvent, Mailing, mailing_columns};
use crate::sending::run::Run;
use crate::sending::service::ServiceIdentity;

/// Maximum number of missed due times that get a row; the history has the total.
const SKIPPED_MAX: usize = 50;

/// What became of a mailing that was due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DueOutcome {
    /// The owner.
    pub owner: UserId,
    /// The mailing.
    pub mailing: MailingId,
    /// Its new run; `None` when the end came first, the letter has an error and the mailing was
    /// paused, or the due time already had a run.
    pub run: Option<RunId>,
    /// Number of missed due times that are not caught up.
    pub skipped: i64,
    /// The owner's limits or a missing approval hold it; nothing else happened.
    pub held: bool,
}

/// Picks a mailing that is due, with the row lock that only PostgreSQL has.
macro_rules! pick_sql {
    ($lock:literal) => {
        concat!(
            "SELECT ",
            mailing_columns!("m"),
            " FROM mailings m
             JOIN users u ON u.id = m.owner_id
             WHERE m.status = 'running' AND m.next_due_at IS NOT NULL AND m.next_due_at <= $1
               AND m.waiting = '' AND m.take_back_until IS NULL AND m.disabled_at IS NULL
               AND u.blocked_at IS NULL AND u.verified_at IS NOT NULL
               AND ($2 IS NULL OR m.id = $2)
             ORDER BY m.next_due_at, m.id
             LIMIT 1 ",
            $lock
        )
    };
}

/// The letter of the mailing that is due next. It is made before the transaction that makes the
/// run, which would keep other writers waiting meanwhile.
#[derive(Debug)]
pub struct NextLetter {
    content: MessageContent,
    frozen: Result<FrozenMessage, Vec<MessageProblem>>,
}

impl NextLetter {
    /// Makes it; `None` when no mailing with a message is due, of all or the given one.
    pub async fn make(
        db: &Db,
        only: Option<MailingId>,
        now: Timestamp,
    ) -> Result<Option<Self>, Error> {
        let mut tx = db.read().await?;
        let Some(mailing) = pick(&mut tx, pick_sql!(""), only, now).await? else {
            return Ok(None);
        };
        let Some(content) = mailing.content(&mut tx).await? else {
            return Ok(None);
        };
        drop(tx);
        let frozen = FrozenMessage::new_aside(content.clone()).await;
        Ok(Some(Self { content, frozen }))
    }
}

/// What a run freezes: the letter and its sender.
struct FrozenLetter {
    frozen: FrozenMessage,
    from: FromIdentity,
}

/// Due times up to now: the latest, earlier ones that get a row, and how many there were in total.
struct MissedTimes {
    latest: Timestamp,
    older: VecDeque<Timestamp>,
    total: i64,
}

impl Run {
    /// The next time at which [`Run::start_due`], [`Run::expire_due`] or
    /// [`Mailing::complete_ended`] has work. Mailings that are held ([`Mailing::review_held`]) do
    /// not count.
    pub async fn next_moment(tx: &mut Tx) -> Result<Option<Timestamp>, Error> {
        Ok(on_db!(tx, conn => sqlx::query_scalar(
            "SELECT min(at) FROM (
                 SELECT at FROM (
                     SELECT m.next_due_at AS at
                     FROM mailings m
                     JOIN users u ON u.id = m.owner_id
                     WHERE m.status = 'running' AND m.next_due_at IS NOT NULL AND m.waiting = ''
                       AND m.disabled_at IS NULL AND u.blocked_at IS NULL AND u.verified_at IS NOT NULL
                     ORDER BY m.next_due_at
                     LIMIT 1
                 ) AS next
                 UNION ALL
                 SELECT min(end_at) FROM mailings WHERE status IN ('running', 'paused') AND end_at IS NOT NULL
             ) AS moments",
        )
        .fetch_one(conn)
        .await)?)
    }

    /// Makes the run of one mailing that is due, of all or the given one. `None` when none is due,
    /// or other processes are handling it.
    ///
    /// Of several missed due times, the latest is caught up and the others are recorded as skipped;
    /// after the mailing's end, all are. A mailing whose letter has an error is paused, and its
    /// history says why. Held mailings ([`Mailing::review_held`]) are left alone. A letter that is
    /// not the prepared one, because the message has been edited since, is made here.
    pub async fn start_due(
        tx: &mut Tx,
        only: Option<MailingId>,
        service: &ServiceIdentity,
        letter: Option<NextLetter>,
        now: Timestamp,
    ) -> Result<Option<DueOutcome>, Error> {
        let sql = match tx {
            Tx::Sqlite(_) => pick_sql!(""),
            Tx::Postgres(_) => pick_sql!("FOR UPDATE OF m SKIP LOCKED"),
        };
        let Some(mailing) = pick(tx, sql, only, now).await? else {
            return Ok(None);
        };
        let Some(due_at) = mailing.next_due_at else {
            return Ok(None);
        };
        let mut due = DueOutcome {
            owner: mailing.owner_id,
            mailing: mailing.id,
            run: None,
            skipped: 0,
            held: false,
        };
        let ended = mailing.end_at.is_some_and(|end| end <= now);
        if !ended && let Some(held) = mailing.held_for_owner(tx, now).await? {
            held.record_reason(tx).await?;
            due.held = true;
            return Ok(Some(due));
        }
        let mut missed = mailing.missed(due_at, now)?;
        if ended {
            missed.older.push_back(missed.latest);
            due.skipped = missed.total;
        } else {
            match mailing.freeze(tx, &service.sender, letter).await? {
                Ok(letter) => {
                    due.run = insert(tx, &mailing, &letter, missed.latest, now).await?;
                    due.skipped = missed.total - 1;
                }
                Err(why) => {
                    // the due time stays and counts as missed when the mailing is resumed
                    Mailing::pause(tx, due.owner, due.mailing, "scheduler", &why, now).await?;
                    return Ok(Some(due));
                }
            }
        }
        for moment in &missed.older {
            insert_skipped(tx, &mailing, *moment, now).await?;
        }
        if due.skipped > 0 {
            let detail = due.skipped.to_string();
            HistoryEvent::record(
                tx,
                due.owner,
                due.mailing,
                now,
                "scheduler",
                "skipped",
                &detail,
            )
            .await?;
        }
        let next = mailing
            .schedule()?
            .and_then(|schedule| schedule.next(Some(now)));
        on_db!(tx, conn => sqlx::query(
            "UPDATE mailings SET next_due_at = $3 WHERE owner_id = $1 AND id = $2 AND status = 'running'",
        )
        .bind(due.owner)
        .bind(due.mailing)
        .bind(next)
        .execute(conn)
        .await
        .map(|_| ()))?;
        if due.run.is_none() {
            Mailing::complete_if_over(tx, due.owner, due.mailing, now).await?;
        }
        Ok(Some(due))
    }
}

impl Mailing {
    fn missed(&self, due: Timestamp, now: Timestamp) -> Result<MissedTimes, Error> {
        let mut missed = MissedTimes {
            latest: due,
            older: VecDeque::new(),
            total: 1,
        };
        let Some(schedule) = self.schedule()? else {
            return Ok(missed);
        };
        for moment in schedule
            .missed(due, now)
            .skip_while(|moment| *moment <= due)
        {
            missed.older.push_back(missed.latest);
            missed.latest = moment;
            missed.total += 1;
            if missed.older.len() > SKIPPED_MAX {
                missed.older.pop_front();
            }
        }
        Ok(missed)
    }

    /// Reads the letter and its sender as they are now. The inner `Err` says why it cannot be sent.
    async fn freeze(
        &self,
        tx: &mut Tx,
        default: &FromIdentity,
        prepared: Option<NextLetter>,
    ) -> Result<Result<FrozenLetter, String>, Error> {
        let from = self.sender(default);
        if from.email.is_empty() {
            return Ok(Err("sender_missing".to_owned()));
        }
        let Some(content) = self.content(tx).await? else {
            return Ok(Err("message_missing".to_owned()));
        };
        let frozen = match prepared.filter(|letter| letter.content == content) {
            Some(letter) => letter.frozen,
            None => FrozenMessage::new_aside(content).await,
        };
        match frozen {
            Ok(frozen) => Ok(Ok(FrozenLetter { frozen, from })),
            Err(problems) => {
                let problems: Vec<String> = problems
                    .into_iter()
                    .map(|problem| FieldError::from(problem).to_string())
                    .collect();
                Ok(Err(problems.join("; ")))
            }
        }
    }
}

async fn pick(
    tx: &mut Tx,
    sql: &'static str,
    only: Option<MailingId>,
    now: Timestamp,
) -> Result<Option<Mailing>, Error> {
    Ok(on_db!(tx, conn => sqlx::query_as(sql)
        .bind(now)
        .bind(only)
        .fetch_optional(conn)
        .await)?)
}

/// Inserts the run; `None` when the due time already has one.
async fn insert(
    tx: &mut Tx,
    mailing: &Mailing,
    letter: &FrozenLetter,
    due: Timestamp,
    now: Timestamp,
) -> Result<Option<RunId>, Error> {
    let bound: Option<RecipientId> = on_db!(tx, conn => sqlx::query_scalar(
        "SELECT id FROM recipients WHERE owner_id = $1 ORDER BY id DESC LIMIT 1",
    )
    .bind(mailing.owner_id)
    .fetch_optional(conn)
    .await)?;
    let id = RunId::new(now);
    let made = on_db!(tx, conn => sqlx::query(
        "INSERT INTO runs (owner_id, id, mailing_id, due_at, end_at, state, subject, html, text, from_name,
             from_email, reply_to, expanded, bound, chosen, suppressed, planned, sent, failed, skipped,
             expired, cancelled, deferred, waiting, created_at)
         VALUES ($1, $2, $3, $4, $5, 'expanding', $6, $7, $8, $9, $10, $11, FALSE, $12,
             0, 0, 0, 0, 0, 0, 0, 0, 0, '', $13)
         ON CONFLICT (owner_id, mailing_id, due_at) DO NOTHING",
    )
    .bind(mailing.owner_id)
    .bind(id)
    .bind(mailing.id)
    .bind(due)
    .bind(mailing.end_at)
    .bind(&letter.frozen.subject)
    .bind(&letter.frozen.html)
    .bind(&letter.frozen.text)
    .bind(&letter.from.name)
    .bind(&letter.from.email)
    .bind(&mailing.reply_to)
    .bind(bound)
    .bind(now)
    .execute(conn)
    .await
    .map(|done| done.rows_affected()))?;
    Ok((made > 0).then_some(id))
}

/// Records a missed due time as a skipped run.
async fn insert_skipped(
    tx: &mut Tx,
    mailing: &Mailing,
    due: Timestamp,
    now: Timestamp,
) -> Result<(), Error> {
    on_db!(tx, conn => sqlx::query(
        "INSERT INTO runs (owner_id, id, mailing_id, due_at, end_at, state, subject, html, text, from_name,
             from_email, reply_to, expanded, chosen, suppressed, planned, sent, failed, skipped,
             expired, cancelled, deferred, waiting, created_at, finished_at)
         VALUES ($1, $2, $3, $4, $5, 'skipped', '', '', '', '', '', '', TRUE,
             0, 0, 0, 0, 0, 0, 0, 0, 0, '', $6, $6)
         ON CONFLICT (owner_id, mailing_id, due_at) DO NOTHING",
    )
    .bind(mailing.owner_id)
    .bind(RunId::new(now))
    .bind(mailing.id)
    .bind(due)
    .bind(mailing.end_at)
    .bind(now)
    .execute(conn)
    .await
    .map(|_| ()))?;
    Ok(())
}
