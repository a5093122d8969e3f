//! End-to-end tests of the program: real binary, real databases, real signals.

#![allow(
    clippy::unwrap_used,
    reason = "a panic points to the place where a test failed"
)]

mod browser;
mod check;
mod config;
mod demo;
mod door;
mod examples;
mod held;
mod imports;
mod json;
mod limits;
mod log;
mod mailings;
mod names;
mod nodes;
mod private;
mod recipients;
mod schedule;
mod sending;
mod servers;
mod service;
mod stopping;
mod summaries;
mod support;
mod users;
mod views;
