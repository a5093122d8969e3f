//! What a command says: data on stdout, the rest on stderr.

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

/// Writes text to stdout as it is.
pub fn write(text: &str) -> anyhow::Result<()> {
    bytes(text.as_bytes())
}

/// Writes bytes to stdout as they are.
pub fn bytes(bytes: &[u8]) -> anyhow::Result<()> {
    // on a terminal what was noted before stands before it
    log::flush();
    let mut stdout = io::stdout().lock();
    stdout.write_all(bytes)?;
    stdout.flush()?;
    Ok(())
}

/// Writes a line to stderr. Nobody waits for its reader; when it fails there is nobody to tell.
pub fn note(text: &str) {
    log::line(text.to_owned());
}

/// Tells on stdout where a service that goes on is to be found; whoever closed stdout does not want to know.
pub fn announce(value: &impl serde::Serialize) {
    if let Err(error) = json(value) {
        tracing::warn!(error = format!("{error:#}"), "stdout cannot be written");
    }
}

/// Whether a person reads stdout.
pub fn is_terminal() -> bool {
    io::stdout().is_terminal()
}

/// Writes rows in columns, under a header when there is one.
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
