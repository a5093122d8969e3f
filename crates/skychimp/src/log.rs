//! The program's log: on stderr, as text or JSON.

use std::io::IsTerminal as _;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt;

use crate::config::{Config, LogFormat};

/// Starts logging; `level` is what a command logs when the configuration says nothing.
pub fn start(config: &Config, level: &str) {
    let filter = EnvFilter::new(config.log.as_deref().unwrap_or(level));
    let log = fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_target(true);
    let started = match config.log_format {
        LogFormat::Json => log.json().flatten_event(true).try_init(),
        LogFormat::Text => log.with_ansi(false).try_init(),
        LogFormat::Auto => log.with_ansi(std::io::stderr().is_terminal()).try_init(),
    };
    if let Err(error) = started {
        crate::out::note(&format!("no log: {error}"));
    }
}
