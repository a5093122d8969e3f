//! The people behind a number: deliveries of a run in order of address, filtered by what became of
//! them.
//!
//! A page looks at no more than [`ROWS_SCANNED_MAX`] deliveries, so it answers quickly even if few
//! of a million match. It then says up to which address it looked. If only few letters of a run
//! were not accepted, a search by reply starts from those attempts.

use super::{Delivery, DeliveryState};
use crate::platform::db::{Tx, dialect, on_db};
use crate::platform::error::Error;
use crate::platform::ids::{DeliveryId, ListId, MailingId, RecipientId, RunId, UserId};
use crate::platform::paging::like_pattern;
use crate::platform::time::Timestamp;
use crate::recipients::list::{self, List};
use crate::sending::attempt::{unsuccessful_of_run, with_delivery};
use crate::sending::mailing::{CHOSEN_MAX, Mailing, MailingDraft};
use crate::sending::run::{Run, RunTotals};

/// Maximum number of deliveries that one page scans.
pub const ROWS_SCANNED_MAX: usize = 20_000;

/// What became of a letter, as users filter by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeliveryOutcome {
    /// Accepted by a mail server.
    Sent,
    /// Permanently refused.
    Failed,
    /// Tried, and waiting for a retry.
    Deferred,
    /// Not over yet, including deferred ones.
    Remaining,
    /// Not sent: unsubscribed, suppressed or removed after the start.
    Skipped,
    /// Not sent before the mailing's end.
    Expired,
    /// Not sent before the mailing was cancelled.
    Cancelled,
}

impl DeliveryOutcome {
    /// All of them, in the order in which pages list them.
    pub const ALL: [Self; 7] = [
        Self::Sent,
        Self::Failed,
        Self::Deferred,
        Self::Remaining,
        Self::Skipped,
        Self::Expired,
        Self::Cancelled,
    ];

    /// The name in URLs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Sent => "sent",
            Self::Failed => "failed",
            Self::Deferred => "deferred",
            Self::Remaining => "remaining",
            Self::Skipped => "skipped",
            Self::Expired => "expired",
            Self::Cancelled => "cancelled",
        }
    }

    /// Whether letters with this fate were tried and not accepted.
    const fn is_unsuccessful(self) -> bool {
        matches!(self, Self::Failed | Self::Deferred)
    }
}

impl std::str::FromStr for DeliveryOutcome {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|fate| fate.as_str() == text)
            .ok_or(())
    }
}

/// Selects deliveries of a run. All conditions must hold.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RecipientDeliveryFilter {
    /// What became of them.
    pub fate: Option<DeliveryOutcome>,
    /// Group of the last reply, a [`crate::sending::attempt::ReplyGroup::group`].
    pub group: Option<String>,
    /// Class of the last attempt.
    pub class: Option<String>,
    /// Reply code of the last attempt.
    pub code: Option<i64>,
    /// Domain of the address.
    pub domain: Option<String>,
    /// Number of attempts.
    pub attempts: Option<i64>,
    /// Only addresses that contain this text.
    pub address: Option<String>,
}

/// A delivery with its recipient and last reply.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct DeliveryRow {
    /// The delivery.
    pub id: DeliveryId,
    /// Its run.
    pub run_id: RunId,
    /// The recipient; may have been removed since.
    pub recipient_id: RecipientId,
    /// The address when the run was expanded.
    pub email: String,
    /// The normalised address; pages are in this order.
    pub email_key: String,
    /// The recipient's current name; `None` if they were removed.
    pub name: Option<String>,
    /// Its current state.
    #[sqlx(try_from = "String")]
    pub state: DeliveryState,
    /// The reason: `unsubscribed`, `suppressed` or `removed` if skipped; the class of the last
    /// attempt if failed or deferred.
    pub why: Option<String>,
    /// Number of attempts so far.
    pub attempts: i64,
    /// Not sent before this time.
    pub due_at: Timestamp,
    /// When it reached a final state.
    pub done_at: Option<Timestamp>,
    /// When it was last tried; `None` if never, or if the attempt is no longer stored.
    pub last_at: Option<Timestamp>,
    /// The server's last reply.
    pub reply: Option<String>,
}

/// A delivery with its mailing and run.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct RecipientLetterRow {
    /// The delivery.
    #[sqlx(flatten)]
    pub delivery: Delivery,
    /// Its mailing.
    pub mailing_id: MailingId,
    /// The mailing's current title.
    pub title: String,
    /// The letter's subject; personal fields are not filled in.
    pub subject: String,
    /// Due time of the run.
    pub run_at: Timestamp,
}

