//! The pages of the site, one file per area.

pub mod account;
pub mod blog;
pub mod health;
pub mod home;
pub mod imports;
pub mod lists;
pub mod log;
pub mod mailings;
pub mod manage;
pub mod media;
pub mod messages;
pub mod metrics;
pub mod posts;
pub mod recipients;
pub mod sandbox;
pub mod suppressions;
pub mod test_letters;
pub mod unsubscribe;
mod well_known;

use crate::kit::app::App;
use crate::kit::assets;
use crate::kit::error::WebError;
use crate::kit::routes::get;
use crate::site::SiteRoutes;

/// Pages that respond quickly; the usual request time-out applies.
pub(crate) fn routes() -> SiteRoutes {
    SiteRoutes::new()
        .merge(home::routes())
        .merge(account::routes())
        .merge(blog::routes())
        .merge(posts::routes())
        .merge(mailings::routes())
        .merge(log::routes())
        .merge(test_letters::routes())
        .merge(manage::routes())
        .merge(recipients::routes())
        .merge(lists::routes())
        .merge(suppressions::routes())
        .merge(imports::routes())
        .merge(messages::routes())
        .merge(sandbox::routes())
}

/// Moves what older versions kept in the data folder into the database.
pub(crate) async fn adopt_files(app: &App) {
    imports::adopt_files(app).await;
}

/// Pages that take long or have large bodies: uploads, downloads, live streams. They set their own
/// limits.
pub(crate) fn long_routes() -> SiteRoutes {
    SiteRoutes::new()
        .merge(account::long_routes())
        .merge(mailings::long_routes())
        .merge(log::long_routes())
        .merge(posts::long_routes())
        .merge(recipients::long_routes())
        .merge(imports::long_routes())
}

/// Responses other than pages: links in letters, health, feeds, pictures, assets. They have no
/// session and no CSRF token.
pub(crate) fn bare_routes() -> SiteRoutes {
    SiteRoutes::new()
        .merge(unsubscribe::routes())
        .merge(health::routes())
        .merge(metrics::routes())
        .merge(blog::feed_routes())
        .merge(well_known::routes())
        .merge(media::routes())
        .route("/assets/{name}", get(assets::serve))
}

/// The routes of the metrics' own listener.
pub(crate) fn metrics_routes() -> SiteRoutes {
    metrics::own_routes()
}

/// The fallback for all other addresses.
pub(crate) async fn not_found() -> WebError {
    WebError::NotFound
}
