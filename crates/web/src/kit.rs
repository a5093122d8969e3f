//! Building blocks for all pages, independent of any single page: application state, request,
//! forms, errors, translations, rate limits, tables.

pub mod app;
pub mod assets;
pub mod auth;
pub mod background;
pub mod badge;
pub(crate) mod body_limit;
pub(crate) mod body_pace;
pub mod client;
pub(crate) mod cookies;
pub(crate) mod csrf;
pub(crate) mod driven;
pub mod error;
pub(crate) mod escape;
pub mod flash;
pub mod form;
pub mod format;
pub(crate) mod gzip;
pub(crate) mod headers;
pub mod http_counts;
pub mod i18n;
pub mod local_rate_limit;
pub(crate) mod middleware;
pub mod page;
pub(crate) mod placeholder;
pub(crate) mod preview_turns;
pub(crate) mod query;
pub(crate) mod rate_limits;
pub mod readiness;
pub mod routes;
pub mod sandbox;
pub(crate) mod sse;
pub(crate) mod table;
pub(crate) mod untrusted_peers;
pub mod views;
pub(crate) mod write_turns;
