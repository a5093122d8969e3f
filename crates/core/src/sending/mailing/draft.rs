//! A mailing as people type it, and its validation.

use crate::platform::address::EmailAddress;
use crate::platform::db::{Tx, on_db};
use crate::platform::error::{Error, FieldError};
use crate::platform::ids::{ListId, MessageId, RecipientId, UserId};
use crate::platform::time::Timestamp;
use crate::sending::mailing::FromIdentity;
use crate::sending::schedule::{self, Frequency, Schedule, ScheduleError};

/// Maximum length of a title and of a sender's name, in characters.
pub const TITLE_MAX: usize = 200;
/// Maximum number of recipients chosen one by one; more need a list.
pub const CHOSEN_MAX: usize = 1_000;
/// Maximum number of lists of one mailing.
const LISTS_MAX: usize = 200;

/// When a mailing begins, as chosen in a form.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Begin {
    /// When Start is pressed.
    Now,
    /// At the given start.
    At,
}

/// A mailing as its form, a command or the API describes it.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(default)]
pub struct MailingDraft {
    /// The owner's name for it.
    pub title: String,
    /// The message to send; may be chosen later.
    pub message_id: Option<MessageId>,
    /// The lists it goes to; may be chosen later.
    pub lists: Vec<ListId>,
    /// Recipients chosen one by one, in addition to the lists.
    pub recipients: Vec<RecipientId>,
    /// The sender's name; empty for the service's sender.
    pub from_name: String,
    /// The sender's address; empty for the service's sender.
    pub from_email: String,
    /// Reply-To address; empty for the sender.
    pub reply_to: String,
    /// How often it is sent.
    pub every: Frequency,
    /// The chosen beginning: [`Begin::At`] needs a `start` that is still to come, [`Begin::Now`]
    /// ignores it. `None` when nobody was asked; then `start` decides.
    pub begin: Option<Begin>,
    /// RFC 3339, or a wall time in the zone (`2027-01-31T10:00`); empty to begin when Start is
    /// pressed.
    pub start: String,
    /// Like `start`; empty for no end.
    pub end: String,
    /// IANA name of a time zone.
    pub zone: String,
}

impl Default for MailingDraft {
    fn default() -> Self {
        Self {
            title: String::new(),
            message_id: None,
            lists: Vec::new(),
            recipients: Vec::new(),
            from_name: String::new(),
            from_email: String::new(),
            reply_to: String::new(),
            every: Frequency::Once,
            begin: None,
            start: String::new(),
            end: String::new(),
            zone: "UTC".to_owned(),
        }
    }
}

/// A draft that passed validation.
#[derive(Debug)]
pub(super) struct CheckedMailing {
    pub title: String,
    pub message_id: Option<MessageId>,
    pub from: FromIdentity,
    pub reply_to: String,
    pub every: Frequency,
    pub zone: String,
    pub start_at: Option<Timestamp>,
    pub start_wall: Option<String>,
    pub end_at: Option<Timestamp>,
}

impl MailingDraft {
    /// The next `n` due times if Start were pressed at `now`.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] for times that cannot be parsed or contradict each other.
    pub fn upcoming(&self, now: Timestamp, n: usize) -> Result<Vec<Timestamp>, Error> {
        let mut wrong = Vec::new();
        let times = self.times(now, &mut wrong);
        match times {
            Some(times) if wrong.is_empty() => Ok(upcoming(&times.schedule, now, n)),
            _ => Err(Error::Invalid(wrong)),
        }
    }

    /// Validates all fields.
    pub(super) async fn check(
        &self,
        tx: &mut Tx,
        owner: UserId,
        now: Timestamp,
    ) -> Result<CheckedMailing, Error> {
        let mut wrong = Vec::new();
        let times = self.times(now, &mut wrong);
        self.check_audience(tx, owner, &mut wrong).await?;
        let mut checked = self.letter(tx, owner, &mut wrong).await?;
        match times {
            Some(times) if wrong.is_empty() => {
                times.schedule.zone().clone_into(&mut checked.zone);
                if times.start_given {
                    checked.start_at = Some(times.schedule.start());
                    checked.start_wall = Some(times.schedule.anchor());
                }
                checked.end_at = times.schedule.end();
                Ok(checked)
            }
            _ => Err(Error::Invalid(wrong)),
        }
    }

