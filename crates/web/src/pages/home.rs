//! `/`: a few honest words for strangers, the overview for users.

use askama::Template;
use axum::extract::State;
use axum::response::{IntoResponse as _, Redirect, Response};
use skychimp_core::overview::Overview;
use skychimp_core::user::User;

use crate::AppState;
use crate::error::WebError;
use crate::page::{Page, html};
use crate::routes::{Routes, get};

pub(crate) fn routes() -> Routes {
    Routes::new().route("/", get(home))
}

#[derive(Template)]
#[template(path = "home/landing.html")]
struct LandingPage {
    page: Page,
    registration: bool,
}

#[derive(Template)]
#[template(path = "home/overview.html")]
struct OverviewPage {
    page: Page,
    user: User,
    overview: Overview,
    steps: Vec<Step>,
}

/// One of the four steps to the first mailing (R15).
struct Step {
    title: &'static str,
    text: &'static str,
    href: &'static str,
    done: bool,
    /// The first one that is not done.
    now: bool,
}

fn steps(overview: &Overview) -> Vec<Step> {
    let mut steps = [
        ("recipients", "/recipients", overview.recipients > 0),
        ("message", "/messages/new", overview.messages > 0),
        ("mailing", "/mailings/new", overview.mailings > 0),
        ("start", "/mailings", overview.started),
    ]
    .map(|(name, href, done)| {
        let (title, text) = match name {
            "recipients" => ("home-step-recipients", "home-step-recipients-text"),
            "message" => ("home-step-message", "home-step-message-text"),
            "mailing" => ("home-step-mailing", "home-step-mailing-text"),
            _ => ("home-step-start", "home-step-start-text"),
        };
        Step {
            title,
            text,
            href,
            done,
            now: false,
        }
    });
    if let Some(step) = steps.iter_mut().find(|step| !step.done) {
        step.now = true;
    }
    steps.into()
}

async fn home(State(app): State<AppState>, page: Page) -> Result<Response, WebError> {
    let mut tx = app.db.read().await?;
    let Some(user) = page.user.clone() else {
        if !User::any(&mut tx).await? {
            return Ok(Redirect::to("/setup").into_response());
        }
        return html(&LandingPage {
            page,
            registration: app.settings.registration.is_open(),
        });
    };
    if page.writes() && !page.sends() {
        return Ok(Redirect::to("/posts").into_response());
    }
    let overview = Overview::of(&mut tx, user.id).await?;
    let steps = steps(&overview);
    html(&OverviewPage {
        page,
        user,
        overview,
        steps,
    })
}
