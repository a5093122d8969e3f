//! Searching the audit log.

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use jiff::tz::TimeZone;
use serde::Deserialize;
use skychimp_core::accounts::account_limit::{LimitRow, OwnLimit, OwnLimits};
use skychimp_core::accounts::audit::{Audit, AuditFilter, AuditKind};

use crate::kit::app::AppState;
use crate::kit::auth::Manager;
use crate::kit::error::WebError;
use crate::kit::form::Query;
use crate::kit::page::{PageContext, html};
use crate::kit::query::{self, ListQuery as _, Pages, day, filters};
use crate::parts::moderation::PAGE;

const PATH: &str = "/manage/audit";

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct ListQuery {
    q: String,
    actor: String,
    kind: String,
    /// The id of a user or a mailing.
    about: String,
    from: String,
    to: String,
    after: String,
}

impl query::ListQuery for ListQuery {
    fn filters(&self) -> Vec<(&'static str, String)> {
        filters![self; q, actor, kind, about, from, to]
    }

    fn is_first(&self) -> bool {
        self.after.is_empty()
    }
}

impl ListQuery {
    fn filter(&self, zone: &TimeZone) -> AuditFilter<'_> {
        AuditFilter {
            search: &self.q,
            actor: &self.actor,
            kind: self.kind.parse().ok(),
            about: self.about.parse().ok(),
            from: day(&self.from, zone, false),
            to: day(&self.to, zone, true),
            after: self.after.parse().ok(),
        }
    }
}

#[derive(Template)]
#[template(path = "manage/audit.html")]
struct ListPage {
    page: PageContext,
    query: ListQuery,
    kinds: &'static [AuditKind],
    rows: Vec<Audit>,
    pages: Pages,
}

/// Path of the page about an entry's subject.
fn link(entry: &Audit) -> Option<String> {
    let id = entry.subject_id?;
    match entry.subject_kind.as_str() {
        "user" if !entry.subject.is_empty() => Some(format!("/manage/users/{id}")),
        "server" if entry.kind != AuditKind::ServerDeleted => Some(format!("/manage/servers/{id}")),
        "mailing" if !entry.subject.is_empty() => Some(format!("/manage/mailings/{id}")),
        _ => None,
    }
}

/// The old and new role of a role change.
fn roles(entry: &Audit) -> Option<(&str, &str)> {
    let role = |name| entry.details.get(name).and_then(|role| role.as_str());
    role("from").zip(role("to"))
}

/// The limits that a change of limits changed, with the old and the new value.
fn limits(entry: &Audit) -> Vec<(&'static LimitRow, OwnLimit, OwnLimit)> {
    if entry.kind != AuditKind::LimitsChanged {
        return Vec::new();
    }
    OwnLimits::changes(&entry.details["from"], &entry.details["to"])
}

/// A value of a limit, in words.
fn limit_value(page: &PageContext, row: &LimitRow, value: &OwnLimit) -> String {
    match value {
        OwnLimit::Unset => page.t("audit-limit-default").to_string(),
        OwnLimit::Unlimited => page.t("audit-limit-unlimited").to_string(),
        OwnLimit::AtMost(most) if row.is_size => row.text(Some(*most)),
        OwnLimit::AtMost(most) => page.num(*most).to_string(),
    }
}

pub(super) async fn list(
    State(app): State<AppState>,
    page: PageContext,
    _: Manager,
    Query(query): Query<ListQuery>,
) -> Result<Response, WebError> {
    let mut tx = app.db.read().await?;
    let mut rows = Audit::page(&mut tx, &query.filter(&page.zone), PAGE + 1).await?;
    html(&ListPage {
        pages: query.cut(PATH, &mut rows, PAGE, |entry| entry.id.to_string()),
        page,
        query,
        kinds: AuditKind::ALL,
        rows,
    })
}
