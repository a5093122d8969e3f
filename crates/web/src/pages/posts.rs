//! The content manager's section: posts, their editor and their states (R45).

mod form;
mod pictures;
mod versions;

use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use serde::Deserialize;
use skychimp_core::accounts::submission::Arrival;
use skychimp_core::blog::post::{
    Article, Editor, Post, PostCard, PostDraft, PostRow, PostState, UnsavedDraft,
};
use skychimp_core::platform::db::Tx;
use skychimp_core::platform::error::Error;
use skychimp_core::platform::ids::PostId;

use self::form::{EditPage, PostForm};
use crate::kit::app::AppState;
use crate::kit::auth::{BlogEditor, CurrentUser};
use crate::kit::error::WebError;
use crate::kit::flash::Flash;
use crate::kit::form::{Errors, Form, FormOutcome, OnceForm, Path, Query, outcome};
use crate::kit::page::{PageContext, html, html_wrong};
use crate::kit::routes::{get, post};
use crate::parts::post_view::PostPage;
use crate::site::SiteRoutes;

/// Posts per page.
const PAGE_SIZE: i64 = 50;

pub(crate) fn routes() -> SiteRoutes {
    SiteRoutes::new()
        .route("/posts", get(list).post(create))
        .route("/posts/new", get(new))
        .route("/posts/{id}", get(edit).post(save))
        .route("/posts/{id}/render", post(render))
        .route("/posts/{id}/typed", post(typed))
        .route("/posts/{id}/discard", post(discard))
        .route("/posts/{id}/preview", get(preview))
        .route("/posts/{id}/unpublish", post(unpublish))
        .route("/posts/{id}/delete", post(delete))
        .merge(versions::routes())
        .merge(pictures::routes())
}

pub(crate) fn long_routes() -> SiteRoutes {
    pictures::long_routes()
}

#[derive(Debug, Default, Deserialize)]
struct ListQuery {
    #[serde(default)]
    q: String,
    #[serde(default)]
    state: String,
    #[serde(default)]
    page: String,
}

#[derive(Template)]
#[template(path = "posts/list.html")]
struct ListPage {
    page: PageContext,
    q: String,
    state: Option<PostState>,
    /// The states offered in the filter.
    states: [PostState; 4],
    rows: Vec<PostRow>,
    first: String,
    next: String,
}

impl ListPage {
    fn chosen(&self, name: &str) -> bool {
        self.state.is_some_and(|state| state.as_str() == name)
    }

    fn state_of(&self, row: &PostRow) -> PostState {
        row.state(self.page.now)
    }

    fn untouched(&self) -> bool {
        self.rows.is_empty() && self.q.is_empty() && self.state.is_none() && self.first.is_empty()
    }
}

async fn list(
    State(app): State<AppState>,
    page: PageContext,
    BlogEditor(editor): BlogEditor,
    Query(query): Query<ListQuery>,
) -> Result<Response, WebError> {
    let state = PostState::ALL
        .into_iter()
        .find(|state| state.as_str() == query.state);
    let number: i64 = query.page.parse().unwrap_or(1).clamp(1, 100_000);
    let mut tx = app.db.read().await?;
    let (q, now) = (&query.q, page.now);
    let mut rows = Post::page(&mut tx, editor, q, state, number, PAGE_SIZE, now).await?;
    let more = Post::page(&mut tx, editor, q, state, number + 1, PAGE_SIZE, now).await?;
    let q = percent_encoding::utf8_percent_encode(q, percent_encoding::NON_ALPHANUMERIC);
    let address = |number: i64| format!("/posts?q={q}&state={}&page={number}", query.state);
    rows.truncate(usize::try_from(PAGE_SIZE).unwrap_or(usize::MAX));
    html(&ListPage {
        first: if number > 1 {
            address(1)
        } else {
            String::new()
        },
        next: if more.is_empty() {
            String::new()
        } else {
            address(number + 1)
        },
        page,
        state,
        states: PostState::ALL,
        rows,
        q: query.q,
    })
}

/// The fields needed to create a post.
#[derive(Debug, Default, Deserialize)]
struct NewForm {
    #[serde(default)]
    title: String,
    #[serde(default)]
    language: String,
}

