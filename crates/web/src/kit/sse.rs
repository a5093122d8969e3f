//! Server-sent events: polls a value and sends the page its changes.
//!
//! *Invariant*: before each poll a stream asks whether its visitor may still see it: session, role,
//! verification and block are read by key. If not, it sends nothing more and ends.

use std::convert::Infallible;
use std::time::Duration;

use axum::Json;
use axum::http::StatusCode;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse as _, Response};
use futures_util::{StreamExt as _, stream};
use serde_json::Value;
use skychimp_core::accounts::required_factor::FactorStanding;
use skychimp_core::accounts::session::{Session, SessionToken};
use skychimp_core::accounts::user::User;

use crate::kit::app::AppState;
use crate::kit::error::WebError;
use crate::kit::page::PageContext;

/// Polls per stream. After that the browser reconnects, so that a restart never waits for a stream.
const POLLS_PER_CHECK: u32 = 30;
/// Longest interval between polls: a stream ends so soon when its visitor may not see it any more.
const POLL_INTERVAL_MAX: Duration = Duration::from_secs(1);
/// Time until a browser connects again after a stream ended.
const RETRY_INTERVAL: Duration = Duration::from_millis(200);
/// Interval of comments that keep a silent stream open through proxies.
const KEEP_ALIVE: Duration = Duration::from_secs(10);

/// Result of a poll.
pub(crate) enum Polled {
    /// Nothing changed.
    Same,
    /// New values.
    News(Value),
    /// The page has to be reloaded to show other parts. The stream ends.
    Over,
}

/// A value that is polled.
pub(crate) trait Poll: Send + 'static {
    /// Interval between polls, at most [`POLL_INTERVAL_MAX`].
    const POLL_INTERVAL: Duration;

    /// Polls once.
    fn look(&mut self) -> impl Future<Output = Result<Polled, WebError>> + Send;
}

/// A stream of changes. The first event is sent immediately. With `once` in the query, only the
/// result of one poll: pages ask so when the browser has streams enough.
pub(crate) async fn watch<L: Poll>(app: &AppState, page: &PageContext, look: L) -> Response {
    const { assert!(L::POLL_INTERVAL.as_millis() <= POLL_INTERVAL_MAX.as_millis()) }
    let access = StreamAccess::of(app, page);
    if page.address.contains("once=1") {
        return once(&access, look).await;
    }
    let events = stream::unfold(
        (access, look, 0),
        |(access, mut look, mut looks)| async move {
            while looks < POLLS_PER_CHECK {
                if looks > 0 {
                    tokio::time::sleep(L::POLL_INTERVAL).await;
                }
                looks += 1;
                let event = match access.look(&mut look).await {
                    Ok(Polled::Same) => continue,
                    Ok(Polled::News(values)) => Event::default().data(values.to_string()),
                    Ok(Polled::Over) => {
                        looks = POLLS_PER_CHECK;
                        // Browsers do not deliver events without data.
                        Event::default().event("reload").data("now")
                    }
                    Err(error) => {
                        tracing::warn!(%error, "live numbers");
                        return None;
                    }
                };
                return Some((Ok::<_, Infallible>(event), (access, look, looks)));
            }
            None
        },
    );
    // a browser's own time until it connects again is some seconds
    let retry = Event::default().retry(RETRY_INTERVAL);
    let events = stream::iter([Ok(retry)]).chain(events);
    Sse::new(events)
        .keep_alive(KeepAlive::new().interval(KEEP_ALIVE))
        .into_response()
}

/// The result of one poll: 200 with values, 204 for none, 205 when the page has to be loaded again.
async fn once(access: &StreamAccess, mut poll: impl Poll) -> Response {
    match access.look(&mut poll).await {
        Ok(Polled::News(values)) => Json(values).into_response(),
        Ok(Polled::Same) => StatusCode::NO_CONTENT.into_response(),
        Ok(Polled::Over) => StatusCode::RESET_CONTENT.into_response(),
        Err(error) => error.into_response(),
    }
}

/// Who opened a stream.
struct StreamAccess {
    app: AppState,
    session: Option<SessionToken>,
    user: Option<User>,
}

impl StreamAccess {
    fn of(app: &AppState, page: &PageContext) -> Self {
        Self {
            app: app.clone(),
            session: page.session.clone(),
            user: page.user.clone(),
        }
    }

    /// Polls if the visitor may still see the stream; otherwise the page is reloaded, which leads
    /// to what is open to them now.
    async fn look(&self, poll: &mut impl Poll) -> Result<Polled, WebError> {
        if self.stands().await? {
            poll.look().await
        } else {
            Ok(Polled::Over)
        }
    }

    /// Whether session, role and verification are as they were, and nobody blocked the account.
    async fn stands(&self) -> Result<bool, WebError> {
        let (Some(session), Some(before)) = (&self.session, &self.user) else {
            return Ok(false);
        };
        let now = self.app.clock.now();
        let mut tx = self.app.db.read().await?;
        let found = Session::user(&mut tx, session, now).await?;
        drop(tx);
        let rights = |user: &User| (user.id, user.role, user.verified_at.is_some());
        let Some((user, _)) = found.filter(|(user, _)| rights(user) == rights(before)) else {
            return Ok(false);
        };
        let required = &self.app.settings.required_factor;
        let standing = required.standing(&self.app.db, &user, now).await?;
        Ok(standing != FactorStanding::Overdue)
    }
}
