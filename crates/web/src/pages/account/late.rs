//! The address at which a form that arrived too late is shown again.

use axum::extract::State;
use axum::response::Response;

use crate::kit::app::AppState;
use crate::kit::error::WebError;
use crate::kit::form::Path;
use crate::kit::late_form;
use crate::kit::page::PageContext;
use crate::kit::routes::get;
use crate::site::SiteRoutes;

pub(super) fn routes() -> SiteRoutes {
    SiteRoutes::new().route("/late/{token}", get(show))
}

async fn show(
    State(app): State<AppState>,
    page: PageContext,
    Path(token): Path<String>,
) -> Result<Response, WebError> {
    match late_form::find(&app, &page, &token).await? {
        Some(form) => Ok(late_form::to_form(&form, &token)),
        None if page.user.is_none() => Err(WebError::Login(page.address.clone())),
        None => Err(WebError::NotFound),
    }
}
