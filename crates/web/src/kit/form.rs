//! Forms: extractors, validation errors, and protection from double submission.

use std::sync::OnceLock;

use axum::body::{Body, Bytes};
use axum::extract::{FromRequest, FromRequestParts, OriginalUri, Path as AxumPath, Request};
use axum::http::request::Parts;
use axum::http::{HeaderValue, header};
use skychimp_core::accounts::submission::{Arrival, CreatedId, Submission};
use skychimp_core::platform::db::Tx;
use skychimp_core::platform::error::{Error, FieldError};
use skychimp_core::platform::ids::{SubmissionId, UserId};
use skychimp_core::platform::time::Timestamp;

use crate::kit::error::WebError;
use crate::kit::late_form::LateNote;
use crate::kit::page::PageContext;

/// Validation errors of a form, by field.
#[derive(Debug, Clone, Default)]
pub struct Errors(Vec<FieldError>);

impl Errors {
    /// No errors.
    #[must_use]
    pub const fn none() -> Self {
        Self(Vec::new())
    }

    /// An error in one field.
    #[must_use]
    pub fn one(field: &str, code: &'static str) -> Self {
        Self(vec![FieldError::new(field, code)])
    }

    /// The form was submitted before, and created something with different content.
    #[must_use]
    pub fn sent_before() -> Self {
        Self::one(ID, "sent_before")
    }

    /// The first error of a field.
    #[must_use]
    pub fn of(&self, field: &str) -> Option<&FieldError> {
        self.0.iter().find(|error| error.field == field)
    }

    /// Whether a field has an error.
    #[must_use]
    pub fn has(&self, field: &str) -> bool {
        self.of(field).is_some()
    }

    /// Whether there are no errors.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// All errors, in the order of validation.
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

/// Result of a form's operation.
#[derive(Debug)]
pub enum FormOutcome<T> {
    /// It succeeded.
    Done(T),
    /// Fields are invalid: show the form again with [`crate::kit::page::html_wrong`].
    Wrong(Errors),
    /// Someone changed it in the meantime: show both versions with
    /// [`crate::kit::page::html_changed`].
    Changed,
}

/// Separates results that the form's page shows from other errors, which become error pages.
pub fn outcome<T>(result: Result<T, Error>) -> Result<FormOutcome<T>, WebError> {
    match result {
        Ok(value) => Ok(FormOutcome::Done(value)),
        Err(Error::Invalid(errors)) => Ok(FormOutcome::Wrong(Errors(errors))),
        Err(Error::Conflict) => Ok(FormOutcome::Changed),
        Err(error) => Err(error.into()),
    }
}

/// Separates invalid fields, which the form's page shows, from other errors. For forms without a
/// version; those that two people can edit at the same time need [`outcome`].
pub fn checked<T>(result: Result<T, Error>) -> Result<Result<T, Errors>, WebError> {
    match result {
        Ok(value) => Ok(Ok(value)),
        Err(Error::Invalid(errors)) => Ok(Err(Errors(errors))),
        Err(error) => Err(error.into()),
    }
}

/// The fields of a form. A body that cannot be parsed is answered with 400.
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

/// Whether a field holds an address. Browsers refuse those that are not ASCII in an `email` field.
#[must_use]
pub fn is_email(kind: impl AsRef<str>) -> bool {
    kind.as_ref() == "email"
}

/// A form that creates something at most once, however often it is submitted. Its template needs
/// `ui::once`.
#[derive(Debug)]
pub struct OnceForm<T> {
    /// The fields.
    pub form: T,
    submission: Option<Submission>,
}

/// The field with the form's id.
const ID: &str = "form_id";
/// The error of a form that was submitted before with different content, or whose creation was
/// deleted since.
#[must_use]
pub fn sent_before() -> Error {
    Error::invalid(ID, "sent_before")
}

/// Fields that may differ when the same form is submitted again: a new token, another button, the
/// answer to a question.
const ASIDE: [&str; 7] = [
    ID,
    "csrf",
    "action",
    "close",
    "confirmed",
    "late",
    "test_id",
];

/// What a request knows of the form that it brings.
#[derive(Debug, Default)]
pub(super) struct FormMarks {
    /// Its id, if it creates something.
    id: OnceLock<SubmissionId>,
    /// What became of it if it came too late.
    pub(super) late: OnceLock<LateNote>,
}

impl PageContext {
    /// A new id for a form that creates something; see [`OnceForm`].
    #[must_use]
    pub fn new_form_id(&self) -> SubmissionId {
        SubmissionId::new(self.now)
    }

