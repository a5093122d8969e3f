//! The managers' and administrators' section: everybody's mailings and accounts, the audit log, the
//! mail servers, the settings.
//!
//! *Invariant*: nothing here makes, edits or deletes a mailing, a message or a recipient. Pages of others' things read in
//! transactions that cannot write; what is changed is changed by a [`skychimp_core::oversight::moderation::Moderator`].

mod audit;
mod mailings;
mod overview;
pub(crate) mod servers;
mod settings;
mod users;

use axum::response::{IntoResponse as _, Redirect, Response};
use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde::Deserialize;
use skychimp_core::platform::db::Tx;
use skychimp_core::platform::time::Moment;

use crate::AppState;
use crate::auth::Manager;
use crate::error::WebError;
use crate::flash::Flash;
use crate::page::Page;
use crate::pages::log::of_user;
use crate::pages::mailings::report::files;
use crate::pages::mailings::{live, log, people, show, trend};
use crate::routes::{Routes, get, post};

/// Lines of a list on one page.
const PAGE: i64 = 30;

pub(crate) fn routes() -> Routes {
    Routes::new()
        .route("/manage", get(begin))
        .route("/manage/overview", get(overview::overview))
        .route("/manage/mailings", get(mailings::list))
        .route("/manage/mailings/{id}", get(show::show))
        .route("/manage/mailings/{id}/letter", get(mailings::letter))
        .route("/manage/mailings/{id}/runs", get(show::runs))
        .route("/manage/mailings/{id}/report", get(trend::report))
        .route("/manage/mailings/{id}/runs/{run}", get(show::run))
        .route(
            "/manage/mailings/{id}/runs/{run}/replies",
            get(show::replies),
        )
        .route("/manage/mailings/{id}/log", get(log::log))
        .route("/manage/mailings/{id}/people", get(people::people))
        .route("/manage/mailings/{id}/disable", post(mailings::disable))
        .route("/manage/mailings/{id}/enable", post(mailings::enable))
        .route("/manage/users", get(users::list))
        .route("/manage/users/{id}", get(users::show))
        .route("/manage/users/{id}/log", get(of_user))
        .route("/manage/users/{id}/block", post(users::block))
        .route("/manage/users/{id}/unblock", post(users::unblock))
        .route("/manage/users/{id}/role", post(users::set_role))
        .route(
            "/manage/users/{id}/second-factor-off",
            post(users::second_factor_off),
        )
        .route("/manage/audit", get(audit::list))
        .route("/manage/settings", get(settings::show))
        .merge(servers::routes())
}

/// Streams: live numbers and exports.
pub(crate) fn long_routes() -> Routes {
    Routes::new()
        .route("/manage/mailings/{id}/runs/{run}/live", get(live::live))
        .route("/manage/mailings/{id}/waiting", get(live::waiting))
        .route("/manage/mailings/{id}/log.csv", get(log::table))
        .route("/manage/mailings/{id}/log.xlsx", get(log::table))
        .route("/manage/mailings/{id}/people.csv", get(people::table))
        .route("/manage/mailings/{id}/people.xlsx", get(people::table))
        .route("/manage/mailings/{id}/report.csv", get(files::mailing))
        .route("/manage/mailings/{id}/report.xlsx", get(files::mailing))
        .route(
            "/manage/mailings/{id}/runs/{run}/report.csv",
            get(files::run),
        )
        .route(
            "/manage/mailings/{id}/runs/{run}/report.xlsx",
            get(files::run),
        )
}

async fn begin(_: Manager) -> Response {
    Redirect::to("/manage/overview").into_response()
}

/// Why a moderator does something.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct ReasonForm {
    reason: String,
}

/// A moderator's step is done: it is kept and told to every node; the page at `path` says whether it changed anything.
async fn stepped(
    app: &AppState,
    page: &Page,
    tx: Tx,
    path: &str,
    changed: Option<&'static str>,
) -> Result<Response, WebError> {
    tx.commit().await?;
    app.wake.everywhere(&app.db).await?;
    let flash = changed.map_or_else(|| Flash::note("mailing-nothing-changed"), Flash::done);
    Ok(page.redirect(path, flash))
}

/// The address of a list with its filters; empty ones are left out.
pub(super) fn address(path: &str, filters: &[(&str, &str)]) -> String {
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    for (name, value) in filters.iter().filter(|(_, value)| !value.is_empty()) {
        query.append_pair(name, value);
    }
    match query.finish() {
        query if query.is_empty() => path.to_owned(),
        query => format!("{path}?{query}"),
    }
}

/// When a day begins, or when it is over, in the visitor's zone.
pub(super) fn day(text: &str, zone: &TimeZone, over: bool) -> Option<Moment> {
    let mut date: Date = text.parse().ok()?;
    if over {
        date = date.tomorrow().ok()?;
    }
    let begin = date.to_zoned(zone.clone()).ok()?;
    Some(begin.timestamp().into())
}

/// Takes the line too many that tells that there is another page; gives the last line's key then.
fn cut<T, K>(rows: &mut Vec<T>, key: impl Fn(&T) -> K) -> Option<K> {
    let most = usize::try_from(PAGE).unwrap_or(0);
    let more = rows.len() > most;
    rows.truncate(most);
    rows.last().filter(|_| more).map(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// R36: a day of a filter is a day of the visitor, to its last moment.
    #[test]
    fn days_are_the_visitors() {
        let zone = TimeZone::get("Europe/Moscow").unwrap();
        let at = |text, over| day(text, &zone, over).map(|at| at.to_string());
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(at("2027-01-31", false), some("2027-01-30T21:00:00Z"));
        assert_eq!(at("2027-01-31", true), some("2027-01-31T21:00:00Z"));
        assert_eq!(at("yesterday", false), None);
        assert_eq!(at("9999-12-31", true), None);
    }
}
