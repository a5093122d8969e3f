//! Mailings: a message, its audience, its schedule and its status (R7, R9–R11).
//!
//! A mailing is made from a [`MailingDraft`], which holds everything as people type it. Its status
//! changes only in `transitions`, and each change leaves an [`HistoryEvent`]. When it is due, it
//! gets a [`crate::sending::run::Run`].
//!
//! *Invariants*: every query on behalf of a user names the owner, so another user's mailing is not
//! found. `next_due_at` is set exactly while there is a due time to come. An edit never changes a
//! run in progress, which has frozen what it needs.

mod audience;
mod bulk;
mod delete;
mod draft;
mod edit;
mod held;
mod history;
mod in_place;
mod page;
mod readiness;
mod state;
mod take_back;
mod too_slow;
mod transitions;

pub use audience::Audience;
pub use bulk::{BulkDeletion, BulkResult};
pub use delete::MailingDeletion;
pub(crate) use draft::check_sender;
pub use draft::{Begin, CHOSEN_MAX, MailingDraft, TITLE_MAX};
pub use edit::MailingEdit;
pub use held::{HeldMailing, HeldReason};
pub use history::HistoryEvent;
pub use in_place::InPlace;
pub use page::{MailingFilter, MailingSummary, MessageChoice};
pub use readiness::{Readiness, ReadinessItem, ReadinessTopic};
pub use state::MailingState;
pub(crate) use state::mailing_state;
pub use take_back::{AskedStart, HeldBack, StartConsent, StartQuestion};
pub use transitions::{LETTERS_TOO_SLOW, StartOutcome, Transition};

use crate::platform::db::{Tx, on_db};
use crate::platform::error::Error;
use crate::platform::ids::{ListId, MailingId, MessageId, RecipientId, UserId};
use crate::platform::time::Timestamp;
use crate::sending::schedule::{Frequency, Schedule};

/// Status of a mailing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MailingStatus {
    /// A draft; nothing is sent.
    Created,
    /// Started: it is sending, or waiting for its next due time.
    Running,
    /// Paused by its owner, or by the scheduler because its letter has an error.
    Paused,
    /// Nothing is left to do.
    Completed,
    /// Cancelled by its owner; cannot be resumed.
    Cancelled,
}

impl MailingStatus {
    /// All statuses, in the order of a mailing's life.
    pub const ALL: [Self; 5] = [
        Self::Created,
        Self::Running,
        Self::Paused,
        Self::Completed,
        Self::Cancelled,
    ];

    /// The name in the database, commands and the API.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Completed => "completed",
            Self::Cancelled => "cancelled",
        }
    }
}

impl std::fmt::Display for MailingStatus {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

impl std::str::FromStr for MailingStatus {
    type Err = UnknownWord;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|status| status.as_str() == text)
            .ok_or(UnknownWord)
    }
}

impl TryFrom<String> for MailingStatus {
    type Error = UnknownWord;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl TryFrom<String> for Frequency {
    type Error = crate::sending::schedule::ScheduleError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

/// A word that is not a state or status.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no such state")]
pub struct UnknownWord;

/// The sender that a letter names in `From`.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct FromIdentity {
    /// Display name; may be empty.
    pub name: String,
    /// Address; empty for none.
    pub email: String,
}

/// A mailing.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct Mailing {
    /// The owner.
    pub owner_id: UserId,
    /// Its id.
    pub id: MailingId,
    /// The owner's name for it; recipients never see it.
    pub title: String,
    /// The message to send; `None` if not chosen yet or deleted.
    pub message_id: Option<MessageId>,
    /// The sender's name; empty for the service's.
    pub from_name: String,
    /// The sender's address; empty for the service's.
    pub from_email: String,
    /// Reply-To address; empty for the sender.
    pub reply_to: String,
    /// How often it is sent.
    #[sqlx(try_from = "String")]
    pub every: Frequency,
    /// IANA name of its time zone.
    pub zone: String,
    /// The first due time; `None` to begin when Start is pressed.
    pub start_at: Option<Timestamp>,
    /// The wall time in `zone` that the recurrence is anchored at.
    pub start_wall: Option<String>,
    /// No letter is sent from this time on; `None` for no end.
    pub end_at: Option<Timestamp>,
    /// Its current status.
    #[sqlx(try_from = "String")]
    pub status: MailingStatus,
    /// The next due time, if there is one.
    pub next_due_at: Option<Timestamp>,
    /// Why it gets no run although it is due, as a [`crate::sending::service::ServiceFault`] says
    /// it; empty when nothing prevents it.
    pub waiting: String,
    /// When a manager switched it off; `None` when it is on.
    pub disabled_at: Option<Timestamp>,
    /// Why a manager switched it off.
    pub disabled_reason: Option<String>,
    /// Incremented with each change, to detect conflicting edits (R34).
    pub version: i64,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
    /// When Start was pressed.
    pub started_at: Option<Timestamp>,
    /// Until when Start can be taken back; no run is made before. `None` when it cannot.
    pub take_back_until: Option<Timestamp>,
}

