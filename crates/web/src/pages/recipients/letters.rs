//! All letters to one recipient, and what the servers said about each.

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use serde::Deserialize;
use skychimp_core::platform::ids::{RecipientId, RunId};
use skychimp_core::recipients::recipient::Recipient;
use skychimp_core::sending::attempt::Attempt;
use skychimp_core::sending::delivery::{Delivery, RecipientLetterRow};
use skychimp_core::sending::run::RunTotals;

use crate::kit::app::AppState;
use crate::kit::auth::MailingUser;
use crate::kit::error::WebError;
use crate::kit::form::{Path, Query};
use crate::kit::page::{PageContext, html};

/// Letters on one page.
const PAGE: usize = 20;

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct LettersQuery {
    before: Option<RunId>,
}

#[derive(Template)]
#[template(path = "recipients/letters.html")]
struct LettersPage {
    page: PageContext,
    id: RecipientId,
    email: String,
    /// The recipient was not removed.
    known: bool,
    totals: RunTotals,
    letters: Vec<(RecipientLetterRow, Vec<Attempt>)>,
    first: String,
    next: String,
}

pub(super) async fn letters(
    State(app): State<AppState>,
    page: PageContext,
    MailingUser(user): MailingUser,
    Path(id): Path<RecipientId>,
    Query(query): Query<LettersQuery>,
) -> Result<Response, WebError> {
    let mut tx = app.db.read().await?;
    let known = Recipient::get(&mut tx, user.id, id).await?;
    let mut rows = Delivery::of_recipient(&mut tx, user.id, id, query.before, PAGE + 1).await?;
    let more = rows.len() > PAGE;
    rows.truncate(PAGE);
    // of somebody who was removed the letters remain
    let email = match (&known, rows.first()) {
        (Some(known), _) => known.email.clone(),
        (None, Some(letter)) => letter.delivery.email.clone(),
        (None, None) => return Err(WebError::NotFound),
    };
    let totals = Delivery::totals_of_recipient(&mut tx, user.id, id).await?;
    let last = rows.last().map(|letter| letter.delivery.run_id);
    let mut letters = Vec::with_capacity(rows.len());
    for letter in rows {
        let attempts = Attempt::of_delivery(&mut tx, user.id, letter.delivery.id).await?;
        letters.push((letter, attempts));
    }
    let base = format!("/recipients/{id}/letters");
    html(&LettersPage {
        first: query.before.map_or_else(String::new, |_| base.clone()),
        next: match last {
            Some(last) if more => format!("{base}?before={last}"),
            _ => String::new(),
        },
        page,
        id,
        email,
        known: known.is_some(),
        totals,
        letters,
    })
}
