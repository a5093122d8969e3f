//! The outbox: letters of the service itself and test letters.
//!
//! A page writes a letter here in its own transaction and never waits for a mail server (R28). Workers send these before
//! the letters of mailings, and try again like those. They are in no statistics.

use crate::platform::db::{Tx, on_db};
use crate::platform::error::Error;
use crate::platform::ids::{OutboxId, UserId, WorkerId};
use crate::platform::time::Moment;

/// What a letter in the outbox is made from.
#[derive(Debug, Clone)]
pub struct NewOutboxLetter<'a> {
    /// Whose letter; `None`: the service's.
    pub owner: Option<UserId>,
    /// What it is for: `test`, `verification`, …
    pub kind: &'a str,
    /// The address.
    pub email: &'a str,
    /// The name shown with the address; may be empty.
    pub name: &'a str,
    /// The sender's name; may be empty.
    pub from_name: &'a str,
    /// The sender's address; empty: the service's own.
    pub from_email: &'a str,
    /// Where answers go; empty: to the sender.
    pub reply_to: &'a str,
    /// The subject, personal fields filled in.
    pub subject: &'a str,
    /// The HTML part, personal fields filled in; empty: none.
    pub html: &'a str,
    /// The text part, personal fields filled in.
    pub text: &'a str,
    /// What its links to the service begin with; empty: it has none.
    pub site: &'a str,
}

/// How far a letter in the outbox is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum OutboxState {
    /// Waits for its first attempt.
    Queued,
    /// A worker has it in hand.
    Claimed,
    /// The mail server took responsibility for it.
    Sent,
    /// Waits for another attempt.
    Deferred,
    /// Refused for good, or given up.
    Failed,
}

impl OutboxState {
    /// The name in database and API.
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
    /// Whose letter; `None`: the service's.
    pub owner_id: Option<UserId>,
    /// What it is for.
    pub kind: String,
    /// The address.
    pub email: String,
    /// The name shown with the address.
    pub name: String,
    /// The sender's name.
    pub from_name: String,
    /// The sender's address; empty: the service's own.
    pub from_email: String,
    /// Where answers go; empty: to the sender.
    pub reply_to: String,
    /// The subject.
    pub subject: String,
    /// The HTML part.
    pub html: String,
    /// The text part.
    pub text: String,
    /// What its links to the service begin with; empty: it has none, or nobody knows.
    pub site: String,
    /// How far it is.
    #[sqlx(try_from = "String")]
    pub state: OutboxState,
    /// How often it was tried.
    pub attempts: i64,
    /// The last reply code.
    pub code: Option<i64>,
    /// The last reply, or what happened.
    pub reply: String,
    /// When it was written.
    pub created_at: Moment,
    /// When it was over.
    pub done_at: Option<Moment>,
}

/// What follows from an attempt at a letter in the outbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OutboxNext {
    /// It is sent.
    Sent,
    /// It has failed for good.
    Failed,
    /// It is tried again, not before this moment.
    Again(Moment),
}

/// The statement of [`OutboxLetter::claim`], with the row lock that only PostgreSQL has.
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
             RETURNING id, owner_id, kind, email, name, from_name, from_email, reply_to, subject, html, text, site, state,
                       attempts, code, reply, created_at, done_at"
        )
    };
}

impl OutboxLetter {
    /// The kind of letters that tell what became of a run.
    pub const SUMMARY: &'static str = "summary";

    /// Queues a letter. It leaves after the commit; call [`crate::platform::wake::Wake::everywhere`] then.
    pub async fn enqueue(
        tx: &mut Tx,
        new: &NewOutboxLetter<'_>,
        now: Moment,
    ) -> Result<OutboxId, Error> {
        let id = OutboxId::new(now);
        on_db!(tx, conn => sqlx::query(
            "INSERT INTO outbox (id, owner_id, kind, email, name, from_name, from_email, reply_to, subject, html, text,
                                 site, state, attempts, due_at, reply, created_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $13, 'queued', 0, $12, '', $12)",
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
        .execute(conn)
        .await
        .map(|_| ()))?;
        Ok(id)
    }

