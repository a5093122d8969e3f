//! Lists: names, comments and members.

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use serde::Deserialize;
use skychimp_core::platform::error::Error;
use skychimp_core::platform::ids::ListId;
use skychimp_core::recipients::list::{self, List, ListCursor, ListUsage, Members};

use crate::kit::app::AppState;
use crate::kit::auth::MailingUser;
use crate::kit::error::WebError;
use crate::kit::flash::Flash;
use crate::kit::form::{Errors, FormOutcome, OnceForm, Path, Query, checked, outcome, sent_before};
use crate::kit::page::{PageContext, html, html_changed, html_wrong};
use crate::kit::query::address;
use crate::kit::routes::{get, post};
use crate::site::SiteRoutes;

/// Lists per page.
const ROWS: usize = 50;

pub(crate) fn routes() -> SiteRoutes {
    SiteRoutes::new()
        .route("/lists", get(index))
        .route("/lists/new", get(new).post(create))
        .route("/lists/{id}", get(edit).post(update))
        .route("/lists/{id}/delete", post(delete))
}

#[derive(Debug, Default, Deserialize)]
struct View {
    #[serde(default)]
    after: String,
    #[serde(default)]
    before: String,
}

impl View {
    fn cursor(&self) -> ListCursor {
        match (self.after.as_str(), self.before.as_str()) {
            ("", "") => ListCursor::First,
            ("", before) => ListCursor::Before(before.to_owned()),
            (after, _) => ListCursor::After(after.to_owned()),
        }
    }
}

#[derive(Template)]
#[template(path = "lists/index.html")]
struct IndexPage {
    page: PageContext,
    rows: Vec<(List, Members)>,
    previous: String,
    next: String,
}

async fn index(
    State(app): State<AppState>,
    page: PageContext,
    MailingUser(user): MailingUser,
    Query(view): Query<View>,
) -> Result<Response, WebError> {
    let found = List::page(&mut app.db.read().await?, user.id, &view.cursor(), ROWS).await?;
    html(&IndexPage {
        page,
        previous: found.previous.map_or_else(String::new, turn),
        next: found.next.map_or_else(String::new, turn),
        rows: found.rows,
    })
}

/// URL of the page at a cursor.
fn turn(cursor: ListCursor) -> String {
    match cursor {
        ListCursor::After(key) => address("/lists", &[("after", &key)]),
        ListCursor::Before(key) => address("/lists", &[("before", &key)]),
        ListCursor::First => String::new(),
    }
}

#[derive(Debug, Clone, Default, Deserialize)]
struct ListForm {
    #[serde(default)]
    name: String,
    #[serde(default)]
    comment: String,
    #[serde(default)]
    version: i64,
}

impl ListForm {
    fn draft(&self) -> list::ListDraft {
        list::ListDraft {
            name: self.name.clone(),
            comment: self.comment.clone(),
        }
    }
}

#[derive(Template)]
#[template(path = "lists/form.html")]
struct FormPage {
    page: PageContext,
    form: ListForm,
    errors: Errors,
    known: Option<(List, Members, ListUsage)>,
    changed: bool,
}

impl FormPage {
    fn new(page: PageContext, form: ListForm) -> Self {
        Self {
            page,
            form,
            errors: Errors::none(),
            known: None,
            changed: false,
        }
    }

    fn wrong(self, errors: Errors) -> Self {
        Self { errors, ..self }
    }

    /// Somebody else changed the list in the meantime. Saving again deliberately overwrites their
    /// version.
    fn changed(mut self) -> Self {
        self.form.version = self.known.as_ref().map_or(0, |(list, ..)| list.version);
        self.changed = true;
        self
    }

