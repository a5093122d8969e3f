//! The Start button: what it asks first, and how it is taken back.

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use serde::Deserialize;
use skychimp_core::accounts::submission::Arrival;
use skychimp_core::platform::db::Tx;
use skychimp_core::platform::error::Error;
use skychimp_core::platform::ids::MailingId;
use skychimp_core::sending::mailing::{
    AskedStart, Mailing, StartConsent, StartOutcome, StartQuestion,
};

use super::{back, found, in_zone, not_possible};
use crate::kit::app::AppState;
use crate::kit::auth::MailingUser;
use crate::kit::error::WebError;
use crate::kit::flash::Flash;
use crate::kit::form::{Errors, OnceForm, Path};
use crate::kit::page::{AsTimestamp, PageContext, html};

/// What the person agreed to, as a question's form has it.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct ConsentForm {
    /// The number of recipients that the question named.
    confirmed: String,
    /// Not empty if it also said that the date has passed.
    late: String,
}

impl ConsentForm {
    pub(super) fn new(confirmed: &str, late: &str) -> Self {
        Self {
            confirmed: confirmed.to_owned(),
            late: late.to_owned(),
        }
    }

    pub(super) fn consent(&self) -> StartConsent {
        StartConsent {
            people: self.confirmed.parse().ok(),
            late: !self.late.is_empty(),
        }
    }
}

/// What pressing Start led to.
pub(super) enum Pressed {
    /// The message about the result.
    Told(Flash),
    /// Nothing yet: this is asked first.
    Asked(StartQuestion),
}

/// Starts a mailing in the caller's transaction.
pub(super) async fn press(
    tx: &mut Tx,
    app: &AppState,
    page: &PageContext,
    sender: &MailingUser,
    id: MailingId,
    consent: StartConsent,
) -> Result<Pressed, WebError> {
    let (user, service) = (&sender.0, &app.settings.service);
    let flash = match Mailing::start_asked(tx, user, id, consent, service, page.now).await {
        Ok(Some(AskedStart::Question(question))) => return Ok(Pressed::Asked(question)),
        Ok(Some(AskedStart::Started(StartOutcome::Due(at)))) => {
            let mailing = found(tx, sender.id(), id).await?;
            if mailing.take_back_until == Some(at) {
                Flash::done("mailing-started-held")
            } else if at <= page.now {
                Flash::done("mailing-started")
            } else {
                Flash::done("mailing-scheduled").with("at", page.time(at))
            }
        }
        Ok(Some(AskedStart::Started(StartOutcome::Already))) => {
            Flash::note("mailing-started-before")
        }
        Ok(None) => return Err(WebError::NotFound),
        Err(Error::Invalid(_)) => Flash::warn("mailing-not-ready"),
        Err(Error::State(state)) => not_possible(state),
        Err(error) => return Err(error.into()),
    };
    Ok(Pressed::Told(flash))
}

#[derive(Template)]
#[template(path = "mailings/ask.html")]
struct AskPage {
    page: PageContext,
    mailing: Mailing,
    question: StartQuestion,
    errors: Errors,
}

impl AskPage {
    fn time(&self, at: impl AsTimestamp) -> String {
        in_zone(&self.page, &self.mailing.zone, at.at())
    }
}

/// Starts a saved mailing: redirects to it, or asks first.
pub(super) async fn started(
    app: &AppState,
    page: &PageContext,
    sender: &MailingUser,
    mut tx: Tx,
    id: MailingId,
    consent: StartConsent,
) -> Result<Response, WebError> {
    match press(&mut tx, app, page, sender, id, consent).await? {
        Pressed::Told(flash) => {
            tx.commit().await?;
            Ok(back(page, id, flash))
        }
        Pressed::Asked(question) => html(&AskPage {
            mailing: found(&mut tx, sender.id(), id).await?,
            page: page.clone(),
            question,
            errors: Errors::none(),
        }),
    }
}

pub(super) async fn start(
    State(app): State<AppState>,
    page: PageContext,
    sender: MailingUser,
    Path(id): Path<MailingId>,
    once: OnceForm<ConsentForm>,
) -> Result<Response, WebError> {
    let mut tx = app.db.write().await?;
    if once.register(&mut tx, sender.id(), page.now).await? != Arrival::First {
        found(&mut tx, sender.id(), id).await?;
        return Ok(back(&page, id, Flash::note("mailing-started-before")));
    }
    once.record_created(&mut tx, sender.id(), id.0).await?;
    started(&app, &page, &sender, tx, id, once.form.consent()).await
}

/// Makes a mailing a draft again that was just started.
pub(super) async fn take_back(
    State(app): State<AppState>,
    page: PageContext,
    sender: MailingUser,
    Path(id): Path<MailingId>,
) -> Result<Response, WebError> {
    let mut tx = app.db.write().await?;
    let done = Mailing::take_back(&mut tx, sender.id(), id, &sender.0.email, page.now).await;
    let flash = match done {
        Ok(Some(true)) => Flash::done("mailing-taken-back"),
        Ok(Some(false)) => Flash::note("mailing-nothing-changed"),
        Ok(None) => return Err(WebError::NotFound),
        Err(Error::State(_)) => Flash::warn("mailing-take-back-late"),
        Err(error) => return Err(error.into()),
    };
    tx.commit().await?;
    Ok(back(&page, id, flash))
}
