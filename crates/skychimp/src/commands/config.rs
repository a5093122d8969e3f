//! `skychimp config …`.

use crate::config::example;
use crate::exit::Exit;
use crate::out;
use crate::program::Program;

/// Show the settings, or what settings there are.
#[derive(Debug, clap::Subcommand)]
pub enum ConfigCommand {
    /// Each setting in force and where it came from; secrets hidden.
    Show,
    /// An example of skychimp.toml with every setting.
    Example,
    /// Every setting as a table in Markdown.
    Table,
}

impl ConfigCommand {
    /// Whether it needs the configuration.
    pub fn reads(&self) -> bool {
        matches!(self, Self::Show)
    }

    /// Runs what needs no configuration.
    pub fn run_without(&self) -> anyhow::Result<Exit> {
        match self {
            Self::Example => out::write(&example::file())?,
            Self::Table => out::write(&example::table())?,
            Self::Show => {}
        }
        Ok(Exit::Done)
    }

    /// Runs `show`.
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
