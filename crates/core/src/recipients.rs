//! Who gets letters: recipients, lists, suppressions, import and export.

pub mod export;
pub mod import;
pub mod list;
pub mod recipient;
pub mod resubscribe;
pub mod suppression;
pub mod unsubscribe;
