//! The service's statistics on the home page.
//!
//! Counting reads every address (about a second per million), so a result is shown for at least a
//! second, and at least [`REST`] times as long as counting took. The next view then starts one
//! count in the background, for all nodes that share a cache. If counting is fast, that view waits
//! for it. Otherwise views show the old numbers until the new ones are ready.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::Arc;
use std::time::Duration;

use askama::Template;
use parking_lot::Mutex;
use skychimp_core::oversight::figures::Figures;
use skychimp_core::platform::time::Moment;
use tokio::sync::watch;
use tokio::time::Instant;

use super::nobody;
use super::store::Sealed;
use crate::kit::app::AppState;
use crate::kit::error::WebError;
use crate::kit::gzip::Piece;
use crate::kit::hole::Keep;
use crate::kit::i18n::Lang;
use crate::kit::page::Page;

/// Minimum time for which statistics are shown.
const LEAST: Duration = Duration::from_secs(1);
/// Maximum time for which they are shown.
const MOST: Duration = Duration::from_mins(5);
/// Counting may take at most one part in this many of the time.
const REST: u32 = 20;
/// Views wait for a count that takes at most this long.
const QUICK: Duration = Duration::from_millis(50);
/// How long to wait for another node's count.
const OTHERS: Duration = Duration::from_secs(5);
const LOOK: Duration = Duration::from_millis(100);
const NAME: &str = "figures";
/// Lock in the shared cache: its holder counts. [`HELD`] is longer than a count may take, in case
/// the holder dies.
const IN_HAND: &str = "figures in hand";
const HELD: Duration = Duration::from_secs(30);

/// Statistics, rendered as parts of a page.
#[derive(Debug)]
pub(crate) struct Shown {
    counted: Counted,
    pieces: [Piece; 2],
    /// Their part of an `ETag`.
    pub(crate) tag: u64,
}

/// What nodes share.
#[derive(Debug, Clone, Copy, serde::Serialize, serde::Deserialize)]
struct Counted {
    figures: Figures,
    at: Moment,
    took: Duration,
}

/// Caches the statistics of this process.
#[derive(Debug)]
pub(crate) struct LiveFigures {
    sealed: Sealed,
    last: Mutex<Option<Arc<Shown>>>,
    /// Whether a count is in progress. Becomes `false` when it ends, also after an error.
    counting: watch::Sender<bool>,
}

#[derive(Template)]
#[template(path = "home/figures.html")]
struct FiguresPart<'a> {
    page: &'a Page,
    figures: Figures,
}

/// Renders statistics as a part of a page.
pub(crate) fn html(page: &Page, figures: Figures) -> Result<String, WebError> {
    Ok(FiguresPart { page, figures }.render()?)
}

impl LiveFigures {
    pub(crate) fn new(sealed: Sealed) -> Self {
        Self {
            sealed,
            last: Mutex::new(None),
            counting: watch::Sender::new(false),
        }
    }

    /// The statistics to show now.
    pub(crate) async fn shown(self: &Arc<Self>, app: &AppState) -> Result<Arc<Shown>, WebError> {
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
            Some(last) if last.counted.took > QUICK => return Ok(last),
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
            let counted = Counted {
                figures,
                at: now,
                took: begun.elapsed(),
            };
            if let Ok(bytes) = serde_json::to_vec(&counted) {
                self.sealed.set(NAME, &bytes, MOST).await;
            }
            self.sealed.give_back(IN_HAND).await;
            counted
        };
        let shown = Shown::new(app, counted)?;
        *self.last.lock() = Some(Arc::new(shown));
        Ok(())
    }

    /// A count that another node has finished or is just doing. `None`: count here.
    async fn shared(&self, app: &AppState) -> Option<Counted> {
        if !self.sealed.is_shared() {
            return None;
        }
        let until = Instant::now() + OTHERS;
        loop {
            if let Some(bytes) = self.sealed.get(NAME).await
                && let Ok(counted) = serde_json::from_slice::<Counted>(&bytes)
                && app.clock.now().since(counted.at) < counted.keep()
            {
                return Some(counted);
            }
            // whoever gets the lock counts; after the timeout anyone may
            if self.sealed.take(IN_HAND, HELD).await || Instant::now() > until {
                return None;
            }
            tokio::time::sleep(LOOK).await;
        }
    }
}

impl Counted {
    fn keep(&self) -> Duration {
        self.took.saturating_mul(REST).clamp(LEAST, MOST)
    }
}

impl Shown {
    fn new(app: &AppState, counted: Counted) -> Result<Self, WebError> {
        let piece = |lang| {
            let (head, _) = nobody(lang, Keep::new()).into_parts();
            Ok::<_, WebError>(Piece::new(html(
                &Page::stranger(app, &head),
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
    pub(crate) fn piece(&self, lang: Lang) -> &Piece {
        let [english, russian] = &self.pieces;
        match lang {
            Lang::En => english,
            Lang::Ru => russian,
        }
    }
}