    async fn edit(
        app: &AppState,
        page: PageContext,
        sender: &MailingUser,
        id: ListId,
        form: Option<ListForm>,
    ) -> Result<Self, WebError> {
        let mut tx = app.db.read().await?;
        let list = List::get(&mut tx, sender.id(), id)
            .await?
            .ok_or(WebError::NotFound)?;
        let members = List::members(&mut tx, sender.id(), id).await?;
        let uses = List::uses(&mut tx, sender.id(), id).await?;
        let form = form.unwrap_or_else(|| ListForm {
            name: list.name.clone(),
            comment: list.comment.clone(),
            version: list.version,
        });
        Ok(Self {
            known: Some((list, members, uses)),
            ..Self::new(page, form)
        })
    }
}

/// Turns a duplicate name into an error of its field.
fn taken<T>(result: Result<T, Error>) -> Result<T, Error> {
    match result {
        Err(Error::Duplicate) => Err(Error::invalid("name", "list_exists")),
        other => other,
    }
}

async fn new(page: PageContext, _: MailingUser) -> Result<Response, WebError> {
    html(&FormPage::new(page, ListForm::default()))
}

async fn create(
    State(app): State<AppState>,
    page: PageContext,
    MailingUser(user): MailingUser,
    once: OnceForm<ListForm>,
) -> Result<Response, WebError> {
    let saved = async {
        let mut tx = app.db.write().await?;
        if let Some(id) = once
            .earlier_submission(&mut tx, user.id, page.now)
            .await?
            .map(ListId)
        {
            let known = List::get(&mut tx, user.id, id).await?;
            known.ok_or_else(sent_before)?;
            return Ok((id, Flash::note("form-arrived-before")));
        }
        let made = List::create(&mut tx, user.id, &once.form.draft(), page.now).await;
        let id = taken(made)?;
        once.commit(tx, user.id, id.0).await?;
        Ok((id, Flash::done("lists-saved")))
    };
    match checked(saved.await)? {
        Ok((id, flash)) => Ok(page.redirect(&format!("/lists/{id}"), flash)),
        Err(errors) => html_wrong(&FormPage::new(page, once.form).wrong(errors)),
    }
}

async fn edit(
    State(app): State<AppState>,
    page: PageContext,
    sender: MailingUser,
    Path(id): Path<ListId>,
) -> Result<Response, WebError> {
    html(&FormPage::edit(&app, page, &sender, id, None).await?)
}

async fn update(
    State(app): State<AppState>,
    page: PageContext,
    sender: MailingUser,
    Path(id): Path<ListId>,
    once: OnceForm<ListForm>,
) -> Result<Response, WebError> {
    let saved = async {
        let (owner, version, draft) = (sender.id(), once.form.version, once.form.draft());
        let mut tx = app.db.write().await?;
        if once.is_repeated(&mut tx, owner, page.now, id.0).await? {
            return Ok(true);
        }
        let saved = List::update(&mut tx, owner, id, version, &draft, page.now).await;
        let found = taken(saved)?;
        tx.commit().await?;
        Ok(found)
    };
    let errors = match outcome(saved.await)? {
        FormOutcome::Done(true) => return Ok(page.redirect("/lists", Flash::done("lists-saved"))),
        FormOutcome::Done(false) => return Err(WebError::NotFound),
        FormOutcome::Wrong(errors) => Some(errors),
        FormOutcome::Changed => None,
    };
    let again = FormPage::edit(&app, page, &sender, id, Some(once.form)).await?;
    match errors {
        Some(errors) => html_wrong(&again.wrong(errors)),
        None => html_changed(&again.changed()),
    }
}

async fn delete(
    State(app): State<AppState>,
    page: PageContext,
    MailingUser(user): MailingUser,
    Path(id): Path<ListId>,
) -> Result<Response, WebError> {
    let mut tx = app.db.write().await?;
    match List::delete(&mut tx, user.id, id).await {
        Ok(true) => {
            tx.commit().await?;
            Ok(page.redirect("/lists", Flash::done("lists-deleted")))
        }
        Ok(false) => Err(WebError::NotFound),
        Err(Error::InUse(mailings)) => {
            let flash = Flash::warn("lists-in-use").with("mailings", mailings);
            Ok(page.redirect(&format!("/lists/{id}"), flash))
        }
        Err(error) => Err(error.into()),
    }
}
