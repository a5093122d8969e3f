//! The current settings, read-only and without secrets. They are changed in the configuration.

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use skychimp_core::platform::untrusted_peer::UntrustedPeer;

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
    /// Peers that look like proxies without being trusted.
    peers: Vec<UntrustedPeer>,
}

impl SettingsPage {
    /// Where the value comes from: a file or a flag is its name.
    fn source(&self, line: &SettingLine) -> String {
        let source = line.source.as_str();
        if let Some(variable) = source.strip_suffix(" in .env") {
            return self
                .page
                .t("settings-from-dot-env")
                .with("variable", variable)
                .to_string();
        }
        if let Some(variable) = source.strip_suffix(" in the environment") {
            return self
                .page
                .t("settings-from-environment")
                .with("variable", variable)
                .to_string();
        }
        match source {
            "default" => self.page.t("settings-from-default").to_string(),
            "unset" => self.page.t("settings-from-nowhere").to_string(),
            file_or_flag => file_or_flag.to_owned(),
        }
    }
}

pub(super) async fn show(
    State(app): State<AppState>,
    page: PageContext,
    _: Admin,
) -> Result<Response, WebError> {
    let mut tx = app.db.read().await?;
    let mut peers = UntrustedPeer::recent(&mut tx, page.now).await?;
    app.settings.proxies.retain_untrusted(&mut peers);
    html(&SettingsPage {
        page,
        lines: app.settings.shown.clone(),
        version: env!("CARGO_PKG_VERSION"),
        postgres: app.db.kind() == "postgres",
        peers,
    })
}