/// One page of people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecipientDeliveries {
    /// In order of address.
    pub rows: Vec<DeliveryRow>,
    /// The `email_key` after which the next page begins; `None` on the last page.
    pub next: Option<String>,
    /// Whether the scan limit was reached before the page was full.
    pub cut: bool,
}

/// Result of [`Mailing::for_people`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FollowUpDraft {
    /// The new draft.
    pub mailing: MailingId,
    /// Number of people it goes to.
    pub people: i64,
}

/// Deliveries in order of address. `$1` owner, `$2` run, `$3` only after this key, `$11` maximum
/// rows.
macro_rules! scan {
    ($db:ident) => {
        "SELECT * FROM deliveries WHERE owner_id = $1 AND run_id = $2 AND email_key > $3
         ORDER BY email_key LIMIT $11"
    };
}

/// Deliveries whose last attempt was not accepted.
macro_rules! unsuccessful {
    ($db:ident) => {
        concat!(
            "SELECT d.* FROM (SELECT * FROM ",
            unsuccessful_of_run!($db),
            ") AS a",
            with_delivery!($db),
            "WHERE d.attempts = a.number AND d.email_key > $3 ORDER BY d.email_key LIMIT $11"
        )
    };
}

/// All deliveries of the run, for actions on everything that matches.
macro_rules! whole {
    ($db:ident) => {
        "SELECT * FROM deliveries WHERE owner_id = $1 AND run_id = $2 AND email_key > $3 LIMIT $11"
    };
}

/// Joins the last attempt `a` of each delivery `d` by key, as in `with_delivery`.
macro_rules! with_last_attempt {
    (sqlite) => {
        " LEFT JOIN attempts a ON a.owner_id = d.owner_id AND a.delivery_id = d.id AND a.number = d.attempts "
    };
    (postgres) => {
        " LEFT JOIN LATERAL
              (SELECT * FROM attempts WHERE owner_id = d.owner_id AND delivery_id = d.id AND number = d.attempts OFFSET 0) AS a
              ON TRUE "
    };
}

/// Filters the rows of `$from` and joins the last attempt. `$4` fate, `$5` group, `$6` class, `$7`
/// code, `$8` domain pattern, `$9` attempts, `$10` address pattern.
macro_rules! found {
    ($db:ident, $from:ident) => {
        concat!(
            " FROM (",
            $from!($db),
            ") AS d",
            with_last_attempt!($db),
            "LEFT JOIN recipients r ON r.owner_id = d.owner_id AND r.id = d.recipient_id
              WHERE ($4 IS NULL OR CASE $4 WHEN 'remaining' THEN d.done_at IS NULL
                                           WHEN 'deferred' THEN d.done_at IS NULL AND d.attempts > 0
                                           ELSE d.state = $4 END)
                AND ($5 IS NULL OR a.reply_group = $5) AND ($6 IS NULL OR a.class = $6) AND ($7 IS NULL OR a.code = $7)
                AND ($8 IS NULL OR d.email_key LIKE $8 ESCAPE '\\') AND ($9 IS NULL OR d.attempts = $9)
                AND ($10 IS NULL OR d.email_key LIKE $10 ESCAPE '\\')"
        )
    };
}

macro_rules! page_sql {
    ($db:ident, $from:ident) => {
        concat!(
            "SELECT d.id, d.run_id, d.recipient_id, d.email, d.email_key, r.name, d.state, d.why, d.attempts, d.due_at, d.done_at,
                    a.at AS last_at, a.reply",
            found!($db, $from),
            " ORDER BY d.email_key LIMIT $12"
        )
    };
}

macro_rules! count_sql {
    ($db:ident) => {
        concat!("SELECT count(r.id)", found!($db, whole))
    };
}

/// `$12` new mailing.
macro_rules! choose_sql {
    ($db:ident) => {
        concat!(
            "INSERT INTO mailing_recipients (owner_id, mailing_id, recipient_id) SELECT r.owner_id, $12, r.id",
            found!($db, whole),
            " AND r.id IS NOT NULL"
        )
    };
}

/// `$12` new list, `$13` now.
macro_rules! list_sql {
    ($db:ident) => {
        concat!(
            "INSERT INTO memberships (owner_id, list_id, recipient_id, added_at) SELECT r.owner_id, $12, r.id, $13",
            found!($db, whole),
            " AND r.id IS NOT NULL"
        )
    };
}

