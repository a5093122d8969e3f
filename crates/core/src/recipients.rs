//! Who gets letters: addresses, recipients, lists, suppressions, import and export.

pub mod address;
pub mod export;
pub mod import;
pub mod list;
pub mod recipient;
pub mod suppression;
pub mod unsubscribe;
