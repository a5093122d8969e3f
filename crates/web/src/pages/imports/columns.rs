//! What the columns of an uploaded file become, and the start of its import.

use askama::Template;
use axum::extract::State;
use axum::response::{IntoResponse as _, Redirect, Response};
use serde::Deserialize;
use skychimp_core::platform::error::{Error, FieldError};
use skychimp_core::platform::ids::{ImportId, ListId, UserId};
use skychimp_core::recipients::import::{
    ColumnTarget, Delimiter, Hints, Import, ImportOptions, ImportState, Preview, TextEncoding,
};
use skychimp_core::recipients::list::List;
use skychimp_core::recipients::recipient::RecipientField;

use super::find;
use crate::kit::app::AppState;
use crate::kit::auth::MailingUser;
use crate::kit::error::WebError;
use crate::kit::form::{Errors, Form, FormOutcome, Path, outcome};
use crate::kit::i18n::Text;
use crate::kit::page::{PageContext, html_wrong};
use crate::kit::query::LIST_CHOICES;

/// What a person says about the file and its columns.
#[derive(Debug, Clone, Default, Deserialize)]
pub(super) struct OptionsForm {
    #[serde(default)]
    action: String,
    #[serde(default)]
    encoding: String,
    #[serde(default)]
    delimiter: String,
    #[serde(default)]
    header: String,
    /// What becomes of each column: `email`, the name of a plain field, `attribute`, `ignore`.
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
    /// The form with the way in which the file is read, which another form changes.
    fn read_as(self, options: &ImportOptions) -> Self {
        let Self {
            encoding,
            delimiter,
            header,
            ..
        } = Self::of(options);
        Self {
            encoding,
            delimiter,
            header,
            ..self
        }
    }

    pub(super) fn of(options: &ImportOptions) -> Self {
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
                    ColumnTarget::Attribute(key) => key.clone(),
                    _ => String::new(),
                })
                .collect(),
            list: options.list.map(|id| id.to_string()).unwrap_or_default(),
            new_list: String::new(),
        }
    }

    fn hints(&self) -> Hints {
        Hints {
            encoding: TextEncoding::from_name(&self.encoding),
            delimiter: Delimiter::from_name(&self.delimiter),
            has_header: match self.header.as_str() {
                "yes" => Some(true),
                "no" => Some(false),
                _ => None,
            },
        }
    }

    fn mapping(&self) -> Vec<ColumnTarget> {
        let key = |i: usize| {
            self.key
                .get(i)
                .map(|key| key.trim().to_owned())
                .unwrap_or_default()
        };
        let target = |(i, kind): (usize, &String)| match kind.as_str() {
            "email" => ColumnTarget::Email,
            "attribute" => ColumnTarget::Attribute(key(i)),
            name => {
                RecipientField::from_name(name).map_or(ColumnTarget::Ignore, ColumnTarget::Field)
            }
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

fn kind(target: &ColumnTarget) -> &'static str {
    match target {
        ColumnTarget::Email => "email",
        ColumnTarget::Field(field) => field.name(),
        ColumnTarget::Attribute(_) => "attribute",
        ColumnTarget::Ignore => "ignore",
    }
}

#[derive(Template)]
#[template(path = "imports/columns.html")]
pub(super) struct ColumnsPage {
    page: PageContext,
    job: Import,
    preview: Preview,
    form: OptionsForm,
    errors: Errors,
    lists: Vec<List>,
}

#[expect(clippy::unused_self, reason = "the template calls it")]
impl ColumnsPage {
    pub(super) async fn new(
        app: &AppState,
        page: PageContext,
        owner: UserId,
        job: Import,
        form: OptionsForm,
    ) -> Result<Self, WebError> {
        let preview = job.preview(&app.db, owner, form.hints(), page.now).await?;
        let lists = List::all(&mut app.db.read().await?, owner, LIST_CHOICES).await?;
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
    fn encodings(&self) -> [TextEncoding; 4] {
        TextEncoding::ALL
    }

    /// What a column can become, with the sentence for each.
    fn targets(&self) -> Vec<(&'static str, Text)> {
        let names = RecipientField::ALL.map(RecipientField::name);
        let known = std::iter::once("email").chain(names);
        let known = known.map(|name| (name, self.page.dynamic("recipients-", name)));
        let others = ["attribute", "ignore"];
        let others = others.map(|name| (name, self.page.dynamic("imports-target-", name)));
        known.chain(others).collect()
    }

    fn delimiters(&self) -> [Delimiter; 3] {
        Delimiter::ALL
    }
}

pub(super) async fn start(
    State(app): State<AppState>,
    page: PageContext,
    MailingUser(user): MailingUser,
    Path(id): Path<ImportId>,
    Form(form): Form<OptionsForm>,
) -> Result<Response, WebError> {
    let job = find(&app, user.id, id).await?;
    let waits = matches!(job.state, ImportState::Uploaded | ImportState::Failed);
    let done = match form.action.as_str() {
        _ if !waits => FormOutcome::Done(()),
        "look" => FormOutcome::Done(look_again(&app, &page, user.id, &job, &form).await?),
        "again" => FormOutcome::Done(resume(&app, &page, user.id, id).await?),
        _ => outcome(begin(&app, &page, user.id, &job, &form).await)?,
    };
    match done {
        FormOutcome::Done(()) => {
            Ok(Redirect::to(&format!("/recipients/import/{id}")).into_response())
        }
        FormOutcome::Wrong(errors) => {
            let form = form.read_as(&job.options);
            let again = ColumnsPage::new(&app, page, user.id, job, form).await?;
            html_wrong(&ColumnsPage { errors, ..again })
        }
        FormOutcome::Changed => Err(WebError::Conflict),
    }
}

/// Looks at the file again, read in another way.
async fn look_again(
    app: &AppState,
    page: &PageContext,
    owner: UserId,
    job: &Import,
    form: &OptionsForm,
) -> Result<(), WebError> {
    let preview = job.preview(&app.db, owner, form.hints(), page.now).await?;
    let options = ImportOptions {
        format: preview.format,
        mapping: preview.mapping(),
        list: job.options.list,
    };
    let mut tx = app.db.write().await?;
    Import::set_options(&mut tx, owner, job.id, &options, page.now).await?;
    Ok(tx.commit().await?)
}

/// Continues an import that failed.
async fn resume(
    app: &AppState,
    page: &PageContext,
    owner: UserId,
    id: ImportId,
) -> Result<(), WebError> {
    let mut tx = app.db.write().await?;
    Import::resume(&mut tx, owner, id, page.now).await?;
    Ok(tx.commit().await?)
}

/// Starts the import; the engine does it.
async fn begin(
    app: &AppState,
    page: &PageContext,
    owner: UserId,
    job: &Import,
    form: &OptionsForm,
) -> Result<(), Error> {
    let mut tx = app.db.write().await?;
    let chosen = form.list.parse().ok();
    let options = ImportOptions {
        format: job.options.format,
        mapping: form.mapping(),
        list: list_of(&mut tx, owner, chosen, &form.new_list, page).await?,
    };
    Import::start(&mut tx, owner, job.id, &options, page.now).await?;
    tx.commit().await
}

/// The list with the new name, made when missing, or the chosen one of the owner.
async fn list_of(
    tx: &mut skychimp_core::platform::db::Tx,
    owner: UserId,
    chosen: Option<ListId>,
    new_list: &str,
    page: &PageContext,
) -> Result<Option<ListId>, Error> {
    if !new_list.trim().is_empty() {
        if chosen.is_some() {
            // two answers to one question: neither is taken silently
            return Err(Error::invalid("new_list", "one_list"));
        }
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
