//! The outbox: letters of the service, and test letters.
//!
//! A page writes a letter here in its transaction and never waits for a mail server (R28). Workers
//! send these before the letters of mailings, with the same retries. They are not in any
//! statistics.

use crate::accounts::letter::AddressedLetter;
use crate::platform::db::{Tx, on_db};
use crate::platform::error::Error;
use crate::platform::ids::{OutboxId, UserId, WorkerId};
use crate::platform::time::Timestamp;

/// A letter to put into the outbox.
#[derive(Debug, Clone)]
pub struct NewOutboxLetter<'a> {
    /// The owner; `None` for the service.
    pub owner: Option<UserId>,
    /// Kind of letter: `test`, `verification`…
    pub kind: &'a str,
    /// The recipient's address.
    pub email: &'a str,
    /// The recipient's name; may be empty.
    pub name: &'a str,
    /// The sender's name; may be empty.
    pub from_name: &'a str,
    /// The sender's address; empty for the service's.
    pub from_email: &'a str,
    /// Reply-To address; empty for the sender.
    pub reply_to: &'a str,
    /// The subject, with personal fields filled in.
    pub subject: &'a str,
    /// The HTML part, with personal fields filled in; empty for none.
    pub html: &'a str,
    /// The text part, with personal fields filled in.
    pub text: &'a str,
    /// Base URL of its links to the service; empty when it has none.
    pub site: &'a str,
    /// The link for the header `List-Unsubscribe`; empty for none.
    pub unsubscribe: &'a str,
}

impl<'a> NewOutboxLetter<'a> {
    /// A letter about an account, without its texts.
    #[must_use]
    pub fn about_account(letter: &'a AddressedLetter<'_>) -> Self {
        Self {
            owner: letter.owner(),
            kind: letter.letter.kind(),
            email: letter.email,
            name: if letter.is_to_holder() {
                &letter.user.name
            } else {
                ""
            },
            from_name: "",
            from_email: "",
            reply_to: "",
            subject: "",
            html: "",
            text: "",
            site: "",
            unsubscribe: "",
        }
    }
}

/// State of a letter in the outbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum OutboxState {
    /// Waiting for its first attempt.
    Queued,
    /// Held by a worker.
    Claimed,
    /// The mail server accepted responsibility for it.
    Sent,
    /// Waiting for a retry.
    Deferred,
    /// Permanently refused, or given up.
    Failed,
}

impl OutboxState {
    /// The name in the database and the API.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Claimed => "claimed",
            Self::Sent => "sent",
            Self::Deferred => "deferred",
            Self::Failed => "failed",
        }
    }
}

impl TryFrom<String> for OutboxState {
    type Error = String;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        [
            Self::Queued,
            Self::Claimed,
            Self::Sent,
            Self::Deferred,
            Self::Failed,
        ]
        .into_iter()
        .find(|state| state.as_str() == text)
        .ok_or_else(|| format!("{text:?} is no state of an outbox letter"))
    }
}

/// A letter in the outbox.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct OutboxLetter {
    /// Its id.
    pub id: OutboxId,
    /// The owner; `None` for the service.
    pub owner_id: Option<UserId>,
    /// Kind of letter, as in [`NewOutboxLetter::kind`].
    pub kind: String,
    /// The recipient's address.
    pub email: String,
    /// The recipient's name; may be empty.
    pub name: String,
    /// The sender's name; may be empty.
    pub from_name: String,
    /// The sender's address; empty for the service's.
    pub from_email: String,
    /// Reply-To address; empty for the sender.
    pub reply_to: String,
    /// The subject.
    pub subject: String,
    /// The HTML part; removed when the letter is over.
    pub html: String,
    /// The text part; removed when the letter is over.
    pub text: String,
    /// Base URL of its links to the service; empty when it has none or it is unknown.
    pub site: String,
    /// The link for the header `List-Unsubscribe`; empty for none.
    pub unsubscribe: String,
    /// Its current state.
    #[sqlx(try_from = "String")]
    pub state: OutboxState,
    /// Number of attempts so far.
    pub attempts: i64,
    /// Reply code of the last attempt.
    pub code: Option<i64>,
    /// The last reply, or what happened.
    pub reply: String,
    /// When it was queued.
    pub created_at: Timestamp,
    /// When it reached a final state.
    pub done_at: Option<Timestamp>,
}

/// What happens to a letter in the outbox after an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OutboxNext {
    /// It was sent.
    Sent,
    /// It failed permanently.
    Failed,
    /// It is retried, not before this time.
    Again(Timestamp),
}

