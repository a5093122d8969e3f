//! Everything that an account owns, as one ZIP file of CSV and JSON.
//!
//! It is written page by page, each page read in a transaction of its own, so an account with
//! millions of rows takes no more memory than a small one. The site asks for one with
//! [`UserArchive::request`]; the engine makes it as a job and stores the file in the database.
//!
//! *Invariants*: `recipients.csv` imports back unchanged ([`Export`]). Neither passwords nor keys
//! are in it.

mod job;

use std::io::{self, Write};
use std::sync::Arc;

use jiff::tz::TimeZone;
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::sync::mpsc::Sender;
use uuid::Uuid;
use zip::write::{SimpleFileOptions, StreamWriter};
use zip::{CompressionMethod, ZipWriter};

use crate::accounts::passkey::Passkey;
use crate::accounts::second_factor::SecondFactor;
use crate::accounts::user::User;
use crate::messages::message::Message;
use crate::platform::csv_writer::{CsvWriter, LineEnd};
use crate::platform::db::{Db, Tx, on_db};
use crate::platform::error::Error;
use crate::platform::ids::{ListId, MailingId, MessageId, RecipientId, UserId};
use crate::platform::time::Timestamp;
use crate::recipients::export::{Export, ExportStyle};
use crate::recipients::import::Delimiter;
use crate::recipients::list::List;
use crate::recipients::recipient::RecipientFilter;
use crate::recipients::suppression::{Suppression, SuppressionCursor};
use crate::sending::attempt::{Attempt, AttemptFilter, AttemptsOf, LogOrder};
use crate::sending::mailing::Mailing;

pub use job::{ArchiveState, UserArchive};

/// Rows read at a time.
const PAGE_ROWS: usize = 2_000;

/// Takes the pieces of the archive; an error is the last one.
pub type ArchiveChunks = Sender<Result<Vec<u8>, Error>>;

/// Writes the archive of `owner` to `to`; its files are dated `now`, in UTC. Ends early, without an
/// error, when the receiver is gone.
pub async fn write(db: &Db, owner: UserId, now: Timestamp, to: &ArchiveChunks) {
    let mut archive = Archive::new(db, owner, now, to);
    match archive.run().await {
        Ok(()) | Err(ArchiveError::Unread) => {}
        Err(ArchiveError::Failed(error)) => {
            // a receiver that is gone needs no error
            to.send(Err(error)).await.ok();
        }
    }
}

/// Why an archive ends early.
enum ArchiveError {
    Unread,
    Failed(Error),
}

impl From<Error> for ArchiveError {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

impl From<sqlx::Error> for ArchiveError {
    fn from(error: sqlx::Error) -> Self {
        Self::Failed(error.into())
    }
}

/// Compressed bytes that are not sent yet.
#[derive(Clone, Default)]
struct Ready(Arc<Mutex<Vec<u8>>>);

impl Write for Ready {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

struct Archive<'a> {
    db: &'a Db,
    owner: UserId,
    zip: ZipWriter<StreamWriter<Ready>>,
    ready: Ready,
    /// The date of its files.
    made: zip::DateTime,
    to: &'a ArchiveChunks,
}

impl<'a> Archive<'a> {
    fn new(db: &'a Db, owner: UserId, now: Timestamp, to: &'a ArchiveChunks) -> Self {
        let ready = Ready::default();
        let now = now.timestamp().to_zoned(TimeZone::UTC).datetime();
        Self {
            db,
            owner,
            zip: ZipWriter::new_stream(ready.clone()),
            ready,
            // the format has the years 1980 to 2107
            made: now.try_into().unwrap_or_default(),
            to,
        }
    }

    async fn run(&mut self) -> Result<(), ArchiveError> {
        self.account().await?;
        self.recipients().await?;
        self.lists().await?;
        self.suppressions().await?;
        self.messages().await?;
        self.mailings().await?;
        let last = std::mem::replace(&mut self.zip, ZipWriter::new_stream(Ready::default()));
        last.finish().map_err(broken)?;
        self.send().await
    }

    /// Begins another file.
    fn file(&mut self, name: &str) -> Result<(), Error> {
        let options = SimpleFileOptions::default()
            .compression_method(CompressionMethod::Deflated)
            .last_modified_time(self.made)
            .large_file(true);
        self.zip.start_file(name, options).map_err(broken)
    }

    /// Adds to the current file, and sends what is ready.
    async fn put(&mut self, bytes: &[u8]) -> Result<(), ArchiveError> {
        self.zip.write_all(bytes).map_err(broken)?;
        self.send().await
    }

