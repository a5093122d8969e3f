//! The latest test letters: those of a user, and for moderators those of everybody.

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use skychimp_core::sending::test_letter::TestLetter;

use crate::kit::app::AppState;
use crate::kit::auth::{MailingUser, Manager};
use crate::kit::error::WebError;
use crate::kit::page::{PageContext, html};
use crate::kit::routes::get;
use crate::site::SiteRoutes;

/// Letters on a page; the service keeps them for some weeks.
const SHOWN: i64 = 200;

pub(crate) fn routes() -> SiteRoutes {
    SiteRoutes::new()
        .route("/log/tests", get(own))
        .route("/manage/tests", get(all))
}

#[derive(Template)]
#[template(path = "log/tests.html")]
struct TestsPage {
    page: PageContext,
    /// Whether they are of everybody.
    all: bool,
    rows: Vec<TestLetter>,
}

async fn own(
    State(app): State<AppState>,
    page: PageContext,
    MailingUser(user): MailingUser,
) -> Result<Response, WebError> {
    let rows = TestLetter::latest(&mut app.db.read().await?, Some(user.id), SHOWN).await?;
    html(&TestsPage {
        page,
        all: false,
        rows,
    })
}

async fn all(
    State(app): State<AppState>,
    page: PageContext,
    _: Manager,
) -> Result<Response, WebError> {
    let rows = TestLetter::latest(&mut app.db.read().await?, None, SHOWN).await?;
    html(&TestsPage {
        page,
        all: true,
        rows,
    })
}
