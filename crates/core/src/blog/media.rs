//! The blog's pictures: their metadata, and their way from an upload into the store and out of it.
//!
//! A picture is decoded and re-encoded (`picture`), so readers never get the uploaded file itself.
//! It is kept in several widths in a store ([`Gallery`]). Its row is inserted before its files are
//! written and deleted after they are removed, so [`clean_up`] can find and finish whatever a crash
//! interrupted.

mod gallery;
mod picture;

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use bytes::Bytes;

use crate::accounts::account_limit::{AccountLimit, Limits};
use crate::blog::post::Editor;
use crate::platform::db::{Db, Tx, on_db};
use crate::platform::error::{Error, FieldError};
use crate::platform::ids::{ContentVersion, MediaId, PostId, UserId};
use crate::platform::time::Timestamp;

pub use gallery::{Gallery, GalleryError};
pub use picture::{FILE_MAX, PreparedFile, PreparedPicture, prepare};

/// How long unused pictures and unsaved drafts are kept.
pub const UNUSED_RETENTION: Duration = Duration::from_hours(14 * 24);
/// An upload still unfinished after this time counts as interrupted.
const STORING_TIMEOUT: Duration = Duration::from_hours(1);
/// Longest file name that is kept, in characters.
const NAME_MAX: usize = 200;

/// A picture and its files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Picture {
    /// Identifies the picture in all its widths.
    pub id: MediaId,
    /// The uploaded file's name, without control characters.
    pub name: String,
    /// From narrowest to widest; never empty.
    pub files: Vec<PictureFile>,
}

/// One width of a picture.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct PictureFile {
    /// Name in the store and in its URL, `/media/{name}`.
    pub name: String,
    /// In pixels.
    pub width: i64,
    /// In pixels.
    pub height: i64,
    /// Size in bytes.
    pub bytes: i64,
}

#[derive(sqlx::FromRow)]
struct Row {
    id: MediaId,
    original: String,
    #[sqlx(flatten)]
    file: PictureFile,
}

impl Picture {
    /// The narrowest file at least `width` pixels wide, or the widest.
    #[must_use]
    pub fn file(&self, width: i64) -> &PictureFile {
        self.files
            .iter()
            .find(|file| file.width >= width)
            .unwrap_or_else(|| self.largest())
    }

    /// The widest file.
    #[must_use]
    pub fn largest(&self) -> &PictureFile {
        &self.files[self.files.len() - 1]
    }

    /// The value of the `srcset` attribute.
    #[must_use]
    pub fn srcset(&self) -> String {
        let sources: Vec<_> = self
            .files
            .iter()
            .map(|file| {
                format!(
                    "{}{} {}w",
                    crate::blog::markdown::MEDIA,
                    file.name,
                    file.width
                )
            })
            .collect();
        sources.join(", ")
    }

    /// The stored pictures among `ids`.
    pub async fn by_ids(tx: &mut Tx, ids: &[MediaId]) -> Result<HashMap<MediaId, Self>, Error> {
        let rows: Vec<Row> = match tx {
            Tx::Sqlite(tx) => {
                let keys: Vec<_> = ids.iter().map(|id| id.0.simple().to_string()).collect();
                sqlx::query_as(
                    "SELECT m.id, m.name AS original, f.name, f.width, f.height, f.bytes
                     FROM media m
                     JOIN media_files f ON f.media_id = m.id
                     WHERE m.state = 'stored' AND m.id IN (SELECT unhex(value) FROM json_each($1))
                     ORDER BY f.width",
                )
                .bind(sqlx::types::Json(keys))
                .fetch_all(&mut **tx)
                .await?
            }
            Tx::Postgres(tx) => {
                let keys: Vec<_> = ids.iter().map(|id| id.0).collect();
                sqlx::query_as(
                    "SELECT m.id, m.name AS original, f.name, f.width, f.height, f.bytes
                     FROM media m
                     JOIN media_files f ON f.media_id = m.id
                     WHERE m.state = 'stored' AND m.id = ANY ($1)
                     ORDER BY f.width",
                )
                .bind(keys)
                .fetch_all(&mut **tx)
                .await?
            }
        };
        Ok(gather(rows).into_iter().map(|p| (p.id, p)).collect())
    }

