//! The cache of public pages, which are the same for everyone who is not logged in.
//!
//! A handler renders its page as usual and marks the response with [`PublicAnswer`]. This
//! middleware, the outermost one, keeps the page in memory and, if there is one, in the nodes'
//! shared cache. Later visitors get it without a handler being called. Parts that differ from view
//! to view are *placeholders* in the cached page: view counts, the service's statistics, three
//! random posts. They are filled in at every view.
//!
//! *Invariants*
//! - **Never stale**: a cached page is used only while the content version it was rendered from is
//!   the current one ([`version_reader`]), and not beyond the next scheduled publication. This does
//!   not depend on messages between nodes.
//! - **Never personal**: a page to be cached is rendered for a request that has nothing of the
//!   visitor but the language ([`PageRequest::clean`]). Visitors who are logged in or have a flash
//!   message get a page that is not cached.
//! - **User text cannot become a placeholder**: see [`cached_page`].
//! - **Rendered once**: of concurrent requests for a missing page, one renders it and the others
//!   wait.
//! - **Never an error**: if the shared cache is absent, slow or holds garbage, pages are rendered
//!   here.

mod cached_page;
pub(crate) mod figures;
mod page_cache;
mod version_reader;

use std::pin::Pin;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use skychimp_core::blog::post::Post;
use skychimp_core::platform::db::Tx;
use skychimp_core::platform::error::Error;
use skychimp_core::platform::ids::{ContentVersion, PostId};
use skychimp_core::platform::time::Timestamp;

pub(crate) use self::cached_page::POSTS;
use self::cached_page::{CachedPage, FilledPage};
use self::figures::LiveFigures;
use self::page_cache::{PageCache, SealedValue};
use crate::kit::app::{AppState, Settings};
use crate::kit::error::WebError;
use crate::kit::gzip::accepts_gzip;
use crate::kit::i18n::Lang;
use crate::kit::page::{PageContext, chosen_language, text_of};
use crate::kit::placeholder::CacheMode;
use crate::kit::{cookies, views};

/// Marks a response that is the same for all anonymous visitors.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) struct PublicAnswer {
    /// Expiry of the page: the next scheduled publication.
    pub(crate) until: Option<Timestamp>,
    /// The post that a visitor of the page reads.
    pub(crate) post: Option<PostId>,
    /// The posts from which [`Placeholder::Posts`](crate::kit::placeholder::Placeholder::Posts)
    /// chooses.
    pub(crate) choice: Vec<PostId>,
}

impl PublicAnswer {
    /// A page that holds until the next scheduled publication, and shows `post`.
    pub(crate) async fn of(
        tx: &mut Tx,
        post: Option<PostId>,
        now: Timestamp,
    ) -> Result<Self, Error> {
        Ok(Self {
            until: Post::next_publication(tx, now).await?,
            post,
            choice: Vec::new(),
        })
    }

    /// Adds the mark to a response.
    pub(crate) fn mark(self, mut response: Response) -> Response {
        response.extensions_mut().insert(self);
        response
    }
}

/// Renders a post's card for the home page. `None` if the post is no longer published.
pub(crate) type DrawCard = for<'a> fn(&'a AppState, &'a PageContext, PostId) -> RenderedCard<'a>;
/// Future returned by [`DrawCard`].
pub(crate) type RenderedCard<'a> =
    Pin<Box<dyn Future<Output = Result<Option<String>, WebError>> + Send + 'a>>;

/// State shared by the public pages of a process: cached pages and statistics.
#[derive(Debug)]
pub(crate) struct PublicPages {
    pub(crate) store: PageCache,
    pub(crate) figures: Arc<LiveFigures>,
    draw_card: DrawCard,
}

impl PublicPages {
    /// Creates an empty cache.
    pub(crate) fn new(settings: &Settings, draw_card: DrawCard) -> Self {
        Self {
            store: PageCache::new(settings),
            figures: Arc::new(LiveFigures::new(SealedValue::new(settings))),
            draw_card,
        }
    }

    /// A post's card for the home page. `None` if the post is no longer published.
    async fn card(
        &self,
        app: &AppState,
        version: ContentVersion,
        lang: Lang,
        post: PostId,
    ) -> Result<Option<Arc<CachedPage>>, WebError> {
        let draw = self.draw_card;
        self.store.card(app, draw, version, lang, post).await
    }
}

/// Longer pages are not cached, in bytes.
const PAGE_MAX: usize = 2 * 1024 * 1024;
/// Pages with longer addresses are not cached, in bytes: nobody links to them.
const ADDRESS_MAX: usize = 300;

/// Whether pages at this path may be cached.
fn is_public(path: &str) -> bool {
    ["/", "/blog", "/sitemap.xml"].contains(&path) || path.starts_with("/blog/")
}

/// What a request needs from a cached page.
#[derive(Debug)]
struct PageRequest {
    lang: Lang,
    address: Box<str>,
    gzip: bool,
    /// The client's `If-None-Match` header.
    known: Option<HeaderValue>,
    person: bool,
}

