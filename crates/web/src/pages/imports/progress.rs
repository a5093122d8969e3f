//! How far an import is, while the engine does it.

use std::time::Duration;

use axum::extract::State;
use axum::response::Response;
use serde_json::{Value, json};
use skychimp_core::platform::ids::{ImportId, UserId};
use skychimp_core::recipients::import::{Import, ImportState};

use super::find;
use crate::kit::app::AppState;
use crate::kit::auth::MailingUser;
use crate::kit::error::WebError;
use crate::kit::form::Path;
use crate::kit::page::PageContext;
use crate::kit::sse::{Poll, Polled, watch};

/// The progress of an import.
struct Watch {
    app: AppState,
    page: PageContext,
    owner: UserId,
    id: ImportId,
}

/// The progress as server-sent events, until the import is over.
pub(super) async fn live(
    State(app): State<AppState>,
    page: PageContext,
    MailingUser(user): MailingUser,
    Path(id): Path<ImportId>,
) -> Result<Response, WebError> {
    find(&app, user.id, id).await?;
    let poll = Watch {
        app: app.clone(),
        page: page.clone(),
        owner: user.id,
        id,
    };
    Ok(watch(&app, &page, poll).await)
}

impl Poll for Watch {
    const POLL_INTERVAL: Duration = Duration::from_millis(500);

    async fn look(&mut self) -> Result<Polled, WebError> {
        match find(&self.app, self.owner, self.id).await {
            Ok(job) if matches!(job.state, ImportState::Waiting | ImportState::Running) => {
                Ok(Polled::News(values(&self.page, &job)))
            }
            Ok(_) | Err(WebError::NotFound) => Ok(Polled::Over),
            Err(error) => Err(error),
        }
    }
}

fn values(page: &PageContext, job: &Import) -> Value {
    let groups = job.groups();
    json!({
        "state": page.t(if job.state == ImportState::Waiting { "imports-waiting" } else { "imports-running" }).to_string(),
        "percent": job.percent(),
        "percent_text": page.percent(job.bytes_read, job.bytes),
        "rows": page.num(groups.rows()).to_string(),
        "added": page.num(groups.added).to_string(),
        "updated": page.num(groups.updated).to_string(),
        "unchanged": page.num(groups.unchanged).to_string(),
        "duplicate": page.num(groups.duplicate).to_string(),
        "invalid": page.num(groups.invalid).to_string(),
        "suppressed": page.num(groups.suppressed).to_string(),
    })
}