    /// The pictures these files belong to, keyed by file name. Unknown names are left out.
    pub async fn by_files(tx: &mut Tx, names: &[String]) -> Result<BTreeMap<String, Self>, Error> {
        let mut found = BTreeMap::new();
        for name in names {
            let rows: Vec<Row> = on_db!(tx, conn => sqlx::query_as(
                "SELECT m.id, m.name AS original, f.name, f.width, f.height, f.bytes
                 FROM media_files g
                 JOIN media m ON m.id = g.media_id AND m.state = 'stored'
                 JOIN media_files f ON f.media_id = m.id
                 WHERE g.name = $1
                 ORDER BY f.width",
            )
            .bind(name)
            .fetch_all(conn)
            .await)?;
            if let Some(picture) = gather(rows).pop() {
                found.insert(name.clone(), picture);
            }
        }
        Ok(found)
    }

    /// The pictures uploaded for a post, newest first.
    pub async fn of_post(tx: &mut Tx, post: PostId) -> Result<Vec<Self>, Error> {
        let rows: Vec<Row> = on_db!(tx, conn => sqlx::query_as(
            "SELECT m.id, m.name AS original, f.name, f.width, f.height, f.bytes
             FROM media m
             JOIN media_files f ON f.media_id = m.id
             WHERE m.post_id = $1 AND m.state = 'stored'
             ORDER BY m.id DESC, f.width",
        )
        .bind(post)
        .fetch_all(conn)
        .await)?;
        Ok(gather(rows))
    }

    /// Records that an unsaved draft uses these pictures, so that they are not removed yet.
    pub(crate) async fn mark_used(
        tx: &mut Tx,
        ids: &[MediaId],
        now: Timestamp,
    ) -> Result<(), Error> {
        for id in ids {
            on_db!(tx, conn => sqlx::query("UPDATE media SET used_at = $2 WHERE id = $1")
                .bind(id)
                .bind(now)
                .execute(conn)
                .await
                .map(|_| ()))?;
        }
        Ok(())
    }
}

/// Groups rows by picture. The rows of each picture must be in order of width.
fn gather(rows: Vec<Row>) -> Vec<Picture> {
    let mut pictures: Vec<Picture> = Vec::new();
    for row in rows {
        match pictures.iter_mut().find(|picture| picture.id == row.id) {
            Some(picture) => picture.files.push(row.file),
            None => pictures.push(Picture {
                id: row.id,
                name: row.original,
                files: vec![row.file],
            }),
        }
    }
    pictures
}

/// Stores an upload for a post: inserts its row, writes its files, then marks it as stored. `None`
/// if there is no such post.
///
/// # Errors
///
/// [`Error::Invalid`] when the editor has as many pictures as their limit allows.
pub async fn store(
    db: &Db,
    gallery: &Gallery,
    editor: Editor,
    post: PostId,
    name: &str,
    prepared: PreparedPicture,
    now: Timestamp,
) -> Result<Option<Picture>, Error> {
    let id = MediaId::new(now);
    let name: String = name
        .chars()
        .filter(|c| !c.is_control())
        .take(NAME_MAX)
        .collect();
    let files: Vec<(PictureFile, Bytes)> = prepared
        .files
        .into_iter()
        .map(|file| file.named(id))
        .collect();
    let mut tx = db.write().await?;
    check_limit(&mut tx, editor.user()).await?;
    if !begin(&mut tx, id, (editor, post), &name, &files, now).await? {
        return Ok(None);
    }
    tx.commit().await?;
    for (file, content) in &files {
        gallery.put(&file.name, content.clone()).await?;
    }
    let mut tx = db.write().await?;
    on_db!(&mut tx, conn => sqlx::query("UPDATE media SET state = 'stored' WHERE id = $1")
        .bind(id)
        .execute(conn)
        .await
        .map(|_| ()))?;
    tx.commit().await?;
    Ok(Some(Picture {
        id,
        name,
        files: files.into_iter().map(|(file, _)| file).collect(),
    }))
}

