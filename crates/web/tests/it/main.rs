//! Tests of the site through its router, without a network. They run on SQLite, or on PostgreSQL if
//! `TEST_DATABASE_URL` is set.
#![allow(missing_docs, clippy::missing_panics_doc, clippy::unwrap_used)]
#![allow(
    clippy::disallowed_methods,
    reason = "visitors are tasks; the site starts none"
)]

mod account;
mod account_area;
mod approvals;
mod badges;
mod blog;
mod browser;
mod complaints;
mod control;
mod crawl;
mod data;
mod door;
mod error_words;
mod handlers;
mod health;
mod html;
mod identity;
mod late_forms;
mod limits;
mod mailings;
mod mailings_bulk;
mod manage;
mod matrix;
mod messages;
mod pages;
mod passkeys;
mod people;
mod posts;
mod public;
mod quotas;
mod recipients;
mod registration;
mod reports;
mod required_factor;
mod reset;
mod sandbox;
mod second_factor;
mod security;
mod servers;
mod skeleton;
mod start;
mod streams;
mod submissions;
mod summaries;
mod suppressions;
mod tables;
mod too_slow;
mod unsubscribe;
mod words;
mod world;
