//! Recipients: the list with search and filters, actions on many, one recipient, the export (R8).

mod export;
mod letters;

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use serde::Deserialize;
use skychimp_core::accounts::submission::Arrival;
use skychimp_core::platform::address::EmailAddress;
use skychimp_core::platform::error::{Error, FieldError};
use skychimp_core::platform::ids::{ListId, RecipientId};
use skychimp_core::recipients::list::List;
use skychimp_core::recipients::recipient::{
    self, Attributes, BulkAction, CappedCount, Recipient, RecipientCursor, RecipientDraft,
    RecipientFilter, Selection,
};
use skychimp_core::recipients::suppression::Suppression;
use url::form_urlencoded::Serializer;

use crate::kit::app::AppState;
use crate::kit::auth::MailingUser;
use crate::kit::error::WebError;
use crate::kit::flash::Flash;
use crate::kit::form::{Errors, Form, FormOutcome, OnceForm, Path, Query, outcome};
use crate::kit::page::{PageContext, html, html_changed, html_wrong};
use crate::kit::query::LIST_CHOICES;
use crate::kit::routes::{get, post};
use crate::site::SiteRoutes;

/// Rows of a page.
const ROWS: usize = 50;
/// Empty lines for new attributes.
const SPARE_ATTRIBUTES: usize = 2;

pub(crate) fn routes() -> SiteRoutes {
    SiteRoutes::new()
        .route("/recipients", get(index))
        .route("/recipients/new", get(new).post(create))
        .route("/recipients/{id}", get(edit).post(update))
        .route("/recipients/{id}/letters", get(letters::letters))
        .route("/recipients/{id}/delete", post(delete))
}

pub(crate) fn long_routes() -> SiteRoutes {
    SiteRoutes::new()
        .route("/recipients/bulk", post(bulk))
        .route("/recipients/export", get(export::csv))
        .route("/recipients/export.xlsx", get(export::workbook))
}

/// Which recipients are looked at, as the address says it.
#[derive(Debug, Clone, Default, Deserialize)]
struct View {
    #[serde(default)]
    q: String,
    #[serde(default)]
    list: String,
    #[serde(default)]
    state: String,
    #[serde(default)]
    after: String,
    #[serde(default)]
    before: String,
}

impl View {
    fn filter(&self) -> RecipientFilter {
        RecipientFilter {
            search: self.q.clone(),
            list: self.list.parse().ok(),
            state: match self.state.as_str() {
                "active" => Some(recipient::RecipientState::Active),
                "suppressed" => Some(recipient::RecipientState::Suppressed),
                _ => None,
            },
        }
    }

    fn place(&self) -> RecipientCursor {
        match (self.after.parse(), self.before.parse()) {
            (Ok(id), _) => RecipientCursor::After(id),
            (_, Ok(id)) => RecipientCursor::Before(id),
            _ => RecipientCursor::First,
        }
    }

    /// The address of `path` for the same filter.
    fn href(&self, path: &str, place: Option<(&str, String)>) -> String {
        let mut query = Serializer::new(String::new());
        for (name, value) in [("q", &self.q), ("list", &self.list), ("state", &self.state)] {
            if !value.is_empty() {
                query.append_pair(name, value);
            }
        }
        if let Some((name, value)) = place {
            query.append_pair(name, &value);
        }
        let query = query.finish();
        if query.is_empty() {
            path.to_owned()
        } else {
            format!("{path}?{query}")
        }
    }

    fn is_narrow(&self) -> bool {
        !(self.q.trim().is_empty() && self.list.is_empty() && self.state.is_empty())
    }
}

#[derive(Template)]
#[template(path = "recipients/index.html")]
struct IndexPage {
    page: PageContext,
    view: View,
    rows: Vec<(Recipient, bool)>,
    lists: Vec<List>,
    count: CappedCount,
    previous: String,
    next: String,
    export: String,
    workbook: String,
}

