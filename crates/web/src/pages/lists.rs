//! Lists: names, comments and members.

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use serde::Deserialize;
use skychimp_core::accounts::submission::Arrival;
use skychimp_core::platform::error::Error;
use skychimp_core::platform::ids::ListId;
use skychimp_core::recipients::list::{self, List, ListCursor, ListUsage, Members};
use url::form_urlencoded::byte_serialize;

use crate::kit::app::AppState;
use crate::kit::auth::MailingUser;
use crate::kit::error::WebError;
use crate::kit::flash::Flash;
use crate::kit::form::{Errors, Form, FormOutcome, OnceForm, Path, Query, outcome};
use crate::kit::page::{PageContext, html, html_changed, html_wrong};
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
    let place = match (view.after.as_str(), view.before.as_str()) {
        ("", "") => ListCursor::First,
        ("", before) => ListCursor::Before(before.to_owned()),
        (after, _) => ListCursor::After(after.to_owned()),
    };
    let found = List::page(&mut app.db.read().await?, user.id, &place, ROWS).await?;
    let turn = |place: Option<ListCursor>| match place {
        Some(ListCursor::After(key)) => format!("/lists?after={}", encode(&key)),
        Some(ListCursor::Before(key)) => format!("/lists?before={}", encode(&key)),
        Some(ListCursor::First) | None => String::new(),
    };
    html(&IndexPage {
        page,
        previous: turn(found.previous),
        next: turn(found.next),
        rows: found.rows,
    })
}

fn encode(text: &str) -> String {
    byte_serialize(text.as_bytes()).collect()
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
    let mut tx = app.db.write().await?;
    let mut arrival = once.arrive(&mut tx, user.id, page.now).await?;
    if let Arrival::Again(made) = arrival
        && List::get(&mut tx, user.id, ListId(made)).await?.is_none()
    {
        arrival = Arrival::Other;
    }
    match arrival {
        Arrival::First => {}
        Arrival::Again(made) => {
            let to = format!("/lists/{made}");
            return Ok(page.redirect(&to, Flash::note("form-arrived-before")));
        }
        Arrival::Other => {
            return html_wrong(&FormPage {
                errors: Errors::sent_before(),
                ..FormPage::new(page, once.form)
            });
        }
    }
    match outcome(taken(
        List::create(&mut tx, user.id, &once.form.draft(), page.now).await,
    ))? {
        FormOutcome::Done(id) => {
            once.made(&mut tx, user.id, id.0).await?;
            tx.commit().await?;
            Ok(page.redirect(&format!("/lists/{id}"), Flash::done("lists-saved")))
        }
        FormOutcome::Wrong(errors) => html_wrong(&FormPage {
            errors,
            ..FormPage::new(page, once.form)
        }),
        FormOutcome::Changed => Err(WebError::Conflict),
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
    Form(form): Form<ListForm>,
) -> Result<Response, WebError> {
    let saved = async {
        let mut tx = app.db.write().await?;
        let found = taken(
            List::update(
                &mut tx,
                sender.id(),
                id,
                form.version,
                &form.draft(),
                page.now,
            )
            .await,
        )?;
        tx.commit().await?;
        Ok(found)
    };
    match outcome(saved.await)? {
        FormOutcome::Done(true) => Ok(page.redirect("/lists", Flash::done("lists-saved"))),
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
            // Saving again deliberately overwrites the other version.
            again.form.version = again.known.as_ref().map_or(0, |(list, ..)| list.version);
            html_changed(&again)
        }
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
