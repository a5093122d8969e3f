//! Posts: the articles of the blog.
//!
//! A post belongs to the service, not to a user. Writing requires an [`Editor`], which only content
//! managers and administrators get. One rule in [`public`] decides what visitors may read, and only
//! [`publish`] changes states. Every change creates a version ([`history`]), and names the version
//! it was based on, so two editors never overwrite each other.

pub mod history;
pub mod public;
pub mod publish;
mod slug;

use std::collections::{BTreeMap, BTreeSet};

pub use self::history::{UnsavedDraft, Version, VersionCause};
pub use self::public::{Article, PostCard, PostFilter, PostLookup};
pub use self::slug::{SLUG_MAX, slugify};

use crate::accounts::user::{Role, User};
use crate::blog::markdown::{self, RenderedMarkdown};
use crate::blog::media::Picture;
use crate::platform::aside::aside;
use crate::platform::control;
use crate::platform::db::{Tx, on_db};
use crate::platform::error::{Error, FieldError};
use crate::platform::ids::{ContentVersion, MediaId, PostId, UserId};
use crate::platform::paging::like_pattern;
use crate::platform::time::Timestamp;

/// Longest title, in characters.
pub const TITLE_MAX: usize = 200;
/// Longest summary, in characters.
pub const SUMMARY_MAX: usize = 500;
/// Longest body, in characters.
pub const BODY_MAX: usize = 500_000;
/// Longest alt text, in characters.
pub const ALT_MAX: usize = 300;
/// Most tags of a post.
pub const TAGS_MAX: usize = 10;
/// Longest tag, in characters.
pub const TAG_MAX: usize = 40;

/// Proof that a user may write the blog (R45).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Editor(UserId);

impl Editor {
    /// An editor if the user's role allows it.
    #[must_use]
    pub fn of(user: &User) -> Option<Self> {
        matches!(user.role, Role::ContentManager | Role::Admin).then_some(Self(user.id))
    }

    /// The editor's account.
    pub(crate) const fn user(self) -> UserId {
        self.0
    }
}

/// The publication state of a post.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum PostState {
    /// Never published.
    Draft,
    /// Will be published at a time in the future.
    Scheduled,
    /// Visible to everyone.
    Published,
    /// Was published and then withdrawn.
    Unpublished,
}

impl PostState {
    /// All states, in the order of the filter.
    pub const ALL: [Self; 4] = [
        Self::Draft,
        Self::Scheduled,
        Self::Published,
        Self::Unpublished,
    ];

    /// The name in URLs and messages.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Draft => "draft",
            Self::Scheduled => "scheduled",
            Self::Published => "published",
            Self::Unpublished => "unpublished",
        }
    }
}

/// A post as editors see it.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct Post {
    /// UUID version 7, so ids sort by creation time.
    pub id: PostId,
    /// At most [`TITLE_MAX`] characters.
    pub title: String,
    /// The last part of its URL, `/blog/{slug}`.
    pub slug: String,
    /// The author's name shown under the title.
    pub author: String,
    /// `ru` or `en`.
    pub language: String,
    /// One or two sentences; if empty, lists show the beginning of the body.
    pub summary: String,
    /// Markdown, at most [`BODY_MAX`] characters.
    pub body: String,
    /// The picture above the text.
    pub cover_id: Option<MediaId>,
    /// Alt text of the cover picture.
    pub cover_alt: String,
    /// The rendered and sanitised body.
    pub html: String,
    /// What lists show: the summary, or the beginning of the body.
    pub excerpt: String,
    /// Reading time in minutes.
    pub minutes: i64,
    /// Whether it is published or scheduled.
    pub published: bool,
    /// When it was or will be published first; `None` for a draft.
    pub published_at: Option<Timestamp>,
    /// Number of times it was read.
    pub views: i64,
    /// Increases with every change by an editor.
    pub version: i64,
    /// Creation time.
    pub created_at: Timestamp,
    /// When its text was last saved.
    pub updated_at: Timestamp,
}

