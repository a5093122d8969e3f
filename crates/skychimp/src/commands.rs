//! One file per command. Doc comments on the argument structs are the help text.
#![allow(
    clippy::doc_markdown,
    reason = "these doc comments are the help text in a terminal"
)]

pub mod check;
pub mod config;
pub mod demo;
pub mod log;
pub mod mailing;
pub mod message;
pub mod migrate;
pub mod recipients;
pub mod schedule;
pub mod send;
pub mod serve;
pub mod server;
pub mod user;
pub mod worker;

use std::fmt::Display;

use skychimp_core::sending::schedule::{Frequency, ScheduleError};

use crate::out;
use crate::program::Program;

/// Parses the value of `--every`.
fn every(text: &str) -> Result<Frequency, ScheduleError> {
    text.parse()
}

/// Prints the id of a newly created object: as JSON to a program, as text on a terminal.
fn created(program: &Program, what: &str, id: &impl Display) -> anyhow::Result<()> {
    if program.json || !out::is_terminal() {
        out::json(&serde_json::json!({ "id": id.to_string() }))
    } else {
        out::note(&format!("new {what}:"));
        out::line(&id.to_string())
    }
}
