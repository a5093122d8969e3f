//! The program as its users meet it: the real binary, real databases, real signals.

#![allow(
    clippy::unwrap_used,
    reason = "in a test the place is what one wants to know"
)]

mod browser;
mod check;
mod config;
mod demo;
mod examples;
mod held;
mod imports;
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
