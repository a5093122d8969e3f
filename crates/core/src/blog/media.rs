//! Pictures of the blog: what is known of them, and their way from an upload to the store and out of it again.
//!
//! A picture is decoded and encoded anew (`picture`), so a file never reaches a reader as it came, and kept in several
//! widths in a store ([`Gallery`]). Its row is made before its files and removed after them: whatever a crash interrupts is
//! found and finished by [`clean_up`].

mod gallery;
mod picture;

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use bytes::Bytes;

use crate::platform::db::{Db, Tx, on_db};
use crate::platform::error::Error;
use crate::platform::ids::{ContentVersion, MediaId, PostId};
use crate::platform::time::Moment;

pub use gallery::{Gallery, GalleryError};
pub use picture::{FILE_MAX, Prepared, PreparedFile, prepare};

/// How long a picture that no saved text shows is kept, and a text that was typed and not saved.
pub const GRACE: Duration = Duration::from_hours(14 * 24);
/// An upload that takes longer was interrupted.
const STORING_MAX: Duration = Duration::from_hours(1);
/// Longest name of an uploaded file that is kept, in characters.
const NAME_MAX: usize = 200;

/// A picture with its files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Picture {
    /// Its id.
    pub id: MediaId,
    /// The uploaded file's name.
    pub name: String,
    /// From the narrowest to the widest; never empty.
    pub files: Vec<PictureFile>,
}

/// One width of a picture.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct PictureFile {
    /// In the store and behind `/media/`.
    pub name: String,
    /// In pixels.
    pub width: i64,
    /// In pixels.
    pub height: i64,
    /// Its length.
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
    /// The narrowest file of at least this width, or the widest.
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

    /// The choice of files for `srcset`.
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

    /// Those of `ids` that are stored.
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

    /// Those that have one of these files, by the name of the file.
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

    /// The pictures that were uploaded for a post, the newest first.
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

    /// Notes that a text that is not saved yet shows these pictures.
    pub(crate) async fn keep(tx: &mut Tx, ids: &[MediaId], now: Moment) -> Result<(), Error> {
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

/// Rows in any order of pictures, each picture's in order of width.
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

/// Takes an upload for a post: makes its row, stores its files, then marks it as stored. `None` when there is no such post.
pub async fn store(
    db: &Db,
    gallery: &Gallery,
    post: PostId,
    name: &str,
    prepared: Prepared,
    now: Moment,
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
    if !begin(&mut tx, id, post, &name, &files, now).await? {
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

async fn begin(
    tx: &mut Tx,
    id: MediaId,
    post: PostId,
    name: &str,
    files: &[(PictureFile, Bytes)],
    now: Moment,
) -> Result<bool, Error> {
    let (width, height) = files
        .last()
        .map_or((0, 0), |(file, _)| (file.width, file.height));
    let made = on_db!(tx, conn => sqlx::query(
        "INSERT INTO media (id, post_id, name, state, width, height, created_at, used_at)
         SELECT $1, p.id, $3, 'storing', $4, $5, $6, $6 FROM posts p WHERE p.id = $2",
    )
    .bind(id)
    .bind(post)
    .bind(name)
    .bind(width)
    .bind(height)
    .bind(now)
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

/// Removes pictures that no version of any post has shown for [`GRACE`], what interrupted uploads left, and texts that were
/// typed and not saved for as long. Returns how many pictures went.
pub async fn clean_up(db: &Db, gallery: &Gallery, now: Moment) -> Result<u64, Error> {
    let mut tx = db.write().await?;
    on_db!(&mut tx, conn => sqlx::query("DELETE FROM post_drafts WHERE at < $1")
        .bind(now - GRACE)
        .execute(conn)
        .await
        .map(|_| ()))?;
    // `removing` shuts the door before the files go: a text saved from here on does not find the picture any more
    on_db!(&mut tx, conn => sqlx::query(
        "UPDATE media SET state = 'removing'
         WHERE (state = 'storing' AND created_at < $2)
            OR (state = 'stored' AND used_at < $1
                AND NOT EXISTS (SELECT 1 FROM post_media u WHERE u.media_id = media.id))",
    )
    .bind(now - GRACE)
    .bind(now - STORING_MAX)
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
