//! Recipients: the list with search and filters, bulk actions, the form, the export (R8).

mod export;
mod letters;

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use skychimp_core::platform::address::EmailAddress;
use skychimp_core::platform::db::Tx;
use skychimp_core::platform::error::{Error, FieldError};
use skychimp_core::platform::ids::{ListId, RecipientId, UserId};
use skychimp_core::platform::time::Timestamp;
use skychimp_core::recipients::list::List;
use skychimp_core::recipients::recipient::{
    self, Attributes, BulkAction, COLUMNS, CappedCount, Input, Listed, Recipient, RecipientCursor,
    RecipientDraft, RecipientField, RecipientFields, RecipientFilter, Selection,
};
use skychimp_core::recipients::suppression::{LiftedSuppression, Suppression};
use skychimp_core::sending::delivery::Delivery;
use url::form_urlencoded::Serializer;

use crate::kit::app::AppState;
use crate::kit::auth::MailingUser;
use crate::kit::error::WebError;
use crate::kit::flash::Flash;
use crate::kit::form::{
    Errors, Form, FormOutcome, OnceForm, Path, Query, checked, outcome, sent_before,
};
use crate::kit::page::{PageContext, html, html_changed, html_wrong};
use crate::kit::query::{LIST_CHOICES, address};
use crate::kit::routes::{get, post};
use crate::site::SiteRoutes;

/// Rows on a page.
const ROWS: usize = 50;
/// Lifted suppressions on the page of a recipient.
const LIFTED: i64 = 5;
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

/// Which recipients are shown, from the query of the address.
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

    /// The address of `path` with the same filter.
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

impl IndexPage {
    /// The fields that the table shows.
    fn fields(&self) -> Vec<RecipientField> {
        let shown = |field: &RecipientField| match field.spec().listed {
            Listed::No => false,
            Listed::Always => true,
            Listed::WhenKnown => {
                let mut rows = self.rows.iter();
                rows.any(|(recipient, _)| !recipient.fields[*field].is_empty())
            }
        };
        RecipientField::ALL.into_iter().filter(shown).collect()
    }
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
#[derive(Debug, Clone, Default)]
struct RecipientForm {
    email: String,
    fields: RecipientFields,
    attr_key: Vec<String>,
    attr_value: Vec<String>,
    list: Vec<String>,
    version: i64,
}

impl<'de> Deserialize<'de> for RecipientForm {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let mut form = Self::default();
        for (name, value) in Vec::<(String, String)>::deserialize(from)? {
            match name.as_str() {
                "email" => form.email = value,
                "attr_key" => form.attr_key.push(value),
                "attr_value" => form.attr_value.push(value),
                "list" => form.list.push(value),
                "version" => form.version = value.parse().map_err(D::Error::custom)?,
                name => {
                    if let Some(field) = RecipientField::from_name(name) {
                        form.fields[field] = value;
                    }
                }
            }
        }
        Ok(form)
    }
}

impl RecipientForm {
    /// Creates the recipient and adds it to the ticked lists.
    async fn create(
        &self,
        tx: &mut Tx,
        owner: UserId,
        draft: &RecipientDraft,
        now: Timestamp,
    ) -> Result<RecipientId, Error> {
        let id = taken(Recipient::create(tx, owner, draft, now).await)?;
        Recipient::set_lists(tx, owner, id, &self.lists(), now).await?;
        Ok(id)
    }

