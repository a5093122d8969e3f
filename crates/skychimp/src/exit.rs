//! How a command ends.

use std::io;
use std::process::ExitCode;

use crate::config::ConfigError;
use crate::out;

/// The exit codes of the program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// What was asked for is done.
    Done = 0,
    /// It could not be done.
    Failed = 1,
    /// It was asked for in a wrong way: arguments, configuration, invalid values.
    WrongUse = 2,
    /// It is done, but some deliveries failed.
    SomeFailed = 3,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// Something asked for in a wrong way; ends the program with 2.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct WrongUse(pub String);

/// Prints an error with its causes and gives the exit code that it stands for.
pub fn report(error: &anyhow::Error) -> ExitCode {
    let broken_pipe = error
        .chain()
        .filter_map(|cause| cause.downcast_ref::<io::Error>())
        .any(|cause| cause.kind() == io::ErrorKind::BrokenPipe);
    if broken_pipe {
        // the reader of our output had enough
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