/// Fails when the user may not upload another picture.
async fn check_limit(tx: &mut Tx, user: UserId) -> Result<(), Error> {
    let limits = Limits::of(tx, user).await?;
    let Some(most) = limits.get(AccountLimit::Pictures) else {
        return Ok(());
    };
    Limits::lock(tx, user).await?;
    let has: i64 = on_db!(tx, conn => sqlx::query_scalar(
        "SELECT count(*) FROM media WHERE owner_id = $1",
    )
    .bind(user)
    .fetch_one(conn)
    .await)?;
    if has < most {
        return Ok(());
    }
    let error = FieldError::new("picture", "pictures_limit").with("max", most);
    Err(Error::Invalid(vec![error]))
}

async fn begin(
    tx: &mut Tx,
    id: MediaId,
    (editor, post): (Editor, PostId),
    name: &str,
    files: &[(PictureFile, Bytes)],
    now: Timestamp,
) -> Result<bool, Error> {
    let (width, height) = files
        .last()
        .map_or((0, 0), |(file, _)| (file.width, file.height));
    let made = on_db!(tx, conn => sqlx::query(
        "INSERT INTO media (id, post_id, name, state, width, height, created_at, used_at, owner_id)
         SELECT $1, p.id, $3, 'storing', $4, $5, $6, $6, $7 FROM posts p WHERE p.id = $2",
    )
    .bind(id)
    .bind(post)
    .bind(name)
    .bind(width)
    .bind(height)
    .bind(now)
    .bind(editor.user())
    .execute(conn)
    .await
    .map(|done| done.rows_affected()))?;
    if made == 0 {
        return Ok(false);
    }
    for (file, _) in files {
        on_db!(tx, conn => sqlx::query(
            "INSERT INTO media_files (name, media_id, width, height, bytes) VALUES ($1, $2, $3, $4, $5)",
        )
        .bind(&file.name)
        .bind(id)
        .bind(file.width)
        .bind(file.height)
        .bind(file.bytes)
        .execute(conn)
        .await
        .map(|_| ()))?;
    }
    Ok(true)
}

/// Removes pictures that no version of any post has used for [`UNUSED_RETENTION`], remains of
/// interrupted uploads, and unsaved drafts older than [`UNUSED_RETENTION`]. Returns the number of
/// pictures removed.
pub async fn clean_up(db: &Db, gallery: &Gallery, now: Timestamp) -> Result<u64, Error> {
    let mut tx = db.write().await?;
    on_db!(&mut tx, conn => sqlx::query("DELETE FROM post_drafts WHERE at < $1")
        .bind(now - UNUSED_RETENTION)
        .execute(conn)
        .await
        .map(|_| ()))?;
    // set `removing` before deleting files: a post saved from now on no longer finds the picture
    on_db!(&mut tx, conn => sqlx::query(
        "UPDATE media SET state = 'removing'
         WHERE (state = 'storing' AND created_at < $2)
            OR (state = 'stored' AND used_at < $1
                AND NOT EXISTS (SELECT 1 FROM post_media u WHERE u.media_id = media.id))",
    )
    .bind(now - UNUSED_RETENTION)
    .bind(now - STORING_TIMEOUT)
    .execute(conn)
    .await
    .map(|_| ()))?;
    let files: Vec<(MediaId, String)> = on_db!(&mut tx, conn => sqlx::query_as(
        "SELECT m.id, f.name FROM media m JOIN media_files f ON f.media_id = m.id WHERE m.state = 'removing'",
    )
    .fetch_all(conn)
    .await)?;
    tx.commit().await?;
    if files.is_empty() {
        return Ok(0);
    }
    for (_, name) in &files {
        gallery.delete(name).await?;
    }
    let mut ids: Vec<MediaId> = files.into_iter().map(|(id, _)| id).collect();
    ids.sort();
    ids.dedup();
    let mut tx = db.write().await?;
    let mut removed = 0;
    for id in ids {
        removed += on_db!(&mut tx, conn => sqlx::query("DELETE FROM media WHERE id = $1 AND state = 'removing'")
            .bind(id)
            .execute(conn)
            .await
            .map(|done| done.rows_affected()))?;
    }
    ContentVersion::changed(&mut tx, now).await?;
    tx.commit().await?;
    Ok(removed)
}
