//! The history of a post: who changed it when, differences, restoring a version.

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use similar::{ChangeTag, TextDiff};
use skychimp_core::blog::post::{Post, PostDraft, Version};
use skychimp_core::platform::ids::PostId;

use super::VersionForm;
use crate::kit::app::AppState;
use crate::kit::auth::BlogEditor;
use crate::kit::error::WebError;
use crate::kit::flash::Flash;
use crate::kit::form::{Form, Path, checked};
use crate::kit::page::{PageContext, html};
use crate::kit::routes::{get, post};
use crate::site::SiteRoutes;

pub(super) fn routes() -> SiteRoutes {
    SiteRoutes::new()
        .route("/posts/{id}/versions", get(list))
        .route("/posts/{id}/versions/{version}", get(show))
        .route("/posts/{id}/versions/{version}/restore", post(restore))
}

#[derive(Template)]
#[template(path = "posts/versions.html")]
struct ListPage {
    page: PageContext,
    post: Post,
    versions: Vec<Version>,
}

async fn list(
    State(app): State<AppState>,
    page: PageContext,
    BlogEditor(editor): BlogEditor,
    Path(id): Path<PostId>,
) -> Result<Response, WebError> {
    let mut tx = app.db.read().await?;
    let post = Post::get(&mut tx, editor, id)
        .await?
        .ok_or(WebError::NotFound)?;
    let versions = Post::versions(&mut tx, editor, id).await?;
    html(&ListPage {
        page,
        post,
        versions,
    })
}

/// A field that differs.
struct Difference {
    name: &'static str,
    lines: Vec<Line>,
}

/// A line of text: removed, added or unchanged.
struct Line {
    tag: ChangeTag,
    /// Pieces of the line, and whether each differs.
    pieces: Vec<(bool, String)>,
}

impl Line {
    fn class(&self) -> &'static str {
        match self.tag {
            ChangeTag::Delete => "gone",
            ChangeTag::Insert => "come",
            ChangeTag::Equal => "same",
        }
    }
}

#[derive(Template)]
#[template(path = "posts/version.html")]
struct VersionPage {
    page: PageContext,
    post: Post,
    version: Version,
    differences: Vec<Difference>,
}

async fn show(
    State(app): State<AppState>,
    page: PageContext,
    BlogEditor(editor): BlogEditor,
    Path((id, number)): Path<(PostId, i64)>,
) -> Result<Response, WebError> {
    let mut tx = app.db.read().await?;
    let post = Post::get(&mut tx, editor, id)
        .await?
        .ok_or(WebError::NotFound)?;
    let old = Post::version(&mut tx, editor, id, number).await?;
    let old = old.ok_or(WebError::NotFound)?;
    let mut versions = Post::versions(&mut tx, editor, id).await?.into_iter();
    let version = versions.find(|version| version.version == number);
    let now = post.draft(&Post::tags(&mut tx, id).await?);
    drop(tx);
    html(&VersionPage {
        page,
        post,
        version: version.ok_or(WebError::NotFound)?,
        differences: differences(&old, &now),
    })
}

/// The differences between two versions, by field.
fn differences(old: &PostDraft, new: &PostDraft) -> Vec<Difference> {
    let fields = [
        ("posts-title-field", old.title.clone(), new.title.clone()),
        ("posts-author", old.author.clone(), new.author.clone()),
        ("posts-summary", old.summary.clone(), new.summary.clone()),
        ("posts-tags", old.tags.join(", "), new.tags.join(", ")),
        (
            "posts-cover-alt",
            old.cover_alt.clone(),
            new.cover_alt.clone(),
        ),
        ("posts-body", old.body.clone(), new.body.clone()),
    ];
    fields
        .into_iter()
        .filter(|(_, old, new)| old != new)
        .map(|(name, old, new)| Difference {
            name,
            lines: lines(&old, &new),
        })
        .collect()
}

/// Lines that differ, with three lines of context.
fn lines(old: &str, new: &str) -> Vec<Line> {
    let diff = TextDiff::from_lines(old, new);
    let mut lines = Vec::new();
    for group in diff.grouped_ops(3) {
        for op in &group {
            for change in diff.iter_inline_changes(op) {
                let pieces = change
                    .iter_strings_lossy()
                    .map(|(differs, text)| (differs, text.trim_end_matches('\n').to_owned()))
                    .collect();
                lines.push(Line {
                    tag: change.tag(),
                    pieces,
                });
            }
        }
    }
    lines
}

async fn restore(
    State(app): State<AppState>,
    page: PageContext,
    BlogEditor(editor): BlogEditor,
    Path((id, number)): Path<(PostId, i64)>,
    Form(form): Form<VersionForm>,
) -> Result<Response, WebError> {
    let mut tx = app.db.write().await?;
    let restored = Post::restore(&mut tx, editor, id, form.version, number, page.now).await;
    match checked(restored)? {
        Ok(Some(_)) => {
            tx.commit().await?;
            let flash = Flash::done("posts-restored").with("version", number);
            Ok(page.redirect(&format!("/posts/{id}"), flash))
        }
        Ok(None) => Err(WebError::NotFound),
        // restoring an empty first version would break a published page
        Err(_) => Ok(page.redirect(
            &format!("/posts/{id}/versions"),
            Flash::warn("posts-restore-unfinished"),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// R45: a version shows what changed, word by word.
    #[test]
    fn differences_are_found() {
        let old = PostDraft {
            title: "Spring sale".to_owned(),
            body: "one\ntwo big words\nthree".to_owned(),
            ..PostDraft::default()
        };
        let new = PostDraft {
            body: "one\ntwo small words\nthree".to_owned(),
            ..old.clone()
        };
        let found = differences(&old, &new);
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].name, "posts-body");
        let classes: Vec<_> = found[0].lines.iter().map(Line::class).collect();
        assert_eq!(classes, ["same", "gone", "come", "same"]);
        let differing = |line: &Line| {
            line.pieces
                .iter()
                .filter(|(differs, _)| *differs)
                .map(|(_, text)| text.clone())
                .collect::<String>()
        };
        assert!(differing(&found[0].lines[1]).contains("big"));
        assert!(!differing(&found[0].lines[1]).contains("words"));
        assert!(differences(&new, &new).is_empty());
    }
}