/// Statement of [`OutboxLetter::claim`], with the row lock that only PostgreSQL has.
macro_rules! claim_sql {
    ($lock:literal) => {
        concat!(
            "WITH due AS (
                 SELECT id AS due_id
                 FROM outbox
                 WHERE state IN ('queued', 'deferred') AND due_at <= $1
                 ORDER BY due_at
                 LIMIT $2 ",
            $lock,
            ")
             UPDATE outbox
             SET state = 'claimed', claimed_by = $3
             FROM due
             WHERE id = due_id
             RETURNING id, owner_id, kind, email, name, from_name, from_email, reply_to, subject, html, text, site, unsubscribe, state,
                       attempts, code, reply, created_at, done_at"
        )
    };
}

impl OutboxLetter {
    /// Kind of the letters that tell owners the results of a run.
    pub const SUMMARY: &'static str = "summary";

    /// Queues a letter. The commit wakes the engine, which sends it.
    pub async fn enqueue(
        tx: &mut Tx,
        new: &NewOutboxLetter<'_>,
        now: Timestamp,
    ) -> Result<OutboxId, Error> {
        let id = OutboxId::new(now);
        on_db!(tx, conn => sqlx::query(
            "INSERT INTO outbox (id, owner_id, kind, email, name, from_name, from_email, reply_to, subject, html, text,
                                 site, unsubscribe, state, attempts, due_at, reply, created_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $13, $14, 'queued', 0, $12, '', $12)",
        )
        .bind(id)
        .bind(new.owner)
        .bind(new.kind)
        .bind(new.email)
        .bind(new.name)
        .bind(new.from_name)
        .bind(new.from_email)
        .bind(new.reply_to)
        .bind(new.subject)
        .bind(new.html)
        .bind(new.text)
        .bind(now)
        .bind(new.site.trim_end_matches('/'))
        .bind(new.unsubscribe)
        .execute(conn)
        .await
        .map(|_| ()))?;
        tx.wakes_engine();
        Ok(id)
    }

    /// Changes the base URL of its links to `site`, because a letter that waited until `base_url`
    /// was set was written before that.
    #[must_use]
    pub fn moved_to(mut self, site: &str) -> Self {
        let site = site.trim_end_matches('/');
        if !self.site.is_empty() && self.site != site {
            self.html = moved(&self.html, &self.site, site);
            self.text = moved(&self.text, &self.site, site);
            self.unsubscribe = moved(&self.unsubscribe, &self.site, site);
            site.clone_into(&mut self.site);
        }
        self
    }

    /// Ids of a user's test letters and summaries, which the sandbox shows them.
    pub async fn shown_to(tx: &mut Tx, owner: UserId) -> Result<Vec<OutboxId>, Error> {
        Ok(on_db!(tx, conn => sqlx::query_scalar(
            "SELECT id FROM outbox WHERE owner_id = $1 AND kind IN ('test', 'summary')",
        )
        .bind(owner)
        .fetch_all(conn)
        .await)?)
    }

    /// Gives up unsent letters about a blocked user's mailings: tests, summaries, and those that
    /// ask readers whether to subscribe again.
    pub(crate) async fn cancel_for_owner(
        tx: &mut Tx,
        owner: UserId,
        now: Timestamp,
    ) -> Result<(), Error> {
        on_db!(tx, conn => sqlx::query(
            "UPDATE outbox SET state = 'failed', reply = 'the account is blocked', done_at = $2
             WHERE owner_id = $1 AND kind IN ('test', 'summary', 'resubscribe') AND state IN ('queued', 'deferred')",
        )
        .bind(owner)
        .bind(now)
        .execute(conn)
        .await
        .map(|_| ()))?;
        Ok(())
    }

    /// The owner's letter with this id.
    pub async fn get(tx: &mut Tx, owner: UserId, id: OutboxId) -> Result<Option<Self>, Error> {
        Ok(on_db!(tx, conn => sqlx::query_as(
            "SELECT id, owner_id, kind, email, name, from_name, from_email, reply_to, subject, html, text, site, unsubscribe, state,
                    attempts, code, reply, created_at, done_at
             FROM outbox
             WHERE owner_id = $1 AND id = $2",
        )
        .bind(owner)
        .bind(id)
        .fetch_optional(conn)
        .await)?)
    }

    /// Whether any letter is due.
    pub async fn any_due(tx: &mut Tx, now: Timestamp) -> Result<bool, Error> {
        let found: Option<i64> = on_db!(tx, conn => sqlx::query_scalar(
            "SELECT due_at FROM outbox WHERE state IN ('queued', 'deferred') AND due_at <= $1 LIMIT 1",
        )
        .bind(now)
        .fetch_optional(conn)
        .await)?;
        Ok(found.is_some())
    }

    /// Claims up to `limit` due letters for `worker`, earliest due first.
    pub async fn claim(
        tx: &mut Tx,
        worker: WorkerId,
        now: Timestamp,
        limit: usize,
    ) -> Result<Vec<Self>, Error> {
        let sql = match tx {
            Tx::Sqlite(_) => claim_sql!(""),
            Tx::Postgres(_) => claim_sql!("FOR UPDATE SKIP LOCKED"),
        };
        Ok(on_db!(tx, conn => sqlx::query_as(sql)
            .bind(now)
            .bind(i64::try_from(limit).unwrap_or(i64::MAX))
            .bind(worker)
            .fetch_all(conn)
            .await)?)
    }

    /// Records an attempt at a letter that `worker` holds; false when it no longer holds it. The
    /// text of a letter that is over is removed, because it may contain a link that opens an
    /// account.
    pub async fn record(
        tx: &mut Tx,
        worker: WorkerId,
        id: OutboxId,
        next: OutboxNext,
        code: Option<i64>,
        reply: &str,
        now: Timestamp,
    ) -> Result<bool, Error> {
        let (state, due_at, done_at) = match next {
            OutboxNext::Sent => (OutboxState::Sent, now, Some(now)),
            OutboxNext::Failed => (OutboxState::Failed, now, Some(now)),
            OutboxNext::Again(at) => (OutboxState::Deferred, at, None),
        };
        let rows = on_db!(tx, conn => sqlx::query(
            "UPDATE outbox
             SET state = $3, due_at = $4, done_at = $5, code = $6, reply = $7, attempts = attempts + 1, claimed_by = NULL,
                 html = CASE WHEN $5 IS NULL THEN html ELSE '' END, text = CASE WHEN $5 IS NULL THEN text ELSE '' END
             WHERE id = $1 AND state = 'claimed' AND claimed_by = $2",
        )
        .bind(id)
        .bind(worker)
        .bind(state.as_str())
        .bind(due_at)
        .bind(done_at)
        .bind(code)
        .bind(reply)
        .execute(conn)
        .await
        .map(|done| done.rows_affected()))?;
        Ok(rows == 1)
    }

    /// Puts a claimed letter back into the queue without an attempt, due at `due_at`.
    pub async fn return_to_queue(
        tx: &mut Tx,
        worker: WorkerId,
        id: OutboxId,
        due_at: Timestamp,
    ) -> Result<(), Error> {
        on_db!(tx, conn => sqlx::query(
            "UPDATE outbox
             SET state = CASE WHEN attempts > 0 THEN 'deferred' ELSE 'queued' END, claimed_by = NULL, due_at = $3
             WHERE id = $1 AND state = 'claimed' AND claimed_by = $2",
        )
        .bind(id)
        .bind(worker)
        .bind(due_at)
        .execute(conn)
        .await
        .map(|_| ()))?;
        Ok(())
    }

    /// Puts everything that `worker` holds back into the queue. Returns the number of letters.
    pub async fn return_all(tx: &mut Tx, worker: WorkerId) -> Result<u64, Error> {
        Ok(on_db!(tx, conn => sqlx::query(
            "UPDATE outbox
             SET state = CASE WHEN attempts > 0 THEN 'deferred' ELSE 'queued' END, claimed_by = NULL
             WHERE state = 'claimed' AND claimed_by = $1",
        )
        .bind(worker)
        .execute(conn)
        .await
        .map(|done| done.rows_affected()))?)
    }

    /// Removes letters that were over before `before`. Returns how many.
    pub async fn clean_up(tx: &mut Tx, before: Timestamp) -> Result<u64, Error> {
        Ok(
            on_db!(tx, conn => sqlx::query("DELETE FROM outbox WHERE done_at < $1")
            .bind(before)
            .execute(conn)
            .await
            .map(|done| done.rows_affected()))?,
        )
    }
}

/// Replaces the base URL of links in a text. A URL that only starts with the same characters
/// (`http://host:80` and `http://host:8080/`) is kept.
fn moved(text: &str, from: &str, to: &str) -> String {
    let mut result = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(from) {
        let end = at + from.len();
        result.push_str(&rest[..at]);
        let goes_on = rest[end..]
            .chars()
            .next()
            .is_some_and(|next| next.is_alphanumeric() || [':', '-', '@'].contains(&next));
        result.push_str(if goes_on { from } else { to });
        rest = &rest[end..];
    }
    result.push_str(rest);
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    /// R31: only links to the service are changed.
    #[test]
    fn links_begin_with_another_address() {
        let text = "http://127.0.0.1:80/reset/x http://127.0.0.1:8080/ <http://127.0.0.1:80> http://127.0.0.1:80";
        assert_eq!(
            moved(text, "http://127.0.0.1:80", "https://a.example"),
            "https://a.example/reset/x http://127.0.0.1:8080/ <https://a.example> https://a.example"
        );
    }
}
