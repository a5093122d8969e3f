//! Posts as the public sees them: as a tile in a list, and as a page.

use std::collections::HashMap;

use askama::Template;
use serde_json::json;
use skychimp_core::blog::media::Picture;
use skychimp_core::blog::post::{Article, Post, PostCard, Tag};
use skychimp_core::platform::control;
use skychimp_core::platform::db::Tx;
use skychimp_core::platform::error::Error;
use skychimp_core::platform::ids::{MediaId, PostId};
use skychimp_core::platform::time::Timestamp;

use crate::kit::app::AppState;
use crate::kit::page::PageContext;

/// Number of related posts below an article.
const RELATED: i64 = 3;
/// Number of colours for covers without a picture.
const HUES: u32 = 5;

/// A post with its picture.
pub(crate) struct PostTile {
    pub(crate) card: PostCard,
    pub(crate) cover: Option<Picture>,
}

impl PostTile {
    pub(crate) fn letter(&self) -> String {
        self.card
            .title
            .chars()
            .find(|c| c.is_alphanumeric())
            .map_or_else(String::new, |c| c.to_uppercase().collect())
    }

    /// The colour of a cover without a picture. Depends only on the slug.
    pub(crate) fn hue(&self) -> u32 {
        self.card.slug.bytes().fold(0_u32, |sum, byte| {
            sum.wrapping_mul(31).wrapping_add(byte.into())
        }) % HUES
    }
}

/// Adds the pictures to posts.
pub(crate) async fn tiles(tx: &mut Tx, cards: Vec<PostCard>) -> Result<Vec<PostTile>, Error> {
    let covers: Vec<MediaId> = cards.iter().filter_map(|card| card.cover_id).collect();
    let pictures = if covers.is_empty() {
        HashMap::new()
    } else {
        Picture::by_ids(tx, &covers).await?
    };
    let tile = |card: PostCard| PostTile {
        cover: card.cover_id.and_then(|id| pictures.get(&id).cloned()),
        card,
    };
    Ok(cards.into_iter().map(tile).collect())
}

/// Public URL of the site, without a trailing slash.
pub(crate) fn base(app: &AppState) -> String {
    app.settings
        .base_url
        .as_str()
        .trim_end_matches('/')
        .to_owned()
}

#[derive(Template)]
#[template(path = "blog/post.html")]
pub(crate) struct PostPage {
    page: PageContext,
    tile: PostTile,
    tags: Vec<Tag>,
    html: String,
    updated_at: Timestamp,
    earlier: Option<PostCard>,
    later: Option<PostCard>,
    related: Vec<PostTile>,
    base: String,
    canonical: String,
    json_ld: String,
    /// The id of a post that only editors can see yet.
    draft: Option<PostId>,
}

impl PostPage {
    pub(crate) async fn new(
        app: &AppState,
        tx: &mut Tx,
        page: PageContext,
        article: Article,
    ) -> Result<Self, Error> {
        let now = page.now;
        let (earlier, later) = Post::neighbours(tx, &article.card, now).await?;
        let related = Post::related(tx, &article.card, RELATED, now).await?;
        let related = tiles(tx, related).await?;
        let mut page = Self::alone(app, tx, page, article).await?;
        (page.earlier, page.later, page.related) = (earlier, later, related);
        Ok(page)
    }

    /// The article without related posts.
    async fn alone(
        app: &AppState,
        tx: &mut Tx,
        page: PageContext,
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

    /// The preview of an unpublished post.
    pub(crate) async fn draft(
        app: &AppState,
        tx: &mut Tx,
        page: PageContext,
        article: Article,
    ) -> Result<Self, Error> {
        let id = article.card.id;
        Ok(Self {
            draft: Some(id),
            ..Self::alone(app, tx, page, article).await?
        })
    }
}

/// Structured data for search engines (schema.org `BlogPosting`). Cannot close the script element.
fn json_ld(
    tile: &PostTile,
    tags: &[Tag],
    updated: Timestamp,
    base: &str,
    canonical: &str,
) -> String {
    let card = &tile.card;
    // JSON would escape control characters instead of removing them
    let text = |text: &str| control::strip_control(text).into_owned();
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
