//! The program's log: on stderr, as text or JSON.
//!
//! Logging never blocks or fails the caller ([`queue`]): a closed pipe, a full disk or a stopped
//! terminal loses log lines, never letters.

mod queue;

use std::fmt::Write as _;
use std::io::{self, IsTerminal as _};
use std::panic::PanicHookInfo;
use std::time::Duration;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt;

use self::queue::LogQueue;
use crate::config::{Config, LogFormat};

/// How long to wait at exit for the last lines to be written.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(1);

static STDERR: LogQueue = LogQueue::new();

/// Starts logging. `level` is the filter used if the configuration sets none.
pub fn start(config: &Config, level: &str) {
    let filter = EnvFilter::new(config.log.as_deref().unwrap_or(level));
    let log = fmt()
        .with_env_filter(filter)
        .with_writer(|| Stderr)
        // it would report them on stderr, and panic if that fails
        .log_internal_errors(false)
        .with_target(true);
    let started = match config.log_format {
        LogFormat::Json => log.json().flatten_event(true).try_init(),
        LogFormat::Text => log.with_ansi(false).try_init(),
        LogFormat::Auto => log.with_ansi(io::stderr().is_terminal()).try_init(),
    };
    if let Err(error) = started {
        crate::out::note(&format!("no log: {error}"));
    }
    let json = config.log_format == LogFormat::Json;
    std::panic::set_hook(Box::new(move |info| tell_panic(info, json)));
}

/// Queues a line for stderr.
pub fn line(mut text: String) {
    text.push('\n');
    STDERR.push(text.into_bytes());
}

/// Waits until everything queued so far is written to stderr, at most [`FLUSH_TIMEOUT`].
pub fn flush() {
    STDERR.flush(FLUSH_TIMEOUT);
}

/// Reports a panic in the log's format, but bypasses the logger, which may be what panicked.
fn tell_panic(info: &PanicHookInfo<'_>, json: bool) {
    let what = info.payload_as_str().unwrap_or("no message");
    let place = info.location().map(ToString::to_string).unwrap_or_default();
    let thread = std::thread::current();
    let name = thread.name().unwrap_or("unnamed").to_owned();
    if json {
        line(
            serde_json::json!({
                "level": "ERROR",
                "message": "panicked",
                "panic.message": what,
                "panic.location": place,
                "thread": name,
            })
            .to_string(),
        );
    } else {
        let mut text = format!("thread '{name}' panicked at {place}:\n{what}");
        let trace = std::backtrace::Backtrace::capture();
        if trace.status() == std::backtrace::BacktraceStatus::Captured {
            // writing to a String cannot fail
            let _ = write!(text, "\n{trace}");
        }
        line(text);
    }
    // flush now, because a second panic aborts the process
    STDERR.flush(Duration::from_millis(100));
}

/// Writer for log lines. It queues them.
struct Stderr;

impl io::Write for Stderr {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        STDERR.push(bytes.to_vec());
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
