//! Import of recipients: upload, columns, progress, result (R8).
//!
//! The file is stored in the database; the engine imports it as a job.

mod columns;
mod progress;
mod rejected;
mod upload;

use askama::Template;
use axum::extract::{DefaultBodyLimit, State};
use axum::response::Response;
use skychimp_core::platform::ids::{ImportId, UserId};
use skychimp_core::recipients::import::{self, Import, ImportState, RejectedRows};
use skychimp_core::recipients::list::List;

use self::columns::{ColumnsPage, OptionsForm};
use crate::kit::app::{App, AppState};
use crate::kit::auth::MailingUser;
use crate::kit::error::WebError;
use crate::kit::flash::Flash;
use crate::kit::form::{Errors, Path};
use crate::kit::page::{PageContext, html};
use crate::kit::routes::{get, post};
use crate::site::SiteRoutes;

/// Imports shown under the upload.
const LATEST: i64 = 50;
/// Rejected rows on the page; all of them are in the file that can be downloaded.
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
        .route("/recipients/import/{id}/errors.csv", get(rejected::file))
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
        let mut tx = app.db.read().await?;
        let latest = Import::latest(&mut tx, owner, LATEST, page.now).await?;
        Ok(Self {
            page,
            latest,
            errors,
            file_max: app.settings.upload_limit,
        })
    }
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

impl ShowPage {
    /// The engine does it, or will.
    fn goes_on(&self) -> bool {
        matches!(self.job.state, ImportState::Waiting | ImportState::Running)
    }
}

async fn find(app: &AppState, owner: UserId, id: ImportId) -> Result<Import, WebError> {
    Import::get(&mut app.db.read().await?, owner, id, app.clock.now())
        .await?
        .ok_or(WebError::NotFound)
}

/// Moves uploads of older versions from the data folder into the database.
pub(super) async fn adopt_files(app: &App) {
    let adopted = async {
        let now = app.clock.now();
        import::adopt_files(&app.db, &app.settings.data_dir, now).await?;
        Ok::<_, skychimp_core::platform::error::Error>(())
    };
    if let Err(error) = adopted.await {
        tracing::error!(
            error = &error as &dyn std::error::Error,
            "imports of an older version could not be taken over; the next start tries again"
        );
    }
}

async fn show(
    State(app): State<AppState>,
    page: PageContext,
    MailingUser(user): MailingUser,
    Path(id): Path<ImportId>,
) -> Result<Response, WebError> {
    let job = find(&app, user.id, id).await?;
    if job.state == ImportState::Uploaded {
        let form = OptionsForm::of(&job.options);
        return html(&ColumnsPage::new(&app, page, user.id, job, form).await?);
    }
    let mut rows = RejectedRows::of(&app.db, user.id, &job).page().await?;
    rows.truncate(ERRORS_SHOWN);
    let rows = rows.iter().map(|row| rejected::cells(&page, row)).collect();
    let list = match job.options.list {
        Some(list) => List::get(&mut app.db.read().await?, user.id, list).await?,
        None => None,
    };
    html(&ShowPage {
        page,
        job,
        list,
        rows,
    })
}

async fn delete(
    State(app): State<AppState>,
    page: PageContext,
    MailingUser(user): MailingUser,
    Path(id): Path<ImportId>,
) -> Result<Response, WebError> {
    let mut tx = app.db.write().await?;
    if !Import::delete(&mut tx, user.id, id, page.now).await? {
        return Err(WebError::NotFound);
    }
    tx.commit().await?;
    Ok(page.redirect("/recipients/import", Flash::done("imports-deleted")))
}