    async fn send(&mut self) -> Result<(), ArchiveError> {
        let ready = std::mem::take(&mut *self.ready.0.lock());
        if ready.is_empty() {
            return Ok(());
        }
        self.to
            .send(Ok(ready))
            .await
            .map_err(|_| ArchiveError::Unread)
    }

    async fn json(&mut self, name: &str, value: &Value) -> Result<(), ArchiveError> {
        self.file(name)?;
        let text = serde_json::to_vec_pretty(value).map_err(broken)?;
        self.put(&text).await
    }

    async fn rows<const N: usize>(&mut self, rows: Vec<[String; N]>) -> Result<(), ArchiveError> {
        let mut csv = CsvWriter::new(Vec::new(), b',', LineEnd::Lf);
        for row in rows {
            csv.row(row).map_err(broken)?;
        }
        let bytes = csv.finish().map_err(broken)?;
        self.put(&bytes).await
    }

    /// Begins a table with its header.
    async fn table<const N: usize>(
        &mut self,
        name: &str,
        head: [&str; N],
    ) -> Result<(), ArchiveError> {
        self.file(name)?;
        self.rows(vec![head.map(str::to_owned)]).await
    }

    async fn account(&mut self) -> Result<(), ArchiveError> {
        let mut tx = self.db.read().await?;
        let user = User::get(&mut tx, self.owner).await?;
        let user = user.ok_or_else(|| Error::Internal("the account is gone".to_owned()))?;
        let passkeys = Passkey::all_of(&mut tx, self.owner).await?;
        let second = SecondFactor::on_since(&mut tx, self.owner).await?;
        drop(tx);
        let passkeys: Vec<_> = passkeys
            .iter()
            .map(|key| json!({"name": key.name, "created_at": key.created_at, "used_at": key.used_at}))
            .collect();
        let account = json!({
            "id": user.id,
            "email": user.email,
            "name": user.name,
            "role": user.role,
            "language": user.language,
            "theme": user.theme,
            "zone": user.zone,
            "created_at": user.created_at,
            "verified_at": user.verified_at,
            "second_factor_since": second,
            "passkeys": passkeys,
        });
        self.json("account.json", &account).await
    }

    async fn recipients(&mut self) -> Result<(), ArchiveError> {
        let style = ExportStyle {
            delimiter: Delimiter::Comma,
            mark: false,
        };
        let mut export =
            Export::begin(self.db, self.owner, RecipientFilter::default(), style).await?;
        self.file("recipients.csv")?;
        while let Some(piece) = export.next().await? {
            self.put(&piece).await?;
        }
        Ok(())
    }

    async fn lists(&mut self) -> Result<(), ArchiveError> {
        let mut tx = self.db.read().await?;
        let lists = List::all(&mut tx, self.owner, i64::MAX).await?;
        drop(tx);
        self.table("lists.csv", ["name", "comment", "created_at"])
            .await?;
        let rows = lists.iter().map(|list| {
            let (name, comment) = (list.name.clone(), list.comment.clone());
            [name, comment, list.created_at.to_string()]
        });
        self.rows(rows.collect()).await?;
        self.table("members.csv", ["list", "email"]).await?;
        for list in lists {
            let mut after = RecipientId(Uuid::nil());
            loop {
                let mut tx = self.db.read().await?;
                let page = members(&mut tx, self.owner, list.id, after).await?;
                drop(tx);
                after = page.last().map_or(after, |(id, _)| *id);
                let over = page.len() < PAGE_ROWS;
                let rows = page
                    .into_iter()
                    .map(|(_, email)| [list.name.clone(), email]);
                self.rows(rows.collect()).await?;
                if over {
                    break;
                }
            }
        }
        Ok(())
    }

    async fn suppressions(&mut self) -> Result<(), ArchiveError> {
        let head = ["email", "reason", "mailing", "created_at"];
        self.table("suppressions.csv", head).await?;
        let mut place = SuppressionCursor::default();
        loop {
            let mut tx = self.db.read().await?;
            let page = Suppression::page(&mut tx, self.owner, "", &place, PAGE_ROWS).await?;
            drop(tx);
            let rows = page.rows.iter().map(|one| {
                let mailing = one.mailing_id.map(|id| id.to_string());
                let reason = one.reason.as_str().to_owned();
                let at = one.created_at.to_string();
                [one.email.clone(), reason, mailing.unwrap_or_default(), at]
            });
            self.rows(rows.collect()).await?;
            match page.next {
                Some(next) => place = next,
                None => return Ok(()),
            }
        }
    }

