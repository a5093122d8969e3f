//! What visitors may read. There is one rule: the post is published and its publication date has
//! passed (R51).
//!
//! It applies to the list, the article, the home page, feeds and the sitemap alike. No job has to
//! run when a scheduled post is due.

use std::collections::HashMap;

use rand::SeedableRng as _;
use rand::rngs::SmallRng;

use super::{Post, Tag};
use crate::blog::markdown;
use crate::platform::control;
use crate::platform::db::{Tx, on_db};
use crate::platform::error::Error;
use crate::platform::ids::{MediaId, PostId};
use crate::platform::paging::like_pattern;
use crate::platform::time::Timestamp;

/// The visibility rule. `p` is the post, `$1` the current time.
macro_rules! visible {
    () => {
        "p.published AND p.published_at <= $1"
    };
}

/// The columns of a [`PostCard`].
macro_rules! card {
    () => {
        "p.id, p.title, p.slug, p.author, p.language, p.excerpt, p.cover_id, p.cover_alt, p.minutes, p.views, p.published_at"
    };
}

/// A post in a list.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct PostCard {
    /// UUID version 7.
    pub id: PostId,
    /// See [`Post::title`].
    pub title: String,
    /// The last part of its URL, `/blog/{slug}`.
    pub slug: String,
    /// The author's name shown under the title.
    pub author: String,
    /// `ru` or `en`.
    pub language: String,
    /// The author's summary, or the beginning of the body.
    pub excerpt: String,
    /// The picture above the text.
    pub cover_id: Option<MediaId>,
    /// Alt text of the cover picture.
    pub cover_alt: String,
    /// Reading time in minutes.
    pub minutes: i64,
    /// Number of times it was read.
    pub views: i64,
    /// Publication time, never in the future.
    pub published_at: Timestamp,
}

/// A post with its text, for its own page.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct Article {
    /// The fields shared with lists.
    #[sqlx(flatten)]
    pub card: PostCard,
    /// The rendered and sanitised body.
    pub html: String,
    /// When its text was last saved.
    pub updated_at: Timestamp,
}

impl Post {
    /// The article as readers would see it if it were published at `now`, or when it was.
    #[must_use]
    pub fn as_published(self, now: Timestamp) -> Article {
        Article {
            card: PostCard {
                id: self.id,
                title: self.title,
                slug: self.slug,
                author: self.author,
                language: self.language,
                excerpt: self.excerpt,
                cover_id: self.cover_id,
                cover_alt: self.cover_alt,
                minutes: self.minutes,
                views: self.views,
                published_at: self.published_at.unwrap_or(now),
            },
            html: self.html,
            updated_at: self.updated_at,
        }
    }
}

impl Article {
    fn shown(self) -> Self {
        Self {
            html: markdown::clean_stored(self.html),
            ..self
        }
    }
}

/// The result of looking up a slug.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PostLookup {
    /// The post that has it.
    Post(Box<Article>),
    /// An old slug; contains the post's current slug, to redirect to.
    Moved(String),
}

/// Longest search text, in characters.
pub const SEARCH_MAX: usize = 100;

/// Which posts a list shows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PostFilter {
    /// Text to find in title, tags or body; empty for all posts.
    pub search: String,
    /// The slug of a tag; empty for all tags.
    pub tag: String,
}

/// A tag and how many published posts have it.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct TagCount {
    /// Slug and name.
    #[sqlx(flatten)]
    pub tag: Tag,
    /// Number of published posts with the tag.
    pub posts: i64,
}

/// An entry of the sitemap.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct SitemapEntry {
    /// The post's slug.
    pub slug: String,
    /// When its text was last saved.
    pub updated_at: Timestamp,
}

impl PostFilter {
    /// The filter for a visitor's input: the search text without control characters, cut to
    /// [`SEARCH_MAX`].
    #[must_use]
    pub fn from_input(search: &str, tag: String) -> Self {
        let search = control::strip_control(search);
        Self {
            search: search.chars().take(SEARCH_MAX).collect(),
            tag,
        }
    }
}

impl Post {
    /// Published posts, newest first. `page` starts at 1.
    pub async fn published_page(
        tx: &mut Tx,
        filter: &PostFilter,
        page: i64,
        limit: i64,
        now: Timestamp,
    ) -> Result<Vec<PostCard>, Error> {
        Ok(on_db!(tx, conn => sqlx::query_as(concat!(
            "SELECT ", card!(), " FROM posts p
             WHERE ", visible!(), " AND p.search LIKE $2 ESCAPE '\\'
               AND ($3 = '' OR EXISTS (SELECT 1 FROM post_tags t WHERE t.post_id = p.id AND t.slug = $3))
             ORDER BY p.published_at DESC, p.id DESC
             LIMIT $4 OFFSET $5",
        ))
        .bind(now)
        .bind(like_pattern(&filter.search))
        .bind(&filter.tag)
        .bind(limit)
        .bind((page.max(1) - 1).saturating_mul(limit))
        .fetch_all(conn)
        .await)?)
    }

