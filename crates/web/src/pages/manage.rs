//! The section of managers and administrators: all mailings and accounts, what waits for approval,
//! complaints, the audit log, sending servers, settings.
//!
//! *Invariant*: nothing here creates, edits or deletes a mailing, a message or a recipient. Pages
//! about other users read in read-only transactions; all changes go through a
//! [`skychimp_core::oversight::moderation::Moderator`].

mod approvals;
mod audit;
mod complaints;
mod invite;
mod limits;
mod overview;
mod servers;
mod settings;
mod users;

use axum::response::{IntoResponse as _, Redirect, Response};

use crate::kit::auth::Manager;
use crate::kit::routes::{get, post};
use crate::site::SiteRoutes;

pub(crate) fn routes() -> SiteRoutes {
    SiteRoutes::new()
        .route("/manage", get(begin))
        .route("/manage/overview", get(overview::overview))
        .route("/manage/users", get(users::list))
        .route("/manage/users/new", get(invite::form).post(invite::create))
        .route("/manage/users/{id}", get(users::show))
        .route("/manage/users/{id}/block", post(users::block))
        .route("/manage/users/{id}/unblock", post(users::unblock))
        .route("/manage/users/{id}/role", post(users::set_role))
        .route(
            "/manage/users/{id}/second-factor-off",
            post(users::second_factor_off),
        )
        .route("/manage/users/{id}/limits", post(limits::set))
        .route(
            "/manage/users/{id}/approve",
            post(approvals::approve_account),
        )
        .route("/manage/approvals", get(approvals::list))
        .route("/manage/mailings/{id}/approve", post(approvals::approve))
        .route("/manage/mailings/{id}/reject", post(approvals::reject))
        .route("/manage/audit", get(audit::list))
        .route("/manage/complaints", get(complaints::list))
        .route("/manage/settings", get(settings::show).post(settings::save))
        .merge(servers::routes())
}

async fn begin(_: Manager) -> Response {
    Redirect::to("/manage/overview").into_response()
}
