//! The public pages behind the unsubscribe link in every letter (RFC 8058, F11).
//!
//! GET shows a button and changes nothing, because mail scanners follow links. POST unsubscribes,
//! whether a person presses the button or a mail provider does it for them: without cookies or
//! redirects, with any body, any number of times. The token contains owner and address, so the link
//! works for years.
//!
//! The token shows that somebody has the letter, and letters are forwarded. So it can end a
//! subscription and report the letter, but not begin a subscription again: for that, the address
//! gets a letter with a link of its own.

use askama::Template;
use axum::extract::{FromRequestParts, State};
use axum::http::request::Parts;
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse as _, Response};
use serde::Deserialize;
use skychimp_core::accounts::user::User;
use skychimp_core::oversight::moderation::{Complaint, ComplaintDraft};
use skychimp_core::recipients::resubscribe::ResubscribeStep;
use skychimp_core::recipients::suppression::Suppression;
use skychimp_core::recipients::unsubscribe::UnsubscribeToken;
use skychimp_core::sending::default_sender::sender_name;
use skychimp_core::sending::mailing::Mailing;

use crate::kit::app::AppState;
use crate::kit::error::{self, WebError};
use crate::kit::form::{Errors, Form, Path, checked};
use crate::kit::page::{PageContext, html};
use crate::kit::routes::{get, post};
use crate::letters;
use crate::site::SiteRoutes;
use crate::site::SiteState;

/// The token in links of test letters and previews.
const TEST: &str = "test";

pub(crate) fn routes() -> SiteRoutes {
    SiteRoutes::new()
        .route("/u/{token}", get(ask).post(confirm))
        .route("/u/{token}/report", post(report))
        .route("/u/{token}/resubscribe", post(send_letter))
        .route(
            "/u/{token}/resubscribe/{proof}",
            get(offer).post(resubscribe),
        )
        .layer(from_fn(no_trace))
}

/// Keeps the token private: the page is not cached, and other sites do not get its URL as referrer.
async fn no_trace(request: axum::extract::Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(
        header::REFERRER_POLICY,
        HeaderValue::from_static("no-referrer"),
    );
    headers.insert("x-robots-tag", HeaderValue::from_static("noindex"));
    response
}

/// A visitor without a session.
struct Stranger(PageContext);

impl FromRequestParts<SiteState> for Stranger {
    type Rejection = WebError;