macro_rules! bound {
    ($query:expr, $owner:expr, $run:expr, $after:expr, $filter:expr, $scan:expr) => {
        $query
            .bind($owner)
            .bind($run)
            .bind($after)
            .bind($filter.fate.map(DeliveryOutcome::as_str))
            .bind($filter.group.as_deref())
            .bind($filter.class.as_deref())
            .bind($filter.code)
            .bind($filter.domain.as_deref().map(of_domain))
            .bind($filter.attempts)
            .bind($filter.address.as_deref().map(like_pattern))
            .bind($scan)
    };
}

macro_rules! few_unsuccessful_sql {
    ($db:ident) => {
        concat!(
            "SELECT count(*) FROM (SELECT 1 AS one FROM ",
            unsuccessful_of_run!($db),
            " LIMIT $3) AS troubles"
        )
    };
}

/// Whether the run has few enough attempts that were not accepted to scan them all.
async fn few_unsuccessful(tx: &mut Tx, run: &Run) -> Result<bool, Error> {
    let scan = i64::try_from(ROWS_SCANNED_MAX).unwrap_or(i64::MAX);
    let sql = dialect!(tx, few_unsuccessful_sql);
    let unsuccessful: i64 = on_db!(tx, conn => sqlx::query_scalar(sql)
    .bind(run.owner_id)
    .bind(run.id)
    .bind(scan)
    .fetch_one(conn)
    .await)?;
    Ok(unsuccessful < scan)
}

/// Pattern for `LIKE … ESCAPE '\'` that matches the addresses of a domain.
pub(crate) fn of_domain(domain: &str) -> String {
    like_pattern(&format!("@{domain}"))
        .trim_end_matches('%')
        .to_owned()
}

impl RecipientDeliveryFilter {
    /// Whether everything that matches was tried and not accepted.
    fn is_unsuccessful(&self) -> bool {
        self.group.is_some() || self.fate.is_some_and(DeliveryOutcome::is_unsuccessful)
    }
}

impl Delivery {
    /// Up to `limit` people after the address `after`, in order of address.
    pub async fn people(
        tx: &mut Tx,
        run: &Run,
        filter: &RecipientDeliveryFilter,
        after: &str,
        limit: usize,
    ) -> Result<RecipientDeliveries, Error> {
        let unsuccessful = filter.is_unsuccessful() && few_unsuccessful(tx, run).await?;
        let sql = if unsuccessful {
            dialect!(tx, page_sql, unsuccessful)
        } else {
            dialect!(tx, page_sql, scan)
        };
        let scan = i64::try_from(ROWS_SCANNED_MAX).unwrap_or(i64::MAX);
        let mut rows: Vec<DeliveryRow> = on_db!(tx, conn => bound!(
            sqlx::query_as(sql), run.owner_id, run.id, after, filter, scan
        )
        .bind(i64::try_from(limit).unwrap_or(i64::MAX - 1) + 1)
        .fetch_all(conn)
        .await)?;
        if rows.len() > limit {
            rows.truncate(limit);
            let next = rows.last().map(|row| row.email_key.clone());
            return Ok(RecipientDeliveries {
                rows,
                next,
                cut: false,
            });
        }
        let looked_up_to: Option<String> = if unsuccessful {
            None
        } else {
            on_db!(tx, conn => sqlx::query_scalar(
                "SELECT email_key FROM deliveries WHERE owner_id = $1 AND run_id = $2 AND email_key > $3
                 ORDER BY email_key LIMIT 1 OFFSET $4",
            )
            .bind(run.owner_id)
            .bind(run.id)
            .bind(after)
            .bind(scan - 1)
            .fetch_optional(conn)
            .await)?
        };
        Ok(RecipientDeliveries {
            rows,
            cut: looked_up_to.is_some(),
            next: looked_up_to,
        })
    }

    /// Counters of all letters to a recipient that are still stored.
    pub async fn totals_of_recipient(
        tx: &mut Tx,
        owner: UserId,
        recipient: RecipientId,
    ) -> Result<RunTotals, Error> {
        Ok(on_db!(tx, conn => sqlx::query_as(
            "SELECT count(*) AS planned, count(*) FILTER (WHERE state = 'sent') AS sent,
                    count(*) FILTER (WHERE done_at IS NULL AND attempts > 0) AS deferred,
                    count(*) FILTER (WHERE state = 'failed') AS failed,
                    count(*) FILTER (WHERE state = 'skipped') AS skipped,
                    count(*) FILTER (WHERE state = 'expired') AS expired,
                    count(*) FILTER (WHERE state = 'cancelled') AS cancelled,
                    count(*) FILTER (WHERE done_at IS NULL) AS remaining
             FROM deliveries
             WHERE owner_id = $1 AND recipient_id = $2",
        )
        .bind(owner)
        .bind(recipient)
        .fetch_one(conn)
        .await)?)
    }

