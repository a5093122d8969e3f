//! One file per command; its doc comments are its help.
#![allow(
    clippy::doc_markdown,
    reason = "these comments are the help on a terminal"
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

use skychimp_core::sending::schedule::{Every, ScheduleError};

use crate::out;
use crate::program::Program;

/// Reads `--every`.
fn every(text: &str) -> Result<Every, ScheduleError> {
    text.parse()
}

/// Tells the id of something new: as JSON, or in words to a person.
fn created(program: &Program, what: &str, id: &impl Display) -> anyhow::Result<()> {
    if program.json || !out::is_terminal() {
        out::json(&serde_json::json!({ "id": id.to_string() }))
    } else {
        out::note(&format!("new {what}:"));
        out::line(&id.to_string())
    }
}
