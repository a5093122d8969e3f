//! What everybody may read. One rule, in one place: published, and the publication date has come (R51).
//!
//! It holds for the list, the article, the home page, feeds and the map of the site alike, and needs no job at the moment
//! of a scheduled publication.

use std::collections::HashMap;

use rand::SeedableRng as _;
use rand::rngs::SmallRng;

use super::{Post, Tag};
use crate::blog::markdown;
use crate::platform::control;
use crate::platform::db::{Tx, on_db};
use crate::platform::error::Error;
use crate::platform::ids::{MediaId, PostId};
use crate::platform::page::containing;
use crate::platform::time::Moment;

/// The rule. `p` is the post, `$1` the present.
macro_rules! visible {
    () => {
        "p.published AND p.published_at <= $1"
    };
}

/// The columns of a [`Card`].
macro_rules! card {
    () => {
        "p.id, p.title, p.slug, p.author, p.language, p.excerpt, p.cover_id, p.cover_alt, p.minutes, p.views, p.published_at"
    };
}

/// A post in a list.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct Card {
    /// Its id.
    pub id: PostId,
    /// The title.
    pub title: String,
    /// Its address: `/blog/{slug}`.
    pub slug: String,
    /// The name under the title.
    pub author: String,
    /// `ru` or `en`.
    pub language: String,
    /// Its beginning, or what the author says it is about.
    pub excerpt: String,
    /// The picture above it.
    pub cover_id: Option<MediaId>,
    /// What the picture shows.
    pub cover_alt: String,
    /// Minutes to read it.
    pub minutes: i64,
    /// How often it was read.
    pub views: i64,
    /// The publication date.
    pub published_at: Moment,
}

/// A post on its page.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct Article {
    /// What lists show.
    #[sqlx(flatten)]
    pub card: Card,
    /// The sanitised body.
    pub html: String,
    /// When its text was last saved.
    pub updated_at: Moment,
}

impl Article {
    fn shown(self) -> Self {
        Self {
            html: markdown::stored(self.html),
            ..self
        }
    }
}

/// What an address leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// A post.
    Post(Box<Article>),
    /// A post that has this slug now.
    Moved(String),
}

/// Longest text that is searched for, in characters.
pub const SEARCH_MAX: usize = 100;

/// Which posts a list shows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// Words in title, tags or text; empty: any.
    pub search: String,
    /// The slug of a tag; empty: any.
    pub tag: String,
}

/// A tag and how many published posts have it.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct TagCount {
    /// The tag.
    #[sqlx(flatten)]
    pub tag: Tag,
    /// Its posts.
    pub posts: i64,
}

/// A line of the map of the site.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct Place {
    /// The post's slug.
    pub slug: String,
    /// When its text was last saved.
    pub updated_at: Moment,
}

impl Filter {
    /// What a visitor asks for: as much of his text as is searched for, without control characters.
    #[must_use]
    pub fn asked(search: &str, tag: String) -> Self {
        let search = control::without(search);
        Self {
            search: search.chars().take(SEARCH_MAX).collect(),
            tag,
        }
    }
}

impl Post {
    /// Published posts, the newest first; `page` counts from 1.
    pub async fn published_page(
        tx: &mut Tx,
        filter: &Filter,
        page: i64,
        limit: i64,
        now: Moment,
    ) -> Result<Vec<Card>, Error> {
        Ok(on_db!(tx, conn => sqlx::query_as(concat!(
            "SELECT ", card!(), " FROM posts p
             WHERE ", visible!(), " AND p.search LIKE $2 ESCAPE '\\'
               AND ($3 = '' OR EXISTS (SELECT 1 FROM post_tags t WHERE t.post_id = p.id AND t.slug = $3))
             ORDER BY p.published_at DESC, p.id DESC
             LIMIT $4 OFFSET $5",
        ))
        .bind(now)
        .bind(containing(&filter.search))
        .bind(&filter.tag)
        .bind(limit)
        .bind((page.max(1) - 1).saturating_mul(limit))
        .fetch_all(conn)
        .await)?)
    }

    /// How many there are.
    pub async fn count_published(tx: &mut Tx, filter: &Filter, now: Moment) -> Result<i64, Error> {
        Ok(on_db!(tx, conn => sqlx::query_scalar(concat!(
            "SELECT count(*) FROM posts p
             WHERE ", visible!(), " AND p.search LIKE $2 ESCAPE '\\'
               AND ($3 = '' OR EXISTS (SELECT 1 FROM post_tags t WHERE t.post_id = p.id AND t.slug = $3))",
        ))
        .bind(now)
        .bind(containing(&filter.search))
        .bind(&filter.tag)
        .fetch_one(conn)
        .await)?)
    }

