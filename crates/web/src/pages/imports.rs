//! Import of recipients: upload, columns, progress, result (R8).

use std::io::ErrorKind;
use std::path::Path as FilePath;
use std::time::Duration;

use askama::Template;
use axum::body::{Body, Bytes};
use axum::extract::multipart::Field;
use axum::extract::{DefaultBodyLimit, Multipart, State};
use axum::http::header;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse as _, Redirect, Response};
use futures_util::stream;
use serde::Deserialize;
use skychimp_core::error::{Error, FieldError};
use skychimp_core::ids::{ImportId, ListId, UserId};
use skychimp_core::import::{
    self, Delimiter, Encoding, Hints, Import, ImportState, Options, Preview, Target, error_file_of,
    file_of, first_errors,
};
use skychimp_core::list::List;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::recipients::CHOICES;
use crate::AppState;
use crate::auth::Sender;
use crate::error::WebError;
use crate::flash::Flash;
use crate::form::{Errors, Form, Outcome, Path, outcome};
use crate::page::{Page, html, html_wrong};
use crate::routes::{Routes, get, post};

/// Largest file, in bytes.
const FILE_MAX: u64 = 500_000_000;
/// Imports shown under the upload.
const LATEST: i64 = 10;
/// Rows that were not imported, shown on the page; all of them are in the error file.
const ERRORS_SHOWN: usize = 50;
/// Between two looks at the progress.
const PACE: Duration = Duration::from_millis(500);

pub(crate) fn routes() -> Routes {
    Routes::new()
        .route("/recipients/import", get(index))
        .route("/recipients/import/{id}", get(show).post(start))
        .route("/recipients/import/{id}/delete", post(delete))
}

pub(crate) fn long_routes() -> Routes {
    Routes::new()
        .route(
            "/recipients/import/file",
            post(upload).layer(DefaultBodyLimit::disable()),
        )
        .route("/recipients/import/{id}/live", get(live))
        .route("/recipients/import/{id}/errors.csv", get(errors))
}

#[derive(Template)]
#[template(path = "imports/index.html")]
struct IndexPage {
    page: Page,
    latest: Vec<Import>,
    errors: Errors,
    file_max: u64,
}

impl IndexPage {
    async fn new(
        app: &AppState,
        page: Page,
        owner: UserId,
        errors: Errors,
    ) -> Result<Self, WebError> {
        give_up_silent(app, &page).await?;
        let latest = Import::latest(&mut app.db.read().await?, owner, LATEST).await?;
        Ok(Self {
            page,
            latest,
            errors,
            file_max: FILE_MAX,
        })
    }
}

/// An import whose process went away is shown as failed.
async fn give_up_silent(app: &AppState, page: &Page) -> Result<(), WebError> {
    let mut tx = app.db.write().await?;
    Import::give_up_silent(&mut tx, page.now).await?;
    Ok(tx.commit().await?)
}

async fn index(
    State(app): State<AppState>,
    page: Page,
    Sender(user): Sender,
) -> Result<Response, WebError> {
    html(&IndexPage::new(&app, page, user.id, Errors::none()).await?)
}

async fn upload(
    State(app): State<AppState>,
    page: Page,
    Sender(user): Sender,
    mut form: Multipart,
) -> Result<Response, WebError> {
    let id = ImportId::new(page.now);
    let path = file_of(&app.settings.data_dir, id);
    while let Some(field) = form.next_field().await.map_err(|_| WebError::BadRequest)? {
        if field.name() != Some("file") {
            continue;
        }
        let name = field.file_name().unwrap_or_default().to_owned();
        let kept = match keep(field, &path).await {
            Ok(0) => Err(Error::invalid("file", "file_empty")),
            Ok(bytes) => remember(&app, &page, user.id, id, &name, bytes, &path).await,
            Err(error) => {
                let _ = tokio::fs::remove_file(&path).await;
                return Err(error);
            }
        };
        return match outcome(kept)? {
            Outcome::Done(()) => {
                Ok(Redirect::to(&format!("/recipients/import/{id}")).into_response())
            }
            Outcome::Wrong(errors) => {
                let _ = tokio::fs::remove_file(&path).await;
                html_wrong(&IndexPage::new(&app, page, user.id, errors).await?)
            }
            Outcome::Changed => Err(WebError::Conflict),
        };
    }
    html_wrong(&IndexPage::new(&app, page, user.id, Errors::one("file", "file_empty")).await?)
}

