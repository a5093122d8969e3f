//! Logs of any length, made by the database itself: for tests of long searches and for measurements.

use crate::platform::db::{Db, Tx, on_db};
use crate::platform::error::Error;
use crate::platform::ids::{MailingId, RunId, UserId};
use crate::platform::time::Moment;

/// Letters of a filled run leave at this rate, per second.
const RATE: i64 = 200;

/// Makes `runs` finished runs of a mailing each, one after the other and the last one ending at `now`, with one attempt at each of
/// `letters` deliveries to `person{n}@{domain}`: one of 50 is refused for good, all others are accepted. One of 20 was deferred
/// before. There are no recipients behind them.
pub async fn fill_log(
    db: &Db,
    owner: UserId,
    runs: i64,
    letters: i64,
    now: Moment,
) -> Result<Vec<RunId>, Error> {
    let lasts = (letters / RATE + 1) * 1_000;
    let mut made = Vec::new();
    for n in 0..runs {
        let begun = Moment::from_millis(now.millis() - (runs - n) * lasts);
        made.push(
            fill_run(
                db,
                owner,
                letters,
                begun,
                Moment::from_millis(begun.millis() + lasts),
            )
            .await?,
        );
    }
    Ok(made)
}

/// Statements over the numbers from 0 to `$4` − 1, in both dialects.
macro_rules! numbers {
    ($tx:expr, $sql:literal) => {
        match $tx {
            Tx::Sqlite(_) => concat!(
                "/* test */ WITH RECURSIVE s(n) AS (SELECT 0 WHERE $4 > 0 UNION ALL SELECT n + 1 FROM s WHERE n + 1 < $4) ",
                $sql
            ),
            Tx::Postgres(_) => concat!(
                "/* test */ WITH s(n) AS (SELECT generate_series(0, $4 - 1)) ",
                $sql
            ),
        }
    };
}

async fn fill_run(
    db: &Db,
    owner: UserId,
    letters: i64,
    begun: Moment,
    ended: Moment,
) -> Result<RunId, Error> {
    let (mailing, run) = (MailingId::new(begun), RunId::new(begun));
    let mut tx = db.write().await?;
    on_db!(&mut tx, conn => sqlx::query(
        "INSERT INTO mailings (owner_id, id, title, search, from_name, from_email, reply_to, every, zone, status, version, created_at, updated_at)
         VALUES ($1, $2, 'Filled', 'filled', '', 'sender@example.org', '', 'once', 'UTC', 'completed', 1, $3, $3)",
    )
    .bind(owner)
    .bind(mailing)
    .bind(begun)
    .execute(conn)
    .await
    .map(|_| ()))?;
    on_db!(&mut tx, conn => sqlx::query(
        "INSERT INTO runs (owner_id, id, mailing_id, due_at, state, subject, html, text, from_name, from_email, reply_to,
                           expanded, chosen, suppressed, planned, sent, failed, skipped, expired, cancelled, deferred, waiting,
                           created_at, started_at, progress_at, finished_at)
         VALUES ($1, $2, $3, $4, 'done', 'Filled', '', 'Filled', '', 'sender@example.org', '',
                 TRUE, $6, 0, $6, $6 - (CAST($6 AS BIGINT) + 49) / 50, (CAST($6 AS BIGINT) + 49) / 50, 0, 0, 0, 0, '', $4, $4, $5, $5)",
    )
    .bind(owner)
    .bind(run)
    .bind(mailing)
    .bind(begun)
    .bind(ended)
    .bind(letters)
    .execute(conn)
    .await
    .map(|_| ()))?;
    let sql = numbers!(
        tx,
        "INSERT INTO deliveries (owner_id, run_id, recipient_id, email, email_key, state, attempts, due_at, done_at)
         SELECT $1, $2, $2, 'person' || n || '@' || d.name, 'person' || n || '@' || d.name,
                CASE WHEN n % 50 = 0 THEN 'failed' ELSE 'sent' END, CASE WHEN n % 20 = 7 THEN 2 ELSE 1 END,
                $3, $3 + n * 1000 / $5
         FROM s
         JOIN (SELECT 0 AS k, 'gmail.com' AS name UNION ALL SELECT 1, 'mail.ru' UNION ALL SELECT 2, 'yandex.ru'
               UNION ALL SELECT 3, 'example.org' UNION ALL SELECT 4, 'outlook.com') AS d ON d.k = n % 5
         WHERE TRUE"
    );
    // each delivery has a recipient of its own id, who does not exist
    let sql = sql.replace(
        "SELECT $1, $2, $2,",
        match tx {
            Tx::Sqlite(_) => {
                "SELECT $1, $2, CAST(substr($2, 1, 8) || unhex(printf('%016x', n)) AS BLOB),"
            }
            Tx::Postgres(_) => {
                "SELECT $1, $2, (substr($2::text, 1, 18) || lpad(to_hex(n), 16, '0'))::uuid,"
            }
        },
    );
    on_db!(&mut tx, conn => sqlx::query(sqlx::AssertSqlSafe(sql))
        .bind(owner)
        .bind(run)
        .bind(begun)
        .bind(letters)
        .bind(RATE)
        .execute(conn)
        .await
        .map(|_| ()))?;
    for sql in [
        "INSERT INTO attempts (owner_id, delivery_id, number, run_id, at, outcome, class, phase, code, enhanced_code, reply, reply_group, server, duration_ms)
         SELECT owner_id, id, 1, run_id, CASE WHEN attempts > 1 THEN due_at ELSE done_at END,
                CASE WHEN attempts > 1 THEN 'deferred' ELSE state END,
                CASE WHEN attempts > 1 THEN 'temporary' WHEN state = 'sent' THEN 'accepted' ELSE 'permanent' END, 'dot',
                CASE WHEN attempts > 1 THEN 450 WHEN state = 'sent' THEN 250 ELSE 550 END, NULL,
                CASE WHEN attempts > 1 THEN '450 4.2.0 Greylisted' WHEN state = 'sent' THEN '250 2.0.0 Ok: queued as 4RrX9z' ELSE '550 5.1.1 User unknown' END,
                CASE WHEN attempts > 1 THEN '450 4.2.0 Greylisted' WHEN state = 'sent' THEN '' ELSE '550 5.1.1 User unknown' END,
                'mx.example.org:25', 15
         FROM deliveries WHERE owner_id = $1 AND run_id = $2",
        "INSERT INTO attempts (owner_id, delivery_id, number, run_id, at, outcome, class, phase, code, enhanced_code, reply, reply_group, server, duration_ms)
         SELECT owner_id, id, 2, run_id, done_at, state, CASE WHEN state = 'sent' THEN 'accepted' ELSE 'permanent' END, 'dot',
                CASE WHEN state = 'sent' THEN 250 ELSE 550 END, NULL,
                CASE WHEN state = 'sent' THEN '250 2.0.0 Ok: queued as 4RrX9z' ELSE '550 5.1.1 User unknown' END,
                CASE WHEN state = 'sent' THEN '' ELSE '550 5.1.1 User unknown' END, 'mx.example.org:25', 15
         FROM deliveries WHERE owner_id = $1 AND run_id = $2 AND attempts = 2",
    ] {
        on_db!(&mut tx, conn => sqlx::query(sql)
            .bind(owner)
            .bind(run)
            .execute(conn)
            .await
            .map(|_| ()))?;
    }
    tx.commit().await?;
    Ok(run)
}
