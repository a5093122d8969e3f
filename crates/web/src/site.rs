//! State of the whole site, and the parts that handlers extract: `State<AppState>`,
//! `State<Arc<PublicPages>>`, …

use std::sync::Arc;

use axum::extract::FromRef;

use crate::kit::app::AppState;
use crate::kit::routes;
use crate::parts::run_snapshot::Snapshots;
use crate::public::{DrawCard, PublicPages};

/// Routes of one area of the site.
pub(crate) type SiteRoutes = routes::Routes<SiteState>;

/// Everything handlers work with, and the caches of individual pages.
#[derive(Debug, Clone)]
pub struct SiteState {
    app: AppState,
    public: Arc<PublicPages>,
    runs: Arc<Snapshots>,
}

impl SiteState {
    /// Creates a state with empty caches.
    pub(crate) fn with(app: AppState, draw_card: DrawCard) -> Self {
        Self {
            public: Arc::new(PublicPages::new(&app.settings, draw_card)),
            runs: Arc::default(),
            app,
        }
    }
}

impl std::ops::Deref for SiteState {
    type Target = AppState;

    fn deref(&self) -> &AppState {
        &self.app
    }
}

impl FromRef<SiteState> for AppState {
    fn from_ref(site: &SiteState) -> Self {
        site.app.clone()
    }
}

impl FromRef<SiteState> for Arc<PublicPages> {
    fn from_ref(site: &SiteState) -> Self {
        Self::clone(&site.public)
    }
}

impl FromRef<SiteState> for Arc<Snapshots> {
    fn from_ref(site: &SiteState) -> Self {
        Self::clone(&site.runs)
    }
}