/// Writes the file as it comes; returns its size.
async fn keep(mut field: Field<'_>, path: &FilePath) -> Result<u64, WebError> {
    if let Some(folder) = path.parent() {
        tokio::fs::create_dir_all(folder)
            .await
            .map_err(WebError::internal)?;
    }
    let mut file = tokio::fs::File::create(path)
        .await
        .map_err(WebError::internal)?;
    let mut bytes = 0;
    while let Some(chunk) = field.chunk().await.map_err(|_| WebError::BadRequest)? {
        bytes += chunk.len() as u64;
        if bytes > FILE_MAX {
            return Err(WebError::TooLarge);
        }
        file.write_all(&chunk).await.map_err(WebError::internal)?;
    }
    file.flush().await.map_err(WebError::internal)?;
    Ok(bytes)
}

/// Looks at the uploaded file and remembers what it is.
async fn remember(
    app: &AppState,
    page: &Page,
    owner: UserId,
    id: ImportId,
    name: &str,
    bytes: u64,
    path: &FilePath,
) -> Result<(), Error> {
    let preview = look(path, Hints::default()).await?;
    if preview.columns.is_empty() {
        return Err(Error::invalid("file", "file_empty"));
    }
    let options = Options {
        format: preview.format,
        mapping: preview.mapping(),
        list: None,
    };
    let mut tx = app.db.write().await?;
    let bytes = i64::try_from(bytes).unwrap_or(i64::MAX);
    Import::create(&mut tx, owner, id, name, bytes, &options, page.now).await?;
    tx.commit().await
}

async fn look(path: &FilePath, hints: Hints) -> Result<Preview, Error> {
    let path = path.to_owned();
    let looked =
        tokio::task::spawn_blocking(move || import::inspect(std::fs::File::open(path)?, hints))
            .await;
    let unreadable =
        |error: &dyn std::fmt::Display| Error::Internal(format!("an uploaded file: {error}"));
    looked
        .map_err(|error| unreadable(&error))?
        .map_err(|error| unreadable(&error))
}

/// What a person says about the file and its columns.
#[derive(Debug, Clone, Default, Deserialize)]
struct OptionsForm {
    #[serde(default)]
    action: String,
    #[serde(default)]
    encoding: String,
    #[serde(default)]
    delimiter: String,
    #[serde(default)]
    header: String,
    /// What becomes of each column: `email`, `name`, `comment`, `attribute`, `ignore`.
    #[serde(default)]
    target: Vec<String>,
    /// The attribute's name for each column.
    #[serde(default)]
    key: Vec<String>,
    #[serde(default)]
    list: String,
    #[serde(default)]
    new_list: String,
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "templates pass references"
)]
impl OptionsForm {
    fn of(options: &Options) -> Self {
        let format = options.format;
        Self {
            action: String::new(),
            encoding: format.encoding.as_str().to_owned(),
            delimiter: format.delimiter.as_str().to_owned(),
            header: if format.has_header { "yes" } else { "no" }.to_owned(),
            target: options
                .mapping
                .iter()
                .map(|target| kind(target).to_owned())
                .collect(),
            key: options
                .mapping
                .iter()
                .map(|target| match target {
                    Target::Attribute(key) => key.clone(),
                    _ => String::new(),
                })
                .collect(),
            list: options.list.map(|id| id.to_string()).unwrap_or_default(),
            new_list: String::new(),
        }
    }

    fn hints(&self) -> Hints {
        Hints {
            encoding: Encoding::from_name(&self.encoding),
            delimiter: Delimiter::from_name(&self.delimiter),
            has_header: match self.header.as_str() {
                "yes" => Some(true),
                "no" => Some(false),
                _ => None,
            },
        }
    }

    fn mapping(&self) -> Vec<Target> {
        let key = |i: usize| {
            self.key
                .get(i)
                .map(|key| key.trim().to_owned())
                .unwrap_or_default()
        };
        let target = |(i, kind): (usize, &String)| match kind.as_str() {
            "email" => Target::Email,
            "name" => Target::Name,
            "comment" => Target::Comment,
            "attribute" => Target::Attribute(key(i)),
            _ => Target::Ignore,
        };
        self.target.iter().enumerate().map(target).collect()
    }

