//! Foundations: database, addresses, errors, ids, time, paging, secrets, cache client, wake-ups.

pub mod address;
pub mod cache;
pub mod control;
pub mod db;
pub mod error;
pub mod ids;
pub mod paging;
pub mod secret;
pub mod time;
pub mod wake;
