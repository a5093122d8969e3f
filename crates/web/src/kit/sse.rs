//! Server-sent events: looks at something that changes, and tells the page when there is news.

use std::convert::Infallible;
use std::time::Duration;

use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse as _, Response};
use futures_util::stream;
use serde_json::Value;

use crate::kit::error::WebError;

/// A stream ends after this many looks and the browser asks again, so that a restart never waits for it.
const LOOKS: u32 = 30;
/// Through what lies between, a silent stream is kept open by a comment now and then.
const KEEP_ALIVE: Duration = Duration::from_secs(10);

/// What a look found.
pub(crate) enum Seen {
    /// What the page shows already.
    Same,
    /// Other values.
    News(Value),
    /// Something that needs other parts: the page is to be loaded again, and nothing follows.
    Over,
}

/// Something that is looked at again and again.
pub(crate) trait Look: Send + 'static {
    /// Between two looks.
    const EVERY: Duration;

    /// Looks once.
    fn look(&mut self) -> impl Future<Output = Result<Seen, WebError>> + Send;
}

/// The news as they come, the first at once.
pub(crate) fn watch<L: Look>(look: L) -> Response {
    let events = stream::unfold((look, 0), |(mut look, mut looks)| async move {
        while looks < LOOKS {
            if looks > 0 {
                tokio::time::sleep(L::EVERY).await;
            }
            looks += 1;
            let event = match look.look().await {
                Ok(Seen::Same) => continue,
                Ok(Seen::News(values)) => Event::default().data(values.to_string()),
                Ok(Seen::Over) => {
                    looks = LOOKS;
                    // An event without data is not delivered by browsers.
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
