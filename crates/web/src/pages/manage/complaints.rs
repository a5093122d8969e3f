//! What recipients report about letters.

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use serde::Deserialize;
use skychimp_core::oversight::moderation::Complaint;
use skychimp_core::sending::mailing::Mailing;

use crate::kit::app::AppState;
use crate::kit::auth::Manager;
use crate::kit::error::WebError;
use crate::kit::form::Query;
use crate::kit::page::{PageContext, html};
use crate::kit::query::{self, ListQuery as _, Pages, filters};
use crate::parts::moderation::PAGE;

const PATH: &str = "/manage/complaints";

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct ListQuery {
    /// The id of a mailing: only reports about its letters.
    mailing: String,
    after: String,
}

impl query::ListQuery for ListQuery {
    fn filters(&self) -> Vec<(&'static str, String)> {
        filters![self; mailing]
    }

    fn is_first(&self) -> bool {
        self.after.is_empty()
    }
}

#[derive(Template)]
#[template(path = "manage/complaints.html")]
struct ListPage {
    page: PageContext,
    /// The mailing, if only reports about its letters are listed.
    mailing: Option<Mailing>,
    rows: Vec<Complaint>,
    pages: Pages,
}

pub(super) async fn list(
    State(app): State<AppState>,
    page: PageContext,
    Manager(moderator, _): Manager,
    Query(query): Query<ListQuery>,
) -> Result<Response, WebError> {
    let mut tx = app.db.read().await?;
    let (mailing, after) = (query.mailing.parse().ok(), query.after.parse().ok());
    let mailing = match mailing {
        Some(id) => moderator.mailing(&mut tx, id).await?.map(|found| found.0),
        None => None,
    };
    let mut rows = match &mailing {
        Some(about) => {
            let found = moderator.complaints_about(&mut tx, about, after, PAGE + 1);
            found.await?
        }
        None => moderator.complaints(&mut tx, after, PAGE + 1).await?,
    };
    let pages = query.cut(PATH, &mut rows, PAGE, |row| row.id.to_string());
    html(&ListPage {
        page,
        mailing,
        rows,
        pages,
    })
}
