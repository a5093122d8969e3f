//! How many people a choice of lists and recipients reaches, and why not more.
//!
//! *Design notes*: addresses are unique among an owner's recipients, so distinct recipients are
//! distinct addresses. Two counts are optimised: a single list needs no distinct set, and
//! suppressed recipients are counted from the suppressions, which are few, not from the recipients,
//! which are many.

use crate::platform::db::Tx;
use crate::platform::error::Error;
use crate::platform::ids::{ListId, MailingId, RecipientId, UserId};
use crate::sending::mailing::Mailing;

/// `chosen − duplicates − unsubscribed − suppressed = will_get`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
pub struct Audience {
    /// Members of the lists plus recipients chosen one by one.
    pub chosen: i64,
    /// How many of these repeat people who were chosen more than once.
    pub duplicates: i64,
    /// Excluded because they unsubscribed.
    pub unsubscribed: i64,
    /// Excluded because their address is suppressed for another reason.
    pub suppressed: i64,
    /// How many remain.
    pub will_get: i64,
}

/// Statements of [`Audience::of`]. `$1` owner, `$2` lists, `$3` recipients.
macro_rules! audience_sql {
    (total, $lists:literal, $people:literal) => {
        concat!(
            "SELECT (SELECT count(*) FROM memberships WHERE owner_id = $1 AND list_id IN ", $lists, ")
                  + (SELECT count(*) FROM recipients WHERE owner_id = $1 AND id IN ", $people, ")"
        )
    };
    (distinct, $lists:literal, $people:literal) => {
        concat!(
            "SELECT count(*) FROM (
                 SELECT recipient_id FROM memberships WHERE owner_id = $1 AND list_id IN ", $lists, "
                 UNION
                 SELECT id FROM recipients WHERE owner_id = $1 AND id IN ", $people, "
             ) AS chosen"
        )
    };
    (suppressed, $lists:literal, $people:literal) => {
        concat!(
            "SELECT count(*), count(*) FILTER (WHERE s.reason = 'unsubscribed')
             FROM suppressions s
             CROSS JOIN recipients r
             WHERE s.owner_id = $1 AND r.owner_id = s.owner_id AND r.email_key = s.email_key
               AND (r.id IN ", $people, "
                    OR EXISTS (SELECT 1 FROM memberships m
                               WHERE m.owner_id = $1 AND m.recipient_id = r.id AND m.list_id IN ", $lists, "))"
        )
    };
    (suppressed_of_few, $lists:literal, $people:literal) => {
        concat!(
            "SELECT count(*), count(*) FILTER (WHERE s.reason = 'unsubscribed')
             FROM (
                 SELECT recipient_id FROM memberships WHERE owner_id = $1 AND list_id IN ", $lists, "
                 UNION
                 SELECT id FROM recipients WHERE owner_id = $1 AND id IN ", $people, "
             ) AS chosen
             CROSS JOIN recipients r
             CROSS JOIN suppressions s
             WHERE r.owner_id = $1 AND r.id = chosen.recipient_id
               AND s.owner_id = $1 AND s.email_key = r.email_key"
        )
    };
}

/// Suppressed recipients of so many are looked up one by one: that costs the same, whatever else
/// the owner has. Of more, the suppressions are gone through.
const FEW: i64 = 1_000;

/// A statement for SQLite and for PostgreSQL: lists of ids are JSON on the first and arrays on the
/// second.
macro_rules! both {
    ($kind:ident) => {
        (
            audience_sql!(
                $kind,
                "(SELECT unhex(value) FROM json_each($2))",
                "(SELECT unhex(value) FROM json_each($3))"
            ),
            audience_sql!(
                $kind,
                "(SELECT unnest($2::uuid[]))",
                "(SELECT unnest($3::uuid[]))"
            ),
        )
    };
}

/// Ids as JSON, for SQLite.
fn json(ids: &[uuid::Uuid]) -> String {
    let texts: Vec<String> = ids.iter().map(|id| id.simple().to_string()).collect();
    serde_json::Value::from(texts).to_string()
}

async fn counts<T>(
    tx: &mut Tx,
    (sqlite, postgres): (&'static str, &'static str),
    owner: UserId,
    lists: &[uuid::Uuid],
    people: &[uuid::Uuid],
) -> Result<T, Error>
where
    T: for<'r> sqlx::FromRow<'r, sqlx::sqlite::SqliteRow>
        + for<'r> sqlx::FromRow<'r, sqlx::postgres::PgRow>
        + Send
        + Unpin,
{
    Ok(match tx {
        Tx::Sqlite(tx) => {
            sqlx::query_as(sqlite)
                .bind(owner)
                .bind(json(lists))
                .bind(json(people))
                .fetch_one(&mut **tx)
                .await?
        }
        Tx::Postgres(tx) => {
            sqlx::query_as(postgres)
                .bind(owner)
                .bind(lists)
                .bind(people)
                .fetch_one(&mut **tx)
                .await?
        }
    })
}

impl Audience {
    /// Counts the audience of these lists and recipients.
    pub async fn of(
        tx: &mut Tx,
        owner: UserId,
        lists: &[ListId],
        recipients: &[RecipientId],
    ) -> Result<Self, Error> {
        let mut lists: Vec<_> = lists.iter().map(|id| id.0).collect();
        lists.sort_unstable();
        lists.dedup();
        let mut people: Vec<_> = recipients.iter().map(|id| id.0).collect();
        people.sort_unstable();
        people.dedup();
        let (chosen,): (i64,) = counts(tx, both!(total), owner, &lists, &people).await?;
        let distinct = if lists.len() + usize::from(!people.is_empty()) < 2 {
            chosen
        } else {
            counts::<(i64,)>(tx, both!(distinct), owner, &lists, &people)
                .await?
                .0
        };
        let suppressed = if chosen <= FEW {
            both!(suppressed_of_few)
        } else {
            both!(suppressed)
        };
        let (all, unsubscribed): (i64, i64) =
            counts(tx, suppressed, owner, &lists, &people).await?;
        Ok(Self {
            chosen,
            duplicates: chosen - distinct,
            unsubscribed,
            suppressed: all - unsubscribed,
            will_get: distinct - all,
        })
    }
}

impl Mailing {
    /// The audience that the mailing would reach now.
    pub async fn audience(tx: &mut Tx, owner: UserId, id: MailingId) -> Result<Audience, Error> {
        let lists = Self::lists(tx, owner, id).await?;
        let recipients = Self::recipients(tx, owner, id).await?;
        Audience::of(tx, owner, &lists, &recipients).await
    }
}
