//! The log of all mailings of a user: every attempt, with filters in the query string.

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use serde::Deserialize;
use skychimp_core::accounts::user::User;
use skychimp_core::platform::error::Error;
use skychimp_core::platform::ids::{MailingId, UserId};
use skychimp_core::platform::time::Timestamp;
use skychimp_core::sending::attempt::{Attempt, AttemptOutcome, LogCursor, LogFilter, LogRow};
use skychimp_core::sending::delivery::DeliveryState;
use skychimp_core::sending::mailing::Mailing;

use crate::kit::app::AppState;
use crate::kit::auth::{MailingUser, Manager};
use crate::kit::error::WebError;
use crate::kit::form::{Path, Query};
use crate::kit::page::{PageContext, html};
use crate::kit::query::{ListQuery, Pages, filters};
use crate::kit::routes::get;
use crate::kit::table::{Cell, Lines, columns, download};
use crate::parts::attempts::{cells, moment};
use crate::site::SiteRoutes;

/// Attempts per page.
const PAGE: usize = 50;
/// Attempts read at a time for an export.
const EXPORT_BATCH: usize = 1_000;
/// Most mailings offered in the filter.
const MAILINGS: i64 = 200;

pub(crate) fn routes() -> SiteRoutes {
    SiteRoutes::new()
        .route("/log", get(log))
        .route("/manage/users/{id}/log", get(of_user))
}

/// Exports.
pub(crate) fn long_routes() -> SiteRoutes {
    SiteRoutes::new()
        .route("/log.csv", get(table))
        .route("/log.xlsx", get(table))
}

/// The filters, as the form sends them.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct LogQuery {
    mailing: String,
    outcome: String,
    state: String,
    class: String,
    code: String,
    server: String,
    domain: String,
    q: String,
    from: String,
    to: String,
    /// Cursor of the previous page: milliseconds, delivery and attempt number, separated by dots.
    after: String,
}

impl LogQuery {
    /// The filter from the query string; invalid values are ignored.
    fn filter(&self, zone: &str) -> LogFilter {
        let text = |text: &str| Some(text.trim().to_lowercase()).filter(|text| !text.is_empty());
        LogFilter {
            mailing: self.mailing.parse::<MailingId>().ok(),
            outcome: self.outcome.parse().ok(),
            state: self.state.parse().ok(),
            class: text(&self.class),
            code: self.code.trim().parse().ok(),
            server: text(&self.server),
            domain: text(&self.domain),
            address: text(&self.q),
            from: moment(&self.from, zone),
            to: moment(&self.to, zone),
        }
    }

    fn cursor(&self) -> Option<LogCursor> {
        let mut parts = self.after.split('.');
        Some(LogCursor {
            at: Timestamp::from_millis(parts.next()?.parse().ok()?),
            delivery: parts.next()?.parse().ok()?,
            number: parts.next()?.parse().ok()?,
        })
    }
}

impl ListQuery for LogQuery {
    fn filters(&self) -> Vec<(&'static str, String)> {
        filters![self; mailing, outcome, state, class, code, server, domain, q, from, to]
    }

    fn is_first(&self) -> bool {
        self.cursor().is_none()
    }
}

/// A cursor in the query string.
fn place(cursor: LogCursor) -> String {
    let LogCursor {
        at,
        delivery,
        number,
    } = cursor;
    format!("{}.{delivery}.{number}", at.millis())
}

