//! `skychimp config …`.

use crate::config::example;
use crate::exit::Exit;
use crate::out;
use crate::program::Program;

/// Show the settings in effect, or list all settings.
#[derive(Debug, clap::Subcommand)]
pub enum ConfigCommand {
    /// Show each setting in effect and its source, with secrets hidden.
    Show,
    /// Print an example skychimp.toml with every setting.
    Example,
    /// Print all settings as a Markdown table.
    Table,
}

impl ConfigCommand {
    /// Whether the subcommand has to load the configuration.
    pub fn reads(&self) -> bool {
        matches!(self, Self::Show)
    }

    /// Runs a subcommand that does not load the configuration.
    pub fn run_without(&self) -> anyhow::Result<Exit> {
        match self {
            Self::Example => out::write(&example::file())?,
            Self::Table => out::write(&example::table())?,
            Self::Show => {}
        }
        Ok(Exit::Done)
    }

    /// Prints each setting with its value and source, as JSON or as a table.
    pub fn show(program: &Program) -> anyhow::Result<Exit> {
        let shown = program.config.shown();
        if program.json {
            out::json(&shown)?;
            return Ok(Exit::Done);
        }
        let rows = shown
            .into_iter()
            .map(|line| {
                [
                    line.key.to_owned(),
                    line.value.clone().unwrap_or_else(|| "-".to_owned()),
                    line.source.clone(),
                ]
            })
            .collect();
        out::table(None, rows)?;
        Ok(Exit::Done)
    }
}
