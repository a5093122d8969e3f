//! The `skychimp` program: configuration, commands, start and stop.
//!
//! A command loads the configuration, opens what it needs and calls operations of the other crates.
//! It contains no business rules. Its results go to stdout, everything else to stderr.
//!
//! *Invariants*: only this crate reads the environment. Every command exits with 0 (done), 1
//! (failed), 2 (wrong usage) or 3 (some deliveries failed).

mod cli;
mod commands;
mod config;
mod engine;
mod exit;
mod files;
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
    // our dependencies compile in two crypto providers, so rustls needs an explicit choice
    if rustls::crypto::aws_lc_rs::default_provider()
        .install_default()
        .is_err()
    {
        return early(&anyhow::anyhow!("TLS was already set up"));
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        // blocking tasks hash passwords (19 MiB each) and read files: a low limit bounds memory
        .max_blocking_threads(16)
        .build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => return early(&anyhow::Error::new(error)),
    };
    let result = runtime.block_on(cli.run());
    // do not wait for a DNS lookup that hangs
    runtime.shutdown_background();
    let code = match result {
        Ok(exit) => exit.into(),
        Err(error) => exit::report(&error),
    };
    log::flush();
    code
}

/// Reports an error that occurred before the runtime started.
fn early(error: &anyhow::Error) -> ExitCode {
    let code = exit::report(error);
    log::flush();
    code
}
