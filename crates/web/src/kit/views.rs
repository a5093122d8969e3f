//! How often posts were read (R49).
//!
//! A view is counted in memory, and all of the last second are added to the database in one transaction; so are the last
//! ones when the site stops. A number that is shown is what the database said at most a few seconds ago, and the views that this
//! process has not written yet: one's own view is in it at once, those on other nodes after at most that time.
//!
//! *Invariants*: adding happens in the database (`views + n`), so any number of nodes lose nothing to each other; a view
//! leaves memory only after its transaction is over. A process that is killed (`SIGKILL`, power) loses those of its last
//! second.

use std::collections::HashMap;
use std::time::Duration;

use parking_lot::Mutex;
use skychimp_core::blog::post::Post;
use skychimp_core::platform::db::Db;
use skychimp_core::platform::error::Error;
use skychimp_core::platform::ids::PostId;
use skychimp_core::platform::time::Moment;
use tokio_util::sync::CancellationToken;

/// How often views are written.
const EVERY: Duration = Duration::from_secs(1);
/// How old a number may be that is shown.
const FRESH: Duration = Duration::from_secs(2);
/// A number that nobody looked at for so long is forgotten.
const FORGET: Duration = Duration::from_mins(1);
/// Tries to write the last views before the site ends.
const LAST_TRIES: u32 = 5;

/// See the module.
#[derive(Debug, Default)]
pub struct Views {
    counts: Mutex<HashMap<PostId, Count>>,
    /// Held while the database is asked: what it said takes effect in the order in which it said it.
    asking: tokio::sync::Mutex<()>,
}

#[derive(Debug, Clone, Copy)]
struct Count {
    /// What the database said, and when.
    total: i64,
    read_at: Moment,
    /// Views that are not in it.
    more: i64,
}

impl Views {
    /// Counts a view.
    pub fn add(&self, post: PostId) {
        self.counts.lock().entry(post).or_insert(Count::UNREAD).more += 1;
    }

    /// Views of a post, as far as is known here.
    #[must_use]
    pub fn number(&self, post: PostId) -> i64 {
        self.counts
            .lock()
            .get(&post)
            .map_or(0, |count| count.total + count.more)
    }

    /// Views of a post that are not in the database yet.
    #[must_use]
    pub fn unwritten(&self, post: PostId) -> i64 {
        self.counts.lock().get(&post).map_or(0, |count| count.more)
    }

    /// Reads the numbers of these posts when they are too old to be shown.
    pub async fn refresh(&self, db: &Db, posts: &[PostId], now: Moment) -> Result<(), Error> {
        if self.old(posts, now).is_empty() {
            return Ok(());
        }
        let _order = self.asking.lock().await;
        // those who waited here find what the first one read
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

    fn old(&self, posts: &[PostId], now: Moment) -> Vec<PostId> {
        let counts = self.counts.lock();
        let old = |post: &&PostId| {
            counts
                .get(post)
                .is_none_or(|count| now.since(count.read_at) >= FRESH)
        };
        posts.iter().filter(old).copied().collect()
    }

    /// Writes all views that are not in the database yet.
    pub async fn write(&self, db: &Db, now: Moment) -> Result<(), Error> {
        let _order = self.asking.lock().await;
        let news: Vec<(PostId, i64)> = {
            let mut counts = self.counts.lock();
            counts.retain(|_, count| count.more > 0 || now.since(count.read_at) < FORGET);
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

    /// Takes over totals in which the views of `written` are.
    fn learn(
        &self,
        written: impl IntoIterator<Item = (PostId, i64)>,
        totals: &HashMap<PostId, i64>,
        now: Moment,
    ) {
        let mut counts = self.counts.lock();
        for (post, views) in written {
            let count = counts.entry(post).or_insert(Count::UNREAD);
            // a deleted post has no total, and its views went with it
            *count = Count {
                total: totals.get(&post).copied().unwrap_or(0),
                read_at: now,
                more: count.more - views,
            };
        }
    }

    /// Writes every second until `stop`.
    pub(crate) async fn keep_writing(&self, app: &crate::kit::app::App, stop: CancellationToken) {
        while stop
            .run_until_cancelled(tokio::time::sleep(EVERY))
            .await
            .is_some()
        {
            if let Err(error) = self.write(&app.db, app.clock.now()).await {
                tracing::warn!(%error, "views cannot be written; they are kept");
            }
        }
    }

    /// Writes the last ones.
    pub(crate) async fn write_last(&self, app: &crate::kit::app::App) {
        for _ in 0..LAST_TRIES {
            match self.write(&app.db, app.clock.now()).await {
                Ok(()) => return,
                Err(error) => tracing::warn!(%error, "the last views cannot be written yet"),
            }
            tokio::time::sleep(EVERY).await;
        }
        tracing::error!("the last views are lost");
    }
}

impl Count {
    const UNREAD: Self = Self {
        total: 0,
        read_at: Moment::from_millis(i64::MIN),
        more: 0,
    };
}

/// Words in the names of programs that read pages for no person.
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

/// Tells whether a person looks, as far as the request says: neither a crawler nor a browser that loads ahead.
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
    // CUBOT makes phones
    let agent = text("user-agent").to_ascii_lowercase().replace("cubot", "");
    !ROBOTS.iter().any(|word| agent.contains(word))
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderMap, HeaderValue};

    use super::*;

    /// R49: crawlers and pages loaded ahead are told from readers.
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
