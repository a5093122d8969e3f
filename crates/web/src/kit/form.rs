//! Forms: what is wrong with them.

use axum::body::{Body, Bytes};
use axum::extract::{FromRequest, FromRequestParts, OriginalUri, Path as AxumPath, Request};
use axum::http::request::Parts;
use axum::http::{HeaderValue, header};
use skychimp_core::accounts::submission::{Arrival, Made, Submission};
use skychimp_core::platform::db::Tx;
use skychimp_core::platform::error::{Error, FieldError};
use skychimp_core::platform::ids::UserId;
use skychimp_core::platform::time::Moment;

use crate::kit::error::WebError;

/// What is wrong with a form, by field.
#[derive(Debug, Clone, Default)]
pub struct Errors(Vec<FieldError>);

impl Errors {
    /// Nothing is wrong (yet).
    #[must_use]
    pub const fn none() -> Self {
        Self(Vec::new())
    }

    /// One wrong field.
    #[must_use]
    pub fn one(field: &str, code: &'static str) -> Self {
        Self(vec![FieldError::new(field, code)])
    }

    /// The form was here before and has made something of other content.
    #[must_use]
    pub fn sent_before() -> Self {
        Self::one(ID, "sent_before")
    }

    /// What is wrong with a field.
    #[must_use]
    pub fn of(&self, field: &str) -> Option<&FieldError> {
        self.0.iter().find(|error| error.field == field)
    }

    /// Tells whether a field is wrong.
    #[must_use]
    pub fn has(&self, field: &str) -> bool {
        self.of(field).is_some()
    }

    /// Tells whether nothing is wrong.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// All of them.
    pub fn iter(&self) -> std::slice::Iter<'_, FieldError> {
        self.0.iter()
    }
}

impl<'a> IntoIterator for &'a Errors {
    type Item = &'a FieldError;
    type IntoIter = std::slice::Iter<'a, FieldError>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl From<Vec<FieldError>> for Errors {
    fn from(errors: Vec<FieldError>) -> Self {
        Self(errors)
    }
}

/// What became of a form.
#[derive(Debug)]
pub enum Outcome<T> {
    /// It was done.
    Done(T),
    /// Fields are wrong: show the form again with [`crate::kit::page::html_wrong`].
    Wrong(Errors),
    /// Somebody changed the thing meanwhile: show both with [`crate::kit::page::html_changed`].
    Changed,
}

/// Sorts the result of an operation into what a form's page must show; all other errors are pages of their own.
pub fn outcome<T>(result: Result<T, Error>) -> Result<Outcome<T>, WebError> {
    match result {
        Ok(value) => Ok(Outcome::Done(value)),
        Err(Error::Invalid(errors)) => Ok(Outcome::Wrong(Errors(errors))),
        Err(Error::Conflict) => Ok(Outcome::Changed),
        Err(error) => Err(error.into()),
    }
}

/// A form's fields. A form that cannot be read is a page 400.
#[derive(Debug)]
pub struct Form<T>(pub T);

impl<T, S> FromRequest<S> for Form<T>
where
    T: serde::de::DeserializeOwned,
    S: Send + Sync,
{
    type Rejection = WebError;

    async fn from_request(request: Request, state: &S) -> Result<Self, WebError> {
        match axum_extra::extract::Form::from_request(request, state).await {
            Ok(axum_extra::extract::Form(form)) => Ok(Self(form)),
            Err(_) => Err(WebError::BadRequest),
        }
    }
}

/// A form that makes something, and makes it once however often it arrives: its template has `ui::once`.
#[derive(Debug)]
pub struct Once<T> {
    /// Its fields.
    pub form: T,
    submission: Option<Submission>,
}

/// The field with the id of a form.
const ID: &str = "form_id";
/// Fields that differ when the same form arrives again: its token may be a new one, another of its buttons may be pressed.
const ASIDE: [&str; 4] = [ID, "csrf", "action", "close"];

impl<T> Once<T> {
    /// Whether it was here before. A form without an id, as programs send it, never was.
    pub async fn arrive(&self, tx: &mut Tx, owner: UserId, now: Moment) -> Result<Arrival, Error> {
        match &self.submission {
            Some(submission) => submission.arrive(tx, owner, now).await,
            None => Ok(Arrival::First),
        }
    }

    /// Says what it made, in the transaction in which it [arrived](Self::arrive) first.
    pub async fn made(&self, tx: &mut Tx, owner: UserId, made: Made) -> Result<(), Error> {
        match &self.submission {
            Some(submission) => submission.made(tx, owner, made).await,
            None => Ok(()),
        }
    }
}

impl<T, S> FromRequest<S> for Once<T>
where
    T: serde::de::DeserializeOwned,
    S: Send + Sync,
{
    type Rejection = WebError;

    async fn from_request(request: Request, state: &S) -> Result<Self, WebError> {
        let (mut parts, body) = request.into_parts();
        let address = match parts.extensions.get::<OriginalUri>() {
            Some(OriginalUri(uri)) => uri.to_string(),
            None => parts.uri.to_string(),
        };
        let bytes = Bytes::from_request(Request::new(body), state).await;
        let bytes = bytes.map_err(|_| WebError::TooLarge)?;
        let fields: Vec<_> = url::form_urlencoded::parse(&bytes).collect();
        let id = fields.iter().find(|(name, _)| name == ID);
        let submission = id.and_then(|(_, id)| id.parse().ok()).map(|id| {
            let told = fields.iter().filter(|(name, _)| !ASIDE.contains(&&**name));
            let told = told.flat_map(|(name, value)| [&**name, &**value]);
            Submission::new(id, std::iter::once(address.as_str()).chain(told))
        });
        if bytes.is_empty() && !parts.headers.contains_key(header::CONTENT_TYPE) {
            // a button's form, sent by a program
            let kind = HeaderValue::from_static("application/x-www-form-urlencoded");
            parts.headers.insert(header::CONTENT_TYPE, kind);
        }
        let request = Request::from_parts(parts, Body::from(bytes));
        let Form(form) = Form::from_request(request, state).await?;
        Ok(Self { form, submission })
    }
}

/// A form without fields.
#[derive(Debug, serde::Deserialize)]
pub struct NoFields {}

/// The ids in a path. What is no id is a page 404.
#[derive(Debug)]
pub struct Path<T>(pub T);

impl<T, S> FromRequestParts<S> for Path<T>
where
    T: serde::de::DeserializeOwned + Send,
    S: Send + Sync,
{
    type Rejection = WebError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, WebError> {
        match AxumPath::from_request_parts(parts, state).await {
            Ok(AxumPath(ids)) => Ok(Self(ids)),
            Err(_) => Err(WebError::NotFound),
        }
    }
}

/// The fields of a query. A query that cannot be read is a page 400.
#[derive(Debug)]
pub struct Query<T>(pub T);

impl<T, S> FromRequestParts<S> for Query<T>
where
    T: serde::de::DeserializeOwned,
    S: Send + Sync,
{
    type Rejection = WebError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, WebError> {
        match axum_extra::extract::Query::from_request_parts(parts, state).await {
            Ok(axum_extra::extract::Query(query)) => Ok(Self(query)),
            Err(_) => Err(WebError::BadRequest),
        }
    }
}
