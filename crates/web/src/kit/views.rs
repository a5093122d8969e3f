//! View counts of blog posts (R49).
//!
//! Views are counted in memory and added to the database once per second in one transaction, and
//! again when the site stops. A displayed count is what the database had at most a few seconds ago
//! plus the views this process has not written yet. So visitors see their own view immediately, and
//! those on other nodes within that time.
//!
//! *Invariants*: the database does the addition (`views + n`), so concurrent nodes lose nothing. A
//! view leaves memory only after its transaction has committed. A killed process (`SIGKILL`, power
//! failure) loses the views of its last second.

use std::collections::HashMap;
use std::time::Duration;

use parking_lot::Mutex;
use skychimp_core::blog::post::Post;
use skychimp_core::platform::db::Db;
use skychimp_core::platform::error::Error;
use skychimp_core::platform::ids::PostId;
use skychimp_core::platform::time::Timestamp;
use tokio_util::sync::CancellationToken;

/// Interval at which views are written.
const WRITE_INTERVAL: Duration = Duration::from_secs(1);
/// Maximum age of a displayed count.
const READ_TTL: Duration = Duration::from_secs(2);
/// Counts that were not read for this long are dropped from memory.
const SEEN_TTL: Duration = Duration::from_mins(1);
/// Attempts to write the last views before the site ends.
const STOP_TRIES: u32 = 5;

/// View counts that are not yet written, and a short-lived cache of those in the database.
#[derive(Debug, Default)]
pub struct Views {
    counts: Mutex<HashMap<PostId, Count>>,
    /// Held during database access, so that results are applied in order.
    asking: tokio::sync::Mutex<()>,
}

#[derive(Debug, Clone, Copy)]
struct Count {
    /// Count in the database at `read_at`.
    total: i64,
    read_at: Timestamp,
    /// Views not included in `total`.
    more: i64,
}

impl Views {
    /// Counts a view.
    pub fn add(&self, post: PostId) {
        self.counts.lock().entry(post).or_insert(Count::UNREAD).more += 1;
    }

    /// View count of a post, as far as this process knows it.
    #[must_use]
    pub fn number(&self, post: PostId) -> i64 {
        self.counts
            .lock()
            .get(&post)
            .map_or(0, |count| count.total + count.more)
    }

    /// Views of a post not yet written to the database.
    #[must_use]
    pub fn unwritten(&self, post: PostId) -> i64 {
        self.counts.lock().get(&post).map_or(0, |count| count.more)
    }

    /// Reads the counts of these posts from the database if the cached ones are too old.
    pub async fn refresh(&self, db: &Db, posts: &[PostId], now: Timestamp) -> Result<(), Error> {
        if self.old(posts, now).is_empty() {
            return Ok(());
        }
        let _order = self.asking.lock().await;
        // another task may have read them while this one waited
        let old = self.old(posts, now);
        if old.is_empty() {
            return Ok(());
        }
        let mut tx = db.read().await?;
        let totals = Post::views(&mut tx, &old).await?;
        drop(tx);
        self.learn(old.into_iter().map(|post| (post, 0)), &totals, now);
        Ok(())
    }

    fn old(&self, posts: &[PostId], now: Timestamp) -> Vec<PostId> {
        let counts = self.counts.lock();
        let old = |post: &&PostId| {
            counts
                .get(post)
                .is_none_or(|count| now.since(count.read_at) >= READ_TTL)
        };
        posts.iter().filter(old).copied().collect()
    }

    /// Writes all pending views to the database. On an error they stay pending.
    pub async fn write(&self, db: &Db, now: Timestamp) -> Result<(), Error> {
        let _order = self.asking.lock().await;
        let news: Vec<(PostId, i64)> = {
            let mut counts = self.counts.lock();
            counts.retain(|_, count| count.more > 0 || now.since(count.read_at) < SEEN_TTL);
            counts
                .iter()
                .filter(|(_, count)| count.more > 0)
                .map(|(post, count)| (*post, count.more))
                .collect()
        };
        if news.is_empty() {
            return Ok(());
        }
        let mut tx = db.write().await?;
        let totals = Post::add_views(&mut tx, &news).await?;
        tx.commit().await?;
        self.learn(news, &totals, now);
        Ok(())
    }