async fn index(
    State(app): State<AppState>,
    page: PageContext,
    MailingUser(user): MailingUser,
    Query(view): Query<View>,
) -> Result<Response, WebError> {
    let mut tx = app.db.read().await?;
    let filter = view.filter();
    let found = Recipient::page(&mut tx, user.id, &filter, view.place(), ROWS).await?;
    let turn = |place: Option<RecipientCursor>| match place {
        Some(RecipientCursor::After(id)) => {
            view.href("/recipients", Some(("after", id.to_string())))
        }
        Some(RecipientCursor::Before(id)) => {
            view.href("/recipients", Some(("before", id.to_string())))
        }
        Some(RecipientCursor::First) | None => String::new(),
    };
    html(&IndexPage {
        previous: turn(found.previous),
        next: turn(found.next),
        export: view.href("/recipients/export", None),
        workbook: view.href("/recipients/export.xlsx", None),
        rows: found.rows,
        lists: List::all(&mut tx, user.id, LIST_CHOICES).await?,
        count: Recipient::count(&mut tx, user.id, &filter).await?,
        page,
        view,
    })
}

/// What a form of one recipient holds.
#[derive(Debug, Clone, Default, Deserialize)]
struct RecipientForm {
    #[serde(default)]
    email: String,
    #[serde(default)]
    name: String,
    #[serde(default)]
    comment: String,
    #[serde(default)]
    attr_key: Vec<String>,
    #[serde(default)]
    attr_value: Vec<String>,
    #[serde(default)]
    list: Vec<String>,
    #[serde(default)]
    version: i64,
}

impl RecipientForm {
    fn of(recipient: &Recipient, lists: &[(ListId, String)]) -> Self {
        let attributes = &recipient.attributes.0;
        Self {
            email: recipient.email.clone(),
            name: recipient.name.clone(),
            comment: recipient.comment.clone(),
            attr_key: attributes.keys().cloned().collect(),
            attr_value: attributes.values().map(Attributes::cell_of).collect(),
            list: lists.iter().map(|(id, _)| id.to_string()).collect(),
            version: recipient.version,
        }
    }

    /// The attributes as lines of the form, with empty ones for more.
    fn attributes(&self) -> Vec<(String, String)> {
        let value = |i: usize| self.attr_value.get(i).cloned().unwrap_or_default();
        let mut lines: Vec<_> = self
            .attr_key
            .iter()
            .enumerate()
            .map(|(i, key)| (key.clone(), value(i)))
            .collect();
        lines.retain(|(key, value)| !(key.trim().is_empty() && value.trim().is_empty()));
        lines.extend(std::iter::repeat_n(Default::default(), SPARE_ATTRIBUTES));
        lines
    }

    fn draft(&self) -> Result<RecipientDraft, Error> {
        let mut attributes = Attributes::default();
        let mut wrong = Vec::new();
        for (key, text) in self.attributes() {
            let key = key.trim();
            let Some(value) = Attributes::value_of(&text.replace("\r\n", "\n")) else {
                continue;
            };
            if key.is_empty() {
                wrong.push(FieldError::new("attributes", "attribute_name_missing"));
            } else if attributes.0.insert(key.to_owned(), value).is_some() {
                wrong.push(FieldError::new("attributes", "attribute_twice").with("name", key));
            }
        }
        if !wrong.is_empty() {
            return Err(Error::Invalid(wrong));
        }
        Ok(RecipientDraft {
            email: self.email.clone(),
            name: self.name.clone(),
            comment: self.comment.clone(),
            attributes,
        })
    }

    fn lists(&self) -> Vec<ListId> {
        self.list.iter().filter_map(|id| id.parse().ok()).collect()
    }

    fn has_list(&self, id: &ListId) -> bool {
        self.lists().contains(id)
    }
}

#[derive(Template)]
#[template(path = "recipients/form.html")]
struct FormPage {
    page: PageContext,
    form: RecipientForm,
    errors: Errors,
    lists: Vec<List>,
    /// The recipient that is edited; none for a new one.
    known: Option<Recipient>,
    suppression: Option<Suppression>,
    /// It was changed meanwhile.
    changed: bool,
}