#[derive(Template)]
#[template(path = "log/index.html")]
struct LogPage {
    page: PageContext,
    /// Whose log it is, if a moderator reads it.
    owner: Option<User>,
    base: String,
    query: LogQuery,
    rows: Vec<LogRow>,
    mailings: Vec<(MailingId, String)>,
    outcomes: [AttemptOutcome; 4],
    states: [DeliveryState; 7],
    classes: [&'static str; 12],
    pages: Pages,
    csv: String,
    xlsx: String,
    /// Set if the search stopped here because it had scanned too many rows.
    cut: Option<Timestamp>,
}

/// Classes of attempts offered in the filter.
const CLASSES: [&str; 12] = [
    "accepted",
    "temporary",
    "permanent",
    "limit",
    "closing",
    "connection",
    "timeout",
    "protocol",
    "tls",
    "interrupted",
    "local_address",
    "local_template",
];

impl LogPage {
    /// A page of the log of an account, in the time zone of the visitor.
    async fn load(
        app: &AppState,
        page: PageContext,
        (of, zone): (UserId, &str),
        owner: Option<User>,
        base: String,
        query: LogQuery,
    ) -> Result<Self, WebError> {
        let mut tx = app.db.read().await?;
        let filter = query.filter(zone);
        let found = Attempt::explore(&mut tx, of, &filter, query.cursor(), PAGE).await?;
        let mailings = Mailing::titles(&mut tx, of, MAILINGS).await?;
        Ok(Self {
            pages: query.pages(&base, found.next.map(place).as_deref()),
            cut: found.next.filter(|_| found.cut).map(|next| next.at),
            csv: query.href("/log.csv"),
            xlsx: query.href("/log.xlsx"),
            rows: found.rows,
            mailings,
            outcomes: AttemptOutcome::ALL,
            states: DeliveryState::ALL,
            classes: CLASSES,
            page,
            owner,
            base,
            query,
        })
    }

    /// The path of a mailing's page.
    fn mailing(&self, id: &MailingId) -> String {
        match self.owner {
            Some(_) => format!("/manage/mailings/{id}"),
            None => format!("/mailings/{id}"),
        }
    }
}

async fn log(
    State(app): State<AppState>,
    page: PageContext,
    MailingUser(user): MailingUser,
    Query(query): Query<LogQuery>,
) -> Result<Response, WebError> {
    let (of, base) = ((user.id, user.zone.as_str()), "/log".to_owned());
    html(&LogPage::load(&app, page, of, None, base, query).await?)
}

/// Another user's log, for moderators.
async fn of_user(
    State(app): State<AppState>,
    page: PageContext,
    Manager(_, viewer): Manager,
    Path(id): Path<UserId>,
    Query(query): Query<LogQuery>,
) -> Result<Response, WebError> {
    let owner = User::get(&mut app.db.read().await?, id)
        .await?
        .ok_or(WebError::NotFound)?;
    let base = format!("/manage/users/{id}/log");
    let of = (id, viewer.zone.as_str());
    html(&LogPage::load(&app, page, of, Some(owner), base, query).await?)
}

/// A log being exported.
struct LogLines {
    app: AppState,
    owner: UserId,
    filter: LogFilter,
    after: Option<LogCursor>,
    over: bool,
}

/// The log as a file, newest attempt first.
async fn table(
    State(app): State<AppState>,
    page: PageContext,
    MailingUser(user): MailingUser,
    Query(query): Query<LogQuery>,
) -> Result<Response, WebError> {
    let lines = LogLines {
        app: app.clone(),
        owner: user.id,
        filter: query.filter(&user.zone),
        after: None,
        over: false,
    };
    download(&page, &app, "log", lines).await
}

impl Lines for LogLines {
    fn head(&self) -> Vec<String> {
        columns(&[&["mailing"], &Attempt::COLUMNS[..]].concat())
    }

    async fn next(&mut self) -> Result<Option<Vec<Vec<Cell>>>, Error> {
        if self.over {
            return Ok(None);
        }
        let mut tx = self.app.db.read().await?;
        let found =
            Attempt::explore(&mut tx, self.owner, &self.filter, self.after, EXPORT_BATCH).await?;
        self.after = found.next;
        self.over = found.next.is_none();
        let line = |row: &LogRow| {
            let title = std::iter::once(Cell::from(row.title.clone()));
            title.chain(cells(&row.attempt)).collect()
        };
        Ok(Some(found.rows.iter().map(line).collect()))
    }
}
