//! Parts shared by the moderators' pages.

use axum::response::Response;
use serde::Deserialize;
use skychimp_core::platform::db::Tx;
use skychimp_core::platform::error::Error;

use crate::kit::error::WebError;
use crate::kit::flash::Flash;
use crate::kit::form::{Errors, checked};
use crate::kit::page::PageContext;

/// Rows per page of a list.
pub(crate) const PAGE: i64 = 30;

/// A moderator's reason for an action.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct ReasonForm {
    pub(crate) reason: String,
    /// What the owner of a blocked account reads.
    pub(crate) message: String,
}

/// The response after a moderator's action, of which `done` says whether anything changed, `None`
/// that there is no such thing. Commits, and redirects to `path` with the message `said`. The inner
/// error lists what is wrong with the form; nothing is committed then.
pub(crate) async fn finish_action(
    page: &PageContext,
    tx: Tx,
    path: &str,
    done: Result<Option<bool>, Error>,
    said: &'static str,
) -> Result<Result<Response, Errors>, WebError> {
    let changed = match checked(done)? {
        Ok(found) => found.ok_or(WebError::NotFound)?,
        Err(errors) => return Ok(Err(errors)),
    };
    tx.commit().await?;
    let flash = Flash::changed(changed, said, "mailing-nothing-changed");
    Ok(Ok(page.redirect(path, flash)))
}
