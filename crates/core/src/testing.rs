//! A fresh database for every test, and fixtures, for the suites of all crates.
//!
//! On SQLite a file in a temporary folder; on PostgreSQL, when `TEST_DATABASE_URL` is set, a new
//! database on that server. CI runs both, so a statement that works on one only cannot land.

mod audience;
mod cache;
mod database;
mod faults;
mod fill;
mod jobs;
mod ledger;
mod letters;
mod mixed;
mod peer;
mod run;
mod statements;
mod work;

pub use audience::{list, mailing, members, message, suppress};
pub use cache::CacheServer;
pub use database::TestDb;
pub use faults::{count, hold, raw, refuse_attempts, refuse_probes};
pub use fill::fill_log;
pub use jobs::{do_jobs, job_context, stored_file};
pub use ledger::{Ledger, settle};
pub use letters::PlainLetters;
pub use mixed::{mixed_run, report};
pub use peer::{peer, peer_at};
pub use run::{TestRun, end_run, execute, fingerprint, ledger, sending_run, set_text};
pub use statements::OF_A_TEST;
pub use work::RowCounter;

use crate::accounts::passkey::Passkey;
use crate::accounts::password::HashedPassword;
use crate::accounts::user::{NewUser, Role, User};
use crate::platform::db::{Db, on_db};
use crate::platform::error::Error;
use crate::platform::ids::{PasskeyId, PostId, UserId};
use crate::platform::time::Timestamp;
use crate::sending::outbox::OutboxLetter;

/// All letters that the service has written, oldest first, in any state.
pub async fn outbox(db: &Db) -> Result<Vec<OutboxLetter>, Error> {
    let mut tx = db.read().await?;
    Ok(on_db!(&mut tx, conn => sqlx::query_as(
        "/* test */ SELECT id, owner_id, kind, email, name, from_name, from_email, reply_to, subject, html, text, site,
                unsubscribe, state, attempts, code, reply, created_at, done_at
         FROM outbox
         ORDER BY id",
    )
    .fetch_all(conn)
    .await)?)
}

/// Sets the texts of a post to some that only an older version accepted. Its history stays.
pub async fn store_as_before(db: &Db, id: PostId, title: &str, html: &str) -> Result<(), Error> {
    let mut tx = db.write().await?;
    on_db!(&mut tx, conn => sqlx::query(
        "UPDATE posts SET title = $2, author = $2, excerpt = $2, cover_alt = $2, html = $3 WHERE id = $1",
    )
    .bind(id)
    .bind(title)
    .bind(html)
    .execute(conn)
    .await
    .map(|_| ()))?;
    on_db!(&mut tx, conn => sqlx::query("UPDATE post_tags SET name = $2 WHERE post_id = $1")
        .bind(id)
        .bind(title)
        .execute(conn)
        .await
        .map(|_| ()))?;
    tx.commit().await
}

/// Creates a verified user `{name}@example.org` with the password `correct horse {name}`.
pub async fn user(db: &Db, name: &str, role: Role) -> Result<UserId, Error> {
    let password = HashedPassword::new(&format!("correct horse {name}"))?;
    let mut tx = db.write().await?;
    let id = User::create(
        &mut tx,
        &NewUser {
            email: &format!("{name}@example.org"),
            name,
            role,
            verified: true,
            zone: "UTC",
        },
        &password,
        Timestamp::from_millis(1_800_000_000_000),
    )
    .await?;
    tx.commit().await?;
    Ok(id)
}

/// A passkey of the account. If it has none, adds one whose key nobody holds.
pub async fn passkey(db: &Db, owner: UserId, now: Timestamp) -> Result<PasskeyId, Error> {
    let mut tx = db.write().await?;
    if let Some(known) = Passkey::all_of(&mut tx, owner).await?.first() {
        return Ok(known.id);
    }
    let id = PasskeyId::new(now);
    on_db!(&mut tx, conn => sqlx::query(
        "INSERT INTO passkeys (user_id, id, credential_id, name, credential, created_at)
         VALUES ($1, $2, $3, 'Phone', $4, $5)",
    )
    .bind(owner)
    .bind(id)
    .bind(id.0.as_bytes().as_slice())
    .bind(include_str!("testing/passkey.json").trim())
    .bind(now)
    .execute(conn)
    .await
    .map(|_| ()))?;
    tx.commit().await?;
    Ok(id)
}