#[derive(Template)]
#[template(path = "posts/new.html")]
struct NewPage {
    page: PageContext,
    form: NewForm,
    errors: Errors,
}

async fn new(page: PageContext, BlogEditor(_): BlogEditor) -> Result<Response, WebError> {
    let form = NewForm {
        language: page.lang.as_str().to_owned(),
        ..NewForm::default()
    };
    let errors = Errors::none();
    html(&NewPage { page, form, errors })
}

async fn create(
    State(app): State<AppState>,
    page: PageContext,
    CurrentUser(user): CurrentUser,
    BlogEditor(editor): BlogEditor,
    once: OnceForm<NewForm>,
) -> Result<Response, WebError> {
    let form = &once.form;
    let draft = PostDraft {
        title: form.title.clone(),
        language: form.language.clone(),
        author: user.name.clone(),
        ..PostDraft::default()
    };
    let mut tx = app.db.write().await?;
    let mut arrival = once.arrive(&mut tx, user.id, page.now).await?;
    if let Arrival::Again(made) = arrival
        && (Post::get(&mut tx, editor, PostId(made)).await?).is_none()
    {
        arrival = Arrival::Other;
    }
    match arrival {
        Arrival::First => {}
        Arrival::Again(made) => {
            let to = format!("/posts/{made}");
            return Ok(page.redirect(&to, Flash::note("form-arrived-before")));
        }
        Arrival::Other => {
            let (form, errors) = (once.form, Errors::sent_before());
            return html_wrong(&NewPage { page, form, errors });
        }
    }
    match outcome(Post::create(&mut tx, editor, &draft, page.now).await)? {
        FormOutcome::Done(id) => {
            once.made(&mut tx, user.id, id.0).await?;
            tx.commit().await?;
            Ok(page.redirect(&format!("/posts/{id}"), Flash::done("posts-begun")))
        }
        FormOutcome::Wrong(errors) => {
            let form = once.form;
            html_wrong(&NewPage { page, form, errors })
        }
        FormOutcome::Changed => Err(WebError::Conflict),
    }
}

async fn edit(
    State(app): State<AppState>,
    page: PageContext,
    BlogEditor(editor): BlogEditor,
    Path(id): Path<PostId>,
) -> Result<Response, WebError> {
    let mut tx = app.db.read().await?;
    let post = Post::get(&mut tx, editor, id)
        .await?
        .ok_or(WebError::NotFound)?;
    let typed = UnsavedDraft::of(&mut tx, editor, id).await?;
    let mut form = match &typed {
        Some(typed) => PostForm::of(&typed.draft, typed.version),
        None => PostForm::of(&post.draft(&Post::tags(&mut tx, id).await?), post.version),
    };
    form.suggest(&post, &page);
    let mut edit = EditPage::new(&mut tx, page, post, form).await?;
    edit.typed = typed.map(|typed| typed.at);
    html(&edit)
}

async fn save(
    State(app): State<AppState>,
    page: PageContext,
    BlogEditor(editor): BlogEditor,
    Path(id): Path<PostId>,
    Form(form): Form<PostForm>,
) -> Result<Response, WebError> {
    let mut tx = app.db.write().await?;
    let saved = keep(&mut tx, editor, id, &form, &page).await;
    match outcome(saved)? {
        FormOutcome::Done(Some(flash)) => {
            tx.commit().await?;
            Ok(page.redirect(&format!("/posts/{id}"), flash))
        }
        FormOutcome::Done(None) => Err(WebError::NotFound),
        FormOutcome::Wrong(errors) => {
            drop(tx);
            EditPage::wrong(&app, page, editor, id, form, errors).await
        }
        FormOutcome::Changed => {
            drop(tx);
            EditPage::changed(&app, page, editor, id, form).await
        }
    }
}

/// Saves the form, and publishes if the button says so. `None` if there is no such post.
async fn keep(
    tx: &mut Tx,
    editor: Editor,
    id: PostId,
    form: &PostForm,
    page: &PageContext,
) -> Result<Option<Flash>, Error> {
    let from = form.publish_from(page)?;
    let saved = Post::save(tx, editor, id, form.version, &form.draft(), page.now).await?;
    let Some(version) = saved else {
        return Ok(None);
    };
    if form.then.is_empty() {
        return Ok(Some(Flash::done("posts-saved")));
    }
    Post::publish(tx, editor, id, version, from, page.now).await?;
    Ok(Some(match from {
        Some(from) => Flash::done("posts-scheduled").with("time", page.time(from)),
        None => Flash::done("posts-published"),
    }))
}