    async fn from_request_parts(head: &mut Parts, app: &SiteState) -> Result<Self, WebError> {
        app.site_name.refresh(&app.db, false).await?;
        Ok(Self(PageContext::anonymous(app, head)))
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Asked,
    Unsubscribed,
    /// A letter with a link to subscribe again is on its way.
    LetterSent,
    /// That link was opened.
    Offered,
    /// It does not work any more.
    Expired,
    Resubscribed,
    Reported,
    Test,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct ReportForm {
    text: String,
    /// Set when the person wants to get more letters anyway.
    keep: Option<String>,
}

#[derive(Template)]
#[template(path = "unsubscribe/page.html")]
struct UnsubscribePage {
    page: PageContext,
    token: String,
    /// The last part of the link in the letter.
    proof: String,
    email: String,
    /// Name of the sender.
    owner: String,
    /// Nothing goes to the address.
    gone: bool,
    /// The person may subscribe again.
    returns: bool,
    state: Step,
    form: ReportForm,
    errors: Errors,
}

impl UnsubscribePage {
    /// The page for this token, or for that of test letters.
    async fn of(
        app: &AppState,
        page: &PageContext,
        text: &str,
        state: Step,
    ) -> Result<Self, WebError> {
        let none = Self {
            page: page.clone(),
            token: text.to_owned(),
            proof: String::new(),
            email: String::new(),
            owner: String::new(),
            gone: false,
            returns: false,
            state: Step::Test,
            form: ReportForm::default(),
            errors: Errors::none(),
        };
        let Some(token) = read(app, page, text)? else {
            return Ok(none);
        };
        let mut tx = app.db.read().await?;
        let owner = User::get(&mut tx, token.owner).await?;
        let mailing = Mailing::get(&mut tx, token.owner, token.mailing).await?;
        let sender = owner.map(|owner| sender_name(mailing.as_ref(), &owner).to_owned());
        let gone = Suppression::get(&mut tx, token.owner, &token.email).await?;
        Ok(Self {
            email: token.email.as_str().to_owned(),
            returns: token.liftable(&mut tx).await?.is_some(),
            owner: sender.unwrap_or_default(),
            gone: gone.is_some(),
            state: match state {
                Step::Asked if gone.is_some() => Step::Unsubscribed,
                other => other,
            },
            ..none
        })
    }

    /// Whether a letter can be reported here.
    fn reportable(&self) -> bool {
        matches!(self.state, Step::Asked | Step::Unsubscribed)
    }

    fn status(&self) -> StatusCode {
        if self.state == Step::Expired {
            StatusCode::GONE
        } else if self.errors.is_empty() {
            StatusCode::OK
        } else {
            StatusCode::UNPROCESSABLE_ENTITY
        }
    }
}

async fn ask(
    State(app): State<AppState>,
    Stranger(page): Stranger,
    Path(text): Path<String>,
) -> Response {
    answer(
        &page,
        UnsubscribePage::of(&app, &page, &text, Step::Asked).await,
    )
}

async fn confirm(
    State(app): State<AppState>,
    Stranger(page): Stranger,
    Path(text): Path<String>,
) -> Response {
    let done = async {
        if let Some(token) = read(&app, &page, &text)? {
            let mut tx = app.db.write().await?;
            token.unsubscribe(&mut tx, page.now).await?;
            tx.commit().await?;
        }
        UnsubscribePage::of(&app, &page, &text, Step::Unsubscribed).await
    };
    answer(&page, done.await)
}

/// Stores a report for the managers.
async fn report(
    State(app): State<AppState>,
    Stranger(page): Stranger,
    Path(text): Path<String>,
    form: Result<Form<ReportForm>, WebError>,
) -> Response {
    // a report without a text may have no body
    let form = form.map_or_else(|_| ReportForm::default(), |Form(form)| form);
    answer(&page, reported(&app, &page, &text, form).await)
}

async fn reported(
    app: &AppState,
    page: &PageContext,
    text: &str,
    form: ReportForm,
) -> Result<UnsubscribePage, WebError> {
    let Some(token) = read(app, page, text)? else {
        return UnsubscribePage::of(app, page, text, Step::Test).await;
    };
    app.try_report(page).await?;
    let draft = ComplaintDraft {
        text: &form.text,
        keep: form.keep.is_some(),
    };
    let mut tx = app.db.write().await?;
    let filed = Complaint::file(&mut tx, &token, draft, page.now).await;
    if let Err(errors) = checked(filed)? {
        drop(tx);
        let again = UnsubscribePage::of(app, page, text, Step::Asked).await?;
        return Ok(UnsubscribePage {
            form,
            errors,
            ..again
        });
    }
    tx.commit().await?;
    UnsubscribePage::of(app, page, text, Step::Reported).await
}

/// Sends the address a letter with a link that subscribes it again.
async fn send_letter(
    State(app): State<AppState>,
    Stranger(page): Stranger,
    Path(text): Path<String>,
) -> Response {
    let done = async {
        let mut state = Step::Asked;
        if let Some(token) = read(&app, &page, &text)? {
            let found = token.liftable(&mut app.db.read().await?).await?;
            if let Some(found) = found {
                app.try_resubscribe(&page, &token).await?;
                let proof = app.resubscribe_key.sign(&token, &found, page.now);
                letters::resubscribe(&app, &page, &token, &format!("{text}/resubscribe/{proof}"))
                    .await?;
                state = Step::LetterSent;
            }
        }
        UnsubscribePage::of(&app, &page, &text, state).await
    };
    answer(&page, done.await)
}

/// Shows the button behind the link in that letter.
async fn offer(
    State(app): State<AppState>,
    Stranger(page): Stranger,
    Path((text, proof)): Path<(String, String)>,
) -> Response {
    answer(&page, returned(&app, &page, &text, proof, false).await)
}

async fn resubscribe(
    State(app): State<AppState>,
    Stranger(page): Stranger,
    Path((text, proof)): Path<(String, String)>,
) -> Response {
    answer(&page, returned(&app, &page, &text, proof, true).await)
}

/// The page of the link in the letter, after its button was pressed or before.
async fn returned(
    app: &AppState,
    page: &PageContext,
    text: &str,
    proof: String,
    pressed: bool,
) -> Result<UnsubscribePage, WebError> {
    let Some(token) = read(app, page, text)? else {
        return UnsubscribePage::of(app, page, text, Step::Test).await;
    };
    let valid = app.resubscribe_key.verify(&token, &proof, page.now);
    let step = if pressed {
        let mut tx = app.db.write().await?;
        let step = token.resubscribe(&mut tx, valid, page.now).await?;
        tx.commit().await?;
        step
    } else {
        token
            .resubscribe_step(&mut app.db.read().await?, valid)
            .await?
    };
    let state = match step {
        ResubscribeStep::Ready => Step::Offered,
        ResubscribeStep::Done => Step::Resubscribed,
        ResubscribeStep::Expired => Step::Expired,
    };
    let shown = UnsubscribePage::of(app, page, text, state).await?;
    Ok(UnsubscribePage { proof, ..shown })
}

/// The token, or `None` for the link in test letters. Only invalid tokens count towards the rate
/// limit, because mail providers unsubscribe many people from one IP address.
fn read(
    app: &AppState,
    page: &PageContext,
    text: &str,
) -> Result<Option<UnsubscribeToken>, WebError> {
    if text == TEST {
        return Ok(None);
    }
    if let Some(token) = app.unsubscribe_key.verify(text) {
        return Ok(Some(token));
    }
    app.token_limit.try_once(&page.peer, page.now)?;
    Err(WebError::NotFound)
}

/// These routes are outside the page middleware, so they render errors themselves.
fn answer(page: &PageContext, result: Result<UnsubscribePage, WebError>) -> Response {
    let response = result.and_then(|shown| {
        let status = shown.status();
        Ok((status, html(&shown)?).into_response())
    });
    response.unwrap_or_else(|error| error::page(page, &error.into_response()))
}
