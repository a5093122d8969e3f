//! What everything stands on: the database, addresses, errors, ids, time, paging, secrets, the cache client,
//! wake-ups, jobs, stored files.

pub mod address;
pub mod control;
pub mod db;
pub mod error;
pub mod ids;
pub mod job;
pub mod page;
pub mod secret;
pub mod shared;
pub mod stored_file;
pub mod time;
pub mod wake;
