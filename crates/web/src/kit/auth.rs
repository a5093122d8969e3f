//! Access control by extractors.
//!
//! A handler that takes one of these is closed to everyone else. It has no other source for the
//! owner's id, so it cannot forget the check.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use skychimp_core::accounts::user::User;
use skychimp_core::blog::post::Editor;
use skychimp_core::oversight::moderation::{Administrator, Moderator};
use skychimp_core::platform::ids::UserId;

use crate::kit::error::WebError;
use crate::kit::page::PageContext;

/// Any logged-in user. Others are sent to the login page.
#[derive(Debug, Clone)]
pub struct CurrentUser(pub User);

/// A user who keeps recipients and sends mailings. Pages that take this show only the user's own
/// data.
#[derive(Debug, Clone)]
pub struct MailingUser(pub User);

/// A manager or administrator, with the account. Pages that take this show everyone's accounts and
/// mailings.
#[derive(Debug, Clone)]
pub struct Manager(pub Moderator, pub User);

/// An administrator.
#[derive(Debug, Clone)]
pub struct Admin(pub Administrator);

impl MailingUser {
    /// Owner of everything the handler touches.
    #[must_use]
    pub fn id(&self) -> UserId {
        self.0.id
    }
}

/// Someone who writes the blog: a content manager or an administrator (R45).
#[derive(Debug, Clone)]
pub struct BlogEditor(pub Editor);

impl<S: Send + Sync> FromRequestParts<S> for CurrentUser {
    type Rejection = WebError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, WebError> {
        let page = PageContext::from_request_parts(parts, state).await?;
        match &page.user {
            Some(user) => Ok(Self(user.clone())),
            // Return to this page after login only if it can be requested again.
            None if parts.method == axum::http::Method::GET && !page.partial => {
                Err(WebError::Login(page.address.clone()))
            }
            None => Err(WebError::Login("/".to_owned())),
        }
    }
}

impl<S: Send + Sync> FromRequestParts<S> for MailingUser {
    type Rejection = WebError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, WebError> {
        let CurrentUser(user) = CurrentUser::from_request_parts(parts, state).await?;
        let page = PageContext::from_request_parts(parts, state).await?;
        if page.sends() {
            Ok(Self(user))
        } else {
            // a section that the role does not have does not exist for it
            Err(WebError::NotFound)
        }
    }
}

impl<S: Send + Sync> FromRequestParts<S> for BlogEditor {
    type Rejection = WebError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, WebError> {
        let CurrentUser(user) = CurrentUser::from_request_parts(parts, state).await?;
        Editor::of(&user).map(Self).ok_or(WebError::NotFound)
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Manager {
    type Rejection = WebError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, WebError> {
        let CurrentUser(user) = CurrentUser::from_request_parts(parts, state).await?;
        let moderator = Moderator::of(&user).ok_or(WebError::NotFound)?;
        Ok(Self(moderator, user))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Admin {
    type Rejection = WebError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, WebError> {
        let Manager(moderator, _) = Manager::from_request_parts(parts, state).await?;
        moderator
            .administrator()
            .map(Self)
            .ok_or(WebError::NotFound)
    }
}