    fn of(recipient: &Recipient, lists: &[(ListId, String)]) -> Self {
        let attributes = &recipient.attributes.0;
        Self {
            email: recipient.email.clone(),
            fields: recipient.fields.clone(),
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
            fields: self.fields.clone(),
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
    /// The recipient that is edited; `None` for a new one.
    known: Option<Recipient>,
    suppression: Option<Suppression>,
    /// When a letter to them is tried again, if one waits for that.
    next_try: Option<Timestamp>,
    /// Suppressions of the address that were lifted.
    lifted: Vec<LiftedSuppression>,
    /// Somebody changed it meanwhile.
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
            next_try: None,
            lifted: Vec::new(),
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
        let (mut suppression, mut lifted) = (None, Vec::new());
        if let Ok(email) = EmailAddress::parse(&known.email) {
            suppression = Suppression::get(&mut tx, sender.id(), &email).await?;
            lifted = Suppression::lifted(&mut tx, sender.id(), &email, LIFTED).await?;
        }
        let next_try = Delivery::next_retry_to(&mut tx, sender.id(), id).await?;
        drop(tx);
        let new = Self::new(app, page, sender, form).await?;
        Ok(Self {
            known: Some(known),
            suppression,
            next_try,
            lifted,
            ..new
        })
    }

    /// The page that asks why the address shall get mail again.
    fn ask_address(&self) -> String {
        let Some(known) = &self.known else {
            return String::new();
        };
        let id = known.id.to_string();
        address(
            "/suppressions/remove",
            &[("email", &known.email), ("recipient", &id)],
        )
    }

    #[expect(clippy::unused_self, reason = "the template calls it")]
    fn fields(&self) -> [RecipientField; COLUMNS.len()] {
        RecipientField::ALL
    }

    fn value(&self, field: RecipientField) -> &str {
        &self.form.fields[field]
    }

    /// The names of all fields, for the summary of errors.
    #[expect(clippy::unused_self, reason = "the template calls it")]
    fn field_names(&self) -> String {
        let names = RecipientField::ALL.map(RecipientField::name);
        format!("email {}", names.join(" "))
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

/// Turns a duplicate address into an error of the field.
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
    let saved = async {
        let draft = once.form.draft()?;
        let mut tx = app.db.write().await?;
        if let Some(id) = once
            .earlier_submission(&mut tx, sender.id(), page.now)
            .await?
        {
            let known = Recipient::get(&mut tx, sender.id(), RecipientId(id)).await?;
            known.ok_or_else(sent_before)?;
            return Ok(Flash::note("form-arrived-before"));
        }
        let id = once
            .form
            .create(&mut tx, sender.id(), &draft, page.now)
            .await?;
        once.commit(tx, sender.id(), id.0).await?;
        Ok(Flash::done("recipients-added").with("email", &once.form.email))
    };
    match checked(saved.await)? {
        Ok(flash) => Ok(page.redirect("/recipients", flash)),
        Err(errors) => html_wrong(&FormPage {
            errors,
            ..FormPage::new(&app, page, &sender, once.form).await?
        }),
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
    once: OnceForm<RecipientForm>,
) -> Result<Response, WebError> {
    let saved = once.form.save(&app, &page, sender.id(), id, &once).await;
    let form = once.form;
    match outcome(saved)? {
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
            // The user has seen the other version: saving again replaces it.
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

impl RecipientForm {
    /// Saves an edit, once. Returns whether there is such a recipient.
    async fn save(
        &self,
        app: &AppState,
        page: &PageContext,
        owner: UserId,
        id: RecipientId,
        once: &OnceForm<Self>,
    ) -> Result<bool, Error> {
        let draft = self.draft()?;
        let mut tx = app.db.write().await?;
        if once.is_repeated(&mut tx, owner, page.now, id.0).await? {
            return Ok(true);
        }
        let saved = Recipient::update(&mut tx, owner, id, self.version, &draft, page.now).await;
        let found = taken(saved)?;
        Recipient::set_lists(&mut tx, owner, id, &self.lists(), page.now).await?;
        tx.commit().await?;
        Ok(found)
    }
}

/// A bulk action on the selected recipients, or on all that match the filter.
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

impl BulkForm {
    /// The list from which the form was sent.
    fn view(&self) -> View {
        View {
            q: self.q.clone(),
            list: self.list.clone(),
            state: self.state.clone(),
            ..View::default()
        }
    }

    /// The ticked recipients, or all that the list's filters match.
    fn selection(&self) -> Selection {
        if self.all.is_empty() {
            Selection::Ids(self.id.iter().filter_map(|id| id.parse().ok()).collect())
        } else {
            Selection::All(self.view().filter())
        }
    }

    /// What to do, and the key of the sentence that reports it; `None` when a list must be chosen
    /// first.
    fn action(&self) -> Result<Option<(BulkAction, &'static str)>, WebError> {
        match (self.action.as_str(), self.to.parse()) {
            ("delete", _) => Ok(Some((BulkAction::Delete, "recipients-deleted"))),
            ("add", Ok(list)) => Ok(Some((BulkAction::AddTo(list), "recipients-joined"))),
            ("remove", Ok(list)) => Ok(Some((BulkAction::RemoveFrom(list), "recipients-left"))),
            ("add" | "remove", Err(_)) => Ok(None),
            _ => Err(WebError::BadRequest),
        }
    }
}

async fn bulk(
    State(app): State<AppState>,
    page: PageContext,
    MailingUser(user): MailingUser,
    Form(form): Form<BulkForm>,
) -> Result<Response, WebError> {
    let back = form.view().href("/recipients", None);
    let Some((action, said)) = form.action()? else {
        return Ok(page.redirect(&back, Flash::warn("recipients-choose-list")));
    };
    if let BulkAction::AddTo(list) | BulkAction::RemoveFrom(list) = action {
        List::get(&mut app.db.read().await?, user.id, list)
            .await?
            .ok_or(WebError::NotFound)?;
    }
    let selection = form.selection();
    let count = Recipient::bulk(&app.db, user.id, &selection, action, page.now).await?;
    Ok(page.redirect(&back, Flash::done(said).with("count", count)))
}
