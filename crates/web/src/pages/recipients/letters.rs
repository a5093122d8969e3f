//! All letters to one recipient, and what the servers said about each.

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use serde::Deserialize;
use skychimp_core::platform::db::Tx;
use skychimp_core::platform::ids::{RecipientId, RunId, UserId};
use skychimp_core::recipients::recipient::Recipient;
use skychimp_core::sending::attempt::Attempt;
use skychimp_core::sending::delivery::{Delivery, RecipientLetterRow};
use skychimp_core::sending::run::RunTotals;

use crate::kit::app::AppState;
use crate::kit::auth::MailingUser;
use crate::kit::error::WebError;
use crate::kit::form::{Path, Query};
use crate::kit::page::{PageContext, html};
use crate::kit::query::{ListQuery, Pages};

/// Letters on one page.
const PAGE: usize = 20;

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct LettersQuery {
    before: Option<RunId>,
}

impl ListQuery for LettersQuery {
    const CURSOR: &'static str = "before";

    fn filters(&self) -> Vec<(&'static str, String)> {
        Vec::new()
    }

    fn is_first(&self) -> bool {
        self.before.is_none()
    }
}

#[derive(Template)]
#[template(path = "recipients/letters.html")]
struct LettersPage {
    page: PageContext,
    id: RecipientId,
    email: String,
    /// The recipient still exists.
    known: bool,
    totals: RunTotals,
    letters: Vec<(RecipientLetterRow, Vec<Attempt>)>,
    pages: Pages,
}

/// Address that tries a letter now.
fn retry(letter: &RecipientLetterRow) -> String {
    let (mailing, delivery) = (letter.mailing_id, &letter.delivery);
    let (run, id) = (delivery.run_id, delivery.id.0);
    format!("/mailings/{mailing}/runs/{run}/try?letter={id}")
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
    let path = format!("/recipients/{id}/letters");
    let pages = query.cut(&path, &mut rows, PAGE, |row| {
        row.delivery.run_id.to_string()
    });
    // letters stay when the recipient was removed
    let email = match (&known, rows.first()) {
        (Some(known), _) => known.email.clone(),
        (None, Some(letter)) => letter.delivery.email.clone(),
        (None, None) => return Err(WebError::NotFound),
    };
    let totals = Delivery::totals_of_recipient(&mut tx, user.id, id).await?;
    html(&LettersPage {
        pages,
        page,
        id,
        email,
        known: known.is_some(),
        totals,
        letters: with_attempts(&mut tx, user.id, rows).await?,
    })
}

/// The letters, each with its attempts.
async fn with_attempts(
    tx: &mut Tx,
    owner: UserId,
    rows: Vec<RecipientLetterRow>,
) -> Result<Vec<(RecipientLetterRow, Vec<Attempt>)>, WebError> {
    let mut letters = Vec::with_capacity(rows.len());
    for letter in rows {
        let attempts = Attempt::of_delivery(tx, owner, letter.delivery.id).await?;
        letters.push((letter, attempts));
    }
    Ok(letters)
}
