//! The content manager's section: posts, their editor and their states (R45).

mod form;
mod pictures;
mod versions;

use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use serde::Deserialize;
use skychimp_core::accounts::user::User;
use skychimp_core::blog::post::{Editor, Post, PostDraft, PostRow, PostState, UnsavedDraft};
use skychimp_core::platform::db::Tx;
use skychimp_core::platform::error::Error;
use skychimp_core::platform::ids::PostId;

use self::form::{EditPage, PostForm};
use crate::kit::app::AppState;
use crate::kit::auth::{BlogEditor, CurrentUser};
use crate::kit::error::WebError;
use crate::kit::flash::Flash;
use crate::kit::form::{
    Errors, Form, FormOutcome, OnceForm, Path, Query, checked, outcome, sent_before,
};
use crate::kit::page::{PageContext, html, html_wrong};
use crate::kit::preview_turns::PreviewKind;
use crate::kit::query::{self, ListQuery as _, Pages, filters};
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

impl query::ListQuery for ListQuery {
    const CURSOR: &'static str = "page";

    fn filters(&self) -> Vec<(&'static str, String)> {
        filters![self; q, state]
    }

    fn is_first(&self) -> bool {
        self.number() == 1
    }
}

impl ListQuery {
    fn state(&self) -> Option<PostState> {
        let mut states = PostState::ALL.into_iter();
        states.find(|state| state.as_str() == self.state)
    }

    /// Number of the page, from 1.
    fn number(&self) -> i64 {
        self.page.parse().unwrap_or(1).clamp(1, 100_000)
    }
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
    pages: Pages,
}

impl ListPage {
    fn chosen(&self, name: &str) -> bool {
        self.state.is_some_and(|state| state.as_str() == name)
    }

    fn state_of(&self, row: &PostRow) -> PostState {
        row.state(self.page.now)
    }

    fn untouched(&self) -> bool {
        self.rows.is_empty()
            && self.q.is_empty()
            && self.state.is_none()
            && self.pages.first.is_empty()
    }
}

async fn list(
    State(app): State<AppState>,
    page: PageContext,
    BlogEditor(editor): BlogEditor,
    Query(query): Query<ListQuery>,
) -> Result<Response, WebError> {
    let (q, state, now) = (&query.q, query.state(), page.now);
    let number = query.number();
    let mut tx = app.db.read().await?;
    let rows = Post::page(&mut tx, editor, q, state, number, PAGE_SIZE, now).await?;
    let more = Post::page(&mut tx, editor, q, state, number + 1, PAGE_SIZE, now).await?;
    let next = (!more.is_empty()).then(|| (number + 1).to_string());
    html(&ListPage {
        pages: query.pages("/posts", next.as_deref()),
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

impl NewForm {
    fn draft(&self, author: &User) -> PostDraft {
        PostDraft {
            title: self.title.clone(),
            language: self.language.clone(),
            author: author.name.clone(),
            ..PostDraft::default()
        }
    }
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
    app.check_disk()?;
    let saved = async {
        let mut tx = app.db.write().await?;
        if let Some(id) = once
            .earlier_submission(&mut tx, user.id, page.now)
            .await?
            .map(PostId)
        {
            let known = Post::get(&mut tx, editor, id).await?;
            known.ok_or_else(sent_before)?;
            return Ok((id, Flash::note("form-arrived-before")));
        }
        let id = Post::create(&mut tx, editor, &once.form.draft(&user), page.now).await?;
        once.commit(tx, user.id, id.0).await?;
        Ok((id, Flash::done("posts-begun")))
    };
    match checked(saved.await)? {
        Ok((id, flash)) => Ok(page.redirect(&format!("/posts/{id}"), flash)),
        Err(errors) => html_wrong(&NewPage {
            page,
            form: once.form,
            errors,
        }),
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
    once: OnceForm<PostForm>,
) -> Result<Response, WebError> {
    app.check_disk()?;
    let saved = async {
        let mut tx = app.db.write().await?;
        let saved = keep(&mut tx, editor, id, &once, &page).await?;
        tx.commit().await?;
        Ok(saved)
    };
    let saved = saved.await;
    let form = once.form;
    match outcome(saved)? {
        FormOutcome::Done(Some(flash)) => Ok(page.redirect(&format!("/posts/{id}"), flash)),
        FormOutcome::Done(None) => Err(WebError::NotFound),
        FormOutcome::Wrong(errors) => {
            EditPage::with_errors(&app, page, editor, id, form, errors).await
        }
        FormOutcome::Changed => EditPage::changed(&app, page, editor, id, form).await,
    }
}

/// Saves the form, and publishes if the button says so. `None` if there is no such post.
async fn keep(
    tx: &mut Tx,
    editor: Editor,
    id: PostId,
    once: &OnceForm<PostForm>,
    page: &PageContext,
) -> Result<Option<Flash>, Error> {
    let form = &once.form;
    if let Some(user) = &page.user
        && once.is_repeated(tx, user.id, page.now, id.0).await?
    {
        return Ok(Some(Flash::note("form-arrived-before")));
    }
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

/// Why a text has no preview.
#[derive(Template)]
#[template(
    source = r#"{% for error in errors %}<p class="text-danger">{{ page.field_error(error) }}</p>{% endfor %}"#,
    ext = "html"
)]
struct NotRendered {
    page: PageContext,
    errors: Errors,
}

/// Renders the text for the preview next to the editor.
async fn render(
    State(app): State<AppState>,
    page: PageContext,
    CurrentUser(user): CurrentUser,
    BlogEditor(_): BlogEditor,
    Path(_): Path<PostId>,
    Form(form): Form<PostForm>,
) -> Result<Response, WebError> {
    let rendering = form
        .draft()
        .rendering(&mut app.db.read().await?)
        .await
        .map(|work| app.previews.latest(user.id, PreviewKind::Article, work));
    let rendered = match rendering {
        Ok(work) => work.await?,
        Err(error) => Err(error),
    };
    match checked(rendered)? {
        Ok(rendered) => Ok(axum::response::Html(rendered.html).into_response()),
        Err(errors) => html(&NotRendered { page, errors }),
    }
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
    if !UnsavedDraft::save(&mut tx, editor, id, form.version, &form.draft(), page.now).await? {
        Post::get(&mut tx, editor, id)
            .await?
            .ok_or(WebError::NotFound)?;
        return Ok(page.t("changed-meanwhile").to_string().into_response());
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
    let article = post.as_published(page.now);
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
