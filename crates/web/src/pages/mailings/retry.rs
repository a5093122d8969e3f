//! Trying letters now that wait for a retry: one, a group, or all of a run.

use axum::extract::State;
use axum::response::Response;
use serde::Deserialize;
use skychimp_core::platform::ids::{DeliveryId, MailingId, RunId};
use skychimp_core::sending::delivery::Delivery;

use super::people::PeopleQuery;
use super::show::run_of;
use crate::kit::app::AppState;
use crate::kit::auth::MailingUser;
use crate::kit::error::WebError;
use crate::kit::flash::Flash;
use crate::kit::form::{Path, Query};
use crate::kit::page::PageContext;
use crate::kit::query::ListQuery as _;

/// One letter among those that the query names.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct OneLetter {
    letter: String,
}

impl OneLetter {
    fn id(&self) -> Result<Option<DeliveryId>, WebError> {
        if self.letter.is_empty() {
            return Ok(None);
        }
        let id = self.letter.parse().map_err(|_| WebError::NotFound)?;
        Ok(Some(DeliveryId(id)))
    }
}

/// Tries the letters that the query names, as the page of recipients filters them; without one, all
/// of the run.
pub(super) async fn try_now(
    State(app): State<AppState>,
    page: PageContext,
    sender: MailingUser,
    Path((id, run)): Path<(MailingId, RunId)>,
    Query(query): Query<PeopleQuery>,
    Query(one): Query<OneLetter>,
) -> Result<Response, WebError> {
    let mut tx = app.db.read().await?;
    let run = run_of(&mut tx, sender.id(), id, run).await?;
    drop(tx);
    let one = one.id()?;
    let count = Delivery::try_now(&app.db, &run, &query.filter(), one, page.now).await?;
    let flash = if count > 0 {
        Flash::done("retry-now-done").with("count", count)
    } else {
        Flash::note("retry-now-none")
    };
    let back = if page.address.contains('?') {
        query.href(&format!("/mailings/{id}/people"))
    } else {
        format!("/mailings/{id}/runs/{}", run.id)
    };
    Ok(page.redirect(&back, flash))
}