    async fn messages(&mut self) -> Result<(), ArchiveError> {
        let mut tx = self.db.read().await?;
        let all: Vec<MessageId> = on_db!(&mut tx, conn => sqlx::query_scalar(
            "SELECT id FROM messages WHERE owner_id = $1 ORDER BY id",
        )
        .bind(self.owner)
        .fetch_all(conn)
        .await)?;
        drop(tx);
        for id in all {
            let mut tx = self.db.read().await?;
            // deleted in the meantime
            let Some(message) = Message::get(&mut tx, self.owner, id).await? else {
                continue;
            };
            drop(tx);
            let value = json!({
                "id": id,
                "subject": message.subject,
                "preview_text": message.preview_text,
                "html": message.html,
                "text": message.text,
                "created_at": message.created_at,
                "updated_at": message.updated_at,
            });
            self.json(&format!("messages/{id}.json"), &value).await?;
        }
        Ok(())
    }

    async fn mailings(&mut self) -> Result<(), ArchiveError> {
        let mut tx = self.db.read().await?;
        let all: Vec<MailingId> = on_db!(&mut tx, conn => sqlx::query_scalar(
            "SELECT id FROM mailings WHERE owner_id = $1 ORDER BY id",
        )
        .bind(self.owner)
        .fetch_all(conn)
        .await)?;
        drop(tx);
        for id in all {
            let Some(value) = self.mailing(id).await? else {
                continue;
            };
            self.json(&format!("mailings/{id}.json"), &value).await?;
            self.log(id).await?;
        }
        Ok(())
    }

    async fn mailing(&self, id: MailingId) -> Result<Option<Value>, Error> {
        let mut tx = self.db.read().await?;
        let Some(mailing) = Mailing::get(&mut tx, self.owner, id).await? else {
            return Ok(None);
        };
        let mut lists = Vec::new();
        for list in Mailing::lists(&mut tx, self.owner, id).await? {
            lists.extend(List::get(&mut tx, self.owner, list).await?.map(|l| l.name));
        }
        let events = Mailing::history(&mut tx, self.owner, id, i64::MAX).await?;
        let events: Vec<_> = events
            .iter()
            .rev()
            .map(|event| json!({"at": event.at, "actor": event.actor, "what": event.what, "detail": event.detail}))
            .collect();
        Ok(Some(json!({
            "id": id,
            "title": mailing.title,
            "message": mailing.message_id,
            "lists": lists,
            "from_name": mailing.from_name,
            "from_email": mailing.from_email,
            "reply_to": mailing.reply_to,
            "every": mailing.every.as_str(),
            "zone": mailing.zone,
            "start_at": mailing.start_at,
            "end_at": mailing.end_at,
            "status": mailing.status.as_str(),
            "created_at": mailing.created_at,
            "started_at": mailing.started_at,
            "history": events,
        })))
    }

    /// Who got what: a row per attempt.
    async fn log(&mut self, id: MailingId) -> Result<(), ArchiveError> {
        let name = format!("mailings/{id}-log.csv");
        self.table(&name, Attempt::COLUMNS).await?;
        let filter = AttemptFilter::all(AttemptsOf::Mailing(id));
        let mut after = None;
        loop {
            let mut tx = self.db.read().await?;
            let (owner, order) = (self.owner, LogOrder::Oldest);
            let page = Attempt::page(&mut tx, owner, &filter, order, after, PAGE_ROWS).await?;
            drop(tx);
            after = page.last().map(Attempt::cursor);
            let over = page.len() < PAGE_ROWS;
            self.rows(page.iter().map(Attempt::cells).collect()).await?;
            if over {
                return Ok(());
            }
        }
    }
}

/// The addresses in a list, a page at a time.
async fn members(
    tx: &mut Tx,
    owner: UserId,
    list: ListId,
    after: RecipientId,
) -> Result<Vec<(RecipientId, String)>, Error> {
    Ok(on_db!(tx, conn => sqlx::query_as(
        "SELECT r.id, r.email
         FROM memberships m JOIN recipients r ON r.owner_id = m.owner_id AND r.id = m.recipient_id
         WHERE m.owner_id = $1 AND m.list_id = $2 AND m.recipient_id > $3
         ORDER BY m.recipient_id
         LIMIT $4",
    )
    .bind(owner)
    .bind(list)
    .bind(after)
    .bind(i64::try_from(PAGE_ROWS).unwrap_or(i64::MAX))
    .fetch_all(conn)
    .await)?)
}

fn broken(error: impl std::fmt::Display) -> Error {
    Error::Internal(format!("the archive cannot be written: {error}"))
}