/// The fields an editor can change; also the content of a version.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(default)]
pub struct PostDraft {
    /// See [`Post::title`].
    pub title: String,
    /// If empty, it is made from the title.
    pub slug: String,
    /// See [`Post::author`].
    pub author: String,
    /// `ru` or `en`.
    pub language: String,
    /// See [`Post::summary`].
    pub summary: String,
    /// See [`Post::body`].
    pub body: String,
    /// See [`Post::cover_id`].
    pub cover_id: Option<MediaId>,
    /// See [`Post::cover_alt`].
    pub cover_alt: String,
    /// Names of its tags, in order.
    pub tags: Vec<String>,
}

/// A tag of a post.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct Tag {
    /// The name in URLs.
    pub slug: String,
    /// The name shown to people.
    pub name: String,
}

/// A row of the editors' list of posts.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct PostRow {
    /// UUID version 7.
    pub id: PostId,
    /// See [`Post::title`].
    pub title: String,
    /// The last part of its URL.
    pub slug: String,
    /// See [`Post::author`].
    pub author: String,
    /// See [`Post::published`].
    pub published: bool,
    /// See [`Post::published_at`].
    pub published_at: Option<Timestamp>,
    /// Number of times it was read.
    pub views: i64,
    /// When its text was last saved.
    pub updated_at: Timestamp,
}

fn state(published: bool, at: Option<Timestamp>, now: Timestamp) -> PostState {
    match (published, at) {
        (true, Some(at)) if at > now => PostState::Scheduled,
        (true, _) => PostState::Published,
        (false, None) => PostState::Draft,
        (false, Some(_)) => PostState::Unpublished,
    }
}

impl PostRow {
    /// Its state at the time `now`.
    #[must_use]
    pub fn state(&self, now: Timestamp) -> PostState {
        state(self.published, self.published_at, now)
    }
}

impl PostDraft {
    /// The fields in stored form: normalised line ends, no stray spaces, no control characters.
    /// `Error::Invalid` names the fields that are missing, too long or unknown.
    fn checked(&self) -> Result<Self, Error> {
        let line = |text: &str| {
            let words: Vec<_> = text.split_whitespace().collect();
            control::strip_control(&words.join(" ")).trim().to_owned()
        };
        let mut draft = Self {
            title: line(&self.title),
            slug: slugify(&self.slug),
            author: line(&self.author),
            language: self.language.clone(),
            summary: line(&self.summary),
            body: control::strip_control(&self.body).trim_end().to_owned(),
            cover_id: self.cover_id,
            cover_alt: line(&self.cover_alt),
            tags: Vec::new(),
        };
        let mut wrong = Vec::new();
        for (field, text, max, needed) in [
            ("title", &draft.title, TITLE_MAX, true),
            (
                "author",
                &draft.author,
                crate::accounts::user::NAME_MAX,
                true,
            ),
            ("summary", &draft.summary, SUMMARY_MAX, false),
            ("body", &draft.body, BODY_MAX, false),
            ("cover_alt", &draft.cover_alt, ALT_MAX, false),
        ] {
            if needed && text.is_empty() {
                wrong.push(FieldError::new(field, "required"));
            } else if text.chars().count() > max {
                wrong.push(FieldError::new(field, "too_long").with("max", max));
            }
        }
        if !["ru", "en"].contains(&draft.language.as_str()) {
            wrong.push(FieldError::new("language", "unknown_choice"));
        }
        if !self.slug.trim().is_empty() && draft.slug.is_empty() {
            wrong.push(FieldError::new("slug", "slug_letters"));
        }
        let mut seen = BTreeSet::new();
        for tag in &self.tags {
            let name: String = line(tag).trim_start_matches('#').to_owned();
            let slug = slugify(&name);
            if name.chars().count() > TAG_MAX || (slug.is_empty() && !name.is_empty()) {
                wrong.push(FieldError::new("tags", "tag_letters").with("max", TAG_MAX));
            } else if !slug.is_empty() && seen.insert(slug) {
                draft.tags.push(name);
            }
        }
        if draft.tags.len() > TAGS_MAX {
            wrong.push(FieldError::new("tags", "too_many_tags").with("max", TAGS_MAX));
        }
        if wrong.is_empty() {
            Ok(draft)
        } else {
            Err(Error::Invalid(wrong))
        }
    }

