//! `skychimp mailing …`.

use anyhow::Context as _;
use clap::builder::NonEmptyStringValueParser;
use skychimp_core::platform::db::{Db, Tx};
use skychimp_core::platform::ids::{MailingId, MessageId, UserId};
use skychimp_core::recipients::list::List;
use skychimp_core::sending::letter_limit::LetterWait;
use skychimp_core::sending::mailing::{
    HeldReason, Mailing, MailingDraft, MailingFilter, MailingStatus,
};
use skychimp_core::sending::run::{Run, RunProgress};
use skychimp_core::sending::schedule::Frequency;

use crate::exit::Exit;
use crate::out;
use crate::program::Program;

/// Recorded as the actor in a mailing's history.
const ACTOR: &str = "command";
/// Number of due times shown by `show`.
const NEXT: usize = 5;
/// Mailings read per page.
const PAGE: i64 = 200;

/// Create and control mailings.
#[derive(Debug, clap::Subcommand)]
pub enum MailingCommand {
    /// Create a mailing.
    Create(Box<Create>),
    /// List a user's mailings, newest first.
    List(ListCommand),
    /// Show a mailing's progress and its next due times.
    Show(One),
    /// Start a mailing: now, or at its start time.
    Start(One),
    /// Pause a mailing within a second.
    Pause(One),
    /// Resume a paused mailing.
    Resume(One),
    /// Cancel a mailing permanently. Letters not yet sent are marked cancelled.
    Cancel(One),
}

/// Create a mailing.
///
/// Times are RFC 3339 with an offset, or local time in the mailing's zone: 2027-01-31T10:00
#[derive(Debug, clap::Args)]
pub struct Create {
    /// E-mail address of the owner.
    #[arg(long, value_name = "EMAIL")]
    owner: String,

    /// ID of the message to send.
    #[arg(long, value_name = "ID")]
    message: MessageId,

    /// Name of a list to send to (repeatable).
    #[arg(long = "list", value_name = "NAME", required = true)]
    lists: Vec<String>,

    /// Title of the mailing, seen only by its owner.
    #[arg(long)]
    title: String,

    /// First due time. Default: the time when the mailing is started.
    #[arg(long, value_name = "T", value_parser = NonEmptyStringValueParser::new())]
    start: Option<String>,

    /// Nothing is sent at or after this time.
    #[arg(long, value_name = "T", value_parser = NonEmptyStringValueParser::new())]
    end: Option<String>,

    /// How often to send: once, day, week or month.
    #[arg(long, value_name = "PERIOD", default_value = "once", value_parser = super::every)]
    every: Frequency,

    /// IANA time zone, for example Europe/Moscow. Default: the owner's.
    #[arg(long)]
    zone: Option<String>,

    /// Sender name. Default: the service's.
    #[arg(long, value_name = "NAME", default_value = "")]
    from_name: String,

    /// Sender address. Default: the service's.
    #[arg(long, value_name = "EMAIL", default_value = "")]
    from_email: String,

    /// Address for replies. Default: the sender's.
    #[arg(long, value_name = "EMAIL", default_value = "")]
    reply_to: String,

    /// Start the mailing immediately.
    #[arg(long)]
    run: bool,
}

/// List a user's mailings.
#[derive(Debug, clap::Args)]
pub struct ListCommand {
    /// E-mail address of the owner.
    #[arg(long, value_name = "EMAIL")]
    owner: String,

    /// Only mailings with this status: created, running, paused, completed, cancelled.
    #[arg(long, value_parser = status)]
    status: Option<MailingStatus>,
}

/// Arguments that name one mailing of a user.
#[derive(Debug, clap::Args)]
pub struct One {
    /// ID of the mailing.
    #[arg(value_name = "MAILING")]
    id: MailingId,

    /// E-mail address of the owner.
    #[arg(long, value_name = "EMAIL")]
    owner: String,
}

/// Output of `show`, and of the commands that start, pause, resume or cancel.
#[derive(Debug, serde::Serialize)]
struct Shown {
    title: String,
    status: &'static str,
    every: &'static str,
    zone: String,
    disabled: bool,
    next: Vec<String>,
    /// Why the latest run is not progressing. Empty if it is, or if it is over.
    waiting: String,
    #[serde(flatten)]
    progress: RunProgress,
}

