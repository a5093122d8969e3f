//! `skychimp message …`.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use skychimp_core::messages::message::{Message, MessageDraft};
use skychimp_core::platform::error::{Error, FieldError};

use crate::exit::{Exit, WrongUse};
use crate::out;
use crate::program::Program;

/// Create messages.
#[derive(Debug, clap::Subcommand)]
pub enum MessageCommand {
    /// Create a message.
    Create(Create),
}

/// Create a message.
///
/// The subject and the files may contain personal fields: {{ name }} or
/// {{ attributes.city | default("…") }}. Errors are reported now, not when the mailing runs.
#[derive(Debug, clap::Args)]
pub struct Create {
    /// E-mail address of the owner.
    #[arg(long, value_name = "EMAIL")]
    owner: String,

    /// Subject line.
    #[arg(long)]
    subject: String,

    /// Preview text that mail programs show after the subject.
    #[arg(long, value_name = "TEXT", default_value = "")]
    preview: String,

    /// File with the HTML part.
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,

    /// File with the text part. Default: generated from the HTML.
    #[arg(long, value_name = "FILE")]
    text: Option<PathBuf>,
}

impl MessageCommand {
    /// Runs the subcommand.
    pub async fn run(self, program: &Program) -> anyhow::Result<Exit> {
        match self {
            Self::Create(create) => create.run(program).await,
        }
    }
}

impl Create {
    async fn run(self, program: &Program) -> anyhow::Result<Exit> {
        if self.html.is_none() && self.text.is_none() {
            let why = "a message needs --html FILE or --text FILE, or both";
            return Err(WrongUse(why.to_owned()).into());
        }
        let draft = MessageDraft {
            subject: self.subject,
            preview_text: self.preview,
            html: read(self.html.as_deref())?,
            text: read(self.text.as_deref())?,
        };
        // the site saves drafts with errors, but a command should fail immediately
        let (warnings, wrong): (Vec<_>, Vec<_>) = draft
            .content()
            .check()
            .into_iter()
            .partition(|problem| problem.warning);
        if !wrong.is_empty() {
            let wrong = wrong.into_iter().map(FieldError::from).collect();
            return Err(Error::Invalid(wrong).into());
        }
        for warning in warnings {
            out::note(&format!("warning: {}", FieldError::from(warning)));
        }
        let db = program.database().await?;
        let owner = program.owner(&db, &self.owner).await?;
        let mut tx = db.write().await?;
        let id = Message::create(&mut tx, owner.id, &draft, program.clock.now()).await?;
        tx.commit().await?;
        db.close().await;
        super::created(program, "message", &id)?;
        Ok(Exit::Done)
    }
}

fn read(file: Option<&Path>) -> anyhow::Result<String> {
    let Some(file) = file else {
        return Ok(String::new());
    };
    let text = std::fs::read_to_string(file)
        .with_context(|| format!("{} cannot be read as UTF-8 text", file.display()))?;
    Ok(text
        .strip_prefix('\u{feff}')
        .map_or(text.clone(), str::to_owned))
}
