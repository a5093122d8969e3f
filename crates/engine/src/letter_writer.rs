//! Renders a claim into the bytes of its letter.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use skychimp_core::messages::letter::{
    FrozenMessage, LetterHeaders, LetterTemplate, ListHeaders, Mailbox, RenderedMessage,
    TemplateRecipient, compose, feedback_id, list_id, message_id,
};
use skychimp_core::platform::address::EmailAddress;
use skychimp_core::platform::secret::SecretKey;
use skychimp_core::recipients::unsubscribe::UnsubscribeKey;
use skychimp_core::sending::delivery::{Claim, OpenRun, RunLetter};
use skychimp_core::sending::outbox::OutboxLetter;
use skychimp_core::sending::test_letter::NO_MAILING;
use skychimp_core::sending::service::is_nobody;
use skychimp_smtp::Letter;

/// A letter that cannot be rendered; retrying does not help.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct LetterError {
    /// `local_address` or `local_template`.
    pub class: &'static str,
    /// A sentence for the log of attempts.
    pub reason: String,
}

impl LetterError {
    fn address(address: &str) -> Self {
        Self {
            class: "local_address",
            reason: format!("{address:?} is no address that a letter can go to"),
        }
    }

    fn template(error: &dyn std::error::Error) -> Self {
        Self {
            class: "local_template",
            reason: format!("the letter could not be written: {error}"),
        }
    }
}

/// Renders letters, with what all letters of this service have in common.
#[derive(Debug)]
pub struct LetterWriter {
    unsubscribe: UnsubscribeKey,
    base_url: String,
    /// Domain of Message-ID and List-Id.
    domain: String,
    /// The default sender: name and address.
    from: (String, EmailAddress),
    outbox_letters: AtomicU64,
    /// URL that replaces the origin of links in outbox letters, which may have changed since they
    /// were queued.
    site: Option<String>,
}

/// A run's letter, compiled once.
#[derive(Debug)]
pub struct RunTemplate {
    /// The run the template belongs to.
    pub run: OpenRun,
    template: LetterTemplate,
    from_name: String,
    from: EmailAddress,
    reply_to: Option<EmailAddress>,
    list_id: String,
    feedback_id: String,
}

impl RunTemplate {
    /// Whether the sender address cannot exist ([`is_nobody`]).
    pub fn is_from_nobody(&self) -> bool {
        is_nobody(self.from.as_str())
    }
}

impl LetterWriter {
    /// `from`: name and address for letters that name no other sender.
    pub fn new(secret: &SecretKey, base_url: &str, from: (String, EmailAddress)) -> Self {
        let domain = from
            .1
            .as_str()
            .rsplit_once('@')
            .map_or("localhost", |(_, domain)| domain);
        Self {
            unsubscribe: UnsubscribeKey::new(secret),
            base_url: base_url.to_owned(),
            domain: ascii_domain(domain),
            from,
            outbox_letters: AtomicU64::new(0),
            site: None,
        }
    }

    /// Rewrites links in outbox letters to begin with `site`, if it is set.
    pub fn moving_to(mut self, site: Option<String>) -> Self {
        self.site = site;
        self
    }

    /// Compiles the letter of a run.
    pub fn template(
        &self,
        run: OpenRun,
        letter: RunLetter,
    ) -> Result<Arc<RunTemplate>, LetterError> {
        let frozen = FrozenMessage {
            subject: letter.subject,
            html: letter.html,
            text: letter.text,
        };
        let template =
            LetterTemplate::compile(&frozen).map_err(|error| LetterError::template(&error))?;
        let (from_name, from) = self.sender(letter.from_name, &letter.from_email)?;
        Ok(Arc::new(RunTemplate {
            list_id: list_id(run.mailing_id, &self.domain),
            feedback_id: feedback_id(run.mailing_id, run.owner_id),
            run,
            template,
            from_name,
            from,
            reply_to: address_or_none(&letter.reply_to)?,
        }))
    }