    /// The pictures it uses: those in the body keyed by file name, and the ids of all, cover
    /// included.
    async fn pictures(
        &self,
        tx: &mut Tx,
    ) -> Result<(BTreeMap<String, Picture>, Vec<MediaId>), Error> {
        let known = Picture::by_files(tx, &markdown::pictures(&self.body)?).await?;
        let mut ids: Vec<MediaId> = known.values().map(|picture| picture.id).collect();
        if let Some(cover) = self.cover_id {
            ids.extend(Picture::by_ids(tx, &[cover]).await?.into_keys());
        }
        ids.sort();
        ids.dedup();
        Ok((known, ids))
    }

    /// The work that renders the body as the post's page would show it. It may take some tenths of
    /// a second.
    pub async fn rendering(
        &self,
        tx: &mut Tx,
    ) -> Result<impl FnOnce() -> Result<RenderedMarkdown, Error> + use<>, Error> {
        let (known, _) = self.pictures(tx).await?;
        let body = control::strip_control(&self.body).into_owned();
        Ok(move || markdown::render(&body, &known))
    }
}

impl Post {
    /// Its state at the time `now`.
    #[must_use]
    pub fn state(&self, now: Timestamp) -> PostState {
        state(self.published, self.published_at, now)
    }

    /// Its fields, for the form.
    #[must_use]
    pub fn draft(&self, tags: &[Tag]) -> PostDraft {
        PostDraft {
            title: self.title.clone(),
            slug: self.slug.clone(),
            author: self.author.clone(),
            language: self.language.clone(),
            summary: self.summary.clone(),
            body: self.body.clone(),
            cover_id: self.cover_id,
            cover_alt: self.cover_alt.clone(),
            tags: tags.iter().map(|tag| tag.name.clone()).collect(),
        }
    }

