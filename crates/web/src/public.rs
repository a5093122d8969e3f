//! Public pages: the same for everybody who is not logged in, finished once and kept.
//!
//! A handler makes its page as always and marks the answer with [`Public`]. This middleware, the outermost one, keeps it
//! in memory and, when nodes share a server, there too; the next visitors get it without any handler being asked. What
//! differs from view to view are *holes* in the kept page: numbers of views, the service's figures, three posts chosen by
//! chance. They are filled at every view.
//!
//! *Invariants*
//! - **Never outdated**: a kept page is shown only while the content's version that holds ([`gate`]) is the one it was
//!   made from, and not beyond the next scheduled publication. No message has to arrive for that.
//! - **Never personal**: a page that is kept was made for a request that carries nothing of the visitor but the language
//!   ([`Ask::clean`]). Whoever is logged in or has a message waiting gets a page of his own, that is not kept.
//! - **Nobody's words are holes**: see [`kept`].
//! - **Made once**: of all that want a page that is not there, one makes it and the others wait for it.
//! - **Never an error**: without the shared server, with a slow one or one full of garbage, pages are made here.

pub(crate) mod figures;
mod gate;
mod kept;
mod store;

use std::pin::Pin;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use skychimp_core::platform::ids::{ContentVersion, PostId};
use skychimp_core::platform::time::Moment;

use self::figures::LiveFigures;
pub(crate) use self::kept::POSTS;
use self::kept::{Filled, Kept};
use self::store::{Sealed, Store};
use crate::kit::app::{AppState, Settings};
use crate::kit::error::WebError;
use crate::kit::gzip::accepts_gzip;
use crate::kit::hole::Keep;
use crate::kit::i18n::Lang;
use crate::kit::page::{Page, chosen_language, text_of};
use crate::kit::{cookies, views};

/// Marks an answer that is the same for all strangers.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) struct Public {
    /// It is right until then at most: the next scheduled publication.
    pub(crate) until: Option<Moment>,
    /// Whoever sees it reads this post.
    pub(crate) post: Option<PostId>,
    /// The posts among which [`Hole::Posts`](crate::kit::hole::Hole::Posts) chooses.
    pub(crate) choice: Vec<PostId>,
}

impl Public {
    /// Marks an answer.
    pub(crate) fn mark(self, mut response: Response) -> Response {
        response.extensions_mut().insert(self);
        response
    }
}

/// Draws a post as the home page shows it; `None` when it is not published any more.
pub(crate) type DrawCard = for<'a> fn(&'a AppState, &'a Page, PostId) -> Drawn<'a>;
/// See [`DrawCard`].
pub(crate) type Drawn<'a> =
    Pin<Box<dyn Future<Output = Result<Option<String>, WebError>> + Send + 'a>>;

/// What the public pages of a process have in common: the pages that are kept, and the service's figures.
#[derive(Debug)]
pub(crate) struct PublicPages {
    pub(crate) store: Store,
    pub(crate) figures: Arc<LiveFigures>,
    draw_card: DrawCard,
}

impl PublicPages {
    /// Nothing is kept yet.
    pub(crate) fn new(settings: &Settings, draw_card: DrawCard) -> Self {
        Self {
            store: Store::new(settings),
            figures: Arc::new(LiveFigures::new(Sealed::new(settings))),
            draw_card,
        }
    }

    /// A post as the home page shows it; `None` when it is not published any more.
    async fn card(
        &self,
        app: &AppState,
        version: ContentVersion,
        lang: Lang,
        post: PostId,
    ) -> Result<Option<Arc<Kept>>, WebError> {
        let draw = self.draw_card;
        self.store.card(app, draw, version, lang, post).await
    }
}

/// A longer page is not kept.
const PAGE_MAX: usize = 2 * 1024 * 1024;
/// A page with a longer address is not kept: nobody links to it.
const ADDRESS_MAX: usize = 300;

/// The paths whose pages may be kept.
fn is_public(path: &str) -> bool {
    ["/", "/blog", "/sitemap.xml"].contains(&path) || path.starts_with("/blog/")
}

