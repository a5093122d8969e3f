//! Skychimp: the program. Configuration, commands, start and stop.
//!
//! A command reads the configuration, opens what it needs and calls operations of the other crates; it holds no rule of
//! its own. What it says on stdout is data; everything else goes to stderr.
//!
//! *Invariants*: only this crate reads the environment; every command ends with 0 (done), 1 (failed), 2 (wrong use) or
//! 3 (some deliveries failed).

mod cli;
mod commands;
mod config;
mod engine;
mod exit;
mod log;
mod out;
mod private;
mod program;
mod sandbox;
mod servers;
mod stop;

use std::process::ExitCode;

use clap::Parser as _;

use crate::cli::Cli;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    private::umask();
    let cli = Cli::parse();
    // two providers are compiled in by our dependencies, so rustls asks for one by name
    if rustls::crypto::aws_lc_rs::default_provider()
        .install_default()
        .is_err()
    {
        return early(&anyhow::anyhow!("TLS was already set up"));
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        // blocking work is hashing passwords (19 MiB each) and reading files: few at a time keep memory flat
        .max_blocking_threads(16)
        .build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => return early(&anyhow::Error::new(error)),
    };
    let result = runtime.block_on(cli.run());
    // a lookup of a host name can hang for long and nobody waits for it any more
    runtime.shutdown_background();
    let code = match result {
        Ok(exit) => exit.into(),
        Err(error) => exit::report(&error),
    };
    log::flush();
    code
}

/// The end before anything has begun.
fn early(error: &anyhow::Error) -> ExitCode {
    let code = exit::report(error);
    log::flush();
    code
}
