//! The accounts of all users.

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use serde::Deserialize;
use skychimp_core::accounts::second_factor::SecondFactor;
use skychimp_core::accounts::user::{Role, User};
use skychimp_core::oversight::moderation::{
    AccountVolume, ModeratedUser, Moderator, UserFilter, UserState,
};
use skychimp_core::platform::db::Tx;
use skychimp_core::platform::error::Error;
use skychimp_core::platform::ids::UserId;
use skychimp_core::platform::time::Timestamp;

use crate::kit::app::AppState;
use crate::kit::auth::{Admin, Manager};
use crate::kit::error::WebError;
use crate::kit::form::{Errors, Form, FormOutcome, Path, Query, outcome};
use crate::kit::page::{PageContext, html, html_wrong};
use crate::kit::query::{address, cut};
use crate::letters::{self, ServiceLetter};
use crate::parts::moderation::{PAGE, ReasonForm, stepped};

const PATH: &str = "/manage/users";

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct ListQuery {
    q: String,
    state: String,
    role: String,
    after: String,
}

impl ListQuery {
    fn address(&self, after: &str) -> String {
        address(
            PATH,
            &[
                ("q", &self.q),
                ("state", &self.state),
                ("role", &self.role),
                ("after", after),
            ],
        )
    }

    fn is_filtered(&self) -> bool {
        self.address("") != PATH
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
    first: String,
    next: String,
}

pub(super) async fn list(
    State(app): State<AppState>,
    page: PageContext,
    Manager(moderator, _): Manager,
    Query(query): Query<ListQuery>,
) -> Result<Response, WebError> {
    let filter = UserFilter {
        search: &query.q,
        state: query.state.parse().ok(),
        role: query.role.parse().ok(),
        after: query.after.parse().ok(),
    };
    let mut tx = app.db.read().await?;
    let mut rows = moderator.users(&mut tx, filter, PAGE + 1).await?;
    let last = cut(&mut rows, PAGE, |seen| seen.user.id);
    html(&ListPage {
        first: if query.after.is_empty() {
            String::new()
        } else {
            query.address("")
        },
        next: last.map_or_else(String::new, |last| query.address(&last.to_string())),
        page,
        query,
        states: UserState::ALL,
        roles: Role::ALL,
        rows,
    })
}

#[derive(Template)]
#[template(path = "manage/user.html")]
struct ShowPage {
    page: PageContext,
    seen: ModeratedUser,
    volume: AccountVolume,
    /// When the second factor was turned on; `None` if it is off.
    second: Option<Timestamp>,
    roles: [Role; 4],
    reason: String,
    role: Role,
    errors: Errors,
}

impl ShowPage {
    async fn load(
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
            role: seen.user.role,
            page,
            seen,
            volume,
            roles: Role::ALL,
            reason: String::new(),
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
    let done = moderator.block(&mut tx, id, &form.reason, page.now).await;
    step(&app, page, &moderator, id, form, tx, done, "manage-blocked").await
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
    step(
        &app,
        page,
        &moderator,
        id,
        form,
        tx,
        done,
        "manage-unblocked",
    )
    .await
}

/// The response after an account was blocked or unblocked.
#[expect(
    clippy::too_many_arguments,
    reason = "shared by two handlers that differ in one call"
)]
async fn step(
    app: &AppState,
    page: PageContext,
    moderator: &Moderator,
    id: UserId,
    form: ReasonForm,
    mut tx: Tx,
    done: Result<Option<(User, bool)>, Error>,
    said: &'static str,
) -> Result<Response, WebError> {
    match outcome(done)? {
        FormOutcome::Done(None) => Err(WebError::NotFound),
        FormOutcome::Done(Some((_, changed))) => {
            let path = format!("{PATH}/{id}");
            stepped(app, &page, tx, &path, changed.then_some(said)).await
        }
        FormOutcome::Wrong(errors) => {
            let mut shown = ShowPage::load(&mut tx, page, moderator, id, errors).await?;
            shown.reason = form.reason;
            html_wrong(&shown)
        }
        FormOutcome::Changed => Err(WebError::Conflict),
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct RoleForm {
    role: String,
    why: String,
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
    let done = match form.role.parse() {
        Ok(role) => {
            administrator
                .set_role(&mut tx, id, role, &form.why, page.now)
                .await
        }
        Err(()) => Err(Error::invalid("role", "unknown_choice")),
    };
    match outcome(done)? {
        FormOutcome::Done(None) => Err(WebError::NotFound),
        FormOutcome::Done(Some(changed)) => {
            let (path, said) = (format!("{PATH}/{id}"), "manage-role-changed");
            stepped(&app, &page, tx, &path, changed.then_some(said)).await
        }
        FormOutcome::Wrong(errors) => {
            let mut shown = ShowPage::load(&mut tx, page, &moderator, id, errors).await?;
            shown.role = form.role.parse().unwrap_or(shown.role);
            html_wrong(&shown)
        }
        FormOutcome::Changed => Err(WebError::Conflict),
    }
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
    let done = administrator
        .remove_second_factor(&mut tx, id, &form.off_why, page.now)
        .await;
    if let Ok(Some((user, true))) = &done {
        let letter = ServiceLetter::SecondFactorOff;
        letters::send(&mut tx, &app, user, &user.email, &letter, page.now).await?;
    }
    let form = ReasonForm::default();
    let said = "manage-second-done";
    step(&app, page, &moderator, id, form, tx, done, said).await
}
