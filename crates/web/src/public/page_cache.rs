//! Stores cached pages in memory and in the nodes' shared cache.
//!
//! Values from the shared cache are used only if our signature over their name and content is
//! valid. Someone else who writes there can make us render a page again, but cannot change its
//! content.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use axum::http::{HeaderMap, HeaderName, HeaderValue};
use moka::future::Cache;
use skychimp_core::platform::cache::CacheClient;
use skychimp_core::platform::ids::{ContentVersion, PostId};
use skychimp_core::platform::secret::SigningKey;
use skychimp_core::platform::time::Timestamp;

use super::cached_page::CachedPage;
use super::version_reader::VersionReader;
use super::{DrawCard, PublicAnswer, anonymous_request};
use crate::kit::app::{App, AppState, Settings};
use crate::kit::error::WebError;
use crate::kit::i18n::Lang;
use crate::kit::page::PageContext;
use crate::kit::placeholder::{CacheMode, Placeholder};

/// Pages that were not requested for this long are dropped.
const IDLE_TTL: Duration = Duration::from_mins(10);
/// How long a page stays in the shared cache.
const SHARED_TTL: Duration = Duration::from_mins(30);

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Key {
    version: ContentVersion,
    lang: Lang,
    what: CacheSlot,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum CacheSlot {
    /// The page at an address.
    Page(Box<str>),
    /// A post's card for the home page.
    Card(PostId),
}

/// The cached pages of a process.
#[derive(Debug)]
pub(crate) struct PageCache {
    pages: Option<Cache<Key, Arc<CachedPage>>>,
    gate: Arc<VersionReader>,
    sealed: SealedValue,
    pub(crate) counts: PageCacheCounters,
}

/// Counters for metrics.
#[derive(Debug, Default)]
pub(crate) struct PageCacheCounters {
    /// Pages served from memory.
    pub(crate) hits: AtomicU64,
    /// Pages rendered.
    pub(crate) made: AtomicU64,
    /// Pages taken from another node.
    pub(crate) shared: AtomicU64,
    /// Age of the page served last, in milliseconds.
    pub(crate) age: AtomicI64,
}

impl PageCache {
    pub(crate) fn new(settings: &Settings) -> Self {
        let memory = settings.page_memory;
        Self {
            pages: (memory > 0).then(|| {
                Cache::builder()
                    .max_capacity(memory)
                    .weigher(|_, kept: &Arc<CachedPage>| {
                        u32::try_from(kept.weight()).unwrap_or(u32::MAX)
                    })
                    .time_to_idle(IDLE_TTL)
                    .build()
            }),
            gate: Arc::default(),
            sealed: SealedValue::new(settings),
            counts: PageCacheCounters::default(),
        }
    }

    /// Whether the cache is on.
    pub(crate) fn is_enabled(&self) -> bool {
        self.pages.is_some()
    }

    /// Number of pages in memory, and their size in bytes.
    pub(crate) fn size(&self) -> (u64, u64) {
        self.pages
            .as_ref()
            .map_or((0, 0), |pages| (pages.entry_count(), pages.weighted_size()))
    }

    /// See [`VersionReader::version`].
    pub(crate) async fn version(&self, app: &App) -> Option<ContentVersion> {
        self.gate.version(app).await
    }

    /// The page at an address: from memory, from another node, or rendered by `make`. `None` if it
    /// must not be cached.
    pub(crate) async fn page(
        &self,
        version: ContentVersion,
        lang: Lang,
        address: &str,
        now: Timestamp,
        make: impl Future<Output = Option<CachedPage>>,
    ) -> Option<Arc<CachedPage>> {
        let pages = self.pages.as_ref()?;
        let key = Key {
            version,
            lang,
            what: CacheSlot::Page(address.into()),
        };
        if let Some(kept) = pages.get(&key).await {
            if kept.public.until.is_none_or(|until| now < until) {
                self.counts.hits.fetch_add(1, Ordering::Relaxed);
                self.counts
                    .age
                    .store(now.millis() - kept.made_at.millis(), Ordering::Relaxed);
                return Some(kept);
            }
            pages.invalidate(&key).await;
        }
        let fill = async {
            let name = format!("page:{version}:{}:{address}", lang.as_str());
            if let Some(kept) = self.shared(version, &name, now).await {
                self.counts.shared.fetch_add(1, Ordering::Relaxed);
                return Ok(Arc::new(kept));
            }
            let kept = make.await.ok_or(NotCacheable)?;
            self.counts.made.fetch_add(1, Ordering::Relaxed);
            self.share(&name, &kept, now).await;
            Ok::<_, NotCacheable>(Arc::new(kept))
        };
        pages.try_get_with(key, fill).await.ok()
    }

    /// A post's card for the home page. `None` if the post is no longer published.
    pub(super) async fn card(
        &self,
        app: &AppState,
        draw: DrawCard,
        version: ContentVersion,
        lang: Lang,
        post: PostId,
    ) -> Result<Option<Arc<CachedPage>>, WebError> {
        let Some(pages) = &self.pages else {
            return Ok(None);
        };
        let key = Key {
            version,
            lang,
            what: CacheSlot::Card(post),
        };
        if let Some(kept) = pages.get(&key).await {
            return Ok(Some(kept));
        }
        let keep = CacheMode::new();
        let (head, _) = anonymous_request(lang, keep).into_parts();
        let page = PageContext::anonymous(app, &head);
        let Some(text) = draw(app, &page, post).await? else {
            return Ok(None);
        };
        let kept = Arc::new(CachedPage::card(version, &text, keep, page.now));
        pages.insert(key, Arc::clone(&kept)).await;
        Ok(Some(kept))
    }

    async fn shared(
        &self,
        version: ContentVersion,
        name: &str,
        now: Timestamp,
    ) -> Option<CachedPage> {
        let bytes = self.sealed.get(name).await?;
        let end = bytes.iter().position(|byte| *byte == b'\n')?;
        let parcel: CacheEntry = serde_json::from_slice(&bytes[..end]).ok()?;
        let text = std::str::from_utf8(&bytes[end + 1..]).ok()?;
        let mut headers = HeaderMap::new();
        for (name, value) in &parcel.headers {
            headers.append(
                HeaderName::try_from(name).ok()?,
                HeaderValue::try_from(value).ok()?,
            );
        }
        let right = parcel.public.until.is_none_or(|until| now < until);
        if !right {
            return None;
        }
        let (placeholders, made_at) = (&parcel.placeholders, parcel.made_at);
        CachedPage::from_parts(version, parcel.public, headers, text, placeholders, made_at)
    }

    async fn share(&self, name: &str, kept: &CachedPage, now: Timestamp) {
        if !self.sealed.is_shared() {
            return;
        }
        let header = |(name, value): (&HeaderName, &HeaderValue)| {
            Some((name.to_string(), value.to_str().ok()?.to_owned()))
        };
        let (text, placeholders) = kept.text();
        let parcel = CacheEntry {
            public: kept.public.clone(),
            made_at: kept.made_at,
            placeholders,
            headers: kept.headers.iter().filter_map(header).collect(),
        };
        let Ok(mut bytes) = serde_json::to_vec(&parcel) else {
            return;
        };
        bytes.push(b'\n');
        bytes.extend(text);
        let keep = kept
            .public
            .until
            .map_or(SHARED_TTL, |until| until.since(now).min(SHARED_TTL));
        self.sealed.set(name, &bytes, keep).await;
    }
}

#[derive(Debug)]
struct NotCacheable;

/// Header of a page in the shared cache; its text follows.
#[derive(Debug, serde::Serialize, serde::Deserialize)]
struct CacheEntry {
    public: PublicAnswer,
    made_at: Timestamp,
    /// Byte offsets of the placeholders in the text.
    placeholders: Vec<(usize, Placeholder)>,
    headers: Vec<(String, String)>,
}

/// Signed values in the shared cache, readable only by the same build of the program.
#[derive(Debug)]
pub(crate) struct SealedValue {
    shared: CacheClient,
    key: SigningKey,
    build: String,
}

impl SealedValue {
    pub(crate) fn new(settings: &Settings) -> Self {
        Self {
            shared: settings.shared.clone(),
            key: settings.secret.derive("shared pages"),
            build: settings.build.clone(),
        }
    }

    pub(crate) fn is_shared(&self) -> bool {
        self.shared.is_configured()
    }

    /// The value with this name. `None` if it is missing or its signature is invalid.
    pub(crate) async fn get(&self, name: &str) -> Option<Vec<u8>> {
        if !self.is_shared() {
            return None;
        }
        let name = self.name(name);
        let value = self.shared.get(&name).await?;
        let (seal, content) = value.split_at_checked(SEAL_BYTES)?;
        self.key
            .verify(&signed(&name, content), seal)
            .then(|| content.to_vec())
    }

    /// Stores a value for a time.
    pub(crate) async fn set(&self, name: &str, content: &[u8], keep: Duration) {
        let name = self.name(name);
        let mut value = self.key.sign(&signed(&name, content)).to_vec();
        value.extend_from_slice(content);
        self.shared.set(&name, &value, keep).await;
    }

    /// Takes a lock: of all nodes, one gets `true` until it expires. Without a shared cache, every
    /// caller does.
    pub(crate) async fn try_lock(&self, name: &str, keep: Duration) -> bool {
        self.shared
            .take(&self.name(name), keep)
            .await
            .unwrap_or(true)
    }

    /// Releases a lock taken by [`SealedValue::try_lock`].
    pub(crate) async fn unlock(&self, name: &str) {
        self.shared.delete(&self.name(name)).await;
    }

    /// Includes the build, because pages of another one link to other style sheets.
    fn name(&self, name: &str) -> String {
        format!("{}:{name}", self.build)
    }
}

/// The signed content. Includes the name, so that a value is not valid under another one.
fn signed(name: &str, content: &[u8]) -> Vec<u8> {
    [name.as_bytes(), b"\0", content].concat()
}

/// Length of a signature, in bytes.
const SEAL_BYTES: usize = 32;
