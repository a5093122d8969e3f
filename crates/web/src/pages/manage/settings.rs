//! What an administrator sets while the service runs, and the settings of the configuration,
//! read-only and without secrets.

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use serde::Deserialize;
use skychimp_core::oversight::site_settings;
use skychimp_core::platform::site_name::SiteName;
use skychimp_core::platform::untrusted_peer::UntrustedPeer;

use crate::kit::app::{AppState, SettingLine};
use crate::kit::auth::Admin;
use crate::kit::error::WebError;
use crate::kit::flash::Flash;
use crate::kit::form::{Errors, Form, checked};
use crate::kit::page::{PageContext, html, html_wrong};

#[derive(Template)]
#[template(path = "manage/settings.html")]
struct SettingsPage {
    page: PageContext,
    lines: Vec<SettingLine>,
    version: &'static str,
    postgres: bool,
    /// Peers that look like proxies without being trusted.
    peers: Vec<UntrustedPeer>,
    form: SettingsForm,
    errors: Errors,
}

/// What is set on the page.
#[derive(Debug, Default, Deserialize)]
pub(super) struct SettingsForm {
    #[serde(default)]
    site_name: String,
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

async fn settings_page(
    app: &AppState,
    page: PageContext,
    form: SettingsForm,
    errors: Errors,
) -> Result<SettingsPage, WebError> {
    let mut tx = app.db.read().await?;
    let mut peers = UntrustedPeer::recent(&mut tx, page.now).await?;
    app.settings.proxies.retain_untrusted(&mut peers);
    Ok(SettingsPage {
        page,
        lines: app.settings.shown.clone(),
        version: env!("CARGO_PKG_VERSION"),
        postgres: app.db.kind() == "postgres",
        peers,
        form,
        errors,
    })
}

pub(super) async fn show(
    State(app): State<AppState>,
    page: PageContext,
    _: Admin,
) -> Result<Response, WebError> {
    let mut tx = app.db.read().await?;
    let name = SiteName::of(&mut tx).await?;
    drop(tx);
    let form = SettingsForm {
        site_name: name.as_str().to_owned(),
    };
    html(&settings_page(&app, page, form, Errors::none()).await?)
}

pub(super) async fn save(
    State(app): State<AppState>,
    page: PageContext,
    Admin(admin): Admin,
    Form(form): Form<SettingsForm>,
) -> Result<Response, WebError> {
    let saved = async {
        let name = SiteName::parse(&form.site_name)?;
        let mut tx = app.db.write().await?;
        site_settings::rename(&mut tx, &admin, &name, page.now).await?;
        tx.commit().await?;
        app.site_name.set(&name);
        Ok(())
    };
    match checked(saved.await)? {
        Ok(()) => Ok(page.redirect("/manage/settings", Flash::done("settings-saved"))),
        Err(errors) => html_wrong(&settings_page(&app, page, form, errors).await?),
    }
}
