//! Import of recipients: upload, columns, progress, result (R8).

mod columns;
mod progress;
mod upload;

use askama::Template;
use axum::extract::{DefaultBodyLimit, State};
use axum::response::Response;
use skychimp_core::platform::ids::{ImportId, UserId};
use skychimp_core::recipients::import::{
    Import, ImportState, error_file_of, file_of, first_errors,
};
use skychimp_core::recipients::list::List;

use self::columns::{ColumnsPage, OptionsForm};
use crate::kit::app::AppState;
use crate::kit::auth::MailingUser;
use crate::kit::error::WebError;
use crate::kit::flash::Flash;
use crate::kit::form::{Errors, Path};
use crate::kit::page::{PageContext, html};
use crate::kit::routes::{get, post};
use crate::site::SiteRoutes;

/// Imports shown under the upload.
const LATEST: i64 = 10;
/// Rows that were not imported, shown on the page; all of them are in the error file.
const ERRORS_SHOWN: usize = 50;

pub(crate) fn routes() -> SiteRoutes {
    SiteRoutes::new()
        .route("/recipients/import", get(index))
        .route("/recipients/import/{id}", get(show).post(columns::start))
        .route("/recipients/import/{id}/delete", post(delete))
}

pub(crate) fn long_routes() -> SiteRoutes {
    SiteRoutes::new()
        .route(
            "/recipients/import/file",
            post(upload::upload).layer(DefaultBodyLimit::disable()),
        )
        .route("/recipients/import/{id}/live", get(progress::live))
        .route("/recipients/import/{id}/errors.csv", get(progress::errors))
}

#[derive(Template)]
#[template(path = "imports/index.html")]
struct IndexPage {
    page: PageContext,
    latest: Vec<Import>,
    errors: Errors,
    file_max: u64,
}

impl IndexPage {
    async fn new(
        app: &AppState,
        page: PageContext,
        owner: UserId,
        errors: Errors,
    ) -> Result<Self, WebError> {
        give_up_silent(app, &page).await?;
        let latest = Import::latest(&mut app.db.read().await?, owner, LATEST).await?;
        Ok(Self {
            page,
            latest,
            errors,
            file_max: app.settings.upload_limit,
        })
    }
}

/// An import whose process went away is shown as failed.
async fn give_up_silent(app: &AppState, page: &PageContext) -> Result<(), WebError> {
    let mut tx = app.db.write().await?;
    Import::give_up_silent(&mut tx, page.now).await?;
    Ok(tx.commit().await?)
}

async fn index(
    State(app): State<AppState>,
    page: PageContext,
    MailingUser(user): MailingUser,
) -> Result<Response, WebError> {
    html(&IndexPage::new(&app, page, user.id, Errors::none()).await?)
}

#[derive(Template)]
#[template(path = "imports/show.html")]
struct ShowPage {
    page: PageContext,
    job: Import,
    list: Option<List>,
    rows: Vec<[String; 3]>,
}

async fn find(app: &AppState, owner: UserId, id: ImportId) -> Result<Import, WebError> {
    Import::get(&mut app.db.read().await?, owner, id)
        .await?
        .ok_or(WebError::NotFound)
}

async fn show(
    State(app): State<AppState>,
    page: PageContext,
    MailingUser(user): MailingUser,
    Path(id): Path<ImportId>,
) -> Result<Response, WebError> {
    give_up_silent(&app, &page).await?;
    let job = find(&app, user.id, id).await?;
    if job.state == ImportState::Uploaded {
        let form = OptionsForm::of(&job.options);
        return html(&ColumnsPage::new(&app, page, user.id, job, form).await?);
    }
    let data = app.settings.data_dir.clone();
    let rows = tokio::task::spawn_blocking(move || first_errors(&data, id, ERRORS_SHOWN)).await?;
    let list = match job.options.list {
        Some(list) => List::get(&mut app.db.read().await?, user.id, list).await?,
        None => None,
    };
    html(&ShowPage {
        page,
        job,
        list,
        rows: rows.map_err(WebError::internal)?,
    })
}

async fn delete(
    State(app): State<AppState>,
    page: PageContext,
    MailingUser(user): MailingUser,
    Path(id): Path<ImportId>,
) -> Result<Response, WebError> {
    let mut tx = app.db.write().await?;
    if !Import::delete(&mut tx, user.id, id).await? {
        return Err(WebError::NotFound);
    }
    tx.commit().await?;
    for path in [
        file_of(&app.settings.data_dir, id),
        error_file_of(&app.settings.data_dir, id),
    ] {
        let _ = tokio::fs::remove_file(path).await;
    }
    Ok(page.redirect("/recipients/import", Flash::done("imports-deleted")))
}
