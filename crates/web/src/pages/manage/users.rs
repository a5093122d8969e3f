//! The accounts of all users.

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use serde::Deserialize;
use skychimp_core::accounts::passkey::Passkey;
use skychimp_core::accounts::second_factor::SecondFactor;
use skychimp_core::accounts::user::Role;
use skychimp_core::oversight::moderation::{
    AccountVolume, ModeratedUser, Moderator, UserFilter, UserState,
};
use skychimp_core::platform::db::Tx;
use skychimp_core::platform::error::Error;
use skychimp_core::platform::ids::UserId;
use skychimp_core::platform::time::Timestamp;

use super::limits::LimitsForm;
use crate::kit::app::AppState;
use crate::kit::auth::{Admin, Manager};
use crate::kit::error::WebError;
use crate::kit::form::{Errors, Form, Path, Query};
use crate::kit::page::{PageContext, html, html_wrong};
use crate::kit::query::{self, ListQuery as _, Pages, filters};
use crate::letters::SiteLetters;
use crate::parts::moderation::{PAGE, ReasonForm, finish_action};

const PATH: &str = "/manage/users";

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct ListQuery {
    q: String,
    state: String,
    role: String,
    after: String,
}

impl query::ListQuery for ListQuery {
    fn filters(&self) -> Vec<(&'static str, String)> {
        filters![self; q, state, role]
    }

    fn is_first(&self) -> bool {
        self.after.is_empty()
    }
}

impl ListQuery {
    fn filter(&self) -> UserFilter<'_> {
        UserFilter {
            search: &self.q,
            state: self.state.parse().ok(),
            role: self.role.parse().ok(),
            after: self.after.parse().ok(),
        }
    }
}

#[derive(Template)]
#[template(path = "manage/users.html")]
struct ListPage {
    page: PageContext,
    query: ListQuery,
    states: [UserState; 3],
    roles: [Role; 4],
    rows: Vec<ModeratedUser>,
    pages: Pages,
}

pub(super) async fn list(
    State(app): State<AppState>,
    page: PageContext,
    Manager(moderator, _): Manager,
    Query(query): Query<ListQuery>,
) -> Result<Response, WebError> {
    let mut tx = app.db.read().await?;
    let mut rows = moderator.users(&mut tx, query.filter(), PAGE + 1).await?;
    let pages = query.cut(PATH, &mut rows, PAGE, |seen| seen.user.id.to_string());
    html(&ListPage {
        page,
        query,
        states: UserState::ALL,
        roles: Role::ALL,
        rows,
        pages,
    })
}

#[derive(Template)]
#[template(path = "manage/user.html")]
pub(super) struct ShowPage {
    page: PageContext,
    seen: ModeratedUser,
    volume: AccountVolume,
    /// When the second factor was turned on; `None` if it is off.
    second: Option<Timestamp>,
    /// Number of the user's passkeys.
    passkeys: usize,
    roles: [Role; 4],
    reason: String,
    message: String,
    role: Role,
    errors: Errors,
    pub(super) limits: LimitsForm,
}

impl ShowPage {
    pub(super) async fn load(
        tx: &mut Tx,
        page: PageContext,
        moderator: &Moderator,
        id: UserId,
        errors: Errors,
    ) -> Result<Self, WebError> {
        let seen = moderator.user(tx, id).await?.ok_or(WebError::NotFound)?;
        let volume = moderator.volume(tx, id, page.now).await?;
        Ok(Self {
            second: SecondFactor::on_since(tx, id).await?,
            limits: LimitsForm::load(tx, id).await?,
            passkeys: Passkey::all_of(tx, id).await?.len(),
            role: seen.user.role,
            page,
            seen,
            volume,
            roles: Role::ALL,
            reason: String::new(),
            message: String::new(),
            errors,
        })
    }

    /// Whether it is the moderator's own account.
    fn own(&self) -> bool {
        self.page.user.as_ref().map(|user| user.id) == Some(self.seen.user.id)
    }

    fn can_block(&self) -> bool {
        !self.own() && self.seen.user.role != Role::Admin
    }
}

pub(super) async fn show(
    State(app): State<AppState>,
    page: PageContext,
    Manager(moderator, _): Manager,
    Path(id): Path<UserId>,
) -> Result<Response, WebError> {
    let mut tx = app.db.read().await?;
    html(&ShowPage::load(&mut tx, page, &moderator, id, Errors::none()).await?)
}

