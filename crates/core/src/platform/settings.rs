//! Settings that operations need, carried by the handle on the database.
//!
//! *Design note*: an argument would have to pass through every operation between the program and
//! the rule that reads it. The handle is passed to all of them already, and two nodes in one test
//! can still have different settings.

use std::any::Any;
use std::sync::Arc;

/// A value of any type, shared by a [`Db`](crate::platform::db::Db) and its transactions.
#[derive(Debug, Clone, Default)]
pub struct AttachedSettings(Option<Arc<dyn Any + Send + Sync>>);

impl AttachedSettings {
    /// Attaches a value.
    pub fn new<T: Any + Send + Sync>(value: T) -> Self {
        Self(Some(Arc::new(value)))
    }

    /// The value, if one of this type is attached.
    #[must_use]
    pub fn get<T: Any>(&self) -> Option<&T> {
        self.0.as_ref()?.downcast_ref()
    }
}