    /// Creates a draft.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] names the fields that are wrong.
    pub async fn create(
        tx: &mut Tx,
        editor: Editor,
        draft: &PostDraft,
        now: Timestamp,
    ) -> Result<PostId, Error> {
        let draft = draft.checked()?;
        let id = PostId::new(now);
        // the slug refers to the row and the row needs a slug, so it starts with its unique id
        on_db!(tx, conn => sqlx::query(
            "INSERT INTO posts (id, title, slug, author, language, summary, body, cover_alt, html, excerpt, minutes, search,
                                published, views, version, created_at, updated_at)
             VALUES ($1, '', $2, '', $3, '', '', '', '', '', 0, '', FALSE, 0, 0, $4, $4)",
        )
        .bind(id)
        .bind(id.to_string())
        .bind(&draft.language)
        .bind(now)
        .execute(conn)
        .await
        .map(|_| ()))?;
        Self::write(tx, editor, id, 0, &draft, VersionCause::Created, now).await?;
        Ok(id)
    }

    /// The post with this id, or `None`.
    pub async fn get(tx: &mut Tx, _: Editor, id: PostId) -> Result<Option<Self>, Error> {
        Self::find(tx, id).await
    }

    async fn find(tx: &mut Tx, id: PostId) -> Result<Option<Self>, Error> {
        let post: Option<Self> = on_db!(tx, conn => sqlx::query_as(
            "SELECT id, title, slug, author, language, summary, body, cover_id, cover_alt, html, excerpt, minutes,
                    published, published_at, views, version, created_at, updated_at
             FROM posts
             WHERE id = $1",
        )
        .bind(id)
        .fetch_optional(conn)
        .await)?;
        Ok(post.map(|post| Self {
            html: markdown::clean_stored(post.html),
            ..post
        }))
    }

    /// The tags of a post, in order.
    pub async fn tags(tx: &mut Tx, id: PostId) -> Result<Vec<Tag>, Error> {
        Ok(on_db!(tx, conn => sqlx::query_as(
            "SELECT slug, name FROM post_tags WHERE post_id = $1 ORDER BY position",
        )
        .bind(id)
        .fetch_all(conn)
        .await)?)
    }

    /// Saves an edit based on `version`. Returns the new version, or `None` if there is no such
    /// post. A published post shows the change immediately.
    ///
    /// # Errors
    ///
    /// [`Error::Conflict`] if the post was changed since (R34); [`Error::Invalid`] names the fields
    /// that are wrong.
    pub async fn save(
        tx: &mut Tx,
        editor: Editor,
        id: PostId,
        version: i64,
        draft: &PostDraft,
        now: Timestamp,
    ) -> Result<Option<i64>, Error> {
        let draft = draft.checked()?;
        Self::write(tx, editor, id, version, &draft, VersionCause::Saved, now).await
    }

    /// Writes checked fields and everything derived from them.
    async fn write(
        tx: &mut Tx,
        editor: Editor,
        id: PostId,
        version: i64,
        draft: &PostDraft,
        act: VersionCause,
        now: Timestamp,
    ) -> Result<Option<i64>, Error> {
        let Some(old) = Self::find(tx, id).await? else {
            return Ok(None);
        };
        if old.version != version {
            return Err(Error::Conflict);
        }
        let mut draft = draft.clone();
        if old.published_at.is_some() {
            // a post that was published must not lose its body or alt text by mistake
            draft.ready()?;
        }
        draft.slug = claim(tx, id, &draft).await?;
        let (known, used) = draft.pictures(tx).await?;
        draft.cover_id = draft.cover_id.filter(|cover| used.contains(cover));
        let rendered = {
            let body = draft.body.clone();
            aside(move || markdown::render(&body, &known)).await?
        };
        let search = [
            &draft.title,
            &draft.tags.join(" "),
            &draft.summary,
            &rendered.text,
        ]
        .map(|text| text.to_lowercase())
        .join("\n");
        let excerpt = if draft.summary.is_empty() {
            &rendered.excerpt
        } else {
            &draft.summary
        };
        let changed: Option<i64> = on_db!(tx, conn => sqlx::query_scalar(
            "UPDATE posts
             SET title = $3, slug = $4, author = $5, language = $6, summary = $7, body = $8, cover_id = $9, cover_alt = $10,
                 html = $11, excerpt = $12, minutes = $13, search = $14, version = version + 1, updated_at = $15
             WHERE id = $1 AND version = $2
             RETURNING version",
        )
        .bind(id)
        .bind(version)
        .bind(&draft.title)
        .bind(&draft.slug)
        .bind(&draft.author)
        .bind(&draft.language)
        .bind(&draft.summary)
        .bind(&draft.body)
        .bind(draft.cover_id)
        .bind(&draft.cover_alt)
        .bind(&rendered.html)
        .bind(excerpt)
        .bind(rendered.minutes)
        .bind(&search)
        .bind(now)
        .fetch_optional(conn)
        .await)?;
        let version = changed.ok_or(Error::Conflict)?;
        if old.published_at.is_none() {
            forget_slugs(tx, id, &draft.slug).await?;
        }
        set_tags(tx, id, &draft.tags).await?;
        history::record(tx, editor, id, version, act, &draft, &used, now).await?;
        UnsavedDraft::discard(tx, editor, id).await?;
        ContentVersion::changed(tx, now).await?;
        Ok(Some(version))
    }

    /// Deletes a post and its history. Returns whether it existed.
    ///
    /// # Errors
    ///
    /// [`Error::State`] while it is published; it must be unpublished first.
    pub async fn delete(tx: &mut Tx, _: Editor, id: PostId, now: Timestamp) -> Result<bool, Error> {
        let gone = on_db!(tx, conn => sqlx::query(
            "DELETE FROM posts WHERE id = $1 AND NOT (published AND published_at <= $2)",
        )
        .bind(id)
        .bind(now)
        .execute(conn)
        .await
        .map(|done| done.rows_affected()))?;
        if gone == 0 && Self::find(tx, id).await?.is_some() {
            return Err(Error::State(PostState::Published.as_str()));
        }
        ContentVersion::changed(tx, now).await?;
        Ok(gone > 0)
    }

    /// Posts whose title, tags or text contain `search`, in one state or all, last changed first.
    /// `page` starts at 1.
    pub async fn page(
        tx: &mut Tx,
        _: Editor,
        search: &str,
        state: Option<PostState>,
        page: i64,
        limit: i64,
        now: Timestamp,
    ) -> Result<Vec<PostRow>, Error> {
        Ok(on_db!(tx, conn => sqlx::query_as(
            "SELECT id, title, slug, author, published, published_at, views, updated_at
             FROM posts
             WHERE search LIKE $2 ESCAPE '\\'
               AND ($3 = '' OR $3 = CASE WHEN published AND published_at <= $1 THEN 'published'
                                         WHEN published THEN 'scheduled'
                                         WHEN published_at IS NULL THEN 'draft'
                                         ELSE 'unpublished' END)
             ORDER BY updated_at DESC, id DESC
             LIMIT $4 OFFSET $5",
        )
        .bind(now)
        .bind(like_pattern(search))
        .bind(state.map_or("", PostState::as_str))
        .bind(limit)
        .bind((page.max(1) - 1).saturating_mul(limit))
        .fetch_all(conn)
        .await)?)
    }
}

