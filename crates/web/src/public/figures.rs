//! The service's statistics on the home page.
//!
//! Counting reads every address (about a second per million), so a result is shown for at least a
//! second, and at least [`REST_FACTOR`] times as long as counting took. The next view then starts
//! one count in the background, for all nodes that share a cache. If counting is fast, that view
//! waits for it. Otherwise views show the old numbers until the new ones are ready.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::Arc;
use std::time::Duration;

use askama::Template;
use parking_lot::Mutex;
use skychimp_core::oversight::figures::Figures;
use skychimp_core::platform::time::Timestamp;
use tokio::sync::watch;
use tokio::time::Instant;

use super::anonymous_request;
use super::page_cache::SealedValue;
use crate::kit::app::AppState;
use crate::kit::error::WebError;
use crate::kit::gzip::Fragment;
use crate::kit::i18n::Lang;
use crate::kit::page::PageContext;
use crate::kit::placeholder::CacheMode;

/// Minimum time for which statistics are shown.
const COUNT_INTERVAL_MIN: Duration = Duration::from_secs(1);
/// Maximum time for which they are shown.
const COUNT_INTERVAL_MAX: Duration = Duration::from_mins(5);
/// Counting may take at most one part in this many of the time.
const REST_FACTOR: u32 = 20;
/// Views wait for a count that takes at most this long.
const QUICK_COUNT: Duration = Duration::from_millis(50);
/// How long to wait for another node's count.
const OTHER_NODE_TIMEOUT: Duration = Duration::from_secs(5);
const POLL_INTERVAL: Duration = Duration::from_millis(100);
const NAME: &str = "figures";
/// Lock in the shared cache: its holder counts. [`COUNT_LEASE`] is longer than a count may take, in
/// case the holder dies.
const COUNT_LOCK: &str = "figures in hand";
const COUNT_LEASE: Duration = Duration::from_secs(30);

/// Statistics, rendered as parts of a page.
#[derive(Debug)]
pub(crate) struct RenderedFigures {
    counted: SharedFigures,
    pieces: [Fragment; 2],
    /// Their part of an `ETag`.
    pub(crate) tag: u64,
}

/// What nodes share.
#[derive(Debug, Clone, Copy, serde::Serialize, serde::Deserialize)]
struct SharedFigures {
    figures: Figures,
    at: Timestamp,
    took: Duration,
}

/// Caches the statistics of this process.
#[derive(Debug)]
pub(crate) struct LiveFigures {
    sealed: SealedValue,
    last: Mutex<Option<Arc<RenderedFigures>>>,
    /// Whether a count is in progress. Becomes `false` when it ends, also after an error.
    counting: watch::Sender<bool>,
}

#[derive(Template)]
#[template(path = "home/figures.html")]
struct FiguresPart<'a> {
    page: &'a PageContext,
    figures: Figures,
}

/// Renders statistics as a part of a page.
pub(crate) fn html(page: &PageContext, figures: Figures) -> Result<String, WebError> {
    Ok(FiguresPart { page, figures }.render()?)
}

impl LiveFigures {
    pub(crate) fn new(sealed: SealedValue) -> Self {
        Self {
            sealed,
            last: Mutex::new(None),
            counting: watch::Sender::new(false),
        }
    }

    /// The statistics to show now.
    pub(crate) async fn current(
        self: &Arc<Self>,
        app: &AppState,
    ) -> Result<Arc<RenderedFigures>, WebError> {
        let last = self.last.lock().clone();
        if let Some(last) = &last
            && app.clock.now().since(last.counted.at) < last.counted.keep()
        {
            return Ok(Arc::clone(last));
        }
        let mut counting = self.counting.subscribe();
        if !self.counting.send_replace(true) {
            let (figures, state) = (Arc::clone(self), app.clone());
            app.background.start("figures", async move {
                if let Err(error) = figures.count(&state).await {
                    tracing::warn!(%error, "the service's figures cannot be counted");
                }
                figures.counting.send_replace(false);
            });
        }
        match last {
            Some(last) if last.counted.took > QUICK_COUNT => return Ok(last),
            _ => {}
        }
        // cannot fail: the sender is in `self`
        let _ = counting.wait_for(|counting| !counting).await;
        let shown = self.last.lock().clone();
        shown.ok_or_else(|| WebError::internal("no figures"))
    }

    async fn count(&self, app: &AppState) -> Result<(), WebError> {
        let counted = if let Some(counted) = self.shared(app).await {
            counted
        } else {
            let begun = Instant::now();
            let now = app.clock.now();
            let mut tx = app.db.read().await?;
            let figures = Figures::count(&mut tx, now).await?;
            drop(tx);
            let counted = SharedFigures {
                figures,
                at: now,
                took: begun.elapsed(),
            };
            if let Ok(bytes) = serde_json::to_vec(&counted) {
                self.sealed.set(NAME, &bytes, COUNT_INTERVAL_MAX).await;
            }
            self.sealed.unlock(COUNT_LOCK).await;
            counted
        };
        let shown = RenderedFigures::new(app, counted)?;
        *self.last.lock() = Some(Arc::new(shown));
        Ok(())
    }

    /// A count that another node has finished or is just doing. `None`: count here.
    async fn shared(&self, app: &AppState) -> Option<SharedFigures> {
        if !self.sealed.is_shared() {
            return None;
        }
        let until = Instant::now() + OTHER_NODE_TIMEOUT;
        loop {
            if let Some(bytes) = self.sealed.get(NAME).await
                && let Ok(counted) = serde_json::from_slice::<SharedFigures>(&bytes)
                && app.clock.now().since(counted.at) < counted.keep()
            {
                return Some(counted);
            }
            // the holder of the lock counts; after the timeout anyone may
            if self.sealed.try_lock(COUNT_LOCK, COUNT_LEASE).await || Instant::now() > until {
                return None;
            }
            tokio::time::sleep(POLL_INTERVAL).await;
        }
    }
}

impl SharedFigures {
    fn keep(&self) -> Duration {
        self.took
            .saturating_mul(REST_FACTOR)
            .clamp(COUNT_INTERVAL_MIN, COUNT_INTERVAL_MAX)
    }
}

impl RenderedFigures {
    fn new(app: &AppState, counted: SharedFigures) -> Result<Self, WebError> {
        let piece = |lang| {
            let (head, _) = anonymous_request(lang, CacheMode::new()).into_parts();
            Ok::<_, WebError>(Fragment::new(html(
                &PageContext::anonymous(app, &head),
                counted.figures,
            )?))
        };
        let Figures {
            mailings,
            active,
            recipients,
        } = counted.figures;
        let mut hasher = DefaultHasher::new();
        (mailings, active, recipients).hash(&mut hasher);
        Ok(Self {
            counted,
            pieces: [piece(Lang::En)?, piece(Lang::Ru)?],
            tag: hasher.finish(),
        })
    }

    /// The numbers.
    pub(crate) fn figures(&self) -> Figures {
        self.counted.figures
    }

    /// The rendered part of a page in this language.
    pub(crate) fn piece(&self, lang: Lang) -> &Fragment {
        let [english, russian] = &self.pieces;
        match lang {
            Lang::En => english,
            Lang::Ru => russian,
        }
    }
}
