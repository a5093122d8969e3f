//! Forms: what is wrong with them.

use axum::extract::{FromRequest, FromRequestParts, Path as AxumPath, Request};
use axum::http::request::Parts;
use skychimp_core::error::{Error, FieldError};

use crate::error::WebError;

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
    /// Fields are wrong: show the form again with [`crate::page::html_wrong`].
    Wrong(Errors),
    /// Somebody changed the thing meanwhile: show both with [`crate::page::html_changed`].
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
