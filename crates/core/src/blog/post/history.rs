//! The history of a post: every saved version, and unsaved drafts of editors.

use sqlx::types::Json;

use super::{Editor, Post, PostDraft};
use crate::blog::media::Picture;
use crate::platform::db::{Tx, on_db};
use crate::platform::error::Error;
use crate::platform::ids::{MediaId, PostId};
use crate::platform::time::Timestamp;

/// How many versions of a post are kept.
const VERSIONS_KEPT: i64 = 200;

/// What created a version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, sqlx::Type)]
#[sqlx(type_name = "text", rename_all = "snake_case")]
pub enum VersionCause {
    /// The post was created.
    Created,
    /// Its fields were saved.
    Saved,
    /// An earlier version was restored.
    Restored,
    /// It was published with immediate effect.
    Published,
    /// It was scheduled for publication.
    Scheduled,
    /// It was withdrawn.
    Unpublished,
}

impl VersionCause {
    /// The name in the database and in messages.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Saved => "saved",
            Self::Restored => "restored",
            Self::Published => "published",
            Self::Scheduled => "scheduled",
            Self::Unpublished => "unpublished",
        }
    }
}

/// A version in the list.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct Version {
    /// Version number of the post, counted from 1.
    pub version: i64,
    /// What created it.
    pub act: VersionCause,
    /// Name of the editor; `None` if the account was deleted.
    pub by: Option<String>,
    /// When it was created.
    pub at: Timestamp,
}

/// What an editor typed but did not save.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnsavedDraft {
    /// The post's version when the edit began.
    pub version: i64,
    /// The typed fields, unchecked.
    pub draft: PostDraft,
    /// When it was last kept.
    pub at: Timestamp,
}

impl Post {
    /// The versions of a post, newest first.
    pub async fn versions(tx: &mut Tx, _: Editor, id: PostId) -> Result<Vec<Version>, Error> {
        Ok(on_db!(tx, conn => sqlx::query_as(
            "SELECT v.version, v.act, u.name AS \"by\", v.at
             FROM post_versions v
             LEFT JOIN users u ON u.id = v.user_id
             WHERE v.post_id = $1
             ORDER BY v.version DESC",
        )
        .bind(id)
        .fetch_all(conn)
        .await)?)
    }

    /// The fields of one version, or `None` if it does not exist.
    pub async fn version(
        tx: &mut Tx,
        _: Editor,
        id: PostId,
        version: i64,
    ) -> Result<Option<PostDraft>, Error> {
        let content: Option<Json<PostDraft>> = on_db!(tx, conn => sqlx::query_scalar(
            "SELECT content FROM post_versions WHERE post_id = $1 AND version = $2",
        )
        .bind(id)
        .bind(version)
        .fetch_optional(conn)
        .await)?;
        Ok(content.map(|json| json.0))
    }

    /// Restores the text of an earlier version as a new version. Slug and publication are not
    /// changed. Returns the new version, or `None` if there is no such post or version.
    ///
    /// # Errors
    ///
    /// Same as [`Post::save`].
    pub async fn restore(
        tx: &mut Tx,
        editor: Editor,
        id: PostId,
        version: i64,
        old: i64,
        now: Timestamp,
    ) -> Result<Option<i64>, Error> {
        let (Some(post), Some(mut draft)) = (
            Self::find(tx, id).await?,
            Self::version(tx, editor, id, old).await?,
        ) else {
            return Ok(None);
        };
        draft.slug = post.slug;
        Self::write(tx, editor, id, version, &draft, VersionCause::Restored, now).await
    }
}

/// Adds a version and records the pictures it uses.
#[expect(clippy::too_many_arguments, reason = "one argument for each column")]
pub(super) async fn record(
    tx: &mut Tx,
    editor: Editor,
    id: PostId,
    version: i64,
    act: VersionCause,
    draft: &PostDraft,
    pictures: &[MediaId],
    now: Timestamp,
) -> Result<(), Error> {
    on_db!(tx, conn => sqlx::query(
        "INSERT INTO post_versions (post_id, version, act, content, user_id, at) VALUES ($1, $2, $3, $4, $5, $6)",
    )
    .bind(id)
    .bind(version)
    .bind(act.as_str())
    .bind(Json(draft))
    .bind(editor.0)
    .bind(now)
    .execute(conn)
    .await
    .map(|_| ()))?;
    for picture in pictures {
        on_db!(tx, conn => sqlx::query(
            "INSERT INTO post_media (post_id, version, media_id) VALUES ($1, $2, $3)",
        )
        .bind(id)
        .bind(version)
        .bind(picture)
        .execute(conn)
        .await
        .map(|_| ()))?;
    }
    on_db!(tx, conn => sqlx::query("DELETE FROM post_versions WHERE post_id = $1 AND version <= $2")
        .bind(id)
        .bind(version - VERSIONS_KEPT)
        .execute(conn)
        .await
        .map(|_| ()))?;
    Ok(())
}

impl UnsavedDraft {
    /// Stores what an editor has typed so far, unchecked. Returns whether it was stored: not if
    /// there is no such post, nor if this editor has saved it since `version`. Then this is the
    /// page's last automatic request, which was overtaken by the form.
    pub async fn save(
        tx: &mut Tx,
        editor: Editor,
        id: PostId,
        version: i64,
        draft: &PostDraft,
        now: Timestamp,
    ) -> Result<bool, Error> {
        let mut draft = draft.clone();
        draft.body = draft
            .body
            .replace('\0', "")
            .chars()
            .take(super::BODY_MAX)
            .collect();
        // what is typed is kept, even if it could not be saved as a post yet
        let used = match draft.pictures(tx).await {
            Ok((_, used)) => used,
            Err(Error::Invalid(_)) => Vec::new(),
            Err(error) => return Err(error),
        };
        Picture::mark_used(tx, &used, now).await?;
        let kept = on_db!(tx, conn => sqlx::query(
            "INSERT INTO post_drafts (post_id, user_id, version, content, at)
             SELECT id, $2, $3, $4, $5 FROM posts WHERE id = $1 AND NOT EXISTS (
               SELECT 1 FROM post_versions WHERE post_id = $1 AND version > $3 AND user_id = $2
             )
             ON CONFLICT (post_id, user_id) DO UPDATE SET version = $3, content = $4, at = $5",
        )
        .bind(id)
        .bind(editor.0)
        .bind(version)
        .bind(Json(&draft))
        .bind(now)
        .execute(conn)
        .await
        .map(|done| done.rows_affected()))?;
        Ok(kept > 0)
    }

    /// What this editor typed into a post and did not save.
    pub async fn of(tx: &mut Tx, editor: Editor, id: PostId) -> Result<Option<Self>, Error> {
        let row: Option<(i64, Json<PostDraft>, Timestamp)> = on_db!(tx, conn => sqlx::query_as(
            "SELECT version, content, at FROM post_drafts WHERE post_id = $1 AND user_id = $2",
        )
        .bind(id)
        .bind(editor.0)
        .fetch_optional(conn)
        .await)?;
        Ok(row.map(|(version, content, at)| Self {
            version,
            draft: content.0,
            at,
        }))
    }

    /// Deletes this editor's unsaved draft of a post.
    pub async fn discard(tx: &mut Tx, editor: Editor, id: PostId) -> Result<(), Error> {
        on_db!(tx, conn => sqlx::query("DELETE FROM post_drafts WHERE post_id = $1 AND user_id = $2")
            .bind(id)
            .bind(editor.0)
            .execute(conn)
            .await
            .map(|_| ()))?;
        Ok(())
    }
}
