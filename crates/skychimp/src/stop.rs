//! Shutdown on Ctrl+C and SIGTERM (R6).

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::exit::Exit;
use crate::log;
use crate::out;
use crate::program::Program;

/// Exit code after a second signal: 128 + SIGINT, as shells count.
const EXIT_INTERRUPTED: i32 = 130;

/// Time allowed for a shutdown in addition to waiting for letters in flight. Each part has a
/// shorter limit. This one applies if all of them fail.
const STOP_TIMEOUT: Duration = Duration::from_secs(25);

/// Returns a token that the first Ctrl+C or SIGTERM cancels. A second signal ends the program
/// immediately; letters it had claimed return to the queue when its lease expires. A shutdown that
/// hangs is ended with exit code 1.
pub fn on_signal(program: &Program) -> anyhow::Result<CancellationToken> {
    let patience = program.config.stop_timeout + STOP_TIMEOUT;
    let stop = CancellationToken::new();
    let mut signals = Signals::new()?;
    let token = stop.clone();
    tokio::spawn(async move {
        signals.next().await;
        token.cancel();
        out::note("stopping; once more to stop at once");
        // a thread, so that it also works when the async runtime is blocked
        let watch = std::thread::Builder::new().spawn(move || {
            std::thread::sleep(patience);
            out::note("error: the stop did not come to an end");
            log::flush();
            std::process::exit(i32::from(Exit::Failed as u8));
        });
        if let Err(error) = watch {
            tracing::warn!(%error, "nobody watches the stop");
        }
        signals.next().await;
        log::flush();
        std::process::exit(EXIT_INTERRUPTED);
    });
    Ok(stop)
}

#[cfg(unix)]
struct Signals {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Signals {
    fn new() -> std::io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

#[cfg(not(unix))]
struct Signals;

#[cfg(not(unix))]
impl Signals {
    #[expect(clippy::unnecessary_wraps, reason = "the same shape as on unix")]
    fn new() -> std::io::Result<Self> {
        Ok(Self)
    }

    async fn next(&mut self) {
        let _ = tokio::signal::ctrl_c().await;
    }
}