    /// The published post at this address, or where it is now.
    pub async fn by_slug(tx: &mut Tx, slug: &str, now: Moment) -> Result<Option<Found>, Error> {
        let article: Option<Article> = on_db!(tx, conn => sqlx::query_as(concat!(
            "SELECT ", card!(), ", p.html, p.updated_at FROM posts p WHERE ", visible!(), " AND p.slug = $2",
        ))
        .bind(now)
        .bind(slug)
        .fetch_optional(conn)
        .await)?;
        if let Some(article) = article {
            return Ok(Some(Found::Post(Box::new(article.shown()))));
        }
        let moved: Option<String> = on_db!(tx, conn => sqlx::query_scalar(concat!(
            "SELECT p.slug FROM post_slugs s JOIN posts p ON p.id = s.post_id WHERE ", visible!(), " AND s.slug = $2",
        ))
        .bind(now)
        .bind(slug)
        .fetch_optional(conn)
        .await)?;
        Ok(moved.map(Found::Moved))
    }

    /// The newest published posts with their texts, for feeds.
    pub async fn feed(tx: &mut Tx, limit: i64, now: Moment) -> Result<Vec<Article>, Error> {
        let articles: Vec<Article> = on_db!(tx, conn => sqlx::query_as(concat!(
            "SELECT ", card!(), ", p.html, p.updated_at FROM posts p WHERE ", visible!(), "
             ORDER BY p.published_at DESC, p.id DESC
             LIMIT $2",
        ))
        .bind(now)
        .bind(limit)
        .fetch_all(conn)
        .await)?;
        Ok(articles.into_iter().map(Article::shown).collect())
    }

    /// The addresses of all published posts, the newest first.
    pub async fn places(tx: &mut Tx, limit: i64, now: Moment) -> Result<Vec<Place>, Error> {
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

    /// The published posts before and after one in time.
    pub async fn neighbours(
        tx: &mut Tx,
        of: &Card,
        now: Moment,
    ) -> Result<(Option<Card>, Option<Card>), Error> {
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

    /// Other published posts to read next: in the same language, with the most tags in common, then the newest.
    pub async fn related(
        tx: &mut Tx,
        of: &Card,
        limit: i64,
        now: Moment,
    ) -> Result<Vec<Card>, Error> {
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

    /// The tags of published posts, the most used first.
    pub async fn published_tags(
        tx: &mut Tx,
        limit: i64,
        now: Moment,
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

    /// The tag with this slug, when a published post has it.
    pub async fn tag(tx: &mut Tx, slug: &str, now: Moment) -> Result<Option<Tag>, Error> {
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

    /// The ids of all published posts.
    pub async fn published_ids(tx: &mut Tx, now: Moment) -> Result<Vec<PostId>, Error> {
        Ok(on_db!(tx, conn => sqlx::query_scalar(concat!(
            "SELECT p.id FROM posts p WHERE ", visible!(), " ORDER BY p.published_at DESC, p.id DESC",
        ))
        .bind(now)
        .fetch_all(conn)
        .await)?)
    }

    /// One published post in a list; `None` when nobody may read it (any more).
    pub async fn card(tx: &mut Tx, id: PostId, now: Moment) -> Result<Option<Card>, Error> {
        Ok(on_db!(tx, conn => sqlx::query_as(concat!(
            "SELECT ", card!(), " FROM posts p WHERE ", visible!(), " AND p.id = $2",
        ))
        .bind(now)
        .bind(id)
        .fetch_optional(conn)
        .await)?)
    }

    /// Up to `count` different published posts, chosen by chance; the same `seed` chooses the same ones (R55).
    pub async fn random_published(
        tx: &mut Tx,
        count: usize,
        seed: u64,
        now: Moment,
    ) -> Result<Vec<Card>, Error> {
        let ids = Self::published_ids(tx, now).await?;
        let mut chance = SmallRng::seed_from_u64(seed);
        let mut cards = Vec::new();
        for place in rand::seq::index::sample(&mut chance, ids.len(), count.min(ids.len())) {
            cards.extend(Self::card(tx, ids[place], now).await?);
        }
        Ok(cards)
    }

    /// When the next scheduled post appears: what was read from the database now may be kept until then.
    pub async fn next_publication(tx: &mut Tx, now: Moment) -> Result<Option<Moment>, Error> {
        Ok(on_db!(tx, conn => sqlx::query_scalar(
            "SELECT min(published_at) FROM posts WHERE published AND published_at > $1",
        )
        .bind(now)
        .fetch_one(conn)
        .await)?)
    }

    /// How often posts were read; those that are gone are left out.
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

    /// Adds to the numbers of views and tells what they are now; posts that are gone are left out. Views are no change of
    /// the post: neither its version nor [`crate::blog::content`] moves.
    pub async fn add_views(
        tx: &mut Tx,
        views: &[(PostId, i64)],
    ) -> Result<HashMap<PostId, i64>, Error> {
        let mut views = views.to_vec();
        // two nodes that add to the same posts take the rows in the same order
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