/// What a request wants, as far as a kept page can give it.
#[derive(Debug)]
struct Ask {
    lang: Lang,
    address: Box<str>,
    gzip: bool,
    /// `ETag`s that the visitor has.
    known: Option<HeaderValue>,
    person: bool,
}

impl Ask {
    /// `None`: this visitor wants something of his own.
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

    /// A request that has nothing of this visitor but the language. What its extensions hold is the router's: the parts
    /// of the path.
    fn clean(&self, head: &Parts, keep: Keep) -> Request {
        let mut clean = nobody(self.lang, keep);
        *clean.uri_mut() = head.uri.clone();
        clean.extensions_mut().extend(head.extensions.clone());
        clean
    }
}

/// A request of nobody in particular, whose answer is going to be kept.
pub(crate) fn nobody(lang: Lang, keep: Keep) -> Request {
    let mut request = Request::new(Body::empty());
    let cookie = format!("{}={}", cookies::LANGUAGE, lang.as_str());
    if let Ok(cookie) = cookie.try_into() {
        request.headers_mut().insert(header::COOKIE, cookie);
    }
    request.extensions_mut().insert(keep);
    request
}

/// The middleware.
pub(crate) async fn serve(
    State((app, public)): State<(AppState, Arc<PublicPages>)>,
    request: Request,
    next: Next,
) -> Response {
    // A request's body cannot be shared between threads, its head can.
    let (head, body) = request.into_parts();
    match find(&app, &public, &head, &next).await {
        Some((ask, kept)) => match answer(&app, &public, &ask, &kept).await {
            Ok(response) => response,
            Err(error) => error.into_response(),
        },
        None => next.run(Request::from_parts(head, body)).await,
    }
}

/// The kept page for a request, made if need be; `None`: this request is for the handlers.
async fn find(
    app: &AppState,
    public: &PublicPages,
    head: &Parts,
    next: &Next,
) -> Option<(Ask, Arc<Kept>)> {
    let ask = Ask::of(app, head).filter(|_| public.store.keeps())?;
    // a database that does not answer: the page itself will say so
    let version = public.store.version(app).await?;
    let make = async {
        let marks = Keep::new();
        let response = next.clone().run(ask.clean(head, marks)).await;
        keep(version, response, marks, app).await
    };
    let kept = public
        .store
        .page(version, ask.lang, &ask.address, app.clock.now(), make)
        .await?;
    Some((ask, kept))
}

/// Makes a kept page of an answer that is marked as public.
async fn keep(
    version: ContentVersion,
    response: Response,
    marks: Keep,
    app: &AppState,
) -> Option<Kept> {
    let (mut head, body) = response.into_parts();
    let public = head.extensions.remove::<Public>()?;
    if head.status != StatusCode::OK || head.headers.contains_key(header::SET_COOKIE) {
        return None;
    }
    let text = axum::body::to_bytes(body, PAGE_MAX).await.ok()?;
    let text = std::str::from_utf8(&text).ok()?;
    Some(Kept::new(
        version,
        public,
        head.headers,
        text,
        marks,
        app.clock.now(),
    ))
}

/// A kept page as this visitor gets it.
async fn answer(
    app: &AppState,
    public: &PublicPages,
    ask: &Ask,
    kept: &Kept,
) -> Result<Response, WebError> {
    if ask.person
        && let Some(post) = kept.public.post
    {
        app.views.add(post);
    }
    let filled = Filled::new(app, public, kept, ask.lang).await?;
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

/// `If-None-Match` (RFC 9110 §13.1.2): weak comparison with each of its tags.
fn knows(known: &HeaderValue, tag: &str) -> bool {
    let opaque = |tag: &str| tag.trim().trim_start_matches("W/").to_owned();
    known.to_str().is_ok_and(|known| {
        known.trim() == "*" || known.split(',').any(|one| opaque(one) == opaque(tag))
    })
}

/// The language of a request, as [`crate::kit::page::Page`] finds it for strangers.
impl Lang {
    fn of(headers: &HeaderMap) -> Self {
        cookies::get(headers, cookies::LANGUAGE)
            .and_then(|lang| lang.parse().ok())
            .unwrap_or_else(|| Self::accepted(&text_of(headers, &header::ACCEPT_LANGUAGE)))
    }
}