    /// The number of published posts that match.
    pub async fn count_published(
        tx: &mut Tx,
        filter: &PostFilter,
        now: Timestamp,
    ) -> Result<i64, Error> {
        Ok(on_db!(tx, conn => sqlx::query_scalar(concat!(
            "SELECT count(*) FROM posts p
             WHERE ", visible!(), " AND p.search LIKE $2 ESCAPE '\\'
               AND ($3 = '' OR EXISTS (SELECT 1 FROM post_tags t WHERE t.post_id = p.id AND t.slug = $3))",
        ))
        .bind(now)
        .bind(like_pattern(&filter.search))
        .bind(&filter.tag)
        .fetch_one(conn)
        .await)?)
    }

    /// The published post with this slug, or the current slug if it has moved.
    pub async fn by_slug(
        tx: &mut Tx,
        slug: &str,
        now: Timestamp,
    ) -> Result<Option<PostLookup>, Error> {
        let article: Option<Article> = on_db!(tx, conn => sqlx::query_as(concat!(
            "SELECT ", card!(), ", p.html, p.updated_at FROM posts p WHERE ", visible!(), " AND p.slug = $2",
        ))
        .bind(now)
        .bind(slug)
        .fetch_optional(conn)
        .await)?;
        if let Some(article) = article {
            return Ok(Some(PostLookup::Post(Box::new(article.shown()))));
        }
        let moved: Option<String> = on_db!(tx, conn => sqlx::query_scalar(concat!(
            "SELECT p.slug FROM post_slugs s JOIN posts p ON p.id = s.post_id WHERE ", visible!(), " AND s.slug = $2",
        ))
        .bind(now)
        .bind(slug)
        .fetch_optional(conn)
        .await)?;
        Ok(moved.map(PostLookup::Moved))
    }

    /// The newest published posts with their text, for feeds.
    pub async fn feed(
        tx: &mut Tx,
        limit: i64,
        html_max: i64,
        now: Timestamp,
    ) -> Result<Vec<Article>, Error> {
        let articles: Vec<Article> = on_db!(tx, conn => sqlx::query_as(concat!(
            "SELECT ", card!(), ", CASE WHEN length(p.html) <= $3 THEN p.html ELSE '' END AS html, p.updated_at
             FROM posts p WHERE ", visible!(), "
             ORDER BY p.published_at DESC, p.id DESC
             LIMIT $2",
        ))
        .bind(now)
        .bind(limit)
        .bind(html_max)
        .fetch_all(conn)
        .await)?;
        Ok(articles.into_iter().map(Article::shown).collect())
    }

    /// The slugs of published posts, newest first, for the sitemap.
    pub async fn slugs(
        tx: &mut Tx,
        limit: i64,
        now: Timestamp,
    ) -> Result<Vec<SitemapEntry>, Error> {
        Ok(on_db!(tx, conn => sqlx::query_as(concat!(
            "SELECT p.slug, p.updated_at FROM posts p WHERE ", visible!(), "
             ORDER BY p.published_at DESC, p.id DESC
             LIMIT $2",
        ))
        .bind(now)
        .bind(limit)
        .fetch_all(conn)
        .await)?)
    }

    /// The published posts directly before and after one in time, in this order.
    pub async fn neighbours(
        tx: &mut Tx,
        of: &PostCard,
        now: Timestamp,
    ) -> Result<(Option<PostCard>, Option<PostCard>), Error> {
        let earlier = on_db!(tx, conn => sqlx::query_as(concat!(
            "SELECT ", card!(), " FROM posts p
             WHERE ", visible!(), " AND (p.published_at, p.id) < ($2, $3)
             ORDER BY p.published_at DESC, p.id DESC
             LIMIT 1",
        ))
        .bind(now)
        .bind(of.published_at)
        .bind(of.id)
        .fetch_optional(conn)
        .await)?;
        let later = on_db!(tx, conn => sqlx::query_as(concat!(
            "SELECT ", card!(), " FROM posts p
             WHERE ", visible!(), " AND (p.published_at, p.id) > ($2, $3)
             ORDER BY p.published_at, p.id
             LIMIT 1",
        ))
        .bind(now)
        .bind(of.published_at)
        .bind(of.id)
        .fetch_optional(conn)
        .await)?;
        Ok((earlier, later))
    }

    /// Other published posts to read next. Posts in the same language come first, then those with
    /// most tags in common, then the newest.
    pub async fn related(
        tx: &mut Tx,
        of: &PostCard,
        limit: i64,
        now: Timestamp,
    ) -> Result<Vec<PostCard>, Error> {
        Ok(on_db!(tx, conn => sqlx::query_as(concat!(
            "SELECT ", card!(), " FROM posts p
             WHERE ", visible!(), " AND p.id <> $2
             ORDER BY (p.language = $3) DESC,
                      (SELECT count(*) FROM post_tags a JOIN post_tags b ON b.slug = a.slug AND b.post_id = $2
                       WHERE a.post_id = p.id) DESC,
                      p.published_at DESC, p.id DESC
             LIMIT $4",
        ))
        .bind(now)
        .bind(of.id)
        .bind(&of.language)
        .bind(limit)
        .fetch_all(conn)
        .await)?)
    }

