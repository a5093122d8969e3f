//! Lists, messages and mailings for tests and benchmarks, created quickly in any number.

use crate::platform::db::{Db, on_db};
use crate::platform::error::Error;
use crate::platform::ids::{ListId, MailingId, MessageId, UserId};
use crate::platform::time::Timestamp;
use crate::sending::mailing::{Mailing, MailingDraft};

/// Creates a list with `count` recipients `person{n}@example.org`, numbered from `first` on.
/// Existing recipients are only added to the list.
pub async fn list(
    db: &Db,
    owner: UserId,
    name: &str,
    first: i64,
    count: i64,
    now: Timestamp,
) -> Result<ListId, Error> {
    let id = ListId::new(now);
    let mut tx = db.write().await?;
    on_db!(&mut tx, conn => sqlx::query(
        "INSERT INTO lists (owner_id, id, name, name_key, comment, version, created_at, updated_at)
         VALUES ($1, $2, $3, lower($3), '', 1, $4, $4)",
    )
    .bind(owner)
    .bind(id)
    .bind(name)
    .bind(now)
    .execute(conn)
    .await
    .map(|_| ()))?;
    tx.commit().await?;
    members(db, owner, id, first, count, now).await?;
    Ok(id)
}

/// Adds `count` recipients `person{n}@example.org`, numbered from `first` on, to a list.
pub async fn members(
    db: &Db,
    owner: UserId,
    list: ListId,
    first: i64,
    count: i64,
    now: Timestamp,
) -> Result<(), Error> {
    let mut tx = db.write().await?;
    let (people, members) = match tx {
        crate::platform::db::Tx::Sqlite(_) => (
            "/* test */ WITH RECURSIVE s(n) AS (SELECT $2 WHERE $3 > 0 UNION ALL SELECT n + 1 FROM s WHERE n + 1 < $2 + $3)
             INSERT INTO recipients
                 (owner_id, id, email, email_key, name, comment, attributes, search, version, created_at, updated_at)
             SELECT $1, unhex(printf('01900000000070008000%012x', n)), 'person' || n || '@example.org',
                 'person' || n || '@example.org', 'Person ' || n, '', '{}', 'person' || n, 1, $4, $4
             FROM s
             WHERE TRUE
             ON CONFLICT DO NOTHING",
            "/* test */ WITH RECURSIVE s(n) AS (SELECT $2 WHERE $3 > 0 UNION ALL SELECT n + 1 FROM s WHERE n + 1 < $2 + $3)
             INSERT INTO memberships (owner_id, list_id, recipient_id, added_at)
             SELECT $1, $5, unhex(printf('01900000000070008000%012x', n)), $4 FROM s",
        ),
        crate::platform::db::Tx::Postgres(_) => (
            "/* test */ INSERT INTO recipients
                 (owner_id, id, email, email_key, name, comment, attributes, search, version, created_at, updated_at)
             SELECT $1, ('01900000000070008000' || lpad(to_hex(n), 12, '0'))::uuid, 'person' || n || '@example.org',
                 'person' || n || '@example.org', 'Person ' || n, '', '{}', 'person' || n, 1, $4, $4
             FROM generate_series($2, $2 + $3 - 1) AS s(n)
             ON CONFLICT DO NOTHING",
            "/* test */ INSERT INTO memberships (owner_id, list_id, recipient_id, added_at)
             SELECT $1, $5, ('01900000000070008000' || lpad(to_hex(n), 12, '0'))::uuid, $4
             FROM generate_series($2, $2 + $3 - 1) AS s(n)",
        ),
    };
    on_db!(&mut tx, conn => sqlx::query(people)
        .bind(owner)
        .bind(first)
        .bind(count)
        .bind(now)
        .execute(conn)
        .await
        .map(|_| ()))?;
    on_db!(&mut tx, conn => sqlx::query(members)
        .bind(owner)
        .bind(first)
        .bind(count)
        .bind(now)
        .bind(list)
        .execute(conn)
        .await
        .map(|_| ()))?;
    tx.commit().await
}

/// Suppresses `person{n}@example.org` for `owner`.
pub async fn suppress(
    db: &Db,
    owner: UserId,
    n: i64,
    reason: &str,
    now: Timestamp,
) -> Result<(), Error> {
    let email = format!("person{n}@example.org");
    let mut tx = db.write().await?;
    on_db!(&mut tx, conn => sqlx::query(
        "INSERT INTO suppressions (owner_id, email_key, email, reason, created_at) VALUES ($1, $2, $2, $3, $4)",
    )
    .bind(owner)
    .bind(&email)
    .bind(reason)
    .bind(now)
    .execute(conn)
    .await
    .map(|_| ()))?;
    tx.commit().await
}

/// Creates a text message.
pub async fn message(
    db: &Db,
    owner: UserId,
    subject: &str,
    text: &str,
    now: Timestamp,
) -> Result<MessageId, Error> {
    let id = MessageId::new(now);
    let mut tx = db.write().await?;
    on_db!(&mut tx, conn => sqlx::query(
        "INSERT INTO messages (owner_id, id, subject, preview_text, html, text, version, created_at, updated_at)
         VALUES ($1, $2, $3, '', '', $4, 1, $5, $5)",
    )
    .bind(owner)
    .bind(id)
    .bind(subject)
    .bind(text)
    .bind(now)
    .execute(conn)
    .await
    .map(|_| ()))?;
    tx.commit().await?;
    Ok(id)
}

/// Creates a draft from `draft` with a new message and these lists.
pub async fn mailing(
    db: &Db,
    owner: UserId,
    lists: &[ListId],
    draft: MailingDraft,
    now: Timestamp,
) -> Result<MailingId, Error> {
    let message = message(db, owner, "Hello", "Dear {{ name }}", now).await?;
    let draft = MailingDraft {
        title: "Spring".to_owned(),
        message_id: Some(message),
        lists: lists.to_vec(),
        ..draft
    };
    let mut tx = db.write().await?;
    let id = Mailing::create(&mut tx, owner, &draft, "ann@example.org", now).await?;
    tx.commit().await?;
    Ok(id)
}