    /// Validates title, message and sender only.
    pub(super) async fn check_letter(
        &self,
        tx: &mut Tx,
        owner: UserId,
    ) -> Result<CheckedMailing, Error> {
        let mut wrong = Vec::new();
        let checked = self.letter(tx, owner, &mut wrong).await?;
        if wrong.is_empty() {
            Ok(checked)
        } else {
            Err(Error::Invalid(wrong))
        }
    }

    async fn letter(
        &self,
        tx: &mut Tx,
        owner: UserId,
        wrong: &mut Vec<FieldError>,
    ) -> Result<CheckedMailing, Error> {
        let title = self.title.trim();
        if title.is_empty() {
            wrong.push(FieldError::new("title", "required"));
        }
        check_line("title", title, wrong);
        let (from, reply_to) =
            check_sender(&self.from_name, &self.from_email, &self.reply_to, wrong);
        if let Some(message) = self.message_id {
            let found: Option<i64> = on_db!(tx, conn => sqlx::query_scalar(
                "SELECT version FROM messages WHERE owner_id = $1 AND id = $2",
            )
            .bind(owner)
            .bind(message)
            .fetch_optional(conn)
            .await)?;
            if found.is_none() {
                wrong.push(FieldError::new("message", "not_found"));
            }
        }
        Ok(CheckedMailing {
            title: title.to_owned(),
            message_id: self.message_id,
            from,
            reply_to,
            every: self.every,
            zone: self.zone.clone(),
            start_at: None,
            start_wall: None,
            end_at: None,
        })
    }

    async fn check_audience(
        &self,
        tx: &mut Tx,
        owner: UserId,
        wrong: &mut Vec<FieldError>,
    ) -> Result<(), Error> {
        if self.lists.len() > LISTS_MAX {
            wrong.push(FieldError::new("lists", "too_many").with("max", LISTS_MAX));
            return Ok(());
        }
        if self.recipients.len() > CHOSEN_MAX {
            wrong.push(FieldError::new("recipients", "too_many").with("max", CHOSEN_MAX));
            return Ok(());
        }
        for list in &self.lists {
            let found: Option<i64> = on_db!(tx, conn => sqlx::query_scalar(
                "SELECT version FROM lists WHERE owner_id = $1 AND id = $2",
            )
            .bind(owner)
            .bind(list)
            .fetch_optional(conn)
            .await)?;
            if found.is_none() {
                wrong.push(FieldError::new("lists", "not_found"));
                break;
            }
        }
        for recipient in &self.recipients {
            let found: Option<i64> = on_db!(tx, conn => sqlx::query_scalar(
                "SELECT version FROM recipients WHERE owner_id = $1 AND id = $2",
            )
            .bind(owner)
            .bind(recipient)
            .fetch_optional(conn)
            .await)?;
            if found.is_none() {
                wrong.push(FieldError::new("recipients", "not_found"));
                break;
            }
        }
        Ok(())
    }