pub(super) async fn block(
    State(app): State<AppState>,
    page: PageContext,
    Manager(moderator, _): Manager,
    Path(id): Path<UserId>,
    Form(form): Form<ReasonForm>,
) -> Result<Response, WebError> {
    let mut tx = app.db.write().await?;
    let done = moderator
        .block(&mut tx, id, &form.reason, &form.message, page.now)
        .await;
    let done = done.map(|found| found.map(|(_, changed)| changed));
    match step(&page, tx, id, done, "manage-blocked").await? {
        Ok(response) => Ok(response),
        Err(errors) => wrong_reason(&app, page, &moderator, id, form, errors).await,
    }
}

pub(super) async fn unblock(
    State(app): State<AppState>,
    page: PageContext,
    Manager(moderator, _): Manager,
    Path(id): Path<UserId>,
    Form(form): Form<ReasonForm>,
) -> Result<Response, WebError> {
    let mut tx = app.db.write().await?;
    let done = moderator.unblock(&mut tx, id, &form.reason, page.now).await;
    let done = done.map(|found| found.map(|(_, changed)| changed));
    match step(&page, tx, id, done, "manage-unblocked").await? {
        Ok(response) => Ok(response),
        Err(errors) => wrong_reason(&app, page, &moderator, id, form, errors).await,
    }
}

/// The response after an action on an account: the inner error lists what is wrong with its form.
pub(super) async fn step(
    page: &PageContext,
    tx: Tx,
    id: UserId,
    done: Result<Option<bool>, Error>,
    said: &'static str,
) -> Result<Result<Response, Errors>, WebError> {
    finish_action(page, tx, &format!("{PATH}/{id}"), done, said).await
}

/// The account's page again, with what is wrong with the reason.
pub(super) async fn wrong_reason(
    app: &AppState,
    page: PageContext,
    moderator: &Moderator,
    id: UserId,
    form: ReasonForm,
    errors: Errors,
) -> Result<Response, WebError> {
    let mut tx = app.db.read().await?;
    html_wrong(&ShowPage {
        reason: form.reason,
        message: form.message,
        ..ShowPage::load(&mut tx, page, moderator, id, errors).await?
    })
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct RoleForm {
    role: String,
    why: String,
}

impl RoleForm {
    fn role(&self) -> Result<Role, Error> {
        let role = self.role.parse();
        role.map_err(|()| Error::invalid("role", "unknown_choice"))
    }
}

pub(super) async fn set_role(
    State(app): State<AppState>,
    page: PageContext,
    Manager(moderator, _): Manager,
    Admin(administrator): Admin,
    Path(id): Path<UserId>,
    Form(form): Form<RoleForm>,
) -> Result<Response, WebError> {
    let mut tx = app.db.write().await?;
    let done = async {
        let role = form.role()?;
        let (reason, now) = (&form.why, page.now);
        administrator.set_role(&mut tx, id, role, reason, now).await
    };
    let done = done.await;
    match step(&page, tx, id, done, "manage-role-changed").await? {
        Ok(response) => Ok(response),
        Err(errors) => wrong_role(&app, page, &moderator, id, &form, errors).await,
    }
}

/// The account's page again, with what is wrong with the role.
async fn wrong_role(
    app: &AppState,
    page: PageContext,
    moderator: &Moderator,
    id: UserId,
    form: &RoleForm,
    errors: Errors,
) -> Result<Response, WebError> {
    let mut tx = app.db.read().await?;
    let mut shown = ShowPage::load(&mut tx, page, moderator, id, errors).await?;
    shown.role = form.role().unwrap_or(shown.role);
    html_wrong(&shown)
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct OffForm {
    off_why: String,
}

/// Removes the second factor of a user who lost it, and notifies them by letter.
pub(super) async fn second_factor_off(
    State(app): State<AppState>,
    page: PageContext,
    Manager(moderator, _): Manager,
    Admin(administrator): Admin,
    Path(id): Path<UserId>,
    Form(form): Form<OffForm>,
) -> Result<Response, WebError> {
    let mut tx = app.db.write().await?;
    let (reason, letters) = (&form.off_why, SiteLetters::of(&app));
    let done = administrator.remove_second_factor(&mut tx, id, reason, &letters, page.now);
    let done = done.await.map(|found| found.map(|(_, changed)| changed));
    match step(&page, tx, id, done, "manage-second-done").await? {
        Ok(response) => Ok(response),
        Err(errors) => {
            wrong_reason(&app, page, &moderator, id, ReasonForm::default(), errors).await
        }
    }
}
