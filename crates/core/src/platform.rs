//! What everything stands on: the database, addresses, CSV, errors, ids, time, paging, secrets, the
//! cache client, wake-ups, jobs, stored files.

pub mod address;
pub(crate) mod aside;
pub mod cache;
pub mod control;
pub mod csv_writer;
pub mod db;
pub mod disk;
pub mod error;
pub mod ids;
pub mod job;
pub mod paging;
pub mod secret;
pub mod settings;
pub mod site_name;
pub mod stored_file;
pub mod time;
pub mod untrusted_peer;
pub mod wake;
mod write_probe;
