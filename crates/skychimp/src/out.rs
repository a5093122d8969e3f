//! Output of commands: data on stdout, everything else on stderr.

use std::io::{self, IsTerminal as _, Write as _};

use crate::log;

/// Writes a value to stdout as one line of JSON.
pub fn json(value: &impl serde::Serialize) -> anyhow::Result<()> {
    let mut text = serde_json::to_string(value)?;
    text.push('\n');
    write(&text)
}

/// Writes a line to stdout.
pub fn line(text: &str) -> anyhow::Result<()> {
    write(&format!("{text}\n"))
}

/// Writes text to stdout unchanged.
pub fn write(text: &str) -> anyhow::Result<()> {
    bytes(text.as_bytes())
}

/// Writes bytes to stdout unchanged and flushes it.
pub fn bytes(bytes: &[u8]) -> anyhow::Result<()> {
    // keep the order of stderr and stdout on a terminal
    log::flush();
    let mut stdout = io::stdout().lock();
    stdout.write_all(bytes)?;
    stdout.flush()?;
    Ok(())
}

/// Writes a line to stderr. Never blocks or fails.
pub fn note(text: &str) {
    log::line(text.to_owned());
}

/// Prints on stdout where a running service can be reached. A closed stdout is only logged.
pub fn announce(value: &impl serde::Serialize) {
    if let Err(error) = json(value) {
        tracing::warn!(error = format!("{error:#}"), "stdout cannot be written");
    }
}

/// Whether stdout is a terminal.
pub fn is_terminal() -> bool {
    io::stdout().is_terminal()
}

/// Writes rows in aligned columns, with an optional header.
pub fn table<const N: usize>(
    header: Option<[&str; N]>,
    rows: Vec<[String; N]>,
) -> anyhow::Result<()> {
    let mut table = comfy_table::Table::new();
    table.load_style(comfy_table::presets::NOTHING);
    if let Some(header) = header {
        table.set_header(header);
    }
    for row in rows {
        table.add_row(row);
    }
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    line(&table.trim_fmt())
}
