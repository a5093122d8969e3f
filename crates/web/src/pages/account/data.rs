//! One's data: all of it as an archive, and the end of the account.

use askama::Template;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse as _, Response};
use futures_util::stream::{self, StreamExt as _};
use serde::Deserialize;
use skychimp_core::accounts::audit::Actor;
use skychimp_core::accounts::second_factor::SecondFactor;
use skychimp_core::accounts::user::User;
use skychimp_core::oversight::archive;
use skychimp_core::oversight::deletion::AccountContents;
use tokio::sync::mpsc;

use super::password;
use crate::kit::app::{App, AppState};
use crate::kit::auth::CurrentUser;
use crate::kit::cookies;
use crate::kit::error::WebError;
use crate::kit::flash::Flash;
use crate::kit::form::{Errors, Form, FormOutcome, outcome};
use crate::kit::page::{PageContext, html, html_wrong};
use crate::kit::routes::{get, post};
use crate::letters::{self, ServiceLetter};
use crate::site::SiteRoutes;

/// Pieces of an archive that wait for a slow reader.
const ARCHIVES_WAITING_MAX: usize = 4;

pub(super) fn routes() -> SiteRoutes {
    SiteRoutes::new()
        .route("/account/data", get(data_page))
        .route("/account/delete", post(delete))
}

/// Downloads, which may take as long as they take.
pub(crate) fn long_routes() -> SiteRoutes {
    SiteRoutes::new().route("/account/export", get(export))
}

#[derive(Template)]
#[template(path = "account/data.html")]
struct DataPage {
    page: PageContext,
    belongings: AccountContents,
    /// The second factor is on, so its code is asked for.
    second: bool,
    errors: Errors,
}

impl DataPage {
    async fn of(
        app: &App,
        page: PageContext,
        user: &User,
        errors: Errors,
    ) -> Result<Self, WebError> {
        let mut tx = app.db.read().await?;
        Ok(Self {
            page,
            belongings: User::belongings(&mut tx, user.id).await?,
            second: SecondFactor::on_since(&mut tx, user.id).await?.is_some(),
            errors,
        })
    }
}

async fn data_page(
    State(app): State<AppState>,
    page: PageContext,
    CurrentUser(user): CurrentUser,
) -> Result<Response, WebError> {
    html(&DataPage::of(&app, page, &user, Errors::none()).await?)
}

async fn export(
    State(app): State<AppState>,
    page: PageContext,
    CurrentUser(user): CurrentUser,
) -> Result<Response, WebError> {
    let (to, pieces) = mpsc::channel(ARCHIVES_WAITING_MAX);
    let now = page.now;
    tokio::spawn(async move { archive::write(&app.db, user.id, now, &to).await });
    // an error breaks the connection off: half an archive must not look whole
    let pieces = stream::unfold(pieces, |mut pieces| async move {
        let piece = pieces.recv().await?;
        Some((piece.map(Bytes::from), pieces))
    });
    // compression asks once more behind the end
    let pieces = pieces.fuse();
    let date = page.now.timestamp().to_zoned(page.zone.clone()).date();
    let headers = [
        (header::CONTENT_TYPE, "application/zip".to_owned()),
        (
            header::CONTENT_DISPOSITION,
            format!("attachment; filename=\"skychimp-{date}.zip\""),
        ),
    ];
    Ok((headers, Body::from_stream(pieces)).into_response())
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct DeleteForm {
    current: String,
    code: String,
}

/// Deletes the account of whoever shows the password, and the code if one is asked for at login.
async fn delete(
    State(app): State<AppState>,
    page: PageContext,
    headers: HeaderMap,
    CurrentUser(user): CurrentUser,
    Form(form): Form<DeleteForm>,
) -> Result<Response, WebError> {
    if let Err(errors) = password::confirm(&app, &page, &user, "current", &form.current).await? {
        return html_wrong(&DataPage::of(&app, page, &user, errors).await?);
    }
    let second = SecondFactor::on_since(&mut app.db.read().await?, user.id).await?;
    if second.is_some() {
        let _counted = app.try_code(&page, &headers, user.id).await?;
    }
    let mut tx = app.db.write().await?;
    if second.is_some() {
        let (key, code) = (&app.second_key, &form.code);
        let proof = SecondFactor::prove(&mut tx, key, user.id, code, page.now).await?;
        if proof.is_none() {
            drop(tx);
            let errors = Errors::one("code", "wrong_code");
            return html_wrong(&DataPage::of(&app, page, &user, errors).await?);
        }
    }
    let deleted = User::delete(&mut tx, user.id, Actor::from(&user), "", page.now).await;
    match outcome(deleted)? {
        FormOutcome::Done(_) => {
            let letter = ServiceLetter::AccountDeleted;
            letters::send(&mut tx, &app, &user, &user.email, &letter, page.now).await?;
            tx.commit().await?;
            app.wake.everywhere(&app.db).await?;
            let mut response = page.redirect("/login", Flash::done("data-deleted"));
            cookies::put(&mut response, cookies::no_session(&app));
            Ok(response)
        }
        FormOutcome::Wrong(errors) => {
            drop(tx);
            html_wrong(&DataPage::of(&app, page, &user, errors).await?)
        }
        FormOutcome::Changed => Err(WebError::Conflict),
    }
}
