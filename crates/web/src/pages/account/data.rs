//! One's data: all of it as an archive, and the end of the account.
//!
//! The engine makes the archive as a job and stores it in the database; any node serves it.

use std::time::Duration;

use askama::Template;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse as _, Redirect, Response};
use futures_util::stream;
use serde::Deserialize;
use skychimp_core::accounts::second_factor::SecondFactor;
use skychimp_core::accounts::user::User;
use skychimp_core::oversight::archive::{ArchiveState, UserArchive};
use skychimp_core::oversight::deletion::AccountContents;
use skychimp_core::platform::error::Error;
use skychimp_core::platform::ids::UserId;
use skychimp_core::platform::stored_file::StoredFile;

use super::password;
use crate::kit::app::{App, AppState};
use crate::kit::auth::CurrentUser;
use crate::kit::cookies;
use crate::kit::error::WebError;
use crate::kit::flash::Flash;
use crate::kit::form::{Errors, Form, checked};
use crate::kit::page::{PageContext, html, html_wrong};
use crate::kit::routes::{get, post};
use crate::kit::sse::{Poll, Polled, watch};
use crate::letters::SiteLetters;
use crate::site::SiteRoutes;

pub(super) fn routes() -> SiteRoutes {
    SiteRoutes::new()
        .route("/account/data", get(data_page))
        .route("/account/delete", post(delete))
}

/// Downloads, which may take long.
pub(crate) fn long_routes() -> SiteRoutes {
    SiteRoutes::new()
        .route("/account/export", get(export))
        .route("/account/archive/live", get(live))
        .route("/account/archive", post(request_archive))
}

#[derive(Template)]
#[template(path = "account/data.html")]
struct DataPage {
    page: PageContext,
    belongings: AccountContents,
    archive: Option<UserArchive>,
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
            belongings: User::count_contents(&mut tx, user.id).await?,
            archive: UserArchive::latest(&mut tx, user.id, page.now).await?,
            page,
            second: SecondFactor::is_on(&mut tx, user.id).await?,
            errors,
        })
    }
}

impl DataPage {
    /// The archive, when it is in this state.
    fn archive_in(&self, state: ArchiveState) -> Option<UserArchive> {
        self.archive.filter(|archive| archive.state == state)
    }
}

async fn data_page(
    State(app): State<AppState>,
    page: PageContext,
    CurrentUser(user): CurrentUser,
) -> Result<Response, WebError> {
    html(&DataPage::of(&app, page, &user, Errors::none()).await?)
}

/// Asks for an archive.
async fn request_archive(
    State(app): State<AppState>,
    page: PageContext,
    CurrentUser(user): CurrentUser,
) -> Result<Response, WebError> {
    let mut tx = app.db.write().await?;
    UserArchive::request(&mut tx, user.id, page.now).await?;
    tx.commit().await?;
    Ok(Redirect::to("/account/data").into_response())
}

/// The archive that is ready; without one the page where it can be asked for.
async fn export(
    State(app): State<AppState>,
    page: PageContext,
    CurrentUser(user): CurrentUser,
) -> Result<Response, WebError> {
    let mut tx = app.db.read().await?;
    let archive = UserArchive::latest(&mut tx, user.id, page.now).await?;
    let file = match &archive {
        Some(archive) => archive.file(&mut tx, user.id, page.now).await?,
        None => None,
    };
    drop(tx);
    let (Some(archive), Some(file)) = (archive, file) else {
        return Ok(Redirect::to("/account/data").into_response());
    };
    let made = archive.created_at.timestamp().to_zoned(page.zone.clone());
    let name = format!("attachment; filename=\"skychimp-{}.zip\"", made.date());
    let headers = [
        (header::CONTENT_TYPE, "application/zip".to_owned()),
        (header::CONTENT_DISPOSITION, name),
        (header::CONTENT_LENGTH, file.bytes.to_string()),
    ];
    Ok((headers, parts(app, file)).into_response())
}

/// A stored file, a part at a time. An error breaks the connection off: half a file must not look
/// like a whole one.
fn parts(app: AppState, file: StoredFile) -> Body {
    let parts = stream::try_unfold((app, -1), move |(app, after)| async move {
        let mut tx = app.db.read().await?;
        let part = StoredFile::next_part(&mut tx, file.owner_id, file.id, after).await?;
        drop(tx);
        Ok::<_, Error>(part.map(|part| (Bytes::from(part.bytes), (app, part.part))))
    });
    Body::from_stream(parts)
}

/// Waits for an archive.
struct Watch {
    app: AppState,
    owner: UserId,
}

impl Poll for Watch {
    const POLL_INTERVAL: Duration = Duration::from_secs(1);

    async fn look(&mut self) -> Result<Polled, WebError> {
        let mut tx = self.app.db.read().await?;
        let latest = UserArchive::latest(&mut tx, self.owner, self.app.clock.now()).await?;
        let running = latest.is_some_and(|latest| latest.state == ArchiveState::Running);
        Ok(if running { Polled::Same } else { Polled::Over })
    }
}

/// Tells the page when the archive is ready.
async fn live(
    State(app): State<AppState>,
    page: PageContext,
    CurrentUser(user): CurrentUser,
) -> Response {
    let poll = Watch {
        app: app.clone(),
        owner: user.id,
    };
    watch(&app, &page, poll).await
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
    if let Err(errors) = password::confirm(&app, &user, "current", &form.current).await? {
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
