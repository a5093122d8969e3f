//! What the pages of moderators have in common.

use axum::response::Response;
use serde::Deserialize;
use skychimp_core::platform::db::Tx;

use crate::kit::app::AppState;
use crate::kit::error::WebError;
use crate::kit::flash::Flash;
use crate::kit::page::Page;

/// Lines of a list on one page.
pub(crate) const PAGE: i64 = 30;

/// Why a moderator does something.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct ReasonForm {
    pub(crate) reason: String,
}

/// A moderator's step is done: it is kept and told to every node; the page at `path` says whether it changed anything.
pub(crate) async fn stepped(
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
