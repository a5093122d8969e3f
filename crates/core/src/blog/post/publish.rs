//! The states of a post: draft → scheduled → published ⇄ unpublished. All transitions are here, guarded in SQL.
//!
//! Nothing has to happen at the moment of a scheduled publication: readers see what `published_at` has passed
//! ([`super::public`]).

use super::{Act, Editor, Post, PostDraft, history};
use crate::platform::db::{Tx, on_db};
use crate::platform::error::{Error, FieldError};
use crate::platform::ids::{ContentVersion, PostId};
use crate::platform::time::Moment;

impl PostDraft {
    /// What readers need: a text, and words for those who do not see the picture.
    pub(super) fn ready(&self) -> Result<(), Error> {
        let mut wrong = Vec::new();
        if self.body.trim().is_empty() {
            wrong.push(FieldError::new("body", "required"));
        }
        if self.cover_id.is_some() && self.cover_alt.is_empty() {
            wrong.push(FieldError::new("cover_alt", "required"));
        }
        if wrong.is_empty() {
            Ok(())
        } else {
            Err(Error::Invalid(wrong))
        }
    }
}

impl Post {
    /// Lets everybody read a post: at once, or from a moment in the future on. Its publication date is the first moment it
    /// was readable; publishing it again does not make it younger. Returns its new version, `None` when there is none.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] when a field is missing or the moment has passed; [`Error::Conflict`] when the post is not in
    /// `version` any more; [`Error::State`] when it is published already.
    pub async fn publish(
        tx: &mut Tx,
        editor: Editor,
        id: PostId,
        version: i64,
        from: Option<Moment>,
        now: Moment,
    ) -> Result<Option<i64>, Error> {
        let Some(draft) = Self::current(tx, id).await? else {
            return Ok(None);
        };
        draft.ready()?;
        if from.is_some_and(|from| from <= now) {
            return Err(Error::invalid("publish_at", "moment_passed"));
        }
        let act = if from.is_some() {
            Act::Scheduled
        } else {
            Act::Published
        };
        let changed: Option<i64> = on_db!(tx, conn => sqlx::query_scalar(
            "UPDATE posts
             SET published = TRUE, version = version + 1,
                 published_at = CASE WHEN $4 IS NOT NULL THEN $4
                                     WHEN published_at <= $3 THEN published_at
                                     ELSE $3 END
             WHERE id = $1 AND version = $2 AND NOT (published AND published_at <= $3)
             RETURNING version",
        )
        .bind(id)
        .bind(version)
        .bind(now)
        .bind(from)
        .fetch_optional(conn)
        .await)?;
        Self::moved(tx, editor, id, version, changed, act, &draft, now).await
    }

    /// Takes a post away from readers, or its plan to appear. Returns its new version, `None` when there is no such post.
    ///
    /// # Errors
    ///
    /// [`Error::Conflict`] when it is not in `version` any more; [`Error::State`] when it is not published.
    pub async fn unpublish(
        tx: &mut Tx,
        editor: Editor,
        id: PostId,
        version: i64,
        now: Moment,
    ) -> Result<Option<i64>, Error> {
        let Some(draft) = Self::current(tx, id).await? else {
            return Ok(None);
        };
        let changed: Option<i64> = on_db!(tx, conn => sqlx::query_scalar(
            "UPDATE posts
             SET published = FALSE, version = version + 1,
                 published_at = CASE WHEN published_at <= $3 THEN published_at END
             WHERE id = $1 AND version = $2 AND published
             RETURNING version",
        )
        .bind(id)
        .bind(version)
        .bind(now)
        .fetch_optional(conn)
        .await)?;
        Self::moved(
            tx,
            editor,
            id,
            version,
            changed,
            Act::Unpublished,
            &draft,
            now,
        )
        .await
    }

    async fn current(tx: &mut Tx, id: PostId) -> Result<Option<PostDraft>, Error> {
        let Some(post) = Self::find(tx, id).await? else {
            return Ok(None);
        };
        let tags = Self::tags(tx, id).await?;
        Ok(Some(post.draft(&tags)))
    }

    /// Records a transition that was made, or says why it was not.
    #[expect(
        clippy::too_many_arguments,
        reason = "the two transitions above share it"
    )]
    async fn moved(
        tx: &mut Tx,
        editor: Editor,
        id: PostId,
        version: i64,
        changed: Option<i64>,
        act: Act,
        draft: &PostDraft,
        now: Moment,
    ) -> Result<Option<i64>, Error> {
        let Some(new) = changed else {
            return match Self::find(tx, id).await? {
                None => Ok(None),
                Some(post) if post.version != version => Err(Error::Conflict),
                Some(post) => Err(Error::State(post.state(now).as_str())),
            };
        };
        let (_, used) = draft.pictures(tx).await?;
        history::record(tx, editor, id, new, act, draft, &used, now).await?;
        ContentVersion::changed(tx, now).await?;
        Ok(Some(new))
    }
}
