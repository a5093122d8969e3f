//! What programs read: Atom (RFC 4287), RSS 2.0, sitemap and robots.txt. They do not depend on the
//! visitor, so they skip the page middleware.

use askama::Template;
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse as _, Response};
use skychimp_core::blog::markdown;
use skychimp_core::blog::post::public::SitemapEntry;
use skychimp_core::blog::post::{Article, Post, PostCard, Tag};
use skychimp_core::platform::time::Timestamp;
use url::Url;

use crate::kit::app::AppState;
use crate::kit::error::WebError;
use crate::kit::i18n::Lang;
use crate::kit::routes::get;
use crate::parts::post_view::base;
use crate::public::PublicAnswer;
use crate::site::SiteRoutes;

/// Posts per feed.
const FEED: i64 = 20;
/// Longest HTML of an article that a feed has whole, in characters. Of a longer one, and when the
/// feed is full, it has the excerpt.
const ARTICLE_BYTES: i64 = 200_000;
/// HTML of all articles in a feed.
const FEED_BYTES: usize = 600_000;
/// Most URLs in the sitemap (the protocol allows 50 000).
const PLACES: i64 = 10_000;

pub(crate) fn routes() -> SiteRoutes {
    SiteRoutes::new()
        .route("/blog/atom.xml", get(atom))
        .route("/blog/rss.xml", get(rss))
        .route("/sitemap.xml", get(sitemap))
        .route("/robots.txt", get(robots))
}

struct Entry {
    card: PostCard,
    html: String,
    updated: Timestamp,
    published_2822: String,
    tags: Vec<Tag>,
}

#[derive(Template)]
#[template(path = "blog/atom.xml")]
struct Atom {
    base: String,
    lead: String,
    updated: Timestamp,
    entries: Vec<Entry>,
}

#[derive(Template)]
#[template(path = "blog/rss.xml")]
struct Rss {
    base: String,
    lead: String,
    entries: Vec<Entry>,
}

#[derive(Template)]
#[template(path = "blog/sitemap.xml")]
struct Sitemap {
    base: String,
    places: Vec<SitemapEntry>,
}

async fn entries(app: &AppState) -> Result<Vec<Entry>, WebError> {
    let mut tx = app.db.read().await?;
    let articles = Post::feed(&mut tx, FEED, ARTICLE_BYTES, app.clock.now()).await?;
    let mut tags = Vec::new();
    for article in &articles {
        tags.push(Post::tags(&mut tx, article.card.id).await?);
    }
    drop(tx);
    let base_url = app.settings.base_url.clone();
    let entries = move || complete(articles, tags, &base_url);
    Ok(tokio::task::spawn_blocking(entries).await?)
}

/// The entries, with their text as long as it fits into the feed.
fn complete(articles: Vec<Article>, tags: Vec<Vec<Tag>>, base_url: &Url) -> Vec<Entry> {
    let mut left = FEED_BYTES;
    let mut entries = Vec::new();
    for (article, tags) in articles.into_iter().zip(tags) {
        let fits = article.html.len() <= left;
        left -= if fits { article.html.len() } else { 0 };
        let published = article
            .card
            .published_at
            .timestamp()
            .to_zoned(jiff::tz::TimeZone::UTC);
        entries.push(Entry {
            tags,
            html: if fits {
                markdown::absolute(&article.html, base_url)
            } else {
                String::new()
            },
            // a text finished before its publication counts as updated when it was published
            updated: article.updated_at.max(article.card.published_at),
            published_2822: jiff::fmt::rfc2822::to_string(&published).unwrap_or_default(),
            card: article.card,
        });
    }
    entries
}

/// Posts in both languages share one feed; its own texts are English.
fn lead() -> String {
    Lang::En.t("blog-lead").to_string()
}

async fn atom(State(app): State<AppState>) -> Result<Response, WebError> {
    let entries = entries(&app).await?;
    let updated = entries.iter().map(|entry| entry.updated).max();
    let feed = Atom {
        base: base(&app),
        lead: lead(),
        updated: updated.unwrap_or_default(),
        entries,
    };
    xml(&app, "application/atom+xml; charset=utf-8", &feed).await
}

async fn rss(State(app): State<AppState>) -> Result<Response, WebError> {
    let feed = Rss {
        base: base(&app),
        lead: lead(),
        entries: entries(&app).await?,
    };
    xml(&app, "application/rss+xml; charset=utf-8", &feed).await
}

async fn sitemap(State(app): State<AppState>) -> Result<Response, WebError> {
    let mut tx = app.db.read().await?;
    let places = Post::slugs(&mut tx, PLACES, app.clock.now()).await?;
    drop(tx);
    let base = base(&app);
    let kind = "application/xml; charset=utf-8";
    xml(&app, kind, &Sitemap { base, places }).await
}

/// Lets crawlers read the blog, but not personal pages: links in letters, forms, accounts.
async fn robots(State(app): State<AppState>) -> Response {
    let text = format!(
        "User-agent: *\nDisallow: /u/\nDisallow: /login\nDisallow: /setup\nDisallow: /posts\n\nSitemap: {}/sitemap.xml\n",
        base(&app)
    );
    ([(header::CONTENT_TYPE, "text/plain; charset=utf-8")], text).into_response()
}

/// Feed readers poll every few minutes, so they must always revalidate.
async fn xml(
    app: &AppState,
    kind: &'static str,
    template: &impl Template,
) -> Result<Response, WebError> {
    let headers = [
        (header::CONTENT_TYPE, kind),
        (header::CACHE_CONTROL, "no-cache"),
    ];
    let response = (headers, template.render()?).into_response();
    let mut tx = app.db.read().await?;
    let public = PublicAnswer::of(&mut tx, None, app.clock.now()).await?;
    Ok(public.mark(response))
}
