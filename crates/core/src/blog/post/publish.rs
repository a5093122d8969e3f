//! The states of a post: draft → scheduled → published ⇄ unpublished. All transitions are here,
//! guarded in SQL.
//!
//! No job runs when a scheduled post is due: visitors see whatever `published_at` has passed
//! ([`super::public`]).

use super::{Editor, Post, PostDraft, VersionCause, history};
use crate::platform::db::{Tx, on_db};
use crate::platform::error::{Error, FieldError};
use crate::platform::ids::{ContentVersion, PostId};
use crate::platform::time::Timestamp;

impl PostDraft {
    /// Checks what readers need: a body, and alt text if there is a cover picture.
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
    /// Publishes a post now, or at a time in the future. The publication date is the first time it
    /// became visible. Publishing it again keeps that date; scheduling it sets a new one. Returns
    /// the new version, or `None` if there is no such post.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] if a field is missing or the time has passed; [`Error::Conflict`] if the
    /// post is no longer at `version`; [`Error::State`] if it is already published.
    pub async fn publish(
        tx: &mut Tx,
        editor: Editor,
        id: PostId,
        version: i64,
        from: Option<Timestamp>,
        now: Timestamp,
    ) -> Result<Option<i64>, Error> {
        let Some(draft) = Self::current(tx, id).await? else {
            return Ok(None);
        };
        draft.ready()?;
        if from.is_some_and(|from| from <= now) {
            return Err(Error::invalid("publish_at", "moment_passed"));
        }
        let act = if from.is_some() {
            VersionCause::Scheduled
        } else {
            VersionCause::Published
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

    /// Withdraws a published post, or cancels a scheduled publication. Returns the new version, or
    /// `None` if there is no such post.
    ///
    /// # Errors
    ///
    /// [`Error::Conflict`] if the post is no longer at `version`; [`Error::State`] if it is not
    /// published.
    pub async fn unpublish(
        tx: &mut Tx,
        editor: Editor,
        id: PostId,
        version: i64,
        now: Timestamp,
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
            VersionCause::Unpublished,
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

    /// Records the transition, or returns the reason why it was refused.
    #[expect(
        clippy::too_many_arguments,
        reason = "shared by the two transitions above"
    )]
    async fn moved(
        tx: &mut Tx,
        editor: Editor,
        id: PostId,
        version: i64,
        changed: Option<i64>,
        act: VersionCause,
        draft: &PostDraft,
        now: Timestamp,
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
