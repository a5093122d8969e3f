//! The form of the post editor.

use std::time::Duration;

use askama::Template;
use axum::response::Response;
use serde::Deserialize;
use skychimp_core::blog::media::{FILE_MAX, Picture};
use skychimp_core::blog::post::{Editor, Post, PostDraft, PostState};
use skychimp_core::platform::db::Tx;
use skychimp_core::platform::error::Error;
use skychimp_core::platform::ids::PostId;
use skychimp_core::platform::time::Timestamp;
use skychimp_core::sending::schedule;

use crate::kit::app::AppState;
use crate::kit::error::WebError;
use crate::kit::form::Errors;
use crate::kit::format;
use crate::kit::page::{PageContext, html_changed, html_wrong};

/// The publication time suggested by the form is this much later than now.
const SUGGESTED_DELAY: Duration = Duration::from_hours(24);

/// A toolbar button: action in the script, icon, translation key.
type Tool = (&'static str, &'static str, &'static str);

const TOOLS: [Tool; 10] = [
    ("bold", "type-bold", "posts-md-bold"),
    ("italic", "type-italic", "posts-md-italic"),
    ("h2", "type-h2", "posts-md-h2"),
    ("h3", "type-h3", "posts-md-h3"),
    ("link", "link-45deg", "posts-md-link"),
    ("quote", "quote", "posts-md-quote"),
    ("ul", "list-ul", "posts-md-ul"),
    ("ol", "list-ol", "posts-md-ol"),
    ("code", "code-slash", "posts-md-code"),
    ("picture", "image", "posts-md-picture"),
];

/// The fields of the editor.
#[derive(Debug, Default, Clone, Deserialize)]
#[serde(default)]
pub(super) struct PostForm {
    title: String,
    slug: String,
    author: String,
    language: String,
    summary: String,
    body: String,
    /// Id of the cover picture; empty for none.
    cover: String,
    cover_alt: String,
    /// Names, separated by commas.
    tags: String,
    /// The post's version the form is based on.
    pub(super) version: i64,
    /// Local time of a scheduled publication.
    publish_at: String,
    /// The button pressed: `publish`, `schedule`, or empty to only save.
    pub(super) then: String,
}

impl PostForm {
    pub(super) fn of(draft: &PostDraft, version: i64) -> Self {
        let draft = draft.clone();
        Self {
            title: draft.title,
            slug: draft.slug,
            author: draft.author,
            language: draft.language,
            summary: draft.summary,
            body: draft.body,
            cover: draft.cover_id.map(|id| id.to_string()).unwrap_or_default(),
            cover_alt: draft.cover_alt,
            tags: draft.tags.join(", "),
            version,
            publish_at: String::new(),
            then: String::new(),
        }
    }

    pub(super) fn draft(&self) -> PostDraft {
        PostDraft {
            title: self.title.clone(),
            slug: self.slug.clone(),
            author: self.author.clone(),
            language: self.language.clone(),
            summary: self.summary.clone(),
            body: self.body.clone(),
            cover_id: self.cover.parse().ok(),
            cover_alt: self.cover_alt.clone(),
            tags: self
                .tags
                .split(',')
                .map(|tag| tag.trim().to_owned())
                .collect(),
        }
    }

    /// Fills in a publication time: the scheduled one, or the same time tomorrow.
    pub(super) fn suggest(&mut self, post: &Post, page: &PageContext) {
        let planned = post.published_at.filter(|at| *at > page.now);
        let at = planned.unwrap_or(page.now + SUGGESTED_DELAY);
        self.publish_at = format::datetime_local(at, &page.zone);
    }

    /// When to publish; `None` for now.
    pub(super) fn publish_from(&self, page: &PageContext) -> Result<Option<Timestamp>, Error> {
        match self.then.as_str() {
            "" | "publish" => return Ok(None),
            "schedule" => {}
            _ => return Err(Error::invalid("then", "unknown_choice")),
        }
        let moment = schedule::moment(&self.publish_at, &page.zone);
        moment
            .map(Some)
            .ok_or_else(|| Error::invalid("publish_at", "date_time"))
    }
}

#[derive(Template)]
#[template(path = "posts/edit.html")]
pub(super) struct EditPage {
    page: PageContext,
    id: PostId,
    /// The stored post.
    post: Post,
    form: PostForm,
    errors: Errors,
    pictures: Vec<Picture>,
    tools: [Tool; 10],
    /// Fields that somebody else changed in the meantime.
    changed: Option<Vec<&'static str>>,
    /// When the form's content was typed, if it is an unsaved draft.
    pub(super) typed: Option<Timestamp>,
}

impl EditPage {
    pub(super) async fn new(
        tx: &mut Tx,
        page: PageContext,
        post: Post,
        form: PostForm,
    ) -> Result<Self, WebError> {
        Ok(Self {
            pictures: Picture::of_post(tx, post.id).await?,
            page,
            id: post.id,
            post,
            form,
            errors: Errors::none(),
            tools: TOOLS,
            changed: None,
            typed: None,
        })
    }

    /// The form again, with errors.
    pub(super) async fn with_errors(
        app: &AppState,
        page: PageContext,
        editor: Editor,
        id: PostId,
        form: PostForm,
        errors: Errors,
    ) -> Result<Response, WebError> {
        let mut tx = app.db.read().await?;
        let post = Post::get(&mut tx, editor, id)
            .await?
            .ok_or(WebError::NotFound)?;
        let edit = Self::new(&mut tx, page, post, form).await?;
        html_wrong(&Self { errors, ..edit })
    }

    /// Two editors changed the post: keeps what was typed, and bases the form on the other version.
    pub(super) async fn changed(
        app: &AppState,
        page: PageContext,
        editor: Editor,
        id: PostId,
        mut form: PostForm,
    ) -> Result<Response, WebError> {
        let mut tx = app.db.read().await?;
        let post = Post::get(&mut tx, editor, id)
            .await?
            .ok_or(WebError::NotFound)?;
        let tags = Post::tags(&mut tx, id).await?;
        let now = PostForm::of(&post.draft(&tags), post.version);
        let fields = [
            ("posts-title-field", &form.title, &now.title),
            ("posts-slug", &form.slug, &now.slug),
            ("posts-author", &form.author, &now.author),
            ("posts-language", &form.language, &now.language),
            ("posts-summary", &form.summary, &now.summary),
            ("posts-body", &form.body, &now.body),
            ("posts-cover", &form.cover, &now.cover),
            ("posts-cover-alt", &form.cover_alt, &now.cover_alt),
            ("posts-tags", &form.tags, &now.tags),
        ];
        let differ = fields
            .into_iter()
            .filter(|(_, typed, stored)| typed.replace('\r', "").trim() != stored.trim())
            .map(|(name, _, _)| name)
            .collect();
        form.version = now.version;
        let edit = Self::new(&mut tx, page, post, form).await?;
        html_changed(&Self {
            changed: Some(differ),
            ..edit
        })
    }

    fn state(&self) -> PostState {
        self.post.state(self.page.now)
    }

    fn is(&self, name: &str) -> bool {
        self.state().as_str() == name
    }

    fn zone(&self) -> String {
        self.page.zone.iana_name().unwrap_or("UTC").to_owned()
    }

    fn file_max(&self) -> String {
        self.page.size(FILE_MAX)
    }
}
