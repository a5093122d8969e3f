//! Accounts: registration, login, and the user's own account under `/account`.

mod colleagues;
mod data;
mod email;
mod late;
mod login;
mod passkeys;
mod password;
mod profile;
mod register;
mod reset;
mod second;
mod sessions;
mod setup;

use std::time::Duration;

use tokio::time::Instant;

use crate::site::SiteRoutes;

pub(crate) use data::long_routes;

pub(crate) fn routes() -> SiteRoutes {
    SiteRoutes::new()
        .merge(login::routes())
        .merge(setup::routes())
        .merge(register::routes())
        .merge(reset::routes())
        .merge(profile::routes())
        .merge(email::routes())
        .merge(late::routes())
        .merge(password::routes())
        .merge(second::routes())
        .merge(passkeys::routes())
        .merge(sessions::routes())
        .merge(colleagues::routes())
        .merge(data::routes())
}

/// A response with constant time: it is sent [`ConstantTimeAnswer::ANSWER_TIME`] after the request,
/// so that its timing does not reveal whether an account exists.
struct ConstantTimeAnswer(Instant);

impl ConstantTimeAnswer {
    const ANSWER_TIME: Duration = Duration::from_millis(250);

    fn begin() -> Self {
        Self(Instant::now())
    }

    async fn done(self) {
        tokio::time::sleep_until(self.0 + Self::ANSWER_TIME).await;
    }
}
