//! Mailings and how they are sent: schedules, runs, deliveries, attempts, reports, servers.

pub mod attempt;
pub mod default_sender;
pub mod delivery;
pub mod letter_limit;
pub mod mailing;
pub mod outbox;
pub mod report;
pub mod run;
pub mod schedule;
pub mod sending_server;
pub mod service;
pub mod test_letter;
pub mod worker;