    /// Stores totals that include the views in `written`.
    fn learn(
        &self,
        written: impl IntoIterator<Item = (PostId, i64)>,
        totals: &HashMap<PostId, i64>,
        now: Timestamp,
    ) {
        let mut counts = self.counts.lock();
        for (post, views) in written {
            let count = counts.entry(post).or_insert(Count::UNREAD);
            // a deleted post has no total, and its views are gone
            *count = Count {
                total: totals.get(&post).copied().unwrap_or(0),
                read_at: now,
                more: count.more - views,
            };
        }
    }

    /// Writes pending views every second until `stop` is cancelled.
    pub(crate) async fn keep_writing(&self, app: &crate::kit::app::App, stop: CancellationToken) {
        while stop
            .run_until_cancelled(tokio::time::sleep(WRITE_INTERVAL))
            .await
            .is_some()
        {
            if let Err(error) = self.write(&app.db, app.clock.now()).await {
                tracing::warn!(%error, "views cannot be written; they are kept");
            }
        }
    }

    /// Writes the last views, with a few retries.
    pub(crate) async fn write_last(&self, app: &crate::kit::app::App) {
        for _ in 0..STOP_TRIES {
            match self.write(&app.db, app.clock.now()).await {
                Ok(()) => return,
                Err(error) => tracing::warn!(%error, "the last views cannot be written yet"),
            }
            tokio::time::sleep(WRITE_INTERVAL).await;
        }
        tracing::error!("the last views are lost");
    }
}

impl Count {
    const UNREAD: Self = Self {
        total: 0,
        read_at: Timestamp::from_millis(i64::MIN),
        more: 0,
    };
}

/// Substrings of user agents that are not people.
const ROBOTS: [&str; 13] = [
    "bot",
    "crawl",
    "spider",
    "slurp",
    "archiver",
    "facebookexternalhit",
    "preview",
    "fetcher",
    "feed",
    "monitor",
    "scan",
    "lighthouse",
    "validator",
];

/// Whether the request looks like a person's: neither a crawler nor a prefetch.
pub(crate) fn is_a_person(headers: &axum::http::HeaderMap) -> bool {
    let text = |name: &str| {
        headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
    };
    if text("sec-purpose").contains("prefetch")
        || text("purpose") == "prefetch"
        || text("x-moz") == "prefetch"
    {
        return false;
    }
    // CUBOT is a brand of phones
    let agent = text("user-agent").to_ascii_lowercase().replace("cubot", "");
    !ROBOTS.iter().any(|word| agent.contains(word))
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderMap, HeaderValue};

    use super::*;

    /// R49: crawlers and prefetches are not counted as readers.
    #[test]
    fn crawlers_are_no_readers() {
        let agent = |text: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert("user-agent", HeaderValue::from_static(text));
            is_a_person(&headers)
        };
        assert!(!agent(
            "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)"
        ));
        assert!(!agent(
            "Mozilla/5.0 (compatible; YandexBot/3.0; +http://yandex.com/bots)"
        ));
        assert!(!agent("facebookexternalhit/1.1"));
        assert!(agent(
            "Mozilla/5.0 (Linux; Android 13; CUBOT KINGKONG 9) AppleWebKit/537.36 Chrome/124.0 Mobile Safari/537.36"
        ));
        assert!(agent(
            "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:140.0) Gecko/20100101 Firefox/140.0"
        ));
        assert!(is_a_person(&HeaderMap::new()));
        let mut ahead = HeaderMap::new();
        ahead.insert(
            "sec-purpose",
            HeaderValue::from_static("prefetch;prerender"),
        );
        assert!(!is_a_person(&ahead));
    }
}
