//! Renders a claim into the bytes of its letter.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use bytes::Bytes;
use skychimp_core::messages::letter::{
    FrozenMessage, LetterHeaders, LetterTemplate, ListHeaders, Mailbox, RenderedMessage,
    TemplateRecipient, WorkBudget, WriteError, compose, feedback_id, list_id, message_id,
};
use skychimp_core::platform::address::EmailAddress;
use skychimp_core::platform::secret::SecretKey;
use skychimp_core::recipients::unsubscribe::UnsubscribeKey;
use skychimp_core::sending::delivery::{Claim, OpenRun, RunLetter};
use skychimp_core::sending::outbox::OutboxLetter;
use skychimp_core::sending::service::is_nobody;
use skychimp_core::sending::test_letter::NO_MAILING;
use skychimp_smtp::Letter;

/// Letters of a run that took too much work, after which its mailing is paused.
const TOO_SLOW_MAX: usize = 5;
/// What a letter is charged for before the run's letters are known.
const COST_GUESS: u64 = 1_000;
/// Units of work, and bytes, that count as a microsecond.
const WORK_PER_MICROSECOND: u64 = 500;
const BYTES_PER_MICROSECOND: u64 = 100;

/// A letter that cannot be rendered; retrying does not help.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct LetterError {
    /// `local_address`, `local_template` or `local_work`.
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

    /// Whether making the letter took more work than its budget allows.
    pub fn is_too_slow(&self) -> bool {
        self.class == "local_work"
    }

    /// The run's letters are not made any more.
    pub fn too_slow() -> Self {
        Self {
            class: "local_work",
            reason: String::new(),
        }
    }

    fn write(error: &WriteError) -> Self {
        let class = if error.is_too_slow() {
            "local_work"
        } else {
            "local_template"
        };
        Self {
            class,
            ..Self::template(error)
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
    /// A letter took longer than may be made between others.
    heavy: AtomicBool,
    /// Letters that took too much work.
    too_slow: AtomicUsize,
    /// What its letters cost lately, in microseconds.
    cost: AtomicU64,
}

/// A letter, and what making it has cost in microseconds.
#[derive(Debug)]
pub struct MadeLetter {
    /// The letter.
    pub letter: Letter,
    /// The work and the size of the letter.
    pub cost: u64,
}

impl RunTemplate {
    /// Whether its letters are made on threads of their own.
    pub fn is_heavy(&self) -> bool {
        self.heavy.load(Ordering::Relaxed)
    }

    /// Its letters are made on threads of their own from now on.
    pub fn set_heavy(&self) {
        self.heavy.store(true, Ordering::Relaxed);
    }

    /// What a letter will probably cost, in microseconds.
    pub fn cost(&self) -> u64 {
        self.cost.load(Ordering::Relaxed)
    }

    /// Notes what a letter has cost.
    pub fn has_cost(&self, cost: u64) {
        self.cost.store(cost, Ordering::Relaxed);
    }

    /// Counts a letter that took too much work; returns whether it is the one after which the
    /// mailing is paused.
    pub fn is_too_slow(&self) -> bool {
        self.too_slow.fetch_add(1, Ordering::Relaxed) + 1 == TOO_SLOW_MAX
    }

    /// Whether no more letters of it are made, because too many took too much work.
    pub fn is_given_up(&self) -> bool {
        self.too_slow.load(Ordering::Relaxed) >= TOO_SLOW_MAX
    }

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
            heavy: AtomicBool::new(false),
            too_slow: AtomicUsize::new(0),
            cost: AtomicU64::new(COST_GUESS),
        }))
    }

    /// Renders one recipient's letter if that takes no longer than may be done between others;
    /// `None` if it takes longer ([`LetterWriter::heavy_letter`]).
    pub fn quick_letter(
        &self,
        run: &RunTemplate,
        claim: &Claim,
    ) -> Option<Result<MadeLetter, LetterError>> {
        if run.is_heavy() {
            return None;
        }
        match self.letter(run, claim, &WorkBudget::quick()) {
            Err(error) if error.is_too_slow() => {
                run.set_heavy();
                None
            }
            made => Some(made),
        }
    }

    /// Renders one recipient's letter, on a thread that nothing else waits for.
    pub fn heavy_letter(
        &self,
        run: &RunTemplate,
        claim: &Claim,
    ) -> Result<MadeLetter, LetterError> {
        let budget = WorkBudget::letter();
        let made = self.letter(run, claim, &budget);
        if !budget.is_more_than_quick() {
            run.heavy.store(false, Ordering::Relaxed);
        }
        made
    }

    /// Every attempt gets the same bytes unless the recipient is edited.
    fn letter(
        &self,
        run: &RunTemplate,
        claim: &Claim,
        budget: &WorkBudget,
    ) -> Result<MadeLetter, LetterError> {
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
            .write(&person, &headers, budget)
            .map_err(|error| LetterError::write(&error))?;
        let size = data.len() as u64;
        Ok(MadeLetter {
            cost: budget.spent() / WORK_PER_MICROSECOND + size / BYTES_PER_MICROSECOND,
            letter: Letter {
                id: u64::try_from(claim.id.0).unwrap_or_default(),
                from: run.from.as_str().to_owned(),
                to: claim.email.clone(),
                data: Bytes::from(data),
            },
        })
    }

    /// Renders a letter from the outbox.
    pub fn outbox(&self, letter: &OutboxLetter) -> Result<MadeLetter, LetterError> {
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
        let owner = letter
            .owner_id
            .unwrap_or(skychimp_core::platform::ids::UserId(uuid::Uuid::nil()));
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
        Ok(MadeLetter {
            cost: 0,
            letter: Letter {
                id: u64::MAX - number,
                from: from.as_str().to_owned(),
                to: letter.email.clone(),
                data: Bytes::from(data),
            },
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