    /// Renders one recipient's letter. Every attempt gets the same bytes unless the recipient is
    /// edited.
    pub fn letter(&self, run: &RunTemplate, claim: &Claim) -> Result<Letter, LetterError> {
        let to =
            EmailAddress::parse(&claim.email).map_err(|_| LetterError::address(&claim.email))?;
        let url = self
            .unsubscribe
            .url(&self.base_url, claim.owner, run.run.mailing_id, &to);
        let person = TemplateRecipient {
            email: &claim.email,
            fields: &claim.fields,
            attributes: &claim.attributes,
        };
        let message_id = message_id(claim.run, claim.id.0, &self.domain);
        let headers = LetterHeaders {
            from: Mailbox {
                name: &run.from_name,
                address: &run.from,
            },
            to: Mailbox {
                name: claim.fields.name(),
                address: &to,
            },
            reply_to: run
                .reply_to
                .as_ref()
                .map(|address| Mailbox { name: "", address }),
            date: run.run.due_at,
            message_id: &message_id,
            list: Some(ListHeaders {
                unsubscribe_url: &url,
                list_id: &run.list_id,
                feedback_id: &run.feedback_id,
            }),
        };
        let data = run
            .template
            .write(&person, &headers)
            .map_err(|error| LetterError::template(&error))?;
        Ok(Letter {
            id: u64::try_from(claim.id.0).unwrap_or_default(),
            from: run.from.as_str().to_owned(),
            to: claim.email.clone(),
            data: Bytes::from(data),
        })
    }

    /// Renders a letter from the outbox.
    pub fn outbox(&self, letter: &OutboxLetter) -> Result<Letter, LetterError> {
        let moved = self
            .site
            .as_deref()
            .map(|site| letter.clone().moved_to(site));
        let letter = moved.as_ref().unwrap_or(letter);
        let to =
            EmailAddress::parse(&letter.email).map_err(|_| LetterError::address(&letter.email))?;
        let (from_name, from) = self.sender(letter.from_name.clone(), &letter.from_email)?;
        let reply_to = address_or_none(&letter.reply_to)?;
        let rendered = RenderedMessage {
            subject: letter.subject.clone(),
            html: (!letter.html.is_empty()).then(|| letter.html.clone()),
            text: letter.text.clone(),
        };
        let message_id = format!("{}@{}", letter.id, self.domain);
        // test letters are unsubscribed from like the mailings they are tests of
        let list_id = list_id(NO_MAILING, &self.domain);
        let owner = letter.owner_id.unwrap_or(UserId(uuid::Uuid::nil()));
        let feedback_id = feedback_id(NO_MAILING, owner);
        let list = (!letter.unsubscribe.is_empty()).then(|| ListHeaders {
            unsubscribe_url: &letter.unsubscribe,
            list_id: &list_id,
            feedback_id: &feedback_id,
        });
        let headers = LetterHeaders {
            from: Mailbox {
                name: &from_name,
                address: &from,
            },
            to: Mailbox {
                name: &letter.name,
                address: &to,
            },
            reply_to: reply_to
                .as_ref()
                .map(|address| Mailbox { name: "", address }),
            date: letter.created_at,
            message_id: &message_id,
            list,
        };
        let data = compose(&rendered, &headers).map_err(|error| LetterError::template(&error))?;
        // ids of deliveries are positive i64, so they cannot collide with these
        let number = self.outbox_letters.fetch_add(1, Ordering::Relaxed);
        Ok(Letter {
            id: u64::MAX - number,
            from: from.as_str().to_owned(),
            to: letter.email.clone(),
            data: Bytes::from(data),
        })
    }

    fn sender(&self, name: String, email: &str) -> Result<(String, EmailAddress), LetterError> {
        if email.is_empty() {
            let name = if name.is_empty() {
                self.from.0.clone()
            } else {
                name
            };
            return Ok((name, self.from.1.clone()));
        }
        let address = EmailAddress::parse(email).map_err(|_| LetterError::address(email))?;
        Ok((name, address))
    }
}

fn address_or_none(email: &str) -> Result<Option<EmailAddress>, LetterError> {
    if email.is_empty() {
        return Ok(None);
    }
    EmailAddress::parse(email)
        .map(Some)
        .map_err(|_| LetterError::address(email))
}

/// Message-ID and List-Id must be ASCII; a configured sender's domain is known to have such a form.
fn ascii_domain(domain: &str) -> String {
    if domain.is_ascii() {
        domain.to_owned()
    } else {
        "localhost".to_owned()
    }
}
