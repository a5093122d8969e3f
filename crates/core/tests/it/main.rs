//! Tests of the operations on a real database: SQLite, or PostgreSQL when `TEST_DATABASE_URL` is
//! set.
#![allow(missing_docs, clippy::missing_panics_doc, clippy::unwrap_used)]

mod audit;
mod cache;
mod claims;
mod content;
mod dashboards;
mod database;
mod deletion;
mod deliveries;
mod explore;
mod figures;
mod import;
mod lists;
mod mailing_edits;
mod mailings;
mod media;
mod moderation;
mod outbox;
mod people;
mod posts;
mod queue;
mod recipients;
mod reports;
mod runs;
mod schema;
mod sending_servers;
mod summaries;
mod support;
mod suppressions;
mod uploads;
mod users;
mod work;
mod workers;
