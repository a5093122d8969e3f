//! One's data: all of it as an archive, and the end of the account.

use askama::Template;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse as _, Response};
use futures_util::stream::{self, StreamExt as _};
use serde::Deserialize;
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
use crate::kit::form::{Errors, Form, checked};
use crate::kit::page::{PageContext, html, html_wrong};
use crate::kit::routes::{get, post};
use crate::letters::SiteLetters;
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
            second: SecondFactor::is_on(&mut tx, user.id).await?,
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

/// Deletes the account, for a user who shows the password, and the code if login asks for one.
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
    if SecondFactor::is_on(&mut app.db.read().await?, user.id).await? {
        let _counted = app.try_code(&page, &headers, user.id).await?;
    }
    let deleted = async {
        let (key, letters) = (&app.second_key, SiteLetters::of(&app));
        let mut tx = app.db.write().await?;
        User::delete_own(&mut tx, &user, key, &form.code, &letters, page.now).await?;
        tx.commit().await
    };
    if let Err(errors) = checked(deleted.await)? {
        return html_wrong(&DataPage::of(&app, page, &user, errors).await?);
    }
    let gone = page.redirect("/login", Flash::done("data-deleted"));
    Ok(cookies::with(gone, cookies::no_session(&app)))
}
