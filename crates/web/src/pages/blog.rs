//! The blog as everybody reads it: list, tag, search, article (R44).

mod feeds;

use std::collections::HashMap;

use askama::Template;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;
use serde_json::json;
use skychimp_core::blog::media::Picture;
use skychimp_core::blog::post::public::TagCount;
use skychimp_core::blog::post::{Article, Card, Filter, Found, Post, Tag};
use skychimp_core::platform::control;
use skychimp_core::platform::db::Tx;
use skychimp_core::platform::error::Error;
use skychimp_core::platform::ids::{MediaId, PostId};
use skychimp_core::platform::time::Moment;

use crate::AppState;
use crate::error::WebError;
use crate::form::{Path, Query};
use crate::page::{Page, html};
use crate::public::Public;
use crate::routes::{Routes, get};

/// Posts on a page of the list: one large one and three rows of three.
const PAGE_SIZE: i64 = 10;
/// Tags above the list.
const TAGS: i64 = 20;
/// Posts to read next.
const RELATED: i64 = 3;
/// Colours of covers without a picture.
const HUES: u32 = 5;

pub(crate) fn routes() -> Routes {
    Routes::new()
        .route("/blog", get(list))
        .route("/blog/tag/{tag}", get(tagged))
        .route("/blog/{slug}", get(post))
}

pub(crate) use feeds::routes as feed_routes;

/// A post with its picture.
pub(crate) struct Tile {
    pub(crate) card: Card,
    pub(crate) cover: Option<Picture>,
}

impl Tile {
    pub(crate) fn letter(&self) -> String {
        self.card
            .title
            .chars()
            .find(|c| c.is_alphanumeric())
            .map_or_else(String::new, |c| c.to_uppercase().collect())
    }

    /// The colour of a cover without a picture: always the same for a post.
    pub(crate) fn hue(&self) -> u32 {
        self.card.slug.bytes().fold(0_u32, |sum, byte| {
            sum.wrapping_mul(31).wrapping_add(byte.into())
        }) % HUES
    }
}

/// Finds the pictures of posts.
pub(crate) async fn tiles(tx: &mut Tx, cards: Vec<Card>) -> Result<Vec<Tile>, Error> {
    let covers: Vec<MediaId> = cards.iter().filter_map(|card| card.cover_id).collect();
    let pictures = if covers.is_empty() {
        HashMap::new()
    } else {
        Picture::by_ids(tx, &covers).await?
    };
    let tile = |card: Card| Tile {
        cover: card.cover_id.and_then(|id| pictures.get(&id).cloned()),
        card,
    };
    Ok(cards.into_iter().map(tile).collect())
}

/// The site's address without a slash at its end.
pub(crate) fn base(app: &AppState) -> String {
    app.settings
        .base_url
        .as_str()
        .trim_end_matches('/')
        .to_owned()
}

#[derive(Debug, Default, Deserialize)]
struct ListQuery {
    #[serde(default)]
    q: String,
    #[serde(default)]
    page: String,
}

#[derive(Template)]
#[template(path = "blog/list.html")]
struct ListPage {
    page: Page,
    q: String,
    tag: Option<Tag>,
    tags: Vec<TagCount>,
    /// The newest one, on the first page.
    lead: Option<Tile>,
    tiles: Vec<Tile>,
    total: i64,
    number: i64,
    pages: i64,
    canonical: String,
    previous: String,
    next: String,
}

impl ListPage {
    fn searched(&self) -> bool {
        !self.q.trim().is_empty()
    }

    fn is_tag(&self, tag: &Tag) -> bool {
        self.tag.as_ref().is_some_and(|this| this.slug == tag.slug)
    }
}

async fn list(
    State(app): State<AppState>,
    page: Page,
    Query(query): Query<ListQuery>,
) -> Result<Response, WebError> {
    show_list(&app, page, query, String::new()).await
}

async fn tagged(
    State(app): State<AppState>,
    page: Page,
    Path(tag): Path<String>,
    Query(query): Query<ListQuery>,
) -> Result<Response, WebError> {
    show_list(&app, page, query, tag).await
}