impl MailingCommand {
    /// Runs the subcommand.
    pub async fn run(self, program: &Program) -> anyhow::Result<Exit> {
        let db = program.database().await?;
        match self {
            Self::Create(create) => create.run(program, &db).await?,
            Self::List(list) => list.run(program, &db).await?,
            Self::Show(one) => one.show(program, &db).await?,
            Self::Start(one) => one.steer(program, &db, Act::Start).await?,
            Self::Pause(one) => one.steer(program, &db, Act::Pause).await?,
            Self::Resume(one) => one.steer(program, &db, Act::Resume).await?,
            Self::Cancel(one) => one.steer(program, &db, Act::Cancel).await?,
        }
        db.close().await;
        Ok(Exit::Done)
    }
}

impl Create {
    async fn run(self, program: &Program, db: &Db) -> anyhow::Result<()> {
        let owner = program.owner(db, &self.owner).await?;
        let now = program.clock.now();
        let mut tx = db.write().await?;
        let mut lists = Vec::new();
        for name in &self.lists {
            let list = List::by_name(&mut tx, owner.id, name)
                .await?
                .with_context(|| format!("there is no list {name:?} (--list)"))?;
            lists.push(list.id);
        }
        let draft = MailingDraft {
            title: self.title,
            message_id: Some(self.message),
            lists,
            recipients: Vec::new(),
            from_name: self.from_name,
            from_email: self.from_email,
            reply_to: self.reply_to,
            every: self.every,
            begin: None,
            start: self.start.unwrap_or_default(),
            end: self.end.unwrap_or_default(),
            zone: self.zone.unwrap_or(owner.zone),
        };
        let id = Mailing::create(&mut tx, owner.id, &draft, ACTOR, now).await?;
        if self.run {
            // same transaction: if the mailing cannot start, it is not created either
            Mailing::start(&mut tx, owner.id, id, &program.service(), ACTOR, now).await?;
        }
        tx.commit().await?;
        super::created(program, "mailing", &id)
    }
}

impl ListCommand {
    async fn run(self, program: &Program, db: &Db) -> anyhow::Result<()> {
        let owner = program.owner(db, &self.owner).await?;
        let mut found = Vec::new();
        let mut after = None;
        loop {
            let filter = MailingFilter {
                search: "",
                state: None,
                status: self.status,
                after,
            };
            let mut tx = db.read().await?;
            let page = Mailing::page(&mut tx, owner.id, filter, PAGE).await?;
            let full = i64::try_from(page.len()) == Ok(PAGE);
            after = page.last().map(|summary| summary.mailing.id);
            found.extend(page);
            if !full {
                break;
            }
        }
        if program.json {
            let found: Vec<_> = found
                .iter()
                .map(|summary| {
                    serde_json::json!({
                        "mailing": summary.mailing.id,
                        "title": summary.mailing.title,
                        "subject": summary.subject,
                        "status": summary.mailing.status.as_str(),
                        "state": summary.state.as_str(),
                        "disabled": summary.mailing.disabled_at.is_some(),
                        "next_due": summary.mailing.next_due(),
                        "runs": summary.runs,
                        "planned": summary.planned,
                        "sent": summary.sent,
                        "failed": summary.failed,
                    })
                })
                .collect();
            return out::json(&found);
        }
        let rows = found
            .into_iter()
            .map(|summary| {
                [
                    summary.mailing.id.to_string(),
                    summary.state.as_str().to_owned(),
                    summary.planned.to_string(),
                    summary.sent.to_string(),
                    summary.failed.to_string(),
                    summary.mailing.title,
                ]
            })
            .collect();
        let header = ["mailing", "status", "planned", "sent", "failed", "title"];
        out::table(Some(header), rows)
    }
}

#[derive(Debug, Clone, Copy)]
enum Act {
    Start,
    Pause,
    Resume,
    Cancel,
}