    /// Lets its links begin with `site`: a letter that had to wait until `base_url` was set was written before that.
    #[must_use]
    pub fn moved_to(mut self, site: &str) -> Self {
        let site = site.trim_end_matches('/');
        if !self.site.is_empty() && self.site != site {
            self.html = moved(&self.html, &self.site, site);
            self.text = moved(&self.text, &self.site, site);
            site.clone_into(&mut self.site);
        }
        self
    }

    /// The test letters that a user had sent, for telling them from others' in the sandbox.
    pub async fn tests_of(tx: &mut Tx, owner: UserId) -> Result<Vec<OutboxId>, Error> {
        Ok(on_db!(tx, conn => sqlx::query_scalar(
            "SELECT id FROM outbox WHERE owner_id = $1 AND kind = 'test'",
        )
        .bind(owner)
        .fetch_all(conn)
        .await)?)
    }

    /// Gives up the letters about a user's mailings that have not left: tests and summaries.
    pub(crate) async fn give_up_of(tx: &mut Tx, owner: UserId, now: Moment) -> Result<(), Error> {
        on_db!(tx, conn => sqlx::query(
            "UPDATE outbox SET state = 'failed', reply = 'the account is blocked', done_at = $2
             WHERE owner_id = $1 AND kind IN ('test', 'summary') AND state IN ('queued', 'deferred')",
        )
        .bind(owner)
        .bind(now)
        .execute(conn)
        .await
        .map(|_| ()))?;
        Ok(())
    }

    /// The letter of this owner with this id.
    pub async fn get(tx: &mut Tx, owner: UserId, id: OutboxId) -> Result<Option<Self>, Error> {
        Ok(on_db!(tx, conn => sqlx::query_as(
            "SELECT id, owner_id, kind, email, name, from_name, from_email, reply_to, subject, html, text, site, state,
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
    pub async fn any_due(tx: &mut Tx, now: Moment) -> Result<bool, Error> {
        let found: Option<i64> = on_db!(tx, conn => sqlx::query_scalar(
            "SELECT due_at FROM outbox WHERE state IN ('queued', 'deferred') AND due_at <= $1 LIMIT 1",
        )
        .bind(now)
        .fetch_optional(conn)
        .await)?;
        Ok(found.is_some())
    }

    /// Claims up to `limit` letters that are due, for `worker`.
    pub async fn claim(
        tx: &mut Tx,
        worker: WorkerId,
        now: Moment,
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

    /// Records an attempt at a letter that `worker` holds; false when it does not hold it any more. The text of a
    /// letter that is over is removed: it may hold a link that opens an account.
    pub async fn record(
        tx: &mut Tx,
        worker: WorkerId,
        id: OutboxId,
        next: OutboxNext,
        code: Option<i64>,
        reply: &str,
        now: Moment,
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

    /// Returns a claim to the queue untried, not before `due_at`.
    pub async fn hand_back(
        tx: &mut Tx,
        worker: WorkerId,
        id: OutboxId,
        due_at: Moment,
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

    /// Returns everything that `worker` holds to the queue.
    pub async fn hand_back_all(tx: &mut Tx, worker: WorkerId) -> Result<u64, Error> {
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

    /// Removes letters that were over before `before`; returns how many.
    pub async fn clean_up(tx: &mut Tx, before: Moment) -> Result<u64, Error> {
        Ok(
            on_db!(tx, conn => sqlx::query("DELETE FROM outbox WHERE done_at < $1")
            .bind(before)
            .execute(conn)
            .await
            .map(|done| done.rows_affected()))?,
        )
    }
}

/// The text with another begin of links. An address that only begins like it (`http://host:80` and `http://host:8080/`) is another
/// one.
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

    /// R31: only links to the service itself are changed.
    #[test]
    fn links_begin_with_another_address() {
        let text = "http://127.0.0.1:80/reset/x http://127.0.0.1:8080/ <http://127.0.0.1:80> http://127.0.0.1:80";
        assert_eq!(
            moved(text, "http://127.0.0.1:80", "https://a.example"),
            "https://a.example/reset/x http://127.0.0.1:8080/ <https://a.example> https://a.example"
        );
    }
}
