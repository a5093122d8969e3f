//! A message and a list that are created together with their mailing, on its form (R15).

use crate::messages::message::{Message, MessageDraft};
use crate::platform::db::Tx;
use crate::platform::error::{Error, FieldError};
use crate::platform::ids::{RecipientId, UserId};
use crate::platform::time::Timestamp;
use crate::recipients::list::List;
use crate::recipients::recipient::{self, Recipient, RecipientFields};
use crate::sending::mailing::{CHOSEN_MAX, MailingDraft};

/// What to create; nothing for empty fields.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct InPlace {
    /// Subject of a new message.
    pub subject: String,
    /// Text of a new message.
    pub text: String,
    /// Name of a new list. If there is one with this name, the recipients are added to it.
    pub list: String,
    /// Recipients of the list: addresses, or `Name <address>`, separated by line breaks, commas or
    /// semicolons.
    pub people: String,
}

impl InPlace {
    /// Creates the message and the list, and puts them into the draft.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] with the fields `new_subject`, `new_text`, `new_list` and `new_people`.
    pub async fn make(
        &self,
        tx: &mut Tx,
        owner: UserId,
        draft: &mut MailingDraft,
        now: Timestamp,
    ) -> Result<(), Error> {
        let mut wrong = Vec::new();
        if !self.subject.trim().is_empty() || !self.text.trim().is_empty() {
            let message = MessageDraft {
                subject: self.subject.clone(),
                text: self.text.clone(),
                ..MessageDraft::default()
            };
            match Message::create(tx, owner, &message, now).await {
                Ok(id) => draft.message_id = Some(id),
                Err(Error::Invalid(errors)) => wrong.extend(renamed(errors, "new_")),
                Err(error) => return Err(error),
            }
        }
        if !self.list.trim().is_empty() || !self.people.trim().is_empty() {
            match self.make_list(tx, owner, draft, now).await {
                Ok(()) => {}
                Err(Error::Invalid(errors)) => wrong.extend(errors),
                Err(error) => return Err(error),
            }
        }
        if wrong.is_empty() {
            Ok(())
        } else {
            Err(Error::Invalid(wrong))
        }
    }

    async fn make_list(
        &self,
        tx: &mut Tx,
        owner: UserId,
        draft: &mut MailingDraft,
        now: Timestamp,
    ) -> Result<(), Error> {
        let people = self.parse_people()?;
        let list = match List::find_or_create(tx, owner, self.list.trim(), now).await {
            Err(Error::Invalid(errors)) => {
                let errors = errors.into_iter().map(|error| FieldError {
                    field: "new_list".to_owned(),
                    ..error
                });
                return Err(Error::Invalid(errors.collect()));
            }
            other => other?,
        };
        let mut ids: Vec<RecipientId> = Vec::with_capacity(people.len());
        for person in people {
            let known = Recipient::by_email(tx, owner, &person.email).await?;
            ids.push(match known {
                Some(known) => known.id,
                None => Recipient::create(tx, owner, &person, now).await?,
            });
        }
        Recipient::add_to(tx, owner, list, &ids, now).await?;
        draft.lists.push(list);
        Ok(())
    }

    /// Parses the recipients, each address once.
    fn parse_people(&self) -> Result<Vec<recipient::RecipientDraft>, Error> {
        let mut people: Vec<recipient::RecipientDraft> = Vec::new();
        for entry in self.people.split(['\n', ',', ';']).map(str::trim) {
            if entry.is_empty() {
                continue;
            }
            let (name, email) = match entry.strip_suffix('>').and_then(|e| e.split_once('<')) {
                Some((name, email)) => (name.trim().trim_matches('"'), email.trim()),
                None => ("", entry),
            };
            let person = recipient::RecipientDraft {
                email: email.to_owned(),
                fields: RecipientFields::from_name(name),
                ..recipient::RecipientDraft::default()
            };
            match crate::platform::address::EmailAddress::parse(email) {
                Ok(_) if people.iter().any(|known| known.email == person.email) => {}
                Ok(_) => people.push(person),
                Err(_) => {
                    let entry: String = entry.chars().take(100).collect();
                    return Err(Error::Invalid(vec![
                        FieldError::new("new_people", "bad_entry").with("entry", entry),
                    ]));
                }
            }
        }
        if people.len() > CHOSEN_MAX {
            return Err(Error::Invalid(vec![
                FieldError::new("new_people", "too_many").with("max", CHOSEN_MAX),
            ]));
        }
        Ok(people)
    }
}

fn renamed(errors: Vec<FieldError>, prefix: &str) -> impl Iterator<Item = FieldError> {
    errors.into_iter().map(move |error| FieldError {
        field: format!("{prefix}{}", error.field),
        ..error
    })
}