impl FormPage {
    async fn new(
        app: &AppState,
        page: PageContext,
        sender: &MailingUser,
        form: RecipientForm,
    ) -> Result<Self, WebError> {
        let lists = List::all(&mut app.db.read().await?, sender.id(), LIST_CHOICES).await?;
        Ok(Self {
            page,
            form,
            errors: Errors::none(),
            lists,
            known: None,
            suppression: None,
            changed: false,
        })
    }

    async fn edit(
        app: &AppState,
        page: PageContext,
        sender: &MailingUser,
        id: RecipientId,
        form: Option<RecipientForm>,
    ) -> Result<Self, WebError> {
        let mut tx = app.db.read().await?;
        let known = Recipient::get(&mut tx, sender.id(), id)
            .await?
            .ok_or(WebError::NotFound)?;
        let form = match form {
            Some(form) => form,
            None => RecipientForm::of(&known, &Recipient::lists(&mut tx, sender.id(), id).await?),
        };
        let suppression = match EmailAddress::parse(&known.email) {
            Ok(email) => Suppression::get(&mut tx, sender.id(), &email).await?,
            Err(_) => None,
        };
        drop(tx);
        let new = Self::new(app, page, sender, form).await?;
        Ok(Self {
            known: Some(known),
            suppression,
            ..new
        })
    }

    /// Errors of attributes are shown together.
    fn attribute_errors(&self) -> Vec<String> {
        let errors = self
            .errors
            .iter()
            .filter(|error| error.field.starts_with("attributes"));
        errors
            .map(|error| match error.field.strip_prefix("attributes.") {
                Some(name) => format!("{name}: {}", self.page.field_error(error)),
                None => self.page.field_error(error).to_string(),
            })
            .collect()
    }
}

/// An address that the owner has already is an error of its field.
fn taken<T>(result: Result<T, Error>) -> Result<T, Error> {
    match result {
        Err(Error::Duplicate) => Err(Error::invalid("email", "recipient_exists")),
        other => other,
    }
}

async fn new(
    State(app): State<AppState>,
    page: PageContext,
    sender: MailingUser,
) -> Result<Response, WebError> {
    html(&FormPage::new(&app, page, &sender, RecipientForm::default()).await?)
}

async fn create(
    State(app): State<AppState>,
    page: PageContext,
    sender: MailingUser,
    once: OnceForm<RecipientForm>,
) -> Result<Response, WebError> {
    let form = &once.form;
    let saved = async {
        let draft = form.draft()?;
        let mut tx = app.db.write().await?;
        let mut arrival = once.arrive(&mut tx, sender.id(), page.now).await?;
        if let Arrival::Again(made) = arrival
            && (Recipient::get(&mut tx, sender.id(), RecipientId(made)).await?).is_none()
        {
            arrival = Arrival::Other;
        }
        if arrival == Arrival::First {
            let id = taken(Recipient::create(&mut tx, sender.id(), &draft, page.now).await)?;
            Recipient::set_lists(&mut tx, sender.id(), id, &form.lists(), page.now).await?;
            once.made(&mut tx, sender.id(), id.0).await?;
        }
        tx.commit().await?;
        Ok(arrival)
    };
    let form = once.form.clone();
    match outcome(saved.await)? {
        FormOutcome::Done(Arrival::First) => {
            let flash = Flash::done("recipients-added").with("email", &form.email);
            Ok(page.redirect("/recipients", flash))
        }
        FormOutcome::Done(Arrival::Again(_)) => {
            Ok(page.redirect("/recipients", Flash::note("form-arrived-before")))
        }
        FormOutcome::Done(Arrival::Other) => html_wrong(&FormPage {
            errors: Errors::sent_before(),
            ..FormPage::new(&app, page, &sender, form).await?
        }),
        FormOutcome::Wrong(errors) => html_wrong(&FormPage {
            errors,
            ..FormPage::new(&app, page, &sender, form).await?
        }),
        FormOutcome::Changed => Err(WebError::Conflict),
    }
}

