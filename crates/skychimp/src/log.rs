//! The program's log: on stderr, as text or JSON.
//!
//! Nobody ever waits for the reader of stderr or fails because of it ([`queue`]): a pipe that was closed, a full disk and a
//! terminal that stands still cost log lines, never letters.

mod queue;

use std::fmt::Write as _;
use std::io::{self, IsTerminal as _};
use std::panic::PanicHookInfo;
use std::time::Duration;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt;

use self::queue::Queue;
use crate::config::{Config, LogFormat};

/// How long whoever ends waits until the last lines are written.
const LAST_LINES: Duration = Duration::from_secs(1);

static STDERR: Queue = Queue::new();

/// Starts logging; `level` is what a command logs when the configuration says nothing.
pub fn start(config: &Config, level: &str) {
    let filter = EnvFilter::new(config.log.as_deref().unwrap_or(level));
    let log = fmt()
        .with_env_filter(filter)
        .with_writer(|| Stderr)
        // it would tell of them on stderr, and panic when it cannot
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

/// Puts a line on stderr, sooner or later.
pub fn line(mut text: String) {
    text.push('\n');
    STDERR.push(text.into_bytes());
}

/// Waits until stderr has all that was written so far, but not for long.
pub fn flush() {
    STDERR.flush(LAST_LINES);
}

/// As the log has it, and not by way of the log: that may be what panics.
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
            // writing to a text cannot fail
            let _ = write!(text, "\n{trace}");
        }
        line(text);
    }
    // a panic in a panic ends the process
    STDERR.flush(Duration::from_millis(100));
}

/// Where the log writes to.
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
