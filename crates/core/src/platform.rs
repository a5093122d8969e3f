//! Foundations: database, addresses, errors, ids, time, paging, secrets, cache client, wake-ups.

pub mod address;
pub mod control;
pub mod db;
pub mod error;
pub mod ids;
pub mod page;
pub mod secret;
pub mod shared;
pub mod time;
pub mod wake;