async fn edit(
    State(app): State<AppState>,
    page: PageContext,
    sender: MailingUser,
    Path(id): Path<RecipientId>,
) -> Result<Response, WebError> {
    html(&FormPage::edit(&app, page, &sender, id, None).await?)
}

async fn update(
    State(app): State<AppState>,
    page: PageContext,
    sender: MailingUser,
    Path(id): Path<RecipientId>,
    Form(form): Form<RecipientForm>,
) -> Result<Response, WebError> {
    let saved = async {
        let draft = form.draft()?;
        let mut tx = app.db.write().await?;
        let found = taken(
            Recipient::update(&mut tx, sender.id(), id, form.version, &draft, page.now).await,
        )?;
        Recipient::set_lists(&mut tx, sender.id(), id, &form.lists(), page.now).await?;
        tx.commit().await?;
        Ok(found)
    };
    match outcome(saved.await)? {
        FormOutcome::Done(true) => {
            Ok(page.redirect("/recipients", Flash::done("recipients-saved")))
        }
        FormOutcome::Done(false) => Err(WebError::NotFound),
        FormOutcome::Wrong(errors) => html_wrong(&FormPage {
            errors,
            ..FormPage::edit(&app, page, &sender, id, Some(form)).await?
        }),
        FormOutcome::Changed => {
            let mut again = FormPage {
                changed: true,
                ..FormPage::edit(&app, page, &sender, id, Some(form)).await?
            };
            // Saving again replaces the other version knowingly.
            again.form.version = again.known.as_ref().map_or(0, |known| known.version);
            html_changed(&again)
        }
    }
}

async fn delete(
    State(app): State<AppState>,
    page: PageContext,
    MailingUser(user): MailingUser,
    Path(id): Path<RecipientId>,
) -> Result<Response, WebError> {
    let mut tx = app.db.write().await?;
    if !Recipient::delete(&mut tx, user.id, id).await? {
        return Err(WebError::NotFound);
    }
    tx.commit().await?;
    Ok(page.redirect(
        "/recipients",
        Flash::done("recipients-deleted").with("count", 1),
    ))
}

/// An action on many recipients: those that are chosen, or all that match the filter.
#[derive(Debug, Deserialize)]
struct BulkForm {
    action: String,
    #[serde(default)]
    to: String,
    #[serde(default)]
    id: Vec<String>,
    #[serde(default)]
    all: String,
    #[serde(default)]
    q: String,
    #[serde(default)]
    list: String,
    #[serde(default)]
    state: String,
}

async fn bulk(
    State(app): State<AppState>,
    page: PageContext,
    MailingUser(user): MailingUser,
    Form(form): Form<BulkForm>,
) -> Result<Response, WebError> {
    let BulkForm {
        action,
        to,
        id,
        all,
        q,
        list,
        state,
    } = form;
    let view = View {
        q,
        list,
        state,
        ..View::default()
    };
    let back = view.href("/recipients", None);
    let selection = if all.is_empty() {
        Selection::Ids(id.iter().filter_map(|id| id.parse().ok()).collect())
    } else {
        Selection::All(view.filter())
    };
    let list = to.parse();
    let (action, said) = match (action.as_str(), list) {
        ("delete", _) => (BulkAction::Delete, "recipients-deleted"),
        ("add", Ok(list)) => (BulkAction::AddTo(list), "recipients-joined"),
        ("remove", Ok(list)) => (BulkAction::RemoveFrom(list), "recipients-left"),
        ("add" | "remove", Err(_)) => {
            return Ok(page.redirect(&back, Flash::warn("recipients-choose-list")));
        }
        _ => return Err(WebError::BadRequest),
    };
    if let BulkAction::AddTo(list) | BulkAction::RemoveFrom(list) = action {
        List::get(&mut app.db.read().await?, user.id, list)
            .await?
            .ok_or(WebError::NotFound)?;
    }
    let count = Recipient::bulk(&app.db, user.id, &selection, action, page.now).await?;
    Ok(page.redirect(&back, Flash::done(said).with("count", count)))
}
