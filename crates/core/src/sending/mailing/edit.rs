//! A mailing as its form holds it: created and edited together with what the form adds to it.

use super::{InPlace, Mailing, MailingDraft, MailingStatus};
use crate::platform::db::Tx;
use crate::platform::error::Error;
use crate::platform::ids::{MailingId, UserId};
use crate::platform::time::Timestamp;

/// The content of a mailing's form.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MailingEdit {
    /// The mailing's fields.
    pub draft: MailingDraft,
    /// A message and a list to create with it.
    pub in_place: InPlace,
    /// The version that the form was made from; ignored for a new mailing.
    pub version: i64,
}

impl Mailing {
    /// Creates a mailing and what its form adds.
    ///
    /// # Errors
    ///
    /// As [`InPlace::make`] and [`Mailing::create`].
    pub async fn create_edited(
        tx: &mut Tx,
        owner: UserId,
        edit: &MailingEdit,
        actor: &str,
        now: Timestamp,
    ) -> Result<MailingId, Error> {
        let mut draft = edit.draft.clone();
        edit.in_place.make(tx, owner, &mut draft, now).await?;
        Self::create(tx, owner, &draft, actor, now).await
    }

    /// Changes this mailing and creates what its form adds. After the start, audience and schedule
    /// are settled: a form does not have these fields, and what the edit says of them is ignored.
    /// Returns the new version; `None` when the mailing is gone.
    ///
    /// # Errors
    ///
    /// As [`InPlace::make`] and [`Mailing::update`].
    pub async fn edit(
        &self,
        tx: &mut Tx,
        edit: &MailingEdit,
        actor: &str,
        now: Timestamp,
    ) -> Result<Option<i64>, Error> {
        let mut draft = edit.draft.clone();
        if self.status != MailingStatus::Created {
            draft = draft.with_settled_of(Self::draft_of(tx, self).await?);
        } else if draft.begin.is_none() && draft.start.trim().is_empty() {
            // a form without these fields does not make a planned mailing begin now
            draft.start = Self::draft_of(tx, self).await?.start;
        }
        let owner = self.owner_id;
        edit.in_place.make(tx, owner, &mut draft, now).await?;
        Self::update(tx, owner, self.id, edit.version, &draft, actor, now).await
    }
}

impl MailingDraft {
    /// This draft with the audience and the schedule of another.
    fn with_settled_of(self, settled: Self) -> Self {
        Self {
            title: self.title,
            message_id: self.message_id,
            from_name: self.from_name,
            from_email: self.from_email,
            reply_to: self.reply_to,
            ..settled
        }
    }
}