    fn target(&self, column: &usize) -> &str {
        self.target.get(*column).map_or("ignore", String::as_str)
    }

    fn key(&self, column: &usize) -> &str {
        self.key.get(*column).map_or("", String::as_str)
    }
}

fn kind(target: &Target) -> &'static str {
    match target {
        Target::Email => "email",
        Target::Name => "name",
        Target::Comment => "comment",
        Target::Attribute(_) => "attribute",
        Target::Ignore => "ignore",
    }
}

#[derive(Template)]
#[template(path = "imports/columns.html")]
struct ColumnsPage {
    page: Page,
    job: Import,
    preview: Preview,
    form: OptionsForm,
    errors: Errors,
    lists: Vec<List>,
}

#[expect(clippy::unused_self, reason = "the template calls it")]
impl ColumnsPage {
    async fn new(
        app: &AppState,
        page: Page,
        owner: UserId,
        job: Import,
        form: OptionsForm,
    ) -> Result<Self, WebError> {
        let preview = look(&file_of(&app.settings.data_dir, job.id), form.hints()).await?;
        let lists = List::all(&mut app.db.read().await?, owner, CHOICES).await?;
        Ok(Self {
            page,
            job,
            preview,
            form,
            errors: Errors::none(),
            lists,
        })
    }

    /// Encodings, delimiters: what is chosen in the form.
    fn encodings(&self) -> [Encoding; 4] {
        Encoding::ALL
    }

    fn delimiters(&self) -> [Delimiter; 3] {
        Delimiter::ALL
    }
}

