//! Who is viewing a mailing.

use axum::extract::{FromRequestParts, RawPathParams};
use axum::http::request::Parts;
use skychimp_core::platform::ids::{MailingId, UserId};
use skychimp_core::sending::mailing::Mailing;

use crate::kit::auth::{MailingUser, Manager};
use crate::kit::error::WebError;
use crate::site::SiteState;

/// Path prefix of the moderators' section.
const MANAGE: &str = "/manage";

/// The owner on the mailing's own page, or a moderator on the same page in the moderators' section,
/// without controls. Pages that take this only read.
#[derive(Debug, Clone)]
pub(crate) struct Viewer {
    /// Owner of the mailing.
    pub owner: UserId,
    /// Time zone in which the viewer enters times.
    pub zone: String,
    /// Whether the viewer is the owner.
    pub own: bool,
    /// Path of the mailing's page; its sub-pages are below it.
    pub base: String,
}

impl Viewer {
    /// A moderator viewing a mailing of `owner`.
    pub(crate) fn moderator(owner: UserId, id: MailingId, zone: &str) -> Self {
        Self {
            owner,
            zone: zone.to_owned(),
            own: false,
            base: format!("{MANAGE}/mailings/{id}"),
        }
    }
}

impl FromRequestParts<SiteState> for Viewer {
    type Rejection = WebError;

    async fn from_request_parts(head: &mut Parts, app: &SiteState) -> Result<Self, WebError> {
        let manages = head.uri.path().starts_with(MANAGE);
        let params = RawPathParams::from_request_parts(head, app).await;
        let id = params.ok().and_then(|params| {
            let id = params.iter().find(|(name, _)| *name == "id");
            id.and_then(|(_, id)| id.parse::<MailingId>().ok())
        });
        if manages {
            let Manager(_, user) = Manager::from_request_parts(head, app).await?;
            let id = id.ok_or(WebError::NotFound)?;
            let owner = Mailing::owner_of(&mut app.db.read().await?, id)
                .await?
                .ok_or(WebError::NotFound)?;
            return Ok(Self::moderator(owner, id, &user.zone));
        }
        let MailingUser(user) = MailingUser::from_request_parts(head, app).await?;
        let id = id.ok_or(WebError::NotFound)?;
        Ok(Self {
            owner: user.id,
            zone: user.zone,
            own: true,
            base: format!("/mailings/{id}"),
        })
    }
}