    /// The tags of published posts, most used first.
    pub async fn published_tags(
        tx: &mut Tx,
        limit: i64,
        now: Timestamp,
    ) -> Result<Vec<TagCount>, Error> {
        Ok(on_db!(tx, conn => sqlx::query_as(concat!(
            "SELECT t.slug, min(t.name) AS name, count(*) AS posts
             FROM post_tags t
             JOIN posts p ON p.id = t.post_id
             WHERE ", visible!(), "
             GROUP BY t.slug
             ORDER BY count(*) DESC, t.slug
             LIMIT $2",
        ))
        .bind(now)
        .bind(limit)
        .fetch_all(conn)
        .await)?)
    }

    /// The tag with this slug if a published post has it.
    pub async fn tag(tx: &mut Tx, slug: &str, now: Timestamp) -> Result<Option<Tag>, Error> {
        Ok(on_db!(tx, conn => sqlx::query_as(concat!(
            "SELECT t.slug, t.name FROM post_tags t JOIN posts p ON p.id = t.post_id
             WHERE ", visible!(), " AND t.slug = $2
             ORDER BY t.name
             LIMIT 1",
        ))
        .bind(now)
        .bind(slug)
        .fetch_optional(conn)
        .await)?)
    }

    /// The ids of all published posts, newest first.
    pub async fn published_ids(tx: &mut Tx, now: Timestamp) -> Result<Vec<PostId>, Error> {
        Ok(on_db!(tx, conn => sqlx::query_scalar(concat!(
            "SELECT p.id FROM posts p WHERE ", visible!(), " ORDER BY p.published_at DESC, p.id DESC",
        ))
        .bind(now)
        .fetch_all(conn)
        .await)?)
    }

    /// A published post as a list entry; `None` if it is not visible (any more).
    pub async fn card(tx: &mut Tx, id: PostId, now: Timestamp) -> Result<Option<PostCard>, Error> {
        Ok(on_db!(tx, conn => sqlx::query_as(concat!(
            "SELECT ", card!(), " FROM posts p WHERE ", visible!(), " AND p.id = $2",
        ))
        .bind(now)
        .bind(id)
        .fetch_optional(conn)
        .await)?)
    }

    /// Up to `count` different published posts at random; the same `seed` gives the same posts
    /// (R55).
    pub async fn random_published(
        tx: &mut Tx,
        count: usize,
        seed: u64,
        now: Timestamp,
    ) -> Result<Vec<PostCard>, Error> {
        let ids = Self::published_ids(tx, now).await?;
        let mut chance = SmallRng::seed_from_u64(seed);
        let mut cards = Vec::new();
        for place in rand::seq::index::sample(&mut chance, ids.len(), count.min(ids.len())) {
            cards.extend(Self::card(tx, ids[place], now).await?);
        }
        Ok(cards)
    }

    /// When the next scheduled post becomes visible. Pages can be cached until then.
    pub async fn next_publication(tx: &mut Tx, now: Timestamp) -> Result<Option<Timestamp>, Error> {
        Ok(on_db!(tx, conn => sqlx::query_scalar(
            "SELECT min(published_at) FROM posts WHERE published AND published_at > $1",
        )
        .bind(now)
        .fetch_one(conn)
        .await)?)
    }

    /// The number of views of each post; deleted posts are left out.
    pub async fn views(tx: &mut Tx, posts: &[PostId]) -> Result<HashMap<PostId, i64>, Error> {
        let mut totals = HashMap::new();
        for id in posts {
            let total: Option<i64> = on_db!(tx, conn => sqlx::query_scalar("SELECT views FROM posts WHERE id = $1")
                .bind(id)
                .fetch_optional(conn)
                .await)?;
            totals.extend(total.map(|total| (*id, total)));
        }
        Ok(totals)
    }

    /// Adds views and returns the new totals; deleted posts are left out. Views do not count as a
    /// change: neither the post's version nor [`crate::blog::content`] changes.
    pub async fn add_views(
        tx: &mut Tx,
        views: &[(PostId, i64)],
    ) -> Result<HashMap<PostId, i64>, Error> {
        let mut views = views.to_vec();
        // lock rows in the same order on every node, to avoid deadlocks
        views.sort();
        let mut totals = HashMap::new();
        for (id, more) in views {
            let total: Option<i64> = on_db!(tx, conn => sqlx::query_scalar(
                "UPDATE posts SET views = views + $2 WHERE id = $1 RETURNING views",
            )
            .bind(id)
            .bind(more)
            .fetch_optional(conn)
            .await)?;
            totals.extend(total.map(|total| (id, total)));
        }
        Ok(totals)
    }
}