    /// Up to `limit` letters to a recipient from runs before `before`, latest run first.
    pub async fn of_recipient(
        tx: &mut Tx,
        owner: UserId,
        recipient: RecipientId,
        before: Option<RunId>,
        limit: usize,
    ) -> Result<Vec<RecipientLetterRow>, Error> {
        Ok(on_db!(tx, conn => sqlx::query_as(
            "SELECT d.id, d.run_id, d.recipient_id, d.email, d.state, d.why, d.attempts, d.due_at, d.done_at,
                    m.id AS mailing_id, m.title, r.subject, r.due_at AS run_at
             FROM deliveries d
             JOIN runs r ON r.owner_id = d.owner_id AND r.id = d.run_id
             JOIN mailings m ON m.owner_id = r.owner_id AND m.id = r.mailing_id
             WHERE d.owner_id = $1 AND d.recipient_id = $2 AND ($3 IS NULL OR d.run_id < $3)
             ORDER BY d.run_id DESC
             LIMIT $4",
        )
        .bind(owner)
        .bind(recipient)
        .bind(before)
        .bind(i64::try_from(limit).unwrap_or(i64::MAX))
        .fetch_all(conn)
        .await)?)
    }
}

impl Mailing {
    /// Creates a draft for the people of a run who match and are still recipients, with the same
    /// message and sender, sent once and not scheduled yet. Up to [`CHOSEN_MAX`] people are chosen
    /// one by one; more go into a new list named `list_name`. `None` when nobody matches.
    /// [`Error::Duplicate`] when the owner already has a list of that name.
    pub async fn for_people(
        tx: &mut Tx,
        run: &Run,
        filter: &RecipientDeliveryFilter,
        (title, list_name): (&str, &str),
        actor: &str,
        now: Timestamp,
    ) -> Result<Option<FollowUpDraft>, Error> {
        let owner = run.owner_id;
        let Some(mailing) = Self::get(tx, owner, run.mailing_id).await? else {
            return Ok(None);
        };
        let sql = dialect!(tx, count_sql);
        let people: i64 = on_db!(tx, conn => bound!(
            sqlx::query_scalar(sql),
            owner, run.id, "", filter, i64::MAX
        )
        .fetch_one(conn)
        .await)?;
        if people == 0 {
            return Ok(None);
        }
        let before = Self::draft_of(tx, &mailing).await?;
        let mut draft = MailingDraft {
            title: title.to_owned(),
            message_id: before.message_id,
            from_name: before.from_name,
            from_email: before.from_email,
            reply_to: before.reply_to,
            zone: before.zone,
            ..MailingDraft::default()
        };
        let chosen = people <= i64::try_from(CHOSEN_MAX).unwrap_or(i64::MAX);
        let mut list: Option<ListId> = None;
        if !chosen {
            let named = list::ListDraft {
                name: list_name.to_owned(),
                comment: String::new(),
            };
            let made = List::create(tx, owner, &named, now).await?;
            draft.lists = vec![made];
            list = Some(made);
        }
        let id = Self::create(tx, owner, &draft, actor, now).await?;
        let sql = match list {
            None => dialect!(tx, choose_sql),
            Some(_) => dialect!(tx, list_sql),
        };
        match list {
            None => on_db!(tx, conn => bound!(
                sqlx::query(sql),
                owner, run.id, "", filter, i64::MAX
            )
            .bind(id)
            .execute(conn)
            .await
            .map(|_| ()))?,
            Some(list) => on_db!(tx, conn => bound!(
                sqlx::query(sql),
                owner, run.id, "", filter, i64::MAX
            )
            .bind(list)
            .bind(now)
            .execute(conn)
            .await
            .map(|_| ()))?,
        }
        Ok(Some(FollowUpDraft {
            mailing: id,
            people,
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// R29: a domain matches its addresses, not those of a longer name, and wildcards in it are
    /// escaped.
    #[test]
    fn domains_are_whole() {
        assert_eq!(of_domain("mail.ru"), "%@mail.ru");
        assert_eq!(of_domain("a_b.example"), "%@a\\_b.example");
    }
}
