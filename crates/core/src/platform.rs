//! What everything stands on: the database, addresses, CSV, errors, ids, time, paging, secrets, the cache client, wake-ups.

pub mod address;
pub mod control;
pub mod csv_writer;
pub mod db;
pub mod error;
pub mod ids;
pub mod page;
pub mod secret;
pub mod shared;
pub mod time;
pub mod wake;
