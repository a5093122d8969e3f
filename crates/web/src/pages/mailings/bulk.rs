//! Bulk actions on mailings.

use askama::Template;
use axum::extract::State;
use axum::response::{IntoResponse as _, Redirect, Response};
use serde::Deserialize;
use skychimp_core::platform::ids::MailingId;
use skychimp_core::sending::mailing::{BulkDeletion, BulkResult, Mailing, Transition};

use crate::kit::app::AppState;
use crate::kit::auth::MailingUser;
use crate::kit::error::WebError;
use crate::kit::flash::Flash;
use crate::kit::form::{Form, Query};
use crate::kit::page::{PageContext, html};
use crate::kit::query::address;

/// The mailings selected in the list, and the action.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Chosen {
    id: Vec<MailingId>,
    action: String,
    /// The filter of the list, to return to.
    q: String,
    status: String,
}

impl Chosen {
    fn list(&self) -> String {
        address(super::PATH, &[("q", &self.q), ("status", &self.status)])
    }

    /// URL of the confirmation page before deleting.
    fn question(&self) -> String {
        let ids: Vec<String> = self.id.iter().map(ToString::to_string).collect();
        let mut pairs: Vec<(&str, &str)> = ids.iter().map(|id| ("id", id.as_str())).collect();
        pairs.extend([("q", self.q.as_str()), ("status", &self.status)]);
        address("/mailings/delete", &pairs)
    }
}

/// The message about the result; a warning if some mailings were refused.
fn told(tally: BulkResult, sentence: &str) -> Flash {
    let flash = if tally.refused > 0 {
        Flash::warn(sentence)
    } else if tally.changed > 0 {
        Flash::done(sentence)
    } else {
        Flash::note(sentence)
    };
    flash
        .with("count", tally.changed)
        .with("refused", tally.refused)
}

pub(super) async fn act(
    State(app): State<AppState>,
    page: PageContext,
    sender: MailingUser,
    Form(chosen): Form<Chosen>,
) -> Result<Response, WebError> {
    if chosen.id.is_empty() {
        return Ok(page.redirect(&chosen.list(), Flash::note("mailings-none-chosen")));
    }
    let (step, sentence) = match chosen.action.as_str() {
        "pause" => (Transition::Pause, "mailings-paused"),
        "resume" => (Transition::Resume, "mailings-resumed"),
        "cancel" => (Transition::Cancel, "mailings-cancelled"),
        "delete" => return Ok(Redirect::to(&chosen.question()).into_response()),
        _ => return Err(WebError::BadRequest),
    };
    let (owner, actor) = (sender.id(), &sender.0.email);
    let tally = Mailing::step_many(&app.db, owner, &chosen.id, step, actor, page.now).await?;
    Ok(page.redirect(&chosen.list(), told(tally, sentence)))
}

#[derive(Template)]
#[template(path = "mailings/delete_many.html")]
struct DeletePage {
    page: PageContext,
    chosen: Chosen,
    deletions: BulkDeletion,
}

pub(super) async fn delete_page(
    State(app): State<AppState>,
    page: PageContext,
    sender: MailingUser,
    Query(chosen): Query<Chosen>,
) -> Result<Response, WebError> {
    let mut tx = app.db.read().await?;
    let deletions = Mailing::deletions(&mut tx, sender.id(), &chosen.id).await?;
    if deletions.go.is_empty() && deletions.stay.is_empty() {
        return Err(WebError::NotFound);
    }
    html(&DeletePage {
        page,
        chosen,
        deletions,
    })
}

pub(super) async fn delete(
    State(app): State<AppState>,
    page: PageContext,
    sender: MailingUser,
    Form(chosen): Form<Chosen>,
) -> Result<Response, WebError> {
    let tally = Mailing::delete_many(&app.db, sender.id(), &chosen.id).await?;
    Ok(page.redirect(&chosen.list(), told(tally, "mailings-deleted")))
}
