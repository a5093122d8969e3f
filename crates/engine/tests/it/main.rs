//! The engine with a scripted mail server and a real database, one file per kind of scenario.
#![allow(missing_docs, clippy::missing_panics_doc, clippy::unwrap_used)]

mod announced;
mod clean;
mod crash;
mod fair;
mod faults;
mod held;
mod jobs;
mod nodes;
mod panics;
mod run_letters;
mod schedules;
mod servers;
mod stops;
mod summaries;
mod support;
mod whole;