/// Reserves a slug for a post. A typed one must be free; one made from the title gets a number if
/// needed.
async fn claim(tx: &mut Tx, id: PostId, draft: &PostDraft) -> Result<String, Error> {
    let typed = !draft.slug.is_empty();
    let wanted = match slugify(if typed { &draft.slug } else { &draft.title }) {
        slug if slug.is_empty() => "post".to_owned(),
        slug => slug,
    };
    for n in 1..1_000 {
        let slug = slug::numbered(&wanted, n);
        on_db!(tx, conn => sqlx::query(
            "INSERT INTO post_slugs (slug, post_id) VALUES ($1, $2) ON CONFLICT (slug) DO NOTHING",
        )
        .bind(&slug)
        .bind(id)
        .execute(conn)
        .await
        .map(|_| ()))?;
        let holder: Option<PostId> = on_db!(tx, conn => sqlx::query_scalar(
            "SELECT post_id FROM post_slugs WHERE slug = $1",
        )
        .bind(&slug)
        .fetch_optional(conn)
        .await)?;
        if holder == Some(id) {
            return Ok(slug);
        }
        if typed {
            break;
        }
    }
    Err(Error::invalid("slug", "slug_taken"))
}

/// Frees the slugs of a post that was never published, so others can use them. Nobody has links to
/// them.
async fn forget_slugs(tx: &mut Tx, id: PostId, but: &str) -> Result<(), Error> {
    on_db!(tx, conn => sqlx::query("DELETE FROM post_slugs WHERE post_id = $1 AND slug <> $2")
        .bind(id)
        .bind(but)
        .execute(conn)
        .await
        .map(|_| ()))?;
    Ok(())
}

async fn set_tags(tx: &mut Tx, id: PostId, names: &[String]) -> Result<(), Error> {
    on_db!(tx, conn => sqlx::query("DELETE FROM post_tags WHERE post_id = $1")
        .bind(id)
        .execute(conn)
        .await
        .map(|_| ()))?;
    for (position, name) in (0_i64..).zip(names) {
        on_db!(tx, conn => sqlx::query(
            "INSERT INTO post_tags (post_id, slug, name, position) VALUES ($1, $2, $3, $4)",
        )
        .bind(id)
        .bind(slugify(name))
        .bind(name)
        .bind(position)
        .execute(conn)
        .await
        .map(|_| ()))?;
    }
    Ok(())
}
