//! The checklist before Start: audience, message, schedule, sender and permissions.

use crate::accounts::user::User;
use crate::messages::letter::MessageContent;
use crate::messages::message::size_problem;
use crate::platform::db::{Tx, on_db};
use crate::platform::error::{Error, FieldError};
use crate::platform::ids::{MailingId, UserId};
use crate::platform::time::Timestamp;
use crate::sending::mailing::{Audience, Mailing, MailingStatus};
use crate::sending::service::{ServiceFault, ServiceIdentity};

/// What a mailing needs before it can start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ReadinessTopic {
    /// Somebody to send to.
    Audience,
    /// A message without errors.
    Message,
    /// An end that has not passed.
    Schedule,
    /// A sender.
    Sender,
    /// A user who may send, and a mailing that is not switched off.
    Account,
    /// A service that may send ([`ServiceIdentity::faults_of`]).
    Service,
}

/// One item of the checklist.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct ReadinessItem {
    /// What it checks.
    pub part: ReadinessTopic,
    /// What is missing; empty when it is fine.
    pub problems: Vec<FieldError>,
}

impl ReadinessItem {
    /// Whether nothing is missing here.
    #[must_use]
    pub fn is_ok(&self) -> bool {
        self.problems.is_empty()
    }
}

/// The checklist of a mailing.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Readiness {
    /// How many people it reaches.
    pub audience: Audience,
    /// The items, in the order of [`ReadinessTopic`].
    pub items: Vec<ReadinessItem>,
}

impl Readiness {
    /// Whether Start would succeed.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.items.iter().all(ReadinessItem::is_ok)
    }

    /// The problems of one part.
    #[must_use]
    pub fn problems(&self, part: ReadinessTopic) -> &[FieldError] {
        self.items
            .iter()
            .find(|item| item.part == part)
            .map_or(&[], |item| &item.problems)
    }

    /// All problems, in the order of the items.
    #[must_use]
    pub fn into_problems(self) -> Vec<FieldError> {
        self.items
            .into_iter()
            .flat_map(|item| item.problems)
            .collect()
    }
}

impl Mailing {
    /// Checks what is missing before Start. `None` when there is no such mailing.
    pub async fn readiness(
        tx: &mut Tx,
        owner: UserId,
        id: MailingId,
        service: &ServiceIdentity,
        now: Timestamp,
    ) -> Result<Option<Readiness>, Error> {
        let Some(mailing) = Self::get(tx, owner, id).await? else {
            return Ok(None);
        };
        mailing.check_ready(tx, service, now).await.map(Some)
    }

    pub(super) async fn check_ready(
        &self,
        tx: &mut Tx,
        service: &ServiceIdentity,
        now: Timestamp,
    ) -> Result<Readiness, Error> {
        let audience = Self::audience(tx, self.owner_id, self.id).await?;
        let mut items = Vec::with_capacity(6);
        let mut add = |part, problems| items.push(ReadinessItem { part, problems });

        let problem = match (audience.chosen, audience.will_get) {
            (0, _) => Some("audience_empty"),
            (_, 0) => Some("audience_suppressed"),
            _ => None,
        };
        add(
            ReadinessTopic::Audience,
            problem
                .map(|code| FieldError::new("lists", code))
                .into_iter()
                .collect(),
        );
        add(ReadinessTopic::Message, self.message_problems(tx).await?);
        let over =
            self.status == MailingStatus::Created && self.end_at.is_some_and(|end| end <= now);
        add(
            ReadinessTopic::Schedule,
            if over {
                vec![FieldError::new("end", "end_in_past")]
            } else {
                Vec::new()
            },
        );
        let faults = service.faults_of(tx, &self.from_email).await?;
        // a mailing without a sender of its own has the service's
        let inherits = self.from_email.is_empty();
        let (own, of_service): (Vec<_>, Vec<_>) = faults.into_iter().partition(|fault| {
            *fault == ServiceFault::Sender || (inherits && *fault == ServiceFault::MailFrom)
        });
        let mut sender: Vec<_> = own.into_iter().map(FieldError::from).collect();
        if inherits && service.sender.email.is_empty() {
            sender.push(FieldError::new("from_email", "sender_missing"));
        }
        add(ReadinessTopic::Sender, sender);
        let mut account = Vec::new();
        if let Some(user) = User::get(tx, self.owner_id).await? {
            if user.verified_at.is_none() {
                account.push(FieldError::new("account", "not_verified"));
            }
            if user.blocked_at.is_some() {
                account.push(FieldError::new("account", "blocked"));
            }
        }
        if self.disabled_at.is_some() {
            account.push(FieldError::new("account", "disabled"));
        }
        add(ReadinessTopic::Account, account);
        add(
            ReadinessTopic::Service,
            of_service.into_iter().map(FieldError::from).collect(),
        );
        Ok(Readiness { audience, items })
    }

    /// Errors of the message, without warnings.
    async fn message_problems(&self, tx: &mut Tx) -> Result<Vec<FieldError>, Error> {
        Ok(match self.content(tx).await? {
            Some(content) => {
                let size = size_problem(tx, self.owner_id, &content).await?;
                let problems = content.check_aside().await.into_iter();
                problems
                    .filter(|problem| !problem.warning)
                    .map(FieldError::from)
                    .chain(size)
                    .collect()
            }
            None => vec![FieldError::new("message", "required")],
        })
    }

    /// Current content of its message; `None` when there is none.
    pub(crate) async fn content(&self, tx: &mut Tx) -> Result<Option<MessageContent>, Error> {
        let Some(message) = self.message_id else {
            return Ok(None);
        };
        let found: Option<(String, String, String, String)> = on_db!(tx, conn => sqlx::query_as(
            "SELECT subject, preview_text, html, text FROM messages WHERE owner_id = $1 AND id = $2",
        )
        .bind(self.owner_id)
        .bind(message)
        .fetch_optional(conn)
        .await)?;
        Ok(
            found.map(|(subject, preview_text, html, text)| MessageContent {
                subject,
                preview_text,
                html: Some(html),
                text: Some(text),
            }),
        )
    }
}