async fn show_list(
    app: &AppState,
    page: Page,
    query: ListQuery,
    tag: String,
) -> Result<Response, WebError> {
    let number: i64 = query.page.parse().unwrap_or(1).clamp(1, 100_000);
    let filter = Filter::asked(&query.q, tag);
    let mut tx = app.db.read().await?;
    let cards = Post::published_page(&mut tx, &filter, number, PAGE_SIZE, page.now).await?;
    let total = Post::count_published(&mut tx, &filter, page.now).await?;
    let mut tiles = tiles(&mut tx, cards).await?;
    let tags = Post::published_tags(&mut tx, TAGS, page.now).await?;
    let tag = match filter.tag.as_str() {
        "" => None,
        // rare tags are not above the list
        slug => Some(
            Post::tag(&mut tx, slug, page.now)
                .await?
                .ok_or(WebError::NotFound)?,
        ),
    };
    let until = Post::next_publication(&mut tx, page.now).await?;
    drop(tx);
    if tiles.is_empty() && number > 1 {
        return Err(WebError::NotFound);
    }
    let path = tag
        .as_ref()
        .map_or("/blog".to_owned(), |tag| format!("/blog/tag/{}", tag.slug));
    let address = |number: i64| {
        let mut query_string = Vec::new();
        let q = &filter.search;
        if !q.is_empty() {
            query_string.push(format!("q={}", utf8_percent_encode(q, NON_ALPHANUMERIC)));
        }
        if number > 1 {
            query_string.push(format!("page={number}"));
        }
        match query_string.join("&") {
            none if none.is_empty() => path.clone(),
            some => format!("{path}?{some}"),
        }
    };
    let pages = (total + PAGE_SIZE - 1) / PAGE_SIZE;
    let plain = number == 1 && filter.search.is_empty() && tag.is_none();
    let lead = (plain && !tiles.is_empty()).then(|| tiles.remove(0));
    let list = html(&ListPage {
        canonical: format!("{}{}", base(app), address(number)),
        previous: if number > 1 {
            address(number - 1)
        } else {
            String::new()
        },
        next: if number < pages {
            address(number + 1)
        } else {
            String::new()
        },
        page,
        q: filter.search.clone(),
        tag,
        tags,
        lead,
        tiles,
        total,
        number,
        pages,
    })?;
    let public = Public {
        until,
        ..Public::default()
    };
    Ok(public.mark(list))
}

#[derive(Template)]
#[template(path = "blog/post.html")]
pub(crate) struct PostPage {
    page: Page,
    tile: Tile,
    tags: Vec<Tag>,
    html: String,
    updated_at: Moment,
    earlier: Option<Card>,
    later: Option<Card>,
    related: Vec<Tile>,
    base: String,
    canonical: String,
    json_ld: String,
    /// Only editors see it yet: the id of the post.
    draft: Option<PostId>,
}

async fn post(
    State(app): State<AppState>,
    page: Page,
    Path(slug): Path<String>,
) -> Result<Response, WebError> {
    let mut tx = app.db.read().await?;
    match Post::by_slug(&mut tx, &slug, page.now).await? {
        Some(Found::Post(article)) => {
            let id = article.card.id;
            page.read(id);
            let public = Public {
                until: Post::next_publication(&mut tx, page.now).await?,
                post: Some(id),
                ..Public::default()
            };
            let post = html(&PostPage::new(&app, &mut tx, page, *article).await?)?;
            Ok(public.mark(post))
        }
        Some(Found::Moved(slug)) => {
            let to = [(header::LOCATION, format!("/blog/{slug}"))];
            Ok((StatusCode::MOVED_PERMANENTLY, to).into_response())
        }
        None => Err(WebError::NotFound),
    }
}

impl PostPage {
    async fn new(app: &AppState, tx: &mut Tx, page: Page, article: Article) -> Result<Self, Error> {
        let now = page.now;
        let (earlier, later) = Post::neighbours(tx, &article.card, now).await?;
        let related = Post::related(tx, &article.card, RELATED, now).await?;
        let related = tiles(tx, related).await?;
        let mut page = Self::alone(app, tx, page, article).await?;
        (page.earlier, page.later, page.related) = (earlier, later, related);
        Ok(page)
    }

    /// The article without what surrounds it.
    async fn alone(
        app: &AppState,
        tx: &mut Tx,
        page: Page,
        article: Article,
    ) -> Result<Self, Error> {
        let tags = Post::tags(tx, article.card.id).await?;
        let base = base(app);
        let mut tile = tiles(tx, vec![article.card]).await?;
        let tile = tile.remove(0);
        let canonical = format!("{base}/blog/{}", tile.card.slug);
        Ok(Self {
            json_ld: json_ld(&tile, &tags, article.updated_at, &base, &canonical),
            page,
            tags,
            html: article.html,
            updated_at: article.updated_at,
            earlier: None,
            later: None,
            related: Vec::new(),
            base,
            canonical,
            tile,
            draft: None,
        })
    }

    /// A post that is not published, as its page will look.
    pub(crate) async fn draft(
        app: &AppState,
        tx: &mut Tx,
        page: Page,
        article: Article,
    ) -> Result<Self, Error> {
        let id = article.card.id;
        Ok(Self {
            draft: Some(id),
            ..Self::alone(app, tx, page, article).await?
        })
    }
}

/// What search engines read (schema.org `BlogPosting`). Nothing in it can end the script element.
fn json_ld(tile: &Tile, tags: &[Tag], updated: Moment, base: &str, canonical: &str) -> String {
    let card = &tile.card;
    // the form of JSON would hide control characters, not leave them out
    let text = |text: &str| control::without(text).into_owned();
    let mut data = json!({
        "@context": "https://schema.org",
        "@type": "BlogPosting",
        "headline": text(&card.title),
        "description": text(&card.excerpt),
        "inLanguage": card.language,
        "datePublished": card.published_at,
        "dateModified": updated,
        "author": { "@type": "Person", "name": text(&card.author) },
        "publisher": { "@type": "Organization", "name": "Skychimp", "url": base },
        "mainEntityOfPage": canonical,
        "keywords": tags.iter().map(|tag| text(&tag.name)).collect::<Vec<_>>(),
    });
    if let Some(picture) = &tile.cover {
        data["image"] = json!(format!("{base}/media/{}", picture.largest().name));
    }
    data.to_string()
        .replace('<', "\\u003c")
        .replace('&', "\\u0026")
}