#[derive(Template)]
#[template(path = "imports/show.html")]
struct ShowPage {
    page: Page,
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
    page: Page,
    Sender(user): Sender,
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

async fn start(
    State(app): State<AppState>,
    page: Page,
    Sender(user): Sender,
    Path(id): Path<ImportId>,
    Form(form): Form<OptionsForm>,
) -> Result<Response, WebError> {
    let job = find(&app, user.id, id).await?;
    let here = format!("/recipients/import/{id}");
    if !matches!(job.state, ImportState::Uploaded | ImportState::Failed) {
        return Ok(Redirect::to(&here).into_response());
    }
    match form.action.as_str() {
        // Look at the file again, read in another way.
        "look" => {
            let preview = look(&file_of(&app.settings.data_dir, id), form.hints()).await?;
            let list = job.options.list;
            let options = Options {
                format: preview.format,
                mapping: preview.mapping(),
                list,
            };
            let mut tx = app.db.write().await?;
            Import::set_options(&mut tx, user.id, id, &options, page.now).await?;
            tx.commit().await?;
            return Ok(Redirect::to(&here).into_response());
        }
        // Once more after it failed.
        "again" => {
            begin(&app, &page, user.id, id, job.options, "").await?;
            return Ok(Redirect::to(&here).into_response());
        }
        _ => {}
    }
    let options = Options {
        format: job.options.format,
        mapping: form.mapping(),
        list: form.list.parse().ok(),
    };
    match outcome(begin(&app, &page, user.id, id, options, &form.new_list).await)? {
        Outcome::Done(()) => Ok(Redirect::to(&here).into_response()),
        Outcome::Wrong(errors) => {
            // How the file is read stands in a form of its own.
            let OptionsForm {
                encoding,
                delimiter,
                header,
                ..
            } = OptionsForm::of(&job.options);
            let form = OptionsForm {
                encoding,
                delimiter,
                header,
                ..form
            };
            let again = ColumnsPage::new(&app, page, user.id, job, form).await?;
            html_wrong(&ColumnsPage { errors, ..again })
        }
        Outcome::Changed => Err(WebError::Conflict),
    }
}

/// Starts the import and lets it go on by itself.
async fn begin(
    app: &AppState,
    page: &Page,
    owner: UserId,
    id: ImportId,
    mut options: Options,
    new_list: &str,
) -> Result<(), Error> {
    let mut tx = app.db.write().await?;
    options.list = list_of(&mut tx, owner, options.list, new_list, page).await?;
    Import::start(&mut tx, owner, id, &options, page.now).await?;
    tx.commit().await?;
    let (app, words) = (app.clone(), page.clone());
    tokio::spawn(async move {
        let data = app.settings.data_dir.clone();
        let text = |error: &FieldError| reason(&words, error);
        let done = Import::perform(&app.db, owner, id, &options, &data, text, &app.clock).await;
        if let Err(error) = done {
            tracing::error!(error = format!("{:#}", anyhow::Error::from(error)), import.id = %id, "import failed");
        }
    });
    Ok(())
}

/// The list with the new name, made when missing, or the chosen one of the owner.
async fn list_of(
    tx: &mut skychimp_core::db::Tx,
    owner: UserId,
    chosen: Option<ListId>,
    new_list: &str,
    page: &Page,
) -> Result<Option<ListId>, Error> {
    if !new_list.trim().is_empty() {
        return match List::find_or_create(tx, owner, new_list, page.now).await {
            Err(Error::Invalid(errors)) => {
                let renamed = |error: FieldError| FieldError {
                    field: "new_list".to_owned(),
                    ..error
                };
                Err(Error::Invalid(errors.into_iter().map(renamed).collect()))
            }
            other => other.map(Some),
        };
    }
    match chosen {
        Some(id) if List::get(tx, owner, id).await?.is_none() => {
            Err(Error::invalid("list", "unknown_choice"))
        }
        other => Ok(other),
    }
}

/// Why a row was not imported, in the words of the visitor.
fn reason(page: &Page, error: &FieldError) -> String {
    let sentence = page.field_error(error);
    match error.field.strip_prefix("attributes.") {
        Some(name) => format!("{name}: {sentence}"),
        None => sentence.to_string(),
    }
}

/// The progress as server-sent events, until the import is over.
async fn live(
    State(app): State<AppState>,
    page: Page,
    Sender(user): Sender,
    Path(id): Path<ImportId>,
) -> Result<Response, WebError> {
    find(&app, user.id, id).await?;
    let events = stream::unfold(Some((app, page, user.id)), move |state| async move {
        let (app, page, owner) = state?;
        tokio::time::sleep(PACE).await;
        match find(&app, owner, id).await {
            Ok(job) if job.state == ImportState::Running => {
                let event = Event::default().data(values(&page, &job).to_string());
                Some((event, Some((app, page, owner))))
            }
            _ => Some((Event::default().event("reload").data("{}"), None)),
        }
    });
    let events = futures_util::StreamExt::map(events, Ok::<_, std::convert::Infallible>);
    Ok(Sse::new(events)
        .keep_alive(KeepAlive::default())
        .into_response())
}

fn values(page: &Page, job: &Import) -> serde_json::Value {
    let groups = job.groups();
    serde_json::json!({
        "percent": job.percent(),
        "percent_text": page.percent(job.bytes_read, job.bytes),
        "rows": page.num(groups.rows()).to_string(),
        "added": page.num(groups.added).to_string(),
        "updated": page.num(groups.updated).to_string(),
        "unchanged": page.num(groups.unchanged).to_string(),
        "duplicate": page.num(groups.duplicate).to_string(),
        "invalid": page.num(groups.invalid).to_string(),
        "suppressed": page.num(groups.suppressed).to_string(),
    })
}

/// The rows that were not imported, as a file.
async fn errors(
    State(app): State<AppState>,
    Sender(user): Sender,
    Path(id): Path<ImportId>,
) -> Result<Response, WebError> {
    find(&app, user.id, id).await?;
    let file = match tokio::fs::File::open(error_file_of(&app.settings.data_dir, id)).await {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Err(WebError::NotFound),
        Err(error) => return Err(WebError::internal(error)),
    };
    let headers = [
        (header::CONTENT_TYPE, "text/csv; charset=utf-8"),
        (
            header::CONTENT_DISPOSITION,
            "attachment; filename=\"import-errors.csv\"",
        ),
    ];
    // The mark tells spreadsheets that it is UTF-8.
    let mark = stream::iter([Ok(Bytes::from_static("\u{feff}".as_bytes()))]);
    let pieces = stream::try_unfold(file, |mut file| async move {
        let mut piece = vec![0; 64 * 1024];
        let n = file.read(&mut piece).await?;
        piece.truncate(n);
        Ok::<_, std::io::Error>((n > 0).then(|| (Bytes::from(piece), file)))
    });
    Ok((
        headers,
        Body::from_stream(futures_util::StreamExt::chain(mark, pieces)),
    )
        .into_response())
}

async fn delete(
    State(app): State<AppState>,
    page: Page,
    Sender(user): Sender,
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
