//! Sending servers, for administrators.
//!
//! These pages never talk to a mail server (R28). They request a test, and the engine carries it
//! out.

mod form;

use std::time::Duration;

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use skychimp_core::platform::error::Error;
use skychimp_core::platform::ids::ServerId;
use skychimp_core::platform::time::Timestamp;
use skychimp_core::sending::sending_server::{
    HealthState, SendingServer, ServerDraft, ServerHealth, ServerOverview, TlsMode,
};

use self::form::ServerForm;
use crate::kit::app::AppState;
use crate::kit::auth::{Admin, CurrentUser};
use crate::kit::badge::StatusBadge;
use crate::kit::error::WebError;
use crate::kit::flash::Flash;
use crate::kit::form::{Errors, Form, FormOutcome, OnceForm, Path, checked, outcome};
use crate::kit::page::{PageContext, html, html_changed, html_wrong};
use crate::kit::routes::{get, post};
use crate::parts::run_snapshot::why;
use crate::site::SiteRoutes;

/// A requested test not run after this time is given up: no engine is running.
const TEST_TIMEOUT: Duration = Duration::from_mins(2);

pub(super) fn routes() -> SiteRoutes {
    SiteRoutes::new()
        .route("/manage/servers", get(index))
        .route("/manage/servers/new", get(new).post(create))
        .route("/manage/servers/{id}", get(show).post(update))
        .route("/manage/servers/{id}/enable", post(enable))
        .route("/manage/servers/{id}/disable", post(disable))
        .route("/manage/servers/{id}/resume", post(resume))
        .route("/manage/servers/{id}/test", post(test))
        .route("/manage/servers/{id}/delete", post(delete))
}

/// A server as shown on a page.
#[derive(Debug)]
struct View {
    seen: ServerOverview,
    now: Timestamp,
}

impl std::ops::Deref for View {
    type Target = ServerOverview;

    fn deref(&self) -> &ServerOverview {
        &self.seen
    }
}

impl View {
    fn new(page: &PageContext, seen: ServerOverview) -> Self {
        Self {
            seen,
            now: page.now,
        }
    }

    fn state(&self) -> &'static str {
        self.seen.state(self.now)
    }

    fn badge(&self) -> StatusBadge {
        StatusBadge::server(self.state())
    }

    /// Whether it is not used for now, so that a retry can be requested.
    fn is_left_alone(&self) -> bool {
        let health = self.seen.health.as_ref();
        self.seen.server.enabled
            && health.is_some_and(|health| {
                matches!(health.state, HealthState::Open | HealthState::Paused)
            })
    }

    /// Why it is not used, in the visitor's language.
    fn why(&self, page: &PageContext) -> Option<String> {
        why(page, &self.seen)
    }

    /// Whether a test is in progress.
    fn is_tested(&self) -> bool {
        self.seen.health.as_ref().is_some_and(|health| {
            health.is_tested()
                && health
                    .test_asked_at
                    .is_some_and(|at| at + TEST_TIMEOUT > self.now)
        })
    }

    /// Whether a requested test was never run.
    fn is_forgotten(&self) -> bool {
        !self.is_tested()
            && self
                .seen
                .health
                .as_ref()
                .is_some_and(ServerHealth::is_tested)
    }

    /// The current daily limit in letters, and the day of the warm-up.
    fn warm_up(&self) -> Option<(i64, usize)> {
        let day = self.seen.server.warm_up_day(self.now)?;
        let (letters, _) = self.seen.server.per_day(self.now)?;
        Some((letters, day))
    }
}

async fn all(app: &AppState, page: &PageContext) -> Result<Vec<ServerOverview>, WebError> {
    let configured = app.settings.mail_server.as_ref();
    let mut tx = app.db.read().await?;
    Ok(ServerOverview::all(&mut tx, configured, midnight(page), page.now).await?)
}

/// Start of the visitor's day.
fn midnight(page: &PageContext) -> Timestamp {
    let now: jiff::Timestamp = page.now.timestamp();
    now.to_zoned(page.zone.clone())
        .start_of_day()
        .map_or(page.now, |begin| begin.timestamp().into())
}

#[derive(Template)]
#[template(path = "manage/servers/index.html")]
struct IndexPage {
    page: PageContext,
    rows: Vec<View>,
}

async fn index(
    State(app): State<AppState>,
    page: PageContext,
    _: Admin,
) -> Result<Response, WebError> {
    let rows = all(&app, &page).await?;
    let rows = rows
        .into_iter()
        .map(|seen| View::new(&page, seen))
        .collect();
    html(&IndexPage { page, rows })
}

#[derive(Template)]
#[template(path = "manage/servers/form.html")]
struct FormPage {
    page: PageContext,
    form: ServerForm,
    errors: Errors,
    known: Option<View>,
    changed: bool,
}

impl FormPage {
    fn new(page: PageContext, form: ServerForm, errors: Errors) -> Self {
        Self {
            page,
            form,
            errors,
            known: None,
            changed: false,
        }
    }

    /// Somebody else changed the server in the meantime. Saving again deliberately overwrites their
    /// version.
    fn changed(mut self) -> Self {
        self.form.version = self.known.as_ref().map_or(0, |view| view.server.version);
        self.changed = true;
        self
    }

    async fn edit(
        app: &AppState,
        page: PageContext,
        id: ServerId,
        form: Option<ServerForm>,
    ) -> Result<Self, WebError> {
        let seen = all(app, &page)
            .await?
            .into_iter()
            .find(|seen| seen.server.id == id)
            .ok_or(WebError::NotFound)?;
        let form = form.unwrap_or_else(|| ServerForm::from(&seen.server));
        let known = Some(View::new(&page, seen));
        Ok(Self {
            known,
            ..Self::new(page, form, Errors::none())
        })
    }

