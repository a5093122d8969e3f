//! The program as its users meet it: the real binary, real databases, real signals.

#![allow(
    clippy::unwrap_used,
    reason = "in a test the place is what one wants to know"
)]

mod check;
mod config;
mod demo;
mod examples;
mod mailings;
mod names;
mod nodes;
mod recipients;
mod schedule;
mod private;
mod sending;
mod servers;
mod service;
mod stopping;
mod summaries;
mod support;
mod users;
mod views;
