//! `/`: for visitors a description of the service with its figures and three posts; for users their
//! overview.

mod dashboard;
mod shots;

use std::sync::Arc;

use askama::Template;
use axum::extract::State;
use axum::response::{IntoResponse as _, Redirect, Response};
use skychimp_core::accounts::user::User;
use skychimp_core::blog::post::Post;
use skychimp_core::oversight::overview::Overview;
use skychimp_core::platform::db::Tx;
use skychimp_core::platform::ids::PostId;

use self::dashboard::DashboardView;
use self::shots::Shot;
use crate::kit::app::AppState;
use crate::kit::error::WebError;
use crate::kit::page::{PageContext, html};
use crate::kit::placeholder::{CacheMode, Placeholder};
use crate::kit::routes::get;
use crate::parts::post_view::{self, PostTile};
use crate::public::figures;
use crate::public::{POSTS, PublicAnswer, PublicPages, RenderedCard};
use crate::site::SiteRoutes;

pub(crate) fn routes() -> SiteRoutes {
    SiteRoutes::new().route("/", get(home))
}

#[derive(Template)]
#[template(path = "home/landing.html")]
struct LandingPage {
    page: PageContext,
    registration: bool,
    service: Service,
    base: String,
    mailing: Shot,
    message: Shot,
    phone: Shot,
}

/// The public part, as HTML: figures and three posts.
struct Service {
    figures: String,
    posts: String,
}

#[derive(Template)]
#[template(path = "home/card.html")]
struct CardPart<'a> {
    page: &'a PageContext,
    tile: PostTile,
}

#[derive(Template)]
#[template(path = "home/overview.html")]
struct OverviewPage {
    page: PageContext,
    user: User,
    overview: Overview,
    /// Only for users who have sent something.
    dashboard: Option<DashboardView>,
    steps: Vec<Step>,
    service: Service,
}

/// One of the four steps to the first mailing (R15).
struct Step {
    title: &'static str,
    text: &'static str,
    href: &'static str,
    done: bool,
    /// The first step not done yet.
    now: bool,
}

fn steps(overview: &Overview) -> Vec<Step> {
    let mut steps = [
        ("recipients", "/recipients", overview.recipients > 0),
        ("message", "/messages/new", overview.messages > 0),
        ("mailing", "/mailings/new", overview.mailings > 0),
        ("start", "/mailings", overview.started),
    ]
    .map(|(name, href, done)| {
        let (title, text) = match name {
            "recipients" => ("home-step-recipients", "home-step-recipients-text"),
            "message" => ("home-step-message", "home-step-message-text"),
            "mailing" => ("home-step-mailing", "home-step-mailing-text"),
            _ => ("home-step-start", "home-step-start-text"),
        };
        Step {
            title,
            text,
            href,
            done,
            now: false,
        }
    });
    if let Some(step) = steps.iter_mut().find(|step| !step.done) {
        step.now = true;
    }
    steps.into()
}

async fn home(
    State(app): State<AppState>,
    State(public): State<Arc<PublicPages>>,
    page: PageContext,
) -> Result<Response, WebError> {
    let mut tx = app.db.read().await?;
    match page.user.clone() {
        None if !User::any(&mut tx).await? => Ok(Redirect::to("/setup").into_response()),
        None => landing(&app, &public, tx, page).await,
        Some(_) if page.writes() && !page.sends() => Ok(Redirect::to("/posts").into_response()),
        Some(user) => html(&OverviewPage::of(&app, &public, tx, page, user).await?),
    }
}

impl OverviewPage {
    async fn of(
        app: &AppState,
        public: &PublicPages,
        mut tx: Tx,
        page: PageContext,
        user: User,
    ) -> Result<Self, WebError> {
        let overview = Overview::of(&mut tx, user.id).await?;
        let dashboard = if overview.started {
            Some(DashboardView::of(&mut tx, &page, user.id).await?)
        } else {
            None
        };
        Ok(Self {
            steps: steps(&overview),
            service: Service::now(app, public, &mut tx, &page).await?,
            page,
            user,
            overview,
            dashboard,
        })
    }
}

async fn landing(
    app: &AppState,
    pages: &PublicPages,
    mut tx: Tx,
    page: PageContext,
) -> Result<Response, WebError> {
    let public = PublicAnswer {
        until: Post::next_publication(&mut tx, page.now).await?,
        choice: Post::published_ids(&mut tx, page.now).await?,
        post: None,
    };
    let service = match page.cache_mode() {
        Some(keep) => Service::open(keep, &public.choice),
        None => Service::now(app, pages, &mut tx, &page).await?,
    };
    let landing = html(&LandingPage {
        mailing: Shot::desk("mailing", page.lang),
        message: Shot::desk("message", page.lang),
        phone: Shot::phone("mailing", page.lang),
        base: post_view::base(app),
        registration: app.settings.registration.is_open(),
        page,
        service,
    })?;
    Ok(public.mark(landing))
}

impl Service {
    /// Placeholders in a cached page, filled on every view.
    fn open(keep: CacheMode, choice: &[PostId]) -> Self {
        let posts = if choice.is_empty() {
            String::new()
        } else {
            keep.mark(Placeholder::Posts)
        };
        Self {
            figures: keep.mark(Placeholder::Figures),
            posts,
        }
    }

    /// Rendered for this view, without caching.
    async fn now(
        app: &AppState,
        public: &PublicPages,
        tx: &mut Tx,
        page: &PageContext,
    ) -> Result<Self, WebError> {
        let cards = Post::random_published(tx, POSTS, rand::random(), page.now).await?;
        let mut posts = String::new();
        for tile in post_view::tiles(tx, cards).await? {
            posts += &CardPart { page, tile }.render()?;
        }
        let figures = public.figures.current(app).await?.figures();
        Ok(Self {
            figures: figures::html(page, figures)?,
            posts,
        })
    }
}

/// A post as this page shows it; `None` if it is no longer published.
pub(crate) fn card<'a>(app: &'a AppState, page: &'a PageContext, post: PostId) -> RenderedCard<'a> {
    Box::pin(draw_card(app, page, post))
}

async fn draw_card(
    app: &AppState,
    page: &PageContext,
    post: PostId,
) -> Result<Option<String>, WebError> {
    let mut tx = app.db.read().await?;
    let Some(card) = Post::card(&mut tx, post, page.now).await? else {
        return Ok(None);
    };
    let mut text = String::new();
    for tile in post_view::tiles(&mut tx, vec![card]).await? {
        text += &CardPart { page, tile }.render()?;
    }
    Ok(Some(text))
}
