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
use crate::kit::form::{Errors, Form, Query};
use crate::kit::page::{PageContext, html, html_wrong};
use crate::kit::query::address;
use crate::kit::routes::{get, post};
use crate::site::SiteRoutes;

/// Why addresses are suppressed here.
const MANUAL: SuppressionReason = SuppressionReason::Manual;
/// Addresses per page.
const ROWS: usize = 50;

pub(crate) fn routes() -> SiteRoutes {
    SiteRoutes::new()
        .route("/suppressions", get(index).post(add))
        .route("/suppressions/remove", post(remove))
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
        match self.recipient.parse::<RecipientId>() {
            Ok(id) => format!("/recipients/{id}"),
            Err(_) => "/suppressions".to_owned(),
        }
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

async fn remove(
    State(app): State<AppState>,
    page: PageContext,
    MailingUser(user): MailingUser,
    Form(form): Form<AddressForm>,
) -> Result<Response, WebError> {
    let email = EmailAddress::parse(&form.email).map_err(|_| WebError::BadRequest)?;
    let mut tx = app.db.write().await?;
    if !Suppression::remove(&mut tx, user.id, &email).await? {
        return Err(WebError::NotFound);
    }
    tx.commit().await?;
    Ok(page.redirect(
        &form.back(),
        Flash::done("suppressions-removed").with("email", email),
    ))
}
