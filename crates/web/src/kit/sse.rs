//! Server-sent events: polls a value and sends the page its changes.

use std::convert::Infallible;
use std::time::Duration;

use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse as _, Response};
use futures_util::stream;
use serde_json::Value;

use crate::kit::error::WebError;

/// Polls per stream. After that the browser reconnects, so that a restart never waits for a stream.
const POLLS_PER_CHECK: u32 = 30;
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
    /// Interval between polls.
    const POLL_INTERVAL: Duration;

    /// Polls once.
    fn look(&mut self) -> impl Future<Output = Result<Polled, WebError>> + Send;
}

/// A stream of changes. The first event is sent immediately.
pub(crate) fn watch<L: Poll>(look: L) -> Response {
    let events = stream::unfold((look, 0), |(mut look, mut looks)| async move {
        while looks < POLLS_PER_CHECK {
            if looks > 0 {
                tokio::time::sleep(L::POLL_INTERVAL).await;
            }
            looks += 1;
            let event = match look.look().await {
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
            return Some((Ok::<_, Infallible>(event), (look, looks)));
        }
        None
    });
    Sse::new(events)
        .keep_alive(KeepAlive::new().interval(KEEP_ALIVE))
        .into_response()
}
