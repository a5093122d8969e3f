//! The current settings, read-only and without secrets. They are changed in the configuration.

use askama::Template;
use axum::extract::State;
use axum::response::Response;

use crate::kit::app::{AppState, SettingLine};
use crate::kit::auth::Admin;
use crate::kit::error::WebError;
use crate::kit::page::{PageContext, html};

#[derive(Template)]
#[template(path = "manage/settings.html")]
struct SettingsPage {
    page: PageContext,
    lines: Vec<SettingLine>,
    version: &'static str,
    postgres: bool,
}

pub(super) async fn show(
    State(app): State<AppState>,
    page: PageContext,
    _: Admin,
) -> Result<Response, WebError> {
    html(&SettingsPage {
        page,
        lines: app.settings.shown.clone(),
        version: env!("CARGO_PKG_VERSION"),
        postgres: app.db.kind() == "postgres",
    })
}
