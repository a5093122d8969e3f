//! Searching the audit log.

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use serde::Deserialize;
use skychimp_core::accounts::audit::{Audit, AuditFilter, AuditKind};

use crate::kit::app::AppState;
use crate::kit::auth::Manager;
use crate::kit::error::WebError;
use crate::kit::form::Query;
use crate::kit::page::{PageContext, html};
use crate::kit::query::{address, cut, day};
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

impl ListQuery {
    fn address(&self, after: &str) -> String {
        address(
            PATH,
            &[
                ("q", &self.q),
                ("actor", &self.actor),
                ("kind", &self.kind),
                ("about", &self.about),
                ("from", &self.from),
                ("to", &self.to),
                ("after", after),
            ],
        )
    }

    fn is_filtered(&self) -> bool {
        self.address("") != PATH
    }
}

#[derive(Template)]
#[template(path = "manage/audit.html")]
struct ListPage {
    page: PageContext,
    query: ListQuery,
    kinds: &'static [AuditKind],
    rows: Vec<Audit>,
    first: String,
    next: String,
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

pub(super) async fn list(
    State(app): State<AppState>,
    page: PageContext,
    _: Manager,
    Query(query): Query<ListQuery>,
) -> Result<Response, WebError> {
    let filter = AuditFilter {
        search: &query.q,
        actor: &query.actor,
        kind: query.kind.parse().ok(),
        about: query.about.parse().ok(),
        from: day(&query.from, &page.zone, false),
        to: day(&query.to, &page.zone, true),
        after: query.after.parse().ok(),
    };
    let mut tx = app.db.read().await?;
    let mut rows = Audit::page(&mut tx, &filter, PAGE + 1).await?;
    let last = cut(&mut rows, PAGE, |entry| entry.id);
    html(&ListPage {
        first: if query.after.is_empty() {
            String::new()
        } else {
            query.address("")
        },
        next: last.map_or_else(String::new, |last| query.address(&last.to_string())),
        page,
        query,
        kinds: AuditKind::ALL,
        rows,
    })
}
