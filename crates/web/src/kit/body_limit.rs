//! How much of a form is read, by route and visitor.
//!
//! The first [`FORM_MAX`] bytes are enough for every form of a stranger, and they hold the CSRF
//! token, which our pages put first. More is read only where something long is written, and only
//! for a logged-in user whose token fits.

use std::collections::HashMap;
use std::sync::Arc;

use axum::body::{Body, Bytes};
use futures_util::StreamExt as _;
use parking_lot::Mutex;
use skychimp_core::platform::ids::UserId;

use crate::kit::app::BODY_MAX;
use crate::kit::error::WebError;

/// Most bytes of a form that anybody may send.
pub const FORM_MAX: usize = 64 * 1024;
/// Most bytes of a form with many choices: the people of a mailing, the attributes of a recipient.
const CHOICES_MAX: usize = 1024 * 1024;
/// Large forms of a user that are read at the same time.
const LARGE_PER_USER: usize = 4;

/// Areas where long forms are written, with the most bytes of one.
const LARGE: [(&str, usize); 4] = [
    ("/messages", BODY_MAX),
    ("/posts", BODY_MAX),
    ("/mailings", CHOICES_MAX),
    ("/recipients", CHOICES_MAX),
];

/// The most bytes of a form for a logged-in user at this path.
pub(crate) fn largest(path: &str) -> usize {
    let area = |area: &str| {
        path.strip_prefix(area)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    LARGE
        .iter()
        .find(|(prefix, _)| area(prefix))
        .map_or(FORM_MAX, |(_, max)| *max)
}

/// A body that has been read up to a limit.
#[derive(Debug)]
pub(crate) struct ReadBody {
    bytes: Vec<u8>,
    /// What has not been read; `None` when it has ended.
    rest: Option<axum::body::BodyDataStream>,
}

impl ReadBody {
    /// Reads the beginning of a body: all of it, or at least [`FORM_MAX`] bytes.
    pub(crate) async fn begin(body: Body) -> Result<Self, WebError> {
        let mut this = Self {
            bytes: Vec::new(),
            rest: Some(body.into_data_stream()),
        };
        this.read(FORM_MAX).await?;
        Ok(this)
    }

    /// What has been read, at most [`FORM_MAX`] bytes.
    pub(crate) fn beginning(&self) -> &[u8] {
        &self.bytes[..self.bytes.len().min(FORM_MAX)]
    }

    /// Whether it is longer than anybody may send.
    pub(crate) fn is_large(&self) -> bool {
        self.rest.is_some() || self.bytes.len() > FORM_MAX
    }

    /// Reads the rest. [`WebError::TooLarge`] if the whole is longer than `max`.
    pub(crate) async fn finish(mut self, max: usize) -> Result<Bytes, WebError> {
        self.read(max + 1).await?;
        if self.bytes.len() > max {
            return Err(WebError::TooLarge);
        }
        Ok(self.bytes.into())
    }

    async fn read(&mut self, until: usize) -> Result<(), WebError> {
        while self.bytes.len() < until {
            let Some(rest) = &mut self.rest else {
                return Ok(());
            };
            match rest.next().await {
                Some(chunk) => {
                    let chunk = chunk.map_err(|_| WebError::BadRequest)?;
                    self.bytes.extend_from_slice(&chunk);
                }
                None => self.rest = None,
            }
        }
        Ok(())
    }
}

/// The large forms that are in memory, by user.
#[derive(Debug, Clone, Default)]
pub(crate) struct LargeForms(Arc<Mutex<HashMap<UserId, usize>>>);

/// A large form in memory. It is out of it when this is dropped.
#[derive(Debug)]
pub(crate) struct LargeForm {
    forms: LargeForms,
    user: UserId,
}

impl LargeForms {
    /// Room for a large form. [`WebError::TooMany`] if the user sends too many at the same time.
    pub(crate) fn begin(&self, user: UserId) -> Result<LargeForm, WebError> {
        let mut forms = self.0.lock();
        let count = forms.entry(user).or_default();
        if *count >= LARGE_PER_USER {
            return Err(WebError::TooMany(2));
        }
        *count += 1;
        Ok(LargeForm {
            forms: self.clone(),
            user,
        })
    }
}

impl Drop for LargeForm {
    fn drop(&mut self) {
        let mut forms = self.forms.0.lock();
        if let Some(count) = forms.get_mut(&self.user) {
            *count -= 1;
            if *count == 0 {
                forms.remove(&self.user);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// R28: long forms are taken only where something long is written.
    #[test]
    fn most_routes_take_small_forms() {
        assert_eq!(largest("/login"), FORM_MAX);
        assert_eq!(largest("/messagesx"), FORM_MAX);
        assert_eq!(largest("/messages"), BODY_MAX);
        assert_eq!(largest("/messages/preview"), BODY_MAX);
        assert_eq!(largest("/mailings/{id}"), CHOICES_MAX);
    }

    /// R28: a user has a bounded number of large forms in memory.
    #[test]
    fn large_forms_of_a_user_are_limited() {
        let forms = LargeForms::default();
        let user = |n| UserId::new(skychimp_core::platform::time::Timestamp::from_millis(n));
        let (ann, bob) = (user(1), user(2));
        let mut open: Vec<_> = (0..LARGE_PER_USER)
            .map(|_| forms.begin(ann).unwrap())
            .collect();
        assert!(matches!(forms.begin(ann), Err(WebError::TooMany(_))));
        assert!(forms.begin(bob).is_ok());
        open.pop();
        assert!(forms.begin(ann).is_ok());
        drop(open);
        assert!(forms.0.lock().is_empty());
    }
}