    /// The id of a form that creates something: that of the form that arrived and is shown again,
    /// or a new one. A form that made something else before gets a new one.
    #[must_use]
    pub fn form_id(&self, errors: &Errors) -> SubmissionId {
        let arrived = self.marks.id.get().filter(|_| !errors.has(ID));
        arrived.copied().unwrap_or_else(|| self.new_form_id())
    }
}

impl<T> OnceForm<T> {
    /// Whether the form was submitted before. One without an id, as API clients send it, never was.
    pub async fn register(
        &self,
        tx: &mut Tx,
        owner: UserId,
        now: Timestamp,
    ) -> Result<Arrival, Error> {
        match &self.submission {
            Some(submission) => submission.register(tx, owner, now).await,
            None => Ok(Arrival::First),
        }
    }

    /// What an earlier submission of the same form created.
    ///
    /// # Errors
    ///
    /// [`sent_before`] when the form was submitted with other content.
    pub async fn earlier_submission(
        &self,
        tx: &mut Tx,
        owner: UserId,
        now: Timestamp,
    ) -> Result<Option<CreatedId>, Error> {
        match self.register(tx, owner, now).await? {
            Arrival::First => Ok(None),
            Arrival::Again(id) => Ok(Some(id)),
            Arrival::Other => Err(sent_before()),
        }
    }

    /// Whether the same form was submitted before. If not, records that it concerns `what`, in the
    /// transaction that does what it asks for. For edits, and for what has no id of its own.
    pub async fn is_repeated(
        &self,
        tx: &mut Tx,
        owner: UserId,
        now: Timestamp,
        what: CreatedId,
    ) -> Result<bool, Error> {
        let arrival = self.register(tx, owner, now).await?;
        if arrival == Arrival::First {
            self.record_created(tx, owner, what).await?;
        }
        Ok(matches!(arrival, Arrival::Again(_)))
    }

    /// Records what was created, and commits.
    pub async fn commit(&self, mut tx: Tx, owner: UserId, made: CreatedId) -> Result<(), Error> {
        self.record_created(&mut tx, owner, made).await?;
        tx.commit().await
    }

    /// Commits what a button created, and records it if this was the first press.
    pub async fn finish(
        &self,
        arrival: Arrival,
        tx: Tx,
        owner: UserId,
        made: CreatedId,
    ) -> Result<(), Error> {
        match arrival {
            Arrival::First => self.commit(tx, owner, made).await,
            Arrival::Again(_) | Arrival::Other => tx.commit().await,
        }
    }

    /// Records what was created, in the transaction in which it was
    /// [registered](Self::register) first.
    pub async fn record_created(
        &self,
        tx: &mut Tx,
        owner: UserId,
        made: CreatedId,
    ) -> Result<(), Error> {
        match &self.submission {
            Some(submission) => submission.record_created(tx, owner, made).await,
            None => Ok(()),
        }
    }
}

impl<T, S> FromRequest<S> for OnceForm<T>
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
        let id = id.and_then(|(_, id)| id.parse().ok());
        if let (Some(id), Some(page)) = (id, parts.extensions.get::<PageContext>()) {
            page.marks.id.get_or_init(|| id);
        }
        let submission = id.map(|id| {
            let told = fields.iter().filter(|(name, _)| !ASIDE.contains(&&**name));
            let told = told.flat_map(|(name, value)| [&**name, &**value]);
            Submission::new(id, std::iter::once(address.as_str()).chain(told))
        });
        if bytes.is_empty() && !parts.headers.contains_key(header::CONTENT_TYPE) {
            // the form of a single button, sent by a program
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

/// The ids in a path. A malformed id is answered with 404.
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

/// The fields of a query. A query that cannot be parsed is answered with 400.
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
