//! The service at a glance: volume, upcoming mailings, what needs attention, and the largest
//! senders.

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use skychimp_core::oversight::moderation::ServiceOverview;

use crate::kit::app::AppState;
use crate::kit::auth::Manager;
use crate::kit::error::WebError;
use crate::kit::page::{PageContext, html};
use crate::parts::days::Days;

#[derive(Template)]
#[template(path = "manage/overview.html")]
struct OverviewPage {
    page: PageContext,
    overview: ServiceOverview,
    days: Days,
}

pub(super) async fn overview(
    State(app): State<AppState>,
    page: PageContext,
    Manager(moderator, _): Manager,
) -> Result<Response, WebError> {
    let mut tx = app.db.read().await?;
    let overview = moderator.overview(&mut tx, page.now).await?;
    html(&OverviewPage {
        days: Days::of(&page, &overview.past),
        page,
        overview,
    })
}
