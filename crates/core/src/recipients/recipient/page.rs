//! Filters, and pages of recipients.

use super::{Recipient, searched_digits, select_list};
use crate::platform::db::{Tx, on_db};
use crate::platform::error::Error;
use crate::platform::ids::{ListId, RecipientId, UserId};
use crate::platform::paging::like_pattern;
use crate::platform::paging::{self, Order, with_one_more};

/// Which of the owner's recipients. The default is all of them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RecipientFilter {
    /// A part of what [`Search`](super::Search) finds, in any case; empty: any.
    pub search: String,
    /// Members of this list.
    pub list: Option<ListId>,
    /// Only those who may get mail, or only those who may not.
    pub state: Option<RecipientState>,
}

/// Whether a recipient may get mail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RecipientState {
    /// Gets mail.
    Active,
    /// The address is suppressed: unsubscribed, bounced, complained, or entered by hand.
    Suppressed,
}

/// Some recipients, newest first, each with whether its address is suppressed.
pub type RecipientsPage = paging::Page<(Recipient, bool), RecipientId>;

/// Where a page begins.
pub type RecipientCursor = paging::Cursor<RecipientId>;

/// How many match. Counting stops at [`CappedCount::MAX`], so that no page waits long for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CappedCount {
    /// The number, at most [`CappedCount::MAX`].
    pub number: i64,
    /// There are more.
    pub more: bool,
}

impl CappedCount {
    /// Where counting stops.
    pub const MAX: i64 = 1_000_000;
}

/// The tables and conditions of a filter. `$1` is the owner, `$2` the pattern, `$3` the list, `$4`
/// the pattern of digits; the recipient is `r`.
pub(crate) struct FilterSql {
    pub sql: String,
    pub pattern: Option<String>,
    pub list: Option<ListId>,
    pub digits: Option<String>,
}

impl RecipientFilter {
    pub(crate) fn to_where(&self) -> FilterSql {
        let search = self.search.trim().to_lowercase();
        // Starting with the memberships, a small list is quick even among a million recipients.
        let mut sql = String::from(if self.list.is_some() {
            "memberships m JOIN recipients r ON r.owner_id = m.owner_id AND r.id = m.recipient_id
             WHERE m.owner_id = $1 AND m.list_id = $3"
        } else {
            "recipients r WHERE r.owner_id = $1"
        });
        let digits = searched_digits(&search);
        if digits.is_some() {
            sql.push_str(" AND (r.search LIKE $2 ESCAPE '\\' OR r.search LIKE $4)");
        } else if !search.is_empty() {
            sql.push_str(" AND r.search LIKE $2 ESCAPE '\\'");
        }
        match self.state {
            None => {}
            Some(RecipientState::Active) => {
                sql.push_str(" AND NOT EXISTS (");
                sql.push_str(SUPPRESSION);
                sql.push(')');
            }
            Some(RecipientState::Suppressed) => {
                sql.push_str(" AND EXISTS (");
                sql.push_str(SUPPRESSION);
                sql.push(')');
            }
        }
        FilterSql {
            sql,
            pattern: (!search.is_empty()).then(|| like_pattern(&search)),
            list: self.list,
            digits: digits.map(|digits| like_pattern(&digits)),
        }
    }

    /// The column by which pages are ordered.
    pub(crate) const fn order(&self) -> &'static str {
        if self.list.is_some() {
            "m.recipient_id"
        } else {
            "r.id"
        }
    }
}

const SUPPRESSION: &str =
    "SELECT 1 FROM suppressions s WHERE s.owner_id = r.owner_id AND s.email_key = r.email_key";

#[derive(sqlx::FromRow)]
struct Row {
    #[sqlx(flatten)]
    recipient: Recipient,
    suppressed: bool,
}

impl Recipient {
    /// A page of at most `limit` recipients, newest first.
    pub async fn page(
        tx: &mut Tx,
        owner: UserId,
        filter: &RecipientFilter,
        place: RecipientCursor,
        limit: usize,
    ) -> Result<RecipientsPage, Error> {
        let found = filter.to_where();
        let step = place.step(filter.order(), Order::Descending, "$5");
        let sql = format!(
            "SELECT {}, EXISTS ({SUPPRESSION}) AS suppressed
             FROM {} {}
             {}
             LIMIT $6",
            select_list("r"),
            found.sql,
            step.bound,
            step.order
        );
        let rows: Vec<Row> = on_db!(tx, conn => sqlx::query_as(sqlx::AssertSqlSafe(sql))
            .bind(owner)
            .bind(found.pattern)
            .bind(found.list)
            .bind(found.digits)
            .bind(place.key())
            .bind(with_one_more(limit))
            .fetch_all(conn)
            .await)?;
        let rows = rows
            .into_iter()
            .map(|row| (row.recipient, row.suppressed))
            .collect();
        Ok(RecipientsPage::new(
            rows,
            &place,
            limit,
            |(recipient, _): &(Self, bool)| recipient.id,
        ))
    }

    /// How many recipients match.
    pub async fn count(
        tx: &mut Tx,
        owner: UserId,
        filter: &RecipientFilter,
    ) -> Result<CappedCount, Error> {
        let found = filter.to_where();
        let sql = format!(
            "SELECT count(*) FROM (SELECT 1 AS one FROM {} LIMIT $5) AS found",
            found.sql
        );
        let number: i64 = on_db!(tx, conn => sqlx::query_scalar(sqlx::AssertSqlSafe(sql))
            .bind(owner)
            .bind(found.pattern)
            .bind(found.list)
            .bind(found.digits)
            .bind(CappedCount::MAX + 1)
            .fetch_one(conn)
            .await)?;
        Ok(CappedCount {
            number: number.min(CappedCount::MAX),
            more: number > CappedCount::MAX,
        })
    }
}