/// Columns of [`Mailing`], prefixed with a table name or alias.
macro_rules! mailing_columns {
    ($table:literal) => {
        concat!(
            $table,
            ".owner_id, ",
            $table,
            ".id, ",
            $table,
            ".title, ",
            $table,
            ".message_id, ",
            $table,
            ".from_name, ",
            $table,
            ".from_email, ",
            $table,
            ".reply_to, ",
            $table,
            ".every, ",
            $table,
            ".zone, ",
            $table,
            ".start_at, ",
            $table,
            ".start_wall, ",
            $table,
            ".end_at, ",
            $table,
            ".status, ",
            $table,
            ".next_due_at, ",
            $table,
            ".waiting, ",
            $table,
            ".disabled_at, ",
            $table,
            ".disabled_reason, ",
            $table,
            ".version, ",
            $table,
            ".created_at, ",
            $table,
            ".updated_at, ",
            $table,
            ".started_at, ",
            $table,
            ".take_back_until"
        )
    };
}
pub(crate) use mailing_columns;

impl Mailing {
    /// The owner's mailing with this id.
    pub async fn get(tx: &mut Tx, owner: UserId, id: MailingId) -> Result<Option<Self>, Error> {
        Ok(on_db!(tx, conn => sqlx::query_as(concat!(
            "SELECT ", mailing_columns!("m"), " FROM mailings m WHERE m.owner_id = $1 AND m.id = $2",
        ))
        .bind(owner)
        .bind(id)
        .fetch_optional(conn)
        .await)?)
    }

    /// The owner of a mailing, for the operator's commands, which know only its id.
    pub async fn owner_of(tx: &mut Tx, id: MailingId) -> Result<Option<UserId>, Error> {
        Ok(on_db!(tx, conn => sqlx::query_scalar(
            "SELECT owner_id FROM mailings WHERE id = $1",
        )
        .bind(id)
        .fetch_optional(conn)
        .await)?)
    }

