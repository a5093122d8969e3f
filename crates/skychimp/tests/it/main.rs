//! The program as its users meet it: the real binary, real databases, real signals.

mod config;
mod mailings;
mod schedule;
mod support;
mod users;
