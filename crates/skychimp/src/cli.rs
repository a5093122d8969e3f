//! Command-line arguments.
#![allow(
    clippy::doc_markdown,
    reason = "these doc comments are the help text in a terminal"
)]

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::commands::{
    check, config, demo, log as attempts, mailing, message, migrate, recipients, schedule, send,
    serve, server, user, worker,
};
use crate::config::{CommandLine, Config};
use crate::exit::{Exit, WrongUse};
use crate::log;
use crate::program::Program;

/// Self-hosted e-mail mailings: every letter is sent once and accounted for.
///
/// Data goes to stdout, everything else to stderr. Exit codes: 0 done, 1 failed, 2 wrong usage or
/// configuration, 3 some deliveries failed.
#[derive(Debug, Parser)]
#[command(name = "skychimp", version, propagate_version = true)]
pub struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Everywhere")]
struct Global {
    /// Settings file to read instead of skychimp.toml in the working directory.
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,

    /// Directory for the database, the secret key and the sandbox's letters.
    #[arg(long, global = true, value_name = "DIR")]
    data_dir: Option<String>,

    /// Override one setting, for example --set smtp_url=smtp://localhost (repeatable).
    #[arg(long, global = true, value_name = "KEY=VALUE")]
    set: Vec<String>,

    /// Print the result as JSON on stdout.
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum Command {
    Serve(serve::Serve),
    Worker(worker::Worker),
    Demo(demo::Demo),
    Migrate(migrate::Migrate),
    Check(check::Check),
    #[command(subcommand)]
    Config(config::ConfigCommand),
    #[command(subcommand)]
    User(user::UserCommand),
    #[command(subcommand)]
    Recipients(recipients::RecipientsCommand),
    #[command(subcommand)]
    Message(message::MessageCommand),
    #[command(subcommand)]
    Mailing(mailing::MailingCommand),
    #[command(subcommand)]
    Server(server::ServerCommand),
    #[command(subcommand)]
    Send(send::Send),
    Log(attempts::Log),
    Schedule(schedule::ScheduleCommand),
}

impl Cli {
    /// Runs the command.
    pub async fn run(self) -> anyhow::Result<Exit> {
        let json = self.global.json;
        let mut given = self.global.given()?;
        // these two must work even when the configuration is missing or wrong
        match &self.command {
            Command::Schedule(command) => return command.run(json),
            Command::Config(command) if !command.reads() => return command.run_without(),
            Command::Serve(command) => given.flags.extend(command.flags()),
            Command::Demo(command) => given.flags.extend(command.flags()),
            _ => {}
        }
        let config = Config::load(&given)?;
        let level = match &self.command {
            Command::Serve(_) | Command::Worker(_) => "info",
            _ => "warn",
        };
        log::start(&config, level);
        let program = Program::new(config, json);
        match self.command {
            Command::Serve(command) => command.run(&program).await,
            Command::Worker(command) => command.run(&program).await,
            Command::Demo(command) => command.run(&program).await,
            Command::Migrate(command) => command.run(&program).await,
            Command::Check(command) => command.run(&program).await,
            Command::Config(_) => config::ConfigCommand::show(&program),
            Command::User(command) => command.run(&program).await,
            Command::Recipients(command) => command.run(&program).await,
            Command::Message(command) => command.run(&program).await,
            Command::Mailing(command) => command.run(&program).await,
            Command::Server(command) => command.run(&program).await,
            Command::Send(command) => command.run(&program).await,
            Command::Log(command) => command.run(&program).await,
            Command::Schedule(command) => command.run(json),
        }
    }
}

impl Global {
    fn given(&self) -> Result<CommandLine, WrongUse> {
        let mut flags = Vec::new();
        if let Some(folder) = &self.data_dir {
            flags.push(("--data-dir".into(), "data_dir".into(), folder.clone()));
        }
        for set in &self.set {
            let (key, value) = set
                .split_once('=')
                .ok_or_else(|| WrongUse("--set takes KEY=VALUE".to_owned()))?;
            flags.push(("--set".into(), key.trim().into(), value.into()));
        }
        Ok(CommandLine {
            file: self.config.clone(),
            flags,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use clap::CommandFactory as _;

    use super::*;

    /// Commands that print something else even with `--json`, or nothing.
    const WITHOUT_JSON: [&str; 9] = [
        "config-example",    // TOML
        "config-table",      // Markdown
        "recipients-export", // CSV
        "user-export",       // a ZIP archive
        "server-edit",
        "server-enable",
        "server-disable",
        "server-resume",
        "server-delete",
    ];

    #[test]
    fn commands_are_well_formed() {
        Cli::command().debug_assert();
    }

    /// Names of all commands without subcommands that take `--json`, their words joined by `-`.
    fn with_json(command: &clap::Command, before: &str, found: &mut BTreeSet<String>) {
        for one in command
            .get_subcommands()
            .filter(|one| one.get_name() != "help")
        {
            let name = format!("{before}{}", one.get_name());
            if one.has_subcommands() {
                with_json(one, &format!("{name}-"), found);
            } else if one
                .get_arguments()
                .any(|argument| argument.get_id() == "json")
            {
                found.insert(name);
            }
        }
    }

    /// R6: the JSON of every command has a snapshot (`tests/it/json.rs` compares them), and every
    /// snapshot has a command.
    #[test]
    fn every_command_with_json_has_a_snapshot() {
        let mut command = Cli::command();
        command.build();
        let mut commands = BTreeSet::new();
        with_json(&command, "", &mut commands);
        assert!(commands.len() > 30, "{commands:?}");
        for name in WITHOUT_JSON {
            assert!(commands.remove(name), "{name} is no command with --json");
        }
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/snapshots/json");
        let snapshots: BTreeSet<_> = std::fs::read_dir(folder)
            .unwrap()
            .filter_map(|entry| {
                let file = entry.unwrap().file_name().into_string().unwrap();
                Some(file.strip_suffix(".snap")?.to_owned())
            })
            // after an `@`: another use of the same command
            .filter(|name| !name.contains('@'))
            .collect();
        let missing: Vec<_> = commands.difference(&snapshots).collect();
        let orphans: Vec<_> = snapshots.difference(&commands).collect();
        assert!(
            missing.is_empty() && orphans.is_empty(),
            "commands without a snapshot: {missing:?}, snapshots without a command: {orphans:?}"
        );
    }
}
