//! The public blog: list, tags, search and articles (R44).

mod feeds;

use askama::Template;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use serde::Deserialize;
use skychimp_core::blog::post::public::TagCount;
use skychimp_core::blog::post::{Post, PostFilter, PostLookup, Tag};

use crate::kit::app::AppState;
use crate::kit::error::WebError;
use crate::kit::form::{Path, Query};
use crate::kit::page::{PageContext, html};
use crate::kit::query::address;
use crate::kit::routes::get;
use crate::parts::post_view::{PostPage, PostTile, base, tiles};
use crate::public::PublicAnswer;
use crate::site::SiteRoutes;

/// Posts per page of the list: a large one and three rows of three.
const PAGE_SIZE: i64 = 10;
/// Tags shown above the list.
const TAGS: i64 = 20;
pub(crate) fn routes() -> SiteRoutes {
    SiteRoutes::new()
        .route("/blog", get(list))
        .route("/blog/tag/{tag}", get(tagged))
        .route("/blog/{slug}", get(post))
}

pub(crate) use feeds::routes as feed_routes;

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
    page: PageContext,
    q: String,
    tag: Option<Tag>,
    tags: Vec<TagCount>,
    /// The newest post; only on the first page.
    lead: Option<PostTile>,
    tiles: Vec<PostTile>,
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
    page: PageContext,
    Query(query): Query<ListQuery>,
) -> Result<Response, WebError> {
    show_list(&app, page, query, String::new()).await
}

async fn tagged(
    State(app): State<AppState>,
    page: PageContext,
    Path(tag): Path<String>,
    Query(query): Query<ListQuery>,
) -> Result<Response, WebError> {
    show_list(&app, page, query, tag).await
}

async fn show_list(
    app: &AppState,
    page: PageContext,
    query: ListQuery,
    tag: String,
) -> Result<Response, WebError> {
    let number: i64 = query.page.parse().unwrap_or(1).clamp(1, 100_000);
    let filter = PostFilter::from_input(&query.q, tag);
    let mut tx = app.db.read().await?;
    let cards = Post::published_page(&mut tx, &filter, number, PAGE_SIZE, page.now).await?;
    let total = Post::count_published(&mut tx, &filter, page.now).await?;
    let mut tiles = tiles(&mut tx, cards).await?;
    let tags = Post::published_tags(&mut tx, TAGS, page.now).await?;
    let tag = match filter.tag.as_str() {
        "" => None,
        // rare tags are not among those above the list
        slug => Some(
            Post::tag(&mut tx, slug, page.now)
                .await?
                .ok_or(WebError::NotFound)?,
        ),
    };
    let public = PublicAnswer::of(&mut tx, None, page.now).await?;
    drop(tx);
    if tiles.is_empty() && number > 1 {
        return Err(WebError::NotFound);
    }
    let path = tag
        .as_ref()
        .map_or("/blog".to_owned(), |tag| format!("/blog/tag/{}", tag.slug));
    let url = |number: i64| {
        let page = (number > 1).then(|| number.to_string());
        let page = page.as_deref().unwrap_or_default();
        address(&path, &[("q", &filter.search), ("page", page)])
    };
    let pages = (total + PAGE_SIZE - 1) / PAGE_SIZE;
    let plain = number == 1 && filter.search.is_empty() && tag.is_none();
    let lead = (plain && !tiles.is_empty()).then(|| tiles.remove(0));
    let list = html(&ListPage {
        canonical: format!("{}{}", base(app), url(number)),
        previous: if number > 1 {
            url(number - 1)
        } else {
            String::new()
        },
        next: if number < pages {
            url(number + 1)
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
    Ok(public.mark(list))
}

async fn post(
    State(app): State<AppState>,
    page: PageContext,
    Path(slug): Path<String>,
) -> Result<Response, WebError> {
    let mut tx = app.db.read().await?;
    match Post::by_slug(&mut tx, &slug, page.now).await? {
        Some(PostLookup::Post(article)) => {
            let id = article.card.id;
            page.read(id);
            let public = PublicAnswer::of(&mut tx, Some(id), page.now).await?;
            let post = html(&PostPage::new(&app, &mut tx, page, *article).await?)?;
            Ok(public.mark(post))
        }
        Some(PostLookup::Moved(slug)) => {
            let to = [(header::LOCATION, format!("/blog/{slug}"))];
            Ok((StatusCode::MOVED_PERMANENTLY, to).into_response())
        }
        None => Err(WebError::NotFound),
    }
}
