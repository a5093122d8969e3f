//! The domain of the service: types, rules and all SQL.
//!
//! One module per area. Pages, commands and the engine call the operations here and contain no
//! rules. A query is a method on its type and takes `&mut Tx` first.
//!
//! *Invariants*: no other crate depends on `sqlx`; the time is always an argument.

pub mod accounts;
pub mod blog;
pub mod messages;
pub mod oversight;
pub mod platform;
pub mod recipients;
pub mod sending;
#[cfg(feature = "testing")]
pub mod testing;