impl PageRequest {
    /// `None`: this request needs a personal page, or one that is not public.
    fn of(app: &AppState, head: &Parts) -> Option<Self> {
        let headers = &head.headers;
        let counted = head.method == Method::GET;
        if !(counted || head.method == Method::HEAD) || !is_public(head.uri.path()) {
            return None;
        }
        let address = head.uri.path_and_query()?.as_str();
        let personal = address.len() > ADDRESS_MAX
            || headers.contains_key("hx-request")
            || chosen_language(head.uri.query()).is_some()
            || cookies::get(headers, cookies::session_name(app)).is_some()
            || cookies::get(headers, crate::kit::flash::NAME).is_some();
        if personal {
            return None;
        }
        Some(Self {
            lang: Lang::of(headers),
            address: address.into(),
            gzip: accepts_gzip(headers),
            known: headers.get(header::IF_NONE_MATCH).cloned(),
            person: counted && views::is_a_person(headers),
        })
    }

    /// Builds a request with nothing of this visitor but the language. The extensions contain only
    /// the path parameters of the router.
    fn clean(&self, head: &Parts, keep: CacheMode) -> Request {
        let mut clean = anonymous_request(self.lang, keep);
        *clean.uri_mut() = head.uri.clone();
        clean.extensions_mut().extend(head.extensions.clone());
        clean
    }
}

/// An anonymous request for a page that will be cached.
pub(crate) fn anonymous_request(lang: Lang, keep: CacheMode) -> Request {
    let mut request = Request::new(Body::empty());
    let cookie = format!("{}={}", cookies::LANGUAGE, lang.as_str());
    if let Ok(cookie) = cookie.try_into() {
        request.headers_mut().insert(header::COOKIE, cookie);
    }
    request.extensions_mut().insert(keep);
    request
}

/// Answers requests for public pages from the cache.
pub(crate) async fn serve(
    State((app, public)): State<(AppState, Arc<PublicPages>)>,
    request: Request,
    next: Next,
) -> Response {
    // The body is not `Sync`, so it is kept apart while the head is borrowed across an await.
    let (head, body) = request.into_parts();
    match find(&app, &public, &head, &next).await {
        Some((ask, kept)) => match answer(&app, &public, &ask, &kept).await {
            Ok(response) => response,
            Err(error) => error.into_response(),
        },
        None => next.run(Request::from_parts(head, body)).await,
    }
}

/// Finds the cached page for a request, or renders it. `None`: the request goes to the handlers.
async fn find(
    app: &AppState,
    public: &PublicPages,
    head: &Parts,
    next: &Next,
) -> Option<(PageRequest, Arc<CachedPage>)> {
    let ask = PageRequest::of(app, head).filter(|_| public.store.is_enabled())?;
    // a database that does not answer: the page itself will say so
    let version = public.store.version(app).await?;
    let make = async {
        let marks = CacheMode::new();
        let response = next.clone().run(ask.clean(head, marks)).await;
        keep(version, response, marks, app).await
    };
    let kept = public
        .store
        .page(version, ask.lang, &ask.address, app.clock.now(), make)
        .await?;
    Some((ask, kept))
}

/// Turns a response marked as public into a cached page. `None` if it must not be cached.
async fn keep(
    version: ContentVersion,
    response: Response,
    marks: CacheMode,
    app: &AppState,
) -> Option<CachedPage> {
    let (mut head, body) = response.into_parts();
    let public = head.extensions.remove::<PublicAnswer>()?;
    if head.status != StatusCode::OK || head.headers.contains_key(header::SET_COOKIE) {
        return None;
    }
    let text = axum::body::to_bytes(body, PAGE_MAX).await.ok()?;
    let text = std::str::from_utf8(&text).ok()?;
    Some(CachedPage::new(
        version,
        public,
        head.headers,
        text,
        marks,
        app.clock.now(),
    ))
}

/// The cached page as a response to this visitor.
async fn answer(
    app: &AppState,
    public: &PublicPages,
    ask: &PageRequest,
    kept: &CachedPage,
) -> Result<Response, WebError> {
    if ask.person
        && let Some(post) = kept.public.post
    {
        app.views.add(post);
    }
    let filled = FilledPage::new(app, public, kept, ask.lang).await?;
    let tag = filled.tag();
    let mut response = Response::new(Body::empty());
    *response.headers_mut() = kept.headers.clone();
    if ask.known.as_ref().is_some_and(|known| knows(known, &tag)) {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
    } else {
        *response.body_mut() = filled.write(app, ask.gzip).into();
        if ask.gzip {
            let gzip = HeaderValue::from_static("gzip");
            response
                .headers_mut()
                .insert(header::CONTENT_ENCODING, gzip);
        }
    }
    if let Ok(tag) = HeaderValue::try_from(tag) {
        response.headers_mut().insert(header::ETAG, tag);
    }
    Ok(response)
}

/// `If-None-Match` (RFC 9110 §13.1.2): weak comparison with each tag.
fn knows(known: &HeaderValue, tag: &str) -> bool {
    let opaque = |tag: &str| tag.trim().trim_start_matches("W/").to_owned();
    known.to_str().is_ok_and(|known| {
        known.trim() == "*" || known.split(',').any(|one| opaque(one) == opaque(tag))
    })
}

/// The language of a request, as [`crate::kit::page::PageContext`] determines it for anonymous
/// visitors.
impl Lang {
    fn of(headers: &HeaderMap) -> Self {
        cookies::get(headers, cookies::LANGUAGE)
            .and_then(|lang| lang.parse().ok())
            .unwrap_or_else(|| Self::accepted(&text_of(headers, &header::ACCEPT_LANGUAGE)))
    }
}
