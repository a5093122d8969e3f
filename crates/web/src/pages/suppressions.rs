//! Suppressed addresses, which get no more letters (R3).

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use serde::Deserialize;
use skychimp_core::platform::address::EmailAddress;
use skychimp_core::platform::ids::{RecipientId, UserId};
use skychimp_core::recipients::suppression::{
    self, Suppression, SuppressionCursor, SuppressionReason,
};

use crate::kit::app::AppState;
use crate::kit::auth::MailingUser;
use crate::kit::error::WebError;
use crate::kit::flash::Flash;
use crate::kit::form::{Errors, Form, Query, checked};
use crate::kit::page::{PageContext, html, html_wrong};
use crate::kit::query::address;
use crate::kit::routes::get;
use crate::site::SiteRoutes;

/// Why addresses are suppressed here.
const MANUAL: SuppressionReason = SuppressionReason::Manual;
/// Addresses per page.
const ROWS: usize = 50;

pub(crate) fn routes() -> SiteRoutes {
    SiteRoutes::new()
        .route("/suppressions", get(index).post(add))
        .route("/suppressions/remove", get(ask_why).post(remove))
}

#[derive(Debug, Clone, Default, Deserialize)]
struct View {
    #[serde(default)]
    q: String,
    #[serde(default)]
    after: String,
    #[serde(default)]
    before: String,
}

#[derive(Template)]
#[template(path = "suppressions/index.html")]
struct IndexPage {
    page: PageContext,
    view: View,
    form: AddressForm,
    errors: Errors,
    found: suppression::SuppressionsPage,
    total: i64,
    previous: String,
    next: String,
}

impl IndexPage {
    async fn new(
        app: &AppState,
        page: PageContext,
        owner: UserId,
        view: View,
        form: AddressForm,
    ) -> Result<Self, WebError> {
        let place = match (view.after.as_str(), view.before.as_str()) {
            ("", "") => SuppressionCursor::First,
            ("", before) => SuppressionCursor::Before(before.to_owned()),
            (after, _) => SuppressionCursor::After(after.to_owned()),
        };
        let mut tx = app.db.read().await?;
        let found = Suppression::page(&mut tx, owner, &view.q, &place, ROWS).await?;
        let turn = |place: &Option<SuppressionCursor>| {
            let (name, key) = match place {
                Some(SuppressionCursor::After(key)) => ("after", key),
                Some(SuppressionCursor::Before(key)) => ("before", key),
                Some(SuppressionCursor::First) | None => return String::new(),
            };
            address("/suppressions", &[("q", &view.q), (name, key)])
        };
        Ok(Self {
            previous: turn(&found.previous),
            next: turn(&found.next),
            total: Suppression::count(&mut tx, owner).await?,
            errors: Errors::none(),
            page,
            view,
            form,
            found,
        })
    }
}

async fn index(
    State(app): State<AppState>,
    page: PageContext,
    MailingUser(user): MailingUser,
    Query(view): Query<View>,
) -> Result<Response, WebError> {
    html(&IndexPage::new(&app, page, user.id, view, AddressForm::default()).await?)
}

/// An address, and the recipient whose page to return to.
#[derive(Debug, Clone, Default, Deserialize)]
struct AddressForm {
    #[serde(default)]
    email: String,
    #[serde(default)]
    recipient: String,
}

impl AddressForm {
    fn back(&self) -> String {
        back(&self.recipient)
    }
}

async fn add(
    State(app): State<AppState>,
    page: PageContext,
    MailingUser(user): MailingUser,
    Form(form): Form<AddressForm>,
) -> Result<Response, WebError> {
    let email = match EmailAddress::parse(&form.email) {
        Ok(email) => email,
        Err(error) => {
            let errors = Errors::one("email", error.code());
            let again = IndexPage::new(&app, page, user.id, View::default(), form).await?;
            return html_wrong(&IndexPage { errors, ..again });
        }
    };
    let mut tx = app.db.write().await?;
    let added = Suppression::add(&mut tx, user.id, &email, MANUAL, None, page.now).await?;
    tx.commit().await?;
    let said = Flash::changed(added, "suppressions-added", "suppressions-known");
    Ok(page.redirect(&form.back(), said.with("email", email)))
}

/// An address that shall get mail again, and why.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
struct RemoveForm {
    email: String,
    recipient: String,
    reason: String,
}

impl RemoveForm {
    fn back(&self) -> String {
        back(&self.recipient)
    }
}

#[derive(Template)]
#[template(path = "suppressions/remove.html")]
struct RemovePage {
    page: PageContext,
    form: RemoveForm,
    errors: Errors,
    found: Suppression,
}

impl RemovePage {
    async fn new(
        app: &AppState,
        page: PageContext,
        owner: UserId,
        form: RemoveForm,
        errors: Errors,
    ) -> Result<Self, WebError> {
        let email = EmailAddress::parse(&form.email).map_err(|_| WebError::BadRequest)?;
        let found = Suppression::get(&mut app.db.read().await?, owner, &email).await?;
        Ok(Self {
            found: found.ok_or(WebError::NotFound)?,
            page,
            form,
            errors,
        })
    }
}

/// Asks why an address shall get mail again.
async fn ask_why(
    State(app): State<AppState>,
    page: PageContext,
    MailingUser(user): MailingUser,
    Query(form): Query<RemoveForm>,
) -> Result<Response, WebError> {
    html(&RemovePage::new(&app, page, user.id, form, Errors::none()).await?)
}

async fn remove(
    State(app): State<AppState>,
    page: PageContext,
    MailingUser(user): MailingUser,
    Form(form): Form<RemoveForm>,
) -> Result<Response, WebError> {
    let email = EmailAddress::parse(&form.email).map_err(|_| WebError::BadRequest)?;
    let mut tx = app.db.write().await?;
    let lifted = Suppression::lift(&mut tx, &user, &email, &form.reason, page.now).await;
    match checked(lifted)? {
        Ok(true) => tx.commit().await?,
        Ok(false) => return Err(WebError::NotFound),
        Err(errors) => {
            drop(tx);
            return html_wrong(&RemovePage::new(&app, page, user.id, form, errors).await?);
        }
    }
    let flash = Flash::done("suppressions-removed").with("email", email);
    Ok(page.redirect(&form.back(), flash))
}

/// The page to return to: a recipient's, or the list.
fn back(recipient: &str) -> String {
    match recipient.parse::<RecipientId>() {
        Ok(id) => format!("/recipients/{id}"),
        Err(_) => "/suppressions".to_owned(),
    }
}

/// The page that asks why an address shall get mail again.
fn ask_address(email: &str) -> String {
    address("/suppressions/remove", &[("email", email)])
}