    /// Creates a draft. `actor` is recorded in the history.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] lists the wrong fields.
    pub async fn create(
        tx: &mut Tx,
        owner: UserId,
        draft: &MailingDraft,
        actor: &str,
        now: Timestamp,
    ) -> Result<MailingId, Error> {
        let checked = draft.check(tx, owner, now).await?;
        let id = MailingId::new(now);
        on_db!(tx, conn => sqlx::query(
            "INSERT INTO mailings (owner_id, id, title, search, message_id, from_name, from_email, reply_to, every,
                 zone, start_at, start_wall, end_at, status, version, created_at, updated_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, 'created', 1, $14, $14)",
        )
        .bind(owner)
        .bind(id)
        .bind(&checked.title)
        .bind(checked.title.to_lowercase())
        .bind(checked.message_id)
        .bind(&checked.from.name)
        .bind(&checked.from.email)
        .bind(&checked.reply_to)
        .bind(checked.every.as_str())
        .bind(&checked.zone)
        .bind(checked.start_at)
        .bind(&checked.start_wall)
        .bind(checked.end_at)
        .bind(now)
        .execute(conn)
        .await
        .map(|_| ()))?;
        Self::set_audience(tx, owner, id, &draft.lists, &draft.recipients).await?;
        HistoryEvent::record(tx, owner, id, now, actor, "created", "").await?;
        Ok(id)
    }

    /// Changes a mailing that is still at `version`. Returns the new version; `None` when there is
    /// no such mailing.
    ///
    /// Everything in a draft can change. After the start, audience and schedule are fixed: only
    /// title, message and sender can change, and take effect with the next run. Of a mailing that
    /// is over, only the title can change.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] lists the wrong fields, [`Error::Conflict`] when somebody else changed
    /// it, [`Error::State`] when the draft changes what is fixed, or the mailing is switched off.
    pub async fn update(
        tx: &mut Tx,
        owner: UserId,
        id: MailingId,
        version: i64,
        draft: &MailingDraft,
        actor: &str,
        now: Timestamp,
    ) -> Result<Option<i64>, Error> {
        let Some(before) = Self::get(tx, owner, id).await? else {
            return Ok(None);
        };
        before.refuse_disabled()?;
        if before.version != version {
            return Err(Error::Conflict);
        }
        let settled = before.status != MailingStatus::Created;
        let mut draft = draft.clone();
        if settled {
            let stored = Self::draft_of(tx, &before).await?;
            before.refuse_settled(&stored, &draft)?;
            draft.start = stored.start;
            draft.end = stored.end;
        }
        let checked = if settled {
            draft.check_letter(tx, owner).await?
        } else {
            draft.check(tx, owner, now).await?
        };
        let changed = on_db!(tx, conn => sqlx::query(
            "UPDATE mailings
             SET title = $4, search = $5, message_id = $6, from_name = $7, from_email = $8, reply_to = $9,
                 every = CASE WHEN status = 'created' THEN $10 ELSE every END,
                 zone = CASE WHEN status = 'created' THEN $11 ELSE zone END,
                 start_at = CASE WHEN status = 'created' THEN $12 ELSE start_at END,
                 start_wall = CASE WHEN status = 'created' THEN $13 ELSE start_wall END,
                 end_at = CASE WHEN status = 'created' THEN $14 ELSE end_at END,
                 version = version + 1, updated_at = $15
             WHERE owner_id = $1 AND id = $2 AND version = $3 AND status = $16",
        )
        .bind(owner)
        .bind(id)
        .bind(version)
        .bind(&checked.title)
        .bind(checked.title.to_lowercase())
        .bind(checked.message_id)
        .bind(&checked.from.name)
        .bind(&checked.from.email)
        .bind(&checked.reply_to)
        .bind(checked.every.as_str())
        .bind(&checked.zone)
        .bind(checked.start_at)
        .bind(&checked.start_wall)
        .bind(checked.end_at)
        .bind(now)
        .bind(before.status.as_str())
        .execute(conn)
        .await
        .map(|done| done.rows_affected()))?;
        if changed == 0 {
            return Err(Error::Conflict);
        }
        if !settled {
            Self::set_audience(tx, owner, id, &draft.lists, &draft.recipients).await?;
        }
        HistoryEvent::record(tx, owner, id, now, actor, "edited", "").await?;
        Ok(Some(version + 1))
    }

    /// Refuses a draft that changes what is fixed.
    fn refuse_settled(&self, stored: &MailingDraft, draft: &MailingDraft) -> Result<(), Error> {
        let sorted = |ids: &[ListId]| {
            let mut ids = ids.to_vec();
            ids.sort_unstable();
            ids
        };
        let people = |ids: &[RecipientId]| {
            let mut ids = ids.to_vec();
            ids.sort_unstable();
            ids
        };
        let same = sorted(&stored.lists) == sorted(&draft.lists)
            && people(&stored.recipients) == people(&draft.recipients)
            && stored.every == draft.every
            && stored.zone == draft.zone
            && stored.start == draft.start
            && stored.end == draft.end;
        let over = matches!(
            self.status,
            MailingStatus::Completed | MailingStatus::Cancelled
        );
        let same_letter = stored.message_id == draft.message_id
            && stored.from_name == draft.from_name
            && stored.from_email == draft.from_email
            && stored.reply_to == draft.reply_to;
        if same && (!over || same_letter) {
            Ok(())
        } else {
            Err(Error::State(self.status.as_str()))
        }
    }

    /// Whether a date was chosen for its beginning, and has passed. A copy needs another one.
    #[must_use]
    pub fn needs_new_date(&self, now: Timestamp) -> bool {
        self.start_at.is_some_and(|start| start <= now) && self.start_at != self.started_at
    }

    /// Creates a draft with the same letter and audience, called `title`. Times in the past are
    /// left out.
    ///
    /// # Errors
    ///
    /// [`Error::State`] when it is switched off, because a copy would get around that.
    pub async fn copy(
        tx: &mut Tx,
        owner: UserId,
        id: MailingId,
        title: &str,
        actor: &str,
        now: Timestamp,
    ) -> Result<Option<MailingId>, Error> {
        let Some(mailing) = Self::get(tx, owner, id).await? else {
            return Ok(None);
        };
        mailing.refuse_disabled()?;
        let mut draft = Self::draft_of(tx, &mailing).await?;
        draft.title = title.chars().take(TITLE_MAX).collect();
        if mailing.start_at.is_some_and(|start| start <= now) {
            draft.start.clear();
        }
        if mailing.end_at.is_some_and(|end| end <= now) {
            draft.end.clear();
        }
        Self::create(tx, owner, &draft, actor, now).await.map(Some)
    }

    /// The mailing as its form shows it.
    pub async fn draft_of(tx: &mut Tx, mailing: &Self) -> Result<MailingDraft, Error> {
        Ok(MailingDraft {
            title: mailing.title.clone(),
            message_id: mailing.message_id,
            lists: Self::lists(tx, mailing.owner_id, mailing.id).await?,
            recipients: Self::recipients(tx, mailing.owner_id, mailing.id).await?,
            from_name: mailing.from_name.clone(),
            from_email: mailing.from_email.clone(),
            reply_to: mailing.reply_to.clone(),
            every: mailing.every,
            begin: None,
            start: match &mailing.start_wall {
                Some(wall) => draft::to_minutes(wall),
                None => String::new(),
            },
            end: mailing
                .end_at
                .map_or_else(String::new, |end| draft::local_time(end, &mailing.zone)),
            zone: mailing.zone.clone(),
        })
    }

    /// The lists it goes to, in order of id.
    pub async fn lists(tx: &mut Tx, owner: UserId, id: MailingId) -> Result<Vec<ListId>, Error> {
        Ok(on_db!(tx, conn => sqlx::query_scalar(
            "SELECT list_id FROM mailing_lists WHERE owner_id = $1 AND mailing_id = $2 ORDER BY list_id",
        )
        .bind(owner)
        .bind(id)
        .fetch_all(conn)
        .await)?)
    }

    /// The recipients chosen one by one, in order of id.
    pub async fn recipients(
        tx: &mut Tx,
        owner: UserId,
        id: MailingId,
    ) -> Result<Vec<RecipientId>, Error> {
        Ok(on_db!(tx, conn => sqlx::query_scalar(
            "SELECT recipient_id FROM mailing_recipients
             WHERE owner_id = $1 AND mailing_id = $2
             ORDER BY recipient_id",
        )
        .bind(owner)
        .bind(id)
        .fetch_all(conn)
        .await)?)
    }

    /// Its schedule; `None` when it has no start yet, because it begins when Start is pressed.
    pub fn schedule(&self) -> Result<Option<Schedule>, Error> {
        let (Some(start), Some(wall)) = (self.start_at, &self.start_wall) else {
            return Ok(None);
        };
        Schedule::stored(start, wall, &self.zone, self.every, self.end_at)
            .map(Some)
            .map_err(|error| Error::Internal(format!("stored schedule: {error}")))
    }

    /// The next due time, if there is one and no manager switched the mailing off.
    #[must_use]
    pub fn next_due(&self) -> Option<Timestamp> {
        self.next_due_at.filter(|_| self.disabled_at.is_none())
    }

    /// The next `n` due times; for a draft, those it would have if Start were pressed now. One that
    /// a manager switched off has none.
    pub fn upcoming(&self, now: Timestamp, n: usize) -> Result<Vec<Timestamp>, Error> {
        if self.disabled_at.is_some() {
            return Ok(Vec::new());
        }
        match self.status {
            MailingStatus::Created => {
                let schedule = match self.schedule()? {
                    Some(schedule) => schedule,
                    None => match self.schedule_from(now) {
                        Ok(schedule) => schedule,
                        Err(_) => return Ok(Vec::new()),
                    },
                };
                Ok(draft::upcoming(&schedule, now, n))
            }
            MailingStatus::Running | MailingStatus::Paused => {
                let (Some(schedule), Some(next)) = (self.schedule()?, self.next_due_at) else {
                    return Ok(Vec::new());
                };
                let mut moments = vec![next];
                moments.extend(schedule.upcoming(Some(next), n.saturating_sub(1)));
                moments.truncate(n);
                Ok(moments)
            }
            MailingStatus::Completed | MailingStatus::Cancelled => Ok(Vec::new()),
        }
    }

    /// The schedule it gets when Start is pressed at `now`.
    fn schedule_from(
        &self,
        now: Timestamp,
    ) -> Result<Schedule, crate::sending::schedule::ScheduleError> {
        Schedule::starting(now, &self.zone, self.every, self.end_at)
    }

    /// Replaces its lists and chosen recipients.
    async fn set_audience(
        tx: &mut Tx,
        owner: UserId,
        id: MailingId,
        lists: &[ListId],
        recipients: &[RecipientId],
    ) -> Result<(), Error> {
        for sql in [
            "DELETE FROM mailing_lists WHERE owner_id = $1 AND mailing_id = $2",
            "DELETE FROM mailing_recipients WHERE owner_id = $1 AND mailing_id = $2",
        ] {
            on_db!(tx, conn => sqlx::query(sql)
                .bind(owner)
                .bind(id)
                .execute(conn)
                .await
                .map(|_| ()))?;
        }
        for list in lists {
            on_db!(tx, conn => sqlx::query(
                "INSERT INTO mailing_lists (owner_id, mailing_id, list_id) VALUES ($1, $2, $3)
                 ON CONFLICT DO NOTHING",
            )
            .bind(owner)
            .bind(id)
            .bind(list)
            .execute(conn)
            .await
            .map(|_| ()))?;
        }
        for recipient in recipients {
            on_db!(tx, conn => sqlx::query(
                "INSERT INTO mailing_recipients (owner_id, mailing_id, recipient_id) VALUES ($1, $2, $3)
                 ON CONFLICT DO NOTHING",
            )
            .bind(owner)
            .bind(id)
            .bind(recipient)
            .execute(conn)
            .await
            .map(|_| ()))?;
        }
        Ok(())
    }
}
