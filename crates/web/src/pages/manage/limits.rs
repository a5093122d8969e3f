//! The limits of one user.

use std::collections::HashMap;

use axum::extract::State;
use axum::response::Response;
use skychimp_core::accounts::account_limit::{AccountPolicy, LIMITS, LimitRow, Limits, OwnLimits};
use skychimp_core::platform::db::Tx;
use skychimp_core::platform::ids::UserId;

use super::users::{self, ShowPage};
use crate::kit::app::AppState;
use crate::kit::auth::Manager;
use crate::kit::error::WebError;
use crate::kit::form::{Errors, Form, Path};
use crate::kit::page::{PageContext, html_wrong};

/// A limit as the form shows it.
pub(super) struct LimitField {
    pub(super) name: &'static str,
    /// What is typed; empty for the default.
    pub(super) value: String,
    /// What counts without a value.
    pub(super) default: String,
}

/// The form with a user's limits.
pub(super) struct LimitsForm {
    pub(super) fields: Vec<LimitField>,
    pub(super) reason: String,
    pub(super) errors: Errors,
    /// Whether the account waits for a manager's approval.
    pub(super) is_new: bool,
}

impl LimitsForm {
    /// What is stored.
    pub(super) async fn load(tx: &mut Tx, user: UserId) -> Result<Self, WebError> {
        let own = OwnLimits::load(tx, user).await?.unwrap_or_default();
        let is_new = Limits::is_new(tx, user).await?;
        let default = Limits::new(&AccountPolicy::of(tx), &OwnLimits::default(), is_new);
        let field = |row: &LimitRow| LimitField {
            name: row.name,
            value: own.text(row),
            default: row.text(default.get(row.limit)),
        };
        Ok(Self {
            fields: LIMITS.iter().map(field).collect(),
            reason: String::new(),
            errors: Errors::none(),
            is_new,
        })
    }

    /// With what was typed instead.
    fn typed(mut self, form: &HashMap<String, String>, errors: Errors) -> Self {
        for field in &mut self.fields {
            field.value = form.get(field.name).cloned().unwrap_or_default();
        }
        self.reason = form.get("reason").cloned().unwrap_or_default();
        self.errors = errors;
        self
    }
}

pub(super) async fn set(
    State(app): State<AppState>,
    page: PageContext,
    Manager(moderator, _): Manager,
    Path(id): Path<UserId>,
    Form(form): Form<HashMap<String, String>>,
) -> Result<Response, WebError> {
    let mut tx = app.db.write().await?;
    let field = |name: &str| form.get(name).map_or("", String::as_str);
    let done = moderator.set_limits(&mut tx, id, field, field("reason"), page.now);
    let done = done.await;
    match users::step(&page, tx, id, done, "manage-limits-changed").await? {
        Ok(response) => Ok(response),
        Err(errors) => {
            let mut tx = app.db.read().await?;
            let mut shown = ShowPage::load(&mut tx, page, &moderator, id, Errors::none()).await?;
            shown.limits = shown.limits.typed(&form, errors);
            html_wrong(&shown)
        }
    }
}