    /// Parses start, end and zone. An empty start means `now`. Errors are added to `wrong`.
    fn times(&self, now: Timestamp, wrong: &mut Vec<FieldError>) -> Option<DueTimes> {
        let start = match self.begin {
            Some(Begin::Now) => "",
            Some(Begin::At) | None => self.start.trim(),
        };
        if self.begin == Some(Begin::At) && start.is_empty() {
            wrong.push(FieldError::new("start", "date_time"));
        }
        if self.begin == Some(Begin::At)
            && Schedule::new(start, &self.zone, self.every, None)
                .is_ok_and(|schedule| schedule.start() <= now)
        {
            wrong.push(FieldError::new("start", "start_in_past"));
        }
        let end = match self.end.trim() {
            "" => None,
            end => match read_end(end, &self.zone) {
                Ok(end) => Some(end),
                Err(error) => {
                    wrong.push(error.into());
                    return None;
                }
            },
        };
        if end.is_some_and(|end| end <= now) {
            wrong.push(FieldError::new("end", "end_in_past"));
        }
        let schedule = if start.is_empty() {
            Schedule::starting(now, &self.zone, self.every, end.filter(|end| *end > now))
        } else {
            Schedule::new(start, &self.zone, self.every, None).and_then(|schedule| {
                Schedule::stored(
                    schedule.start(),
                    &schedule.anchor(),
                    &self.zone,
                    self.every,
                    end,
                )
            })
        };
        match schedule {
            Ok(schedule) => Some(DueTimes {
                schedule,
                start_given: !start.is_empty(),
            }),
            Err(error) => {
                wrong.push(error.into());
                None
            }
        }
    }
}

struct DueTimes {
    schedule: Schedule,
    start_given: bool,
}

/// The first `n` times at which something is sent if Start is pressed at `now`. A start in the past
/// means `now`.
pub(super) fn upcoming(schedule: &Schedule, now: Timestamp, n: usize) -> Vec<Timestamp> {
    if schedule.end().is_some_and(|end| end <= now) {
        return Vec::new();
    }
    let mut moments = Vec::new();
    if schedule.start() <= now {
        moments.push(now);
        moments.extend(schedule.upcoming(Some(now), n.saturating_sub(1)));
    } else {
        moments.extend(schedule.upcoming(None, n));
    }
    moments.truncate(n);
    moments
}

/// A stored wall time as forms show it: without seconds if they are zero.
pub(super) fn to_minutes(wall: &str) -> String {
    wall.strip_suffix(":00")
        .filter(|rest| rest.len() == 16)
        .unwrap_or(wall)
        .to_owned()
}

/// A time as a wall time in a zone, for forms.
pub(super) fn local_time(moment: Timestamp, zone: &str) -> String {
    Schedule::starting(moment, zone, Frequency::Once, None)
        .map(|schedule| to_minutes(&schedule.anchor()))
        .unwrap_or_default()
}

fn read_end(end: &str, zone: &str) -> Result<Timestamp, ScheduleError> {
    schedule::zone(zone)?;
    Schedule::new(end, zone, Frequency::Once, None)
        .map(|schedule| schedule.start())
        .map_err(|_| ScheduleError::End)
}

/// Checks that a text is one line of at most [`TITLE_MAX`] characters.
fn check_line(field: &'static str, text: &str, wrong: &mut Vec<FieldError>) {
    if text.chars().count() > TITLE_MAX {
        wrong.push(FieldError::new(field, "too_long").with("max", TITLE_MAX));
    } else if text.chars().any(char::is_control) {
        wrong.push(FieldError::new(field, "control_characters"));
    }
}

/// Checks a sender's name and address and the address for replies; each may be empty.
pub(crate) fn check_sender(
    name: &str,
    email: &str,
    reply_to: &str,
    wrong: &mut Vec<FieldError>,
) -> (FromIdentity, String) {
    let name = name.trim().to_owned();
    check_line("from_name", &name, wrong);
    let email = check_address("from_email", email, wrong);
    let reply_to = check_address("reply_to", reply_to, wrong);
    (FromIdentity { name, email }, reply_to)
}

/// Parses an address, which may be empty.
fn check_address(field: &'static str, text: &str, wrong: &mut Vec<FieldError>) -> String {
    let text = text.trim();
    if text.is_empty() {
        return String::new();
    }
    match EmailAddress::parse(text) {
        Ok(address) => address.as_str().to_owned(),
        Err(error) => {
            wrong.push(FieldError::new(field, error.code()));
            String::new()
        }
    }
}