impl One {
    async fn show(self, program: &Program, db: &Db) -> anyhow::Result<()> {
        let owner = program.owner(db, &self.owner).await?;
        let mut tx = db.read().await?;
        show(program, &mut tx, owner.id, self.id).await
    }

    async fn steer(self, program: &Program, db: &Db, act: Act) -> anyhow::Result<()> {
        let owner = program.owner(db, &self.owner).await?.id;
        let now = program.clock.now();
        let mut tx = db.write().await?;
        let found = match act {
            Act::Start => {
                let service = program.service();
                Mailing::start(&mut tx, owner, self.id, &service, ACTOR, now)
                    .await?
                    .is_some()
            }
            Act::Pause => Mailing::pause(&mut tx, owner, self.id, ACTOR, "", now)
                .await?
                .is_some(),
            Act::Resume => Mailing::resume(&mut tx, owner, self.id, ACTOR, now)
                .await?
                .is_some(),
            Act::Cancel => Mailing::cancel(&mut tx, owner, self.id, ACTOR, "", now)
                .await?
                .is_some(),
        };
        if !found {
            return Err(unknown(self.id));
        }
        tx.commit().await?;
        let mut tx = db.read().await?;
        show(program, &mut tx, owner, self.id).await
    }
}

async fn show(program: &Program, tx: &mut Tx, owner: UserId, id: MailingId) -> anyhow::Result<()> {
    let mailing = Mailing::get(tx, owner, id)
        .await?
        .ok_or_else(|| unknown(id))?;
    let now = program.clock.now();
    let schedule = mailing.schedule()?;
    let next = mailing
        .upcoming(now, NEXT)?
        .into_iter()
        .map(|moment| match &schedule {
            Some(schedule) => schedule.rfc3339(moment),
            None => moment.to_string(),
        })
        .collect();
    let progress = RunProgress::of(tx, owner, id).await?;
    let run = match progress.run {
        Some(run) => Run::get(tx, owner, run).await?,
        None => None,
    };
    // the mailing itself is held, so the reason of an earlier run no longer applies
    let held = if mailing.awaits_approval(tx).await? {
        Some(HeldReason::Approval.to_string())
    } else {
        let running = mailing.status == MailingStatus::Running;
        Some(mailing.waiting).filter(|why| running && !why.is_empty())
    };
    let limited = match &run {
        Some(run) => LetterWait::of(tx, run, now).await?,
        None => None,
    };
    let shown = Shown {
        status: mailing.status.as_str(),
        every: mailing.every.as_str(),
        disabled: mailing.disabled_at.is_some(),
        title: mailing.title,
        zone: mailing.zone,
        next,
        waiting: held
            .or_else(|| limited.map(|wait| wait.to_string()))
            .unwrap_or_else(|| run.map(|run| run.waiting).unwrap_or_default()),
        progress,
    };
    if program.json {
        return out::json(&shown);
    }
    let totals = shown.progress.totals;
    let mut rows = vec![
        ["title".to_owned(), shown.title],
        ["status".to_owned(), shown.status.to_owned()],
        ["planned".to_owned(), totals.planned.to_string()],
        ["sent".to_owned(), totals.sent.to_string()],
        ["failed".to_owned(), totals.failed.to_string()],
        ["skipped".to_owned(), totals.skipped.to_string()],
        ["expired".to_owned(), totals.expired.to_string()],
        ["cancelled".to_owned(), totals.cancelled.to_string()],
        ["still to send".to_owned(), totals.remaining.to_string()],
        ["of these deferred".to_owned(), totals.deferred.to_string()],
    ];
    if !shown.waiting.is_empty() {
        rows.push(["waits for".to_owned(), shown.waiting]);
    }
    for moment in shown.next {
        rows.push(["due".to_owned(), moment]);
    }
    out::table(None, rows)
}

fn unknown(id: MailingId) -> anyhow::Error {
    anyhow::anyhow!("this user has no mailing {id}")
}

fn status(text: &str) -> Result<MailingStatus, &'static str> {
    text.parse()
        .map_err(|_| "it is none of created, running, paused, completed, cancelled")
}