/// Renders the text for the preview next to the editor.
async fn render(
    State(app): State<AppState>,
    BlogEditor(_): BlogEditor,
    Path(_): Path<PostId>,
    Form(form): Form<PostForm>,
) -> Result<Response, WebError> {
    let mut tx = app.db.read().await?;
    let rendered = form.draft().render(&mut tx).await?;
    Ok(axum::response::Html(rendered.html).into_response())
}

/// Saves what is being typed as an unsaved draft, separate from the post.
async fn typed(
    State(app): State<AppState>,
    page: PageContext,
    BlogEditor(editor): BlogEditor,
    Path(id): Path<PostId>,
    Form(form): Form<PostForm>,
) -> Result<Response, WebError> {
    let mut tx = app.db.write().await?;
    if !UnsavedDraft::keep(&mut tx, editor, id, form.version, &form.draft(), page.now).await? {
        return Err(WebError::NotFound);
    }
    tx.commit().await?;
    let told = page
        .t("posts-typed")
        .with("time", page.time_exact(page.now));
    Ok(told.to_string().into_response())
}

async fn discard(
    State(app): State<AppState>,
    page: PageContext,
    BlogEditor(editor): BlogEditor,
    Path(id): Path<PostId>,
) -> Result<Response, WebError> {
    let mut tx = app.db.write().await?;
    UnsavedDraft::discard(&mut tx, editor, id).await?;
    tx.commit().await?;
    Ok(page.redirect(&format!("/posts/{id}"), Flash::done("posts-discarded")))
}

/// The saved post as its page will look, published or not.
async fn preview(
    State(app): State<AppState>,
    page: PageContext,
    BlogEditor(editor): BlogEditor,
    Path(id): Path<PostId>,
) -> Result<Response, WebError> {
    let mut tx = app.db.read().await?;
    let post = Post::get(&mut tx, editor, id)
        .await?
        .ok_or(WebError::NotFound)?;
    let article = Article {
        card: PostCard {
            id,
            title: post.title,
            slug: post.slug,
            author: post.author,
            language: post.language,
            excerpt: post.excerpt,
            cover_id: post.cover_id,
            cover_alt: post.cover_alt,
            minutes: post.minutes,
            views: post.views,
            published_at: post.published_at.unwrap_or(page.now),
        },
        html: post.html,
        updated_at: post.updated_at,
    };
    html(&PostPage::draft(&app, &mut tx, page, article).await?)
}

/// The version of the page on which a button was pressed.
#[derive(Debug, Deserialize)]
struct VersionForm {
    #[serde(default)]
    version: i64,
}

async fn unpublish(
    State(app): State<AppState>,
    page: PageContext,
    BlogEditor(editor): BlogEditor,
    Path(id): Path<PostId>,
    Form(form): Form<VersionForm>,
) -> Result<Response, WebError> {
    let mut tx = app.db.write().await?;
    Post::unpublish(&mut tx, editor, id, form.version, page.now)
        .await?
        .ok_or(WebError::NotFound)?;
    tx.commit().await?;
    Ok(page.redirect(&format!("/posts/{id}"), Flash::done("posts-unpublished")))
}

async fn delete(
    State(app): State<AppState>,
    page: PageContext,
    BlogEditor(editor): BlogEditor,
    Path(id): Path<PostId>,
) -> Result<Response, WebError> {
    let mut tx = app.db.write().await?;
    match Post::delete(&mut tx, editor, id, page.now).await {
        Ok(true) => {
            tx.commit().await?;
            Ok(page.redirect("/posts", Flash::done("posts-deleted")))
        }
        Ok(false) => Err(WebError::NotFound),
        Err(Error::State(_)) => Ok(page.redirect(
            &format!("/posts/{id}"),
            Flash::warn("posts-delete-published"),
        )),
        Err(error) => Err(error.into()),
    }
}

/// An empty response.
fn bare(status: StatusCode) -> Response {
    status.into_response()
}
