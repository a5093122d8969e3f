//! How fast a request's body arrives: at least a kilobyte per second, after ten seconds.
//!
//! The server puts a [`BodyPace`] into each request that has a body; the middleware of the pages
//! makes an error page of a body that was given up.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Whether a request's body came too slowly. The server and the request share it.
#[derive(Debug, Clone, Default)]
pub struct BodyPace(Arc<AtomicBool>);

impl BodyPace {
    /// The body is given up.
    pub(crate) fn give_up(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Whether the body was given up.
    #[must_use]
    pub(crate) fn is_too_slow(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}
