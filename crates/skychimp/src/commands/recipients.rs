//! `skychimp recipients …`.

use std::fs::File;
use std::path::PathBuf;

use anyhow::Context as _;
use indicatif::{ProgressBar, ProgressStyle};
use skychimp_core::platform::db::Db;
use skychimp_core::recipients::export::{Export as Exporter, ExportStyle};
use skychimp_core::recipients::import::{
    self, Delimiter, ErrorFile, Hints, ImportOptions, TextEncoding,
};
use skychimp_core::recipients::list::List;
use skychimp_core::recipients::recipient::RecipientFilter;

use crate::exit::{Exit, WrongUse};
use crate::out;
use crate::program::Program;
use crate::stop;

/// Import and export recipients as CSV.
#[derive(Debug, clap::Subcommand)]
pub enum RecipientsCommand {
    /// Import recipients from a CSV file.
    Import(Import),
    /// Export recipients to stdout as CSV that can be imported back unchanged.
    Export(Export),
}

/// Import recipients from a CSV file.
///
/// The first line names the columns, in English or Russian: email, name, comment; all others become
/// attributes. Invalid lines are reported and skipped, people who unsubscribed stay unsubscribed,
/// and the same file can be imported again.
#[derive(Debug, clap::Args)]
pub struct Import {
    /// The CSV file. Its delimiter and encoding are detected.
    file: PathBuf,

    /// E-mail address of the owner.
    #[arg(long, value_name = "EMAIL")]
    owner: String,

    /// List to add them to. Created if it does not exist.
    #[arg(long, value_name = "NAME")]
    list: String,

    /// Write every rejected line and the reason to this CSV file.
    #[arg(long, value_name = "FILE")]
    errors: Option<PathBuf>,

    /// Delimiter, if detection fails: comma, semicolon, tab.
    #[arg(long, value_parser = delimiter)]
    delimiter: Option<Delimiter>,

    /// Encoding, if detection fails: utf-8, windows-1251, …
    #[arg(long, value_parser = encoding)]
    encoding: Option<TextEncoding>,
}

/// Export recipients to stdout as CSV that can be imported back unchanged.
#[derive(Debug, clap::Args)]
pub struct Export {
    /// E-mail address of the owner.
    #[arg(long, value_name = "EMAIL")]
    owner: String,

    /// Only members of this list.
    #[arg(long, value_name = "NAME")]
    list: Option<String>,
}

impl RecipientsCommand {
    /// Runs the subcommand.
    pub async fn run(self, program: &Program) -> anyhow::Result<Exit> {
        let db = program.database().await?;
        let exit = match self {
            Self::Import(import) => import.run(program, &db).await?,
            Self::Export(export) => export.run(program, &db).await?,
        };
        db.close().await;
        Ok(exit)
    }
}

impl Import {
    async fn run(self, program: &Program, db: &Db) -> anyhow::Result<Exit> {
        let stop = stop::on_signal(program)?;
        let owner = program.owner(db, &self.owner).await?;
        let open = || {
            File::open(&self.file)
                .with_context(|| format!("{} cannot be opened", self.file.display()))
        };
        let hints = Hints {
            encoding: self.encoding,
            delimiter: self.delimiter,
            has_header: None,
        };
        let preview = import::inspect(open()?, hints)
            .with_context(|| format!("{} cannot be read", self.file.display()))?;
        let mut options = ImportOptions {
            mapping: preview.mapping(),
            format: preview.format,
            list: None,
        };
        // do not create the list for a file that cannot be imported
        let wrong = options.errors();
        if !wrong.is_empty() {
            return Err(skychimp_core::platform::error::Error::Invalid(wrong).into());
        }
        let mut tx = db.write().await?;
        let now = program.clock.now();
        options.list = Some(List::find_or_create(&mut tx, owner.id, &self.list, now).await?);
        tx.commit().await?;

        let errors = match &self.errors {
            Some(path) => {
                let file = File::create(path)
                    .with_context(|| format!("{} cannot be written", path.display()))?;
                Some(ErrorFile::new(file, ToString::to_string)?)
            }
            None => None,
        };
        let file = open()?;
        let bar = ProgressBar::new(file.metadata()?.len()).with_style(
            ProgressStyle::with_template("{bar:40} {bytes}/{total_bytes}  {elapsed}  {msg}")?,
        );
        let show = |progress: import::ImportProgress| {
            bar.set_position(progress.bytes_read);
            bar.set_message(format!("{} rows", progress.groups.rows()));
        };
        let clock = &program.clock;
        let outcome = import::run(db, owner.id, file, &options, errors, clock, show, &stop).await?;
        bar.finish_and_clear();

        if program.json {
            out::json(&outcome)?;
        } else {
            let groups = &outcome.groups;
            out::line(&format!(
                "{} added, {} updated, {} unchanged, {} duplicate in the file, {} invalid, {} suppressed",
                groups.added,
                groups.updated,
                groups.unchanged,
                groups.duplicate,
                groups.invalid,
                groups.suppressed
            ))?;
            for error in &outcome.errors {
                out::note(&format!(
                    "line {}: {:?}: {}",
                    error.line, error.value, error.reason
                ));
            }
        }
        if outcome.cancelled {
            anyhow::bail!("stopped before the end of the file; importing it again goes on");
        }
        Ok(Exit::Done)
    }
}

impl Export {
    async fn run(self, program: &Program, db: &Db) -> anyhow::Result<Exit> {
        let owner = program.owner(db, &self.owner).await?;
        let list = match &self.list {
            Some(name) => {
                let mut tx = db.read().await?;
                let list = List::by_name(&mut tx, owner.id, name)
                    .await?
                    .with_context(|| format!("there is no list {name:?} (--list)"))?;
                Some(list.id)
            }
            None => None,
        };
        let filter = RecipientFilter {
            list,
            ..RecipientFilter::default()
        };
        let style = ExportStyle {
            delimiter: Delimiter::Comma,
            mark: false,
        };
        let mut export = Exporter::begin(db, owner.id, filter, style).await?;
        while let Some(piece) = export.next().await? {
            out::bytes(&piece)?;
        }
        Ok(Exit::Done)
    }
}

fn delimiter(text: &str) -> Result<Delimiter, WrongUse> {
    Delimiter::from_name(text).ok_or_else(|| {
        let known: Vec<_> = Delimiter::ALL.iter().map(|known| known.as_str()).collect();
        WrongUse(format!("it is none of {}", known.join(", ")))
    })
}

fn encoding(text: &str) -> Result<TextEncoding, WrongUse> {
    TextEncoding::from_name(text).ok_or_else(|| {
        let known: Vec<_> = TextEncoding::ALL
            .iter()
            .map(|known| known.as_str())
            .collect();
        WrongUse(format!("it is none of {}", known.join(", ")))
    })
}
