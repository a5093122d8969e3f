//! Recipients that are chosen one by one on the form of a mailing.

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use serde::Deserialize;
use skychimp_core::platform::db::Tx;
use skychimp_core::platform::error::Error;
use skychimp_core::platform::ids::{RecipientId, UserId};
use skychimp_core::recipients::recipient::{Recipient, RecipientCursor, RecipientFilter};

use crate::kit::app::AppState;
use crate::kit::auth::MailingUser;
use crate::kit::error::WebError;
use crate::kit::form::Query;
use crate::kit::page::{PageContext, html};

/// Most recipients shown by a search.
const FOUND: usize = 8;

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct PeopleQuery {
    people: String,
}

#[derive(Template)]
#[template(path = "mailings/people.html")]
struct PeoplePart {
    page: PageContext,
    search: String,
    people: Vec<Recipient>,
}

/// Searches recipients to select individually.
pub(super) async fn people(
    State(app): State<AppState>,
    page: PageContext,
    sender: MailingUser,
    Query(query): Query<PeopleQuery>,
) -> Result<Response, WebError> {
    let search = query.people.trim().to_owned();
    let people = match search.as_str() {
        "" => Vec::new(),
        search => search_people(&mut app.db.read().await?, sender.id(), search).await?,
    };
    html(&PeoplePart {
        page,
        search,
        people,
    })
}

async fn search_people(tx: &mut Tx, owner: UserId, search: &str) -> Result<Vec<Recipient>, Error> {
    let filter = RecipientFilter {
        search: search.to_owned(),
        ..RecipientFilter::default()
    };
    let found = Recipient::page(tx, owner, &filter, RecipientCursor::First, FOUND).await?;
    let people = found.rows.into_iter().map(|(recipient, _)| recipient);
    Ok(people.collect())
}

#[derive(Debug, Deserialize)]
pub(super) struct ChosenQuery {
    id: RecipientId,
}

#[derive(Template)]
#[template(path = "mailings/chosen.html")]
struct ChosenPart {
    person: Recipient,
}

/// A selected recipient as a form field.
pub(super) async fn chosen(
    State(app): State<AppState>,
    sender: MailingUser,
    Query(query): Query<ChosenQuery>,
) -> Result<Response, WebError> {
    let mut tx = app.db.read().await?;
    let person = Recipient::get(&mut tx, sender.id(), query.id)
        .await?
        .ok_or(WebError::NotFound)?;
    html(&ChosenPart { person })
}
