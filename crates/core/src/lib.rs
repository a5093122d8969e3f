//! What the service is: its types, its rules and the only SQL.
//!
//! One module per word of the domain. Pages, commands and the engine call the operations here; none of
//! them holds a rule of its own. A query is a method on its type and takes `&mut Tx` first.
//!
//! *Invariants*: no other crate depends on `sqlx`; time, randomness and ids are arguments.

pub mod accounts;
pub mod blog;
pub mod messages;
pub mod oversight;
pub mod platform;
pub mod recipients;
pub mod sending;
#[cfg(feature = "testing")]
pub mod testing;
