//! How far an import is, while the engine does it.

use std::time::Duration;

use axum::extract::State;
use axum::response::Response;
use serde_json::{Value, json};
use skychimp_core::platform::ids::{ImportId, UserId};
use skychimp_core::recipients::import::{Import, ImportState};

use super::find;
use crate::kit::app::AppState;
use crate::kit::auth::Sender;
use crate::kit::error::WebError;
use crate::kit::form::Path;
use crate::kit::page::Page;
use crate::kit::sse::{Look, Seen, watch};

/// The progress of an import.
struct Watch {
    app: AppState,
    page: Page,
    owner: UserId,
    id: ImportId,
}

/// The progress as server-sent events, until the import is over.
pub(super) async fn live(
    State(app): State<AppState>,
    page: Page,
    Sender(user): Sender,
    Path(id): Path<ImportId>,
) -> Result<Response, WebError> {
    find(&app, user.id, id).await?;
    Ok(watch(Watch {
        app,
        page,
        owner: user.id,
        id,
    }))
}

impl Look for Watch {
    const EVERY: Duration = Duration::from_millis(500);

    async fn look(&mut self) -> Result<Seen, WebError> {
        match find(&self.app, self.owner, self.id).await {
            Ok(job) if matches!(job.state, ImportState::Waiting | ImportState::Running) => {
                Ok(Seen::News(values(&self.page, &job)))
            }
            Ok(_) | Err(WebError::NotFound) => Ok(Seen::Over),
            Err(error) => Err(error),
        }
    }
}

fn values(page: &Page, job: &Import) -> Value {
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
