//! Exit codes.

use std::io;
use std::process::ExitCode;

use crate::config::ConfigError;
use crate::out;

/// Exit codes of the program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// The command succeeded.
    Done = 0,
    /// The command failed.
    Failed = 1,
    /// Wrong usage: arguments, configuration, invalid values.
    WrongUse = 2,
    /// The command succeeded, but some deliveries failed.
    SomeFailed = 3,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// Wrong usage. Ends the program with exit code 2.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct WrongUse(pub String);

/// Prints an error with its causes and returns the matching exit code.
pub fn report(error: &anyhow::Error) -> ExitCode {
    let broken_pipe = error
        .chain()
        .filter_map(|cause| cause.downcast_ref::<io::Error>())
        .any(|cause| cause.kind() == io::ErrorKind::BrokenPipe);
    if broken_pipe {
        // the reader closed our output, as in `… | head`
        return Exit::Done.into();
    }
    out::note(&format!("error: {error:#}"));
    let invalid = error.chain().any(|cause| {
        cause.is::<ConfigError>()
            || cause.is::<WrongUse>()
            || matches!(
                cause.downcast_ref(),
                Some(skychimp_core::platform::error::Error::Invalid(_))
            )
    });
    if invalid {
        Exit::WrongUse
    } else {
        Exit::Failed
    }
    .into()
}
