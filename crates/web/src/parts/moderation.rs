//! Parts shared by the moderators' pages.

use axum::response::Response;
use serde::Deserialize;
use skychimp_core::platform::db::Tx;

use crate::kit::app::AppState;
use crate::kit::error::WebError;
use crate::kit::flash::Flash;
use crate::kit::page::PageContext;

/// Rows per page of a list.
pub(crate) const PAGE: i64 = 30;

/// A moderator's reason for an action.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct ReasonForm {
    pub(crate) reason: String,
}

/// Commits a moderator's action, wakes all nodes and redirects to `path`. `changed` is the flash
/// message if anything changed.
pub(crate) async fn stepped(
    app: &AppState,
    page: &PageContext,
    tx: Tx,
    path: &str,
    changed: Option<&'static str>,
) -> Result<Response, WebError> {
    tx.commit().await?;
    app.wake.everywhere(&app.db).await?;
    let flash = changed.map_or_else(|| Flash::note("mailing-nothing-changed"), Flash::done);
    Ok(page.redirect(path, flash))
}