    #[expect(clippy::unused_self, reason = "templates call methods")]
    fn modes(&self) -> [TlsMode; 4] {
        TlsMode::ALL
    }
}

async fn new(page: PageContext, _: Admin) -> Result<Response, WebError> {
    let form = ServerForm::from_draft(&ServerDraft::default());
    html(&FormPage::new(page, form, Errors::none()))
}

async fn create(
    State(app): State<AppState>,
    page: PageContext,
    Admin(administrator): Admin,
    CurrentUser(user): CurrentUser,
    once: OnceForm<ServerForm>,
) -> Result<Response, WebError> {
    let saved = async {
        let (draft, password) = once.form.read()?;
        let (secret, actor) = (&app.settings.secret, administrator.actor());
        let mut tx = app.db.write().await?;
        let earlier = once.earlier_submission(&mut tx, user.id, page.now);
        if let Some(id) = earlier.await? {
            return Ok(ServerId(id));
        }
        let id = SendingServer::create(&mut tx, &draft, &password, secret, actor, page.now).await?;
        once.commit(tx, user.id, id.0).await?;
        Ok(id)
    };
    match checked(saved.await)? {
        Ok(id) => Ok(back(&page, id, Flash::done("servers-saved"))),
        Err(errors) => html_wrong(&FormPage::new(page, once.form, errors)),
    }
}

/// Redirects to a server's page.
fn back(page: &PageContext, id: ServerId, flash: Flash) -> Response {
    page.redirect(&format!("/manage/servers/{id}"), flash)
}

async fn show(
    State(app): State<AppState>,
    page: PageContext,
    _: Admin,
    Path(id): Path<ServerId>,
) -> Result<Response, WebError> {
    html(&FormPage::edit(&app, page, id, None).await?)
}

async fn update(
    State(app): State<AppState>,
    page: PageContext,
    Admin(administrator): Admin,
    Path(id): Path<ServerId>,
    Form(form): Form<ServerForm>,
) -> Result<Response, WebError> {
    let saved = async {
        let (draft, password) = form.read()?;
        let (secret, actor) = (&app.settings.secret, administrator.actor());
        let (version, now) = (form.version, page.now);
        let mut tx = app.db.write().await?;
        let found =
            SendingServer::update(&mut tx, id, version, &draft, &password, secret, actor, now)
                .await?;
        tx.commit().await?;
        Ok(found)
    };
    let errors = match outcome(saved.await)? {
        FormOutcome::Done(true) => return Ok(back(&page, id, Flash::done("servers-saved"))),
        FormOutcome::Done(false) => return Err(WebError::NotFound),
        FormOutcome::Wrong(errors) => Some(errors),
        FormOutcome::Changed => None,
    };
    let again = FormPage::edit(&app, page, id, Some(form)).await?;
    match errors {
        Some(errors) => html_wrong(&FormPage { errors, ..again }),
        None => html_changed(&again.changed()),
    }
}

async fn enable(
    state: State<AppState>,
    page: PageContext,
    admin: Admin,
    id: Path<ServerId>,
) -> Result<Response, WebError> {
    switch(state, page, admin, id, true).await
}

async fn disable(
    state: State<AppState>,
    page: PageContext,
    admin: Admin,
    id: Path<ServerId>,
) -> Result<Response, WebError> {
    switch(state, page, admin, id, false).await
}

async fn switch(
    State(app): State<AppState>,
    page: PageContext,
    Admin(administrator): Admin,
    Path(id): Path<ServerId>,
    enabled: bool,
) -> Result<Response, WebError> {
    let mut tx = app.db.write().await?;
    let actor = administrator.actor();
    if !SendingServer::set_enabled(&mut tx, id, enabled, actor, page.now).await? {
        return Err(WebError::NotFound);
    }
    tx.commit().await?;
    let flash = if enabled {
        Flash::done("servers-enabled")
    } else {
        Flash::done("servers-disabled")
    };
    Ok(back(&page, id, flash))
}

async fn resume(
    State(app): State<AppState>,
    page: PageContext,
    Admin(administrator): Admin,
    Path(id): Path<ServerId>,
) -> Result<Response, WebError> {
    FormPage::edit(&app, page.clone(), id, None).await?;
    let mut tx = app.db.write().await?;
    if SendingServer::resume(&mut tx, id, administrator.actor(), page.now).await? {
        tx.commit().await?;
    }
    Ok(back(&page, id, Flash::done("servers-resumed")))
}

async fn test(
    State(app): State<AppState>,
    page: PageContext,
    _: Admin,
    Path(id): Path<ServerId>,
) -> Result<Response, WebError> {
    FormPage::edit(&app, page.clone(), id, None).await?;
    let mut tx = app.db.write().await?;
    ServerHealth::ask_test(&mut tx, id, page.now).await?;
    tx.commit().await?;
    Ok(back(&page, id, Flash::done("servers-test-asked")))
}

async fn delete(
    State(app): State<AppState>,
    page: PageContext,
    Admin(administrator): Admin,
    Path(id): Path<ServerId>,
) -> Result<Response, WebError> {
    let mut tx = app.db.write().await?;
    match SendingServer::delete(&mut tx, id, administrator.actor(), page.now).await {
        Ok(true) => {
            tx.commit().await?;
            Ok(page.redirect("/manage/servers", Flash::done("servers-deleted")))
        }
        Ok(false) => Err(WebError::NotFound),
        Err(Error::State(_)) => Ok(back(&page, id, Flash::warn("servers-in-use"))),
        Err(error) => Err(error.into()),
    }
}
