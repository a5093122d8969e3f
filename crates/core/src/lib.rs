//! What the service is: its types, its rules and the only SQL.
//!
//! One module per word of the domain. Pages, commands and the engine call the operations here; none of
//! them holds a rule of its own. A query is a method on its type and takes `&mut Tx` first.
//!
//! *Invariants*: no other crate depends on `sqlx`; time, randomness and ids are arguments.

pub mod address;
pub mod archive;
pub mod attempt;
pub mod audit;
pub mod content;
pub mod control;
pub mod dashboard;
pub mod db;
pub mod deletion;
pub mod delivery;
pub mod error;
pub mod export;
pub mod figures;
pub mod ids;
pub mod import;
pub mod letter;
pub mod limit;
pub mod list;
pub mod login_step;
pub mod mailing;
pub mod markdown;
pub mod media;
pub mod message;
pub mod moderation;
pub mod outbox;
pub mod overview;
pub mod page;
pub mod passkey;
pub mod password;
pub mod post;
pub mod recipient;
pub mod registration;
pub mod report;
pub mod run;
pub mod schedule;
pub mod second_factor;
pub mod secret;
pub mod sending_server;
pub mod service;
pub mod session;
pub mod shared;
pub mod submission;
pub mod suppression;
pub mod template;
#[cfg(feature = "testing")]
pub mod testing;
pub mod time;
pub mod token;
pub mod unsubscribe;
pub mod user;
pub mod wake;
pub mod worker;
