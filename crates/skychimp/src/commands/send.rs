//! `skychimp send …`.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;
use skychimp_core::accounts::user::User;
use skychimp_core::platform::db::{Db, Tx};
use skychimp_core::platform::ids::{MailingId, RunId, UserId};
use skychimp_core::platform::time::Timestamp;
use skychimp_core::sending::delivery::{ClaimScope, OpenRun};
use skychimp_core::sending::letter_limit::LetterWait;
use skychimp_core::sending::mailing::{HeldReason, Mailing, MailingStatus};
use skychimp_core::sending::run::{Run, RunProgress, RunState, RunTotals};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::config;
use crate::engine;
use crate::exit::Exit;
use crate::out;
use crate::program::Program;
use crate::sandbox;
use crate::stop;

/// How often progress is read from the database.
const POLL_INTERVAL: Duration = Duration::from_millis(100);

/// Send letters from this process.
#[derive(Debug, clap::Subcommand)]
pub enum Send {
    /// Send one mailing. A draft is started first.
    Mailing(One),
    /// Send everything that is due.
    Due(Due),
}

/// Send one mailing. A draft is started first.
///
/// Runs a worker for this mailing only. It needs no running service and is safe next to one: each
/// letter is sent once. Exits with 3 if deliveries failed.
#[derive(Debug, clap::Args)]
pub struct One {
    /// ID of the mailing.
    #[arg(value_name = "MAILING")]
    id: MailingId,

    /// Also wait for letters that the mail server deferred, until nothing is left to send.
    #[arg(long)]
    wait: bool,

    #[command(flatten)]
    patience: WaitLimit,

    /// Only show who would receive it and what is missing. Starts and sends nothing.
    #[arg(long)]
    dry_run: bool,
}

/// Send everything that is due, then exit. For cron or a systemd timer, with or without a running
/// service.
///
/// Exits with 3 if deliveries failed.
#[derive(Debug, clap::Args)]
pub struct Due {
    /// Also wait for letters that the mail server deferred, until nothing is left to send.
    #[arg(long)]
    wait: bool,

    #[command(flatten)]
    patience: WaitLimit,
}

#[derive(Debug, Clone, Copy, clap::Args)]
struct WaitLimit {
    /// Without --wait: give up after the mail server has not answered for this long.
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = duration)]
    patience: Duration,
}

/// When to stop working.
#[derive(Debug, Clone, Copy)]
struct Until {
    wait: bool,
    patience: Duration,
}

/// Output of `send`.
#[derive(Debug, Serialize)]
struct Sent {
    /// `None` for `send due`.
    mailing: Option<MailingId>,
    run: Option<RunId>,
    state: Option<RunState>,
    #[serde(flatten)]
    totals: RunTotals,
    /// Each run, for `send due`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    runs: Vec<RunProgress>,
}

impl Send {
    /// Runs the subcommand.
    pub async fn run(self, program: &Program) -> anyhow::Result<Exit> {
        let db = program.database().await?;
        let exit = match self {
            Self::Mailing(one) if one.dry_run => one.tell(program, &db).await?,
            Self::Mailing(one) => one.run(program, &db).await?,
            Self::Due(due) => {
                refuse_held(program, &mut db.read().await?, "").await?;
                let until = Until {
                    wait: due.wait,
                    patience: due.patience.patience,
                };
                let ended = work(program, &db, ClaimScope::All, until).await?;
                let sent = Sent {
                    mailing: None,
                    run: None,
                    state: None,
                    totals: sum(&ended.runs),
                    runs: ended.runs,
                };
                report(program, &sent)?;
                ended.how.exit(&sent.totals, due.wait)
            }
        };
        program.close(&db).await;
        Ok(exit)
    }
}

impl One {
    async fn tell(&self, program: &Program, db: &Db) -> anyhow::Result<Exit> {
        let owner = program.owner_of(db, self.id).await?;
        let mut tx = db.read().await?;
        let (service, now) = (program.service(), program.clock.now());
        let Some(readiness) = Mailing::readiness(&mut tx, owner, self.id, &service, now).await?
        else {
            anyhow::bail!("there is no mailing {}", self.id);
        };
        let ready = readiness.is_ready();
        if program.json {
            let totals = RunTotals {
                planned: readiness.audience.will_get,
                remaining: readiness.audience.will_get,
                ..RunTotals::default()
            };
            let mut told = serde_json::to_value(Sent {
                mailing: Some(self.id),
                run: None,
                state: None,
                totals,
                runs: Vec::new(),
            })?;
            told["dry_run"] = true.into();
            told["ready"] = ready.into();
            told["audience"] = serde_json::to_value(readiness.audience)?;
            told["problems"] = serde_json::to_value(readiness.into_problems())?;
            out::json(&told)?;
        } else {
            let audience = readiness.audience;
            out::line(&format!(
                "{} chosen, {} unsubscribed, {} suppressed: {} will get it",
                audience.chosen, audience.unsubscribed, audience.suppressed, audience.will_get
            ))?;
            for problem in readiness.into_problems() {
                out::line(&format!("missing: {problem}"))?;
            }
        }
        Ok(if ready { Exit::Done } else { Exit::Failed })
    }

    async fn run(&self, program: &Program, db: &Db) -> anyhow::Result<Exit> {
        let owner = program.owner_of(db, self.id).await?;
        self.start(program, db, owner).await?;
        let until = Until {
            wait: self.wait,
            patience: self.patience.patience,
        };
        let ended = work(program, db, ClaimScope::Mailing(self.id), until).await?;
        let mut tx = db.read().await?;
        let progress = RunProgress::of(&mut tx, owner, self.id).await?;
        drop(tx);
        let sent = Sent {
            mailing: Some(self.id),
            run: progress.run,
            state: progress.state,
            totals: progress.totals,
            runs: Vec::new(),
        };
        report(program, &sent)?;
        Ok(ended.how.exit(&sent.totals, self.wait))
    }

    /// Starts a draft. Fails with the reason if the mailing cannot be sent.
    async fn start(&self, program: &Program, db: &Db, owner: UserId) -> anyhow::Result<()> {
        let now = program.clock.now();
        let mut tx = db.write().await?;
        let Some(mailing) = Mailing::get(&mut tx, owner, self.id).await? else {
            anyhow::bail!("there is no mailing {}", self.id);
        };
        match mailing.status {
            MailingStatus::Created => {
                let service = program.service();
                Mailing::start(&mut tx, owner, self.id, &service, "command", now).await?;
                tx.commit().await?;
                let mut tx = db.read().await?;
                let started = Mailing::get(&mut tx, owner, self.id).await?;
                if let Some(started) = started {
                    refuse_unapproved(&mut tx, &started).await?;
                }
            }
            MailingStatus::Running if mailing.disabled_at.is_some() => {
                anyhow::bail!("a manager switched this mailing off")
            }
            MailingStatus::Running => {
                refuse_held(program, &mut tx, &mailing.from_email).await?;
                refuse_unapproved(&mut tx, &mailing).await?;
                if let Some(due) = mailing.next_due_at.filter(|due| *due > now) {
                    out::note(&format!("not due before {due}"));
                }
            }
            MailingStatus::Paused => {
                anyhow::bail!("this mailing is paused; `skychimp mailing resume` lets it go on")
            }
            MailingStatus::Cancelled => anyhow::bail!("this mailing was cancelled"),
            MailingStatus::Completed => out::note("this mailing is completed already"),
        }
        Ok(())
    }
}

/// Fails if letters from `sender` would be held until a setting is fixed.
async fn refuse_held(program: &Program, tx: &mut Tx, sender: &str) -> anyhow::Result<()> {
    let faults = program.service().faults_of(tx, sender).await?;
    let faults: Vec<_> = faults.iter().map(ToString::to_string).collect();
    anyhow::ensure!(faults.is_empty(), "nothing is sent: {}", faults.join("; "));
    Ok(())
}

/// Fails if a mailing waits for a manager.
async fn refuse_unapproved(tx: &mut Tx, mailing: &Mailing) -> anyhow::Result<()> {
    let waits = mailing.awaits_approval(tx).await?;
    anyhow::ensure!(!waits, "nothing is sent yet: {}", HeldReason::Approval);
    Ok(())
}

/// How the work ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum How {
    /// Nothing is left that can be sent now.
    Done,
    /// Stopped by Ctrl+C or SIGTERM.
    Stopped,
    /// The mail server does not answer.
    Waiting,
}

impl How {
    fn exit(self, totals: &RunTotals, wait: bool) -> Exit {
        match self {
            Self::Stopped => {
                out::note("stopped before the end; what is left stays in the queue");
                Exit::Failed
            }
            Self::Waiting => {
                out::note("the mail server does not answer; what is left stays in the queue");
                Exit::Failed
            }
            Self::Done if wait && totals.remaining > 0 => {
                out::note("it was paused or switched off; what is left stays in the queue");
                Exit::Failed
            }
            Self::Done if totals.failed > 0 => Exit::SomeFailed,
            Self::Done => Exit::Done,
        }
    }
}

struct Ended {
    how: How,
    runs: Vec<RunProgress>,
}

/// Sends until nothing in `scope` is left, and shows progress.
async fn work(
    program: &Program,
    db: &Db,
    scope: ClaimScope,
    until: Until,
) -> anyhow::Result<Ended> {
    let stop = stop::on_signal(program)?;
    let began = program.clock.now();
    let sandbox = sandbox::for_sending(program, db).await?;
    let server = sandbox.as_ref().map(sandbox::server);
    let health = engine::health(program);
    let listen = program.config.listen;
    let mut engine = engine::start(program, db, server, listen, scope, health)?;
    let watched = tokio::select! {
        watched = watch(program, db, scope, until, &stop) => watched,
        why = engine.ended() => Err(anyhow::anyhow!(why)),
    };
    engine.stop().await;
    let (how, mut seen) = watched?;
    // the engine has stopped, so the outcomes of the last letters are recorded
    let mut runs = Vec::new();
    let mut tx = db.read().await?;
    if scope == ClaimScope::All {
        // include runs that started and ended between two polls
        let finished = Run::finished_since(&mut tx, began).await?;
        seen.extend(finished.into_iter().map(|(owner, run)| (run, owner)));
    }
    for (run, owner) in seen {
        if let Some(run) = Run::get(&mut tx, owner, run).await? {
            runs.push(progress(&run));
        }
    }
    Ok(Ended { how, runs })
}

async fn watch(
    program: &Program,
    db: &Db,
    scope: ClaimScope,
    until: Until,
    stop: &CancellationToken,
) -> anyhow::Result<(How, BTreeMap<RunId, UserId>)> {
    let bar = ProgressBar::new(0).with_style(style()?);
    let mut seen = BTreeMap::new();
    let mut moved = (Instant::now(), RunTotals::default());
    loop {
        let state = look(program, db, scope, until.wait, &mut seen).await?;
        show(&bar, &state);
        if state.totals != moved.1 || state.waiting.is_none() {
            moved = (Instant::now(), state.totals);
        }
        if !state.busy {
            bar.finish_and_clear();
            return Ok((How::Done, seen));
        }
        if !until.wait && moved.0.elapsed() > until.patience {
            bar.finish_and_clear();
            return Ok((How::Waiting, seen));
        }
        tokio::select! {
            () = stop.cancelled() => {
                bar.finish_and_clear();
                return Ok((How::Stopped, seen));
            }
            () = tokio::time::sleep(POLL_INTERVAL) => {}
        }
    }
}

/// Everything in scope at one time.
struct State {
    totals: RunTotals,
    /// There is something that this process can do or wait for.
    busy: bool,
    /// Why nothing is progressing.
    waiting: Option<String>,
}

async fn look(
    program: &Program,
    db: &Db,
    scope: ClaimScope,
    wait: bool,
    seen: &mut BTreeMap<RunId, UserId>,
) -> anyhow::Result<State> {
    let now = program.clock.now();
    let mut tx = db.read().await?;
    // due times first: a run created in between is found by the next query
    let due = match scope {
        ClaimScope::All => Run::next_moment(&mut tx).await?,
        ClaimScope::Mailing(id) => due_moment(&mut tx, id, wait).await?,
    };
    let mut busy = due.is_some_and(|due| due <= now);
    let open = OpenRun::all(&mut tx, scope, now).await?;
    let open_ids: Vec<_> = open.iter().map(|run| run.id).collect();
    seen.extend(open.iter().map(|run| (run.id, run.owner_id)));
    let mut totals = RunTotals::default();
    let mut waiting = None;
    for (id, owner) in &*seen {
        let Some(run) = Run::get(&mut tx, *owner, *id).await? else {
            continue;
        };
        let now_left = run.totals().remaining - run.deferred;
        add(&mut totals, &run.totals());
        if open_ids.contains(id) {
            let limited = LetterWait::of(&mut tx, &run, now).await?;
            // the rest leaves in another hour or on another day
            let held = limited.as_ref().map_or(0, |limited| limited.letters);
            let left = now_left > held;
            busy |= wait || !run.expanded || left || run.totals().remaining == 0;
            if let Some(limited) = limited {
                waiting = Some(limited.to_string());
            } else if !run.waiting.is_empty() {
                waiting = Some(run.waiting);
            }
        }
    }
    Ok(State {
        totals,
        busy,
        waiting,
    })
}

/// Returns the mailing's next due time, unless the mailing or its owner may not send. With `wait`,
/// a mailing that waits for another one counts.
async fn due_moment(tx: &mut Tx, id: MailingId, wait: bool) -> anyhow::Result<Option<Timestamp>> {
    let Some(owner) = Mailing::owner_of(tx, id).await? else {
        return Ok(None);
    };
    let may_send = User::get(tx, owner)
        .await?
        .is_some_and(|user| user.blocked_at.is_none() && user.verified_at.is_some());
    let mailing = Mailing::get(tx, owner, id).await?.filter(|mailing| {
        let queues = wait
            && matches!(
                HeldReason::from_sentence(&mailing.waiting),
                Some(HeldReason::AtOnce(_) | HeldReason::Letters(_))
            );
        let held = !(mailing.waiting.is_empty() || queues) || mailing.disabled_at.is_some();
        may_send && mailing.status == MailingStatus::Running && !held
    });
    Ok(mailing.and_then(|mailing| mailing.next_due_at))
}

fn duration(text: &str) -> Result<Duration, String> {
    config::duration(text, 0, 24 * 3600)
}

fn style() -> anyhow::Result<ProgressStyle> {
    Ok(ProgressStyle::with_template(
        "{bar:40} {pos}/{len}  {per_sec}  {elapsed}  {msg}",
    )?)
}

fn show(bar: &ProgressBar, state: &State) {
    let totals = &state.totals;
    let number = |n: i64| u64::try_from(n).unwrap_or(0);
    bar.set_length(number(totals.planned));
    bar.set_position(number(totals.planned - totals.remaining));
    let mut message = String::new();
    for (count, word) in [(totals.failed, "failed"), (totals.deferred, "deferred")] {
        if count > 0 {
            // writing to a String cannot fail
            let _ = write!(message, "{count} {word}  ");
        }
    }
    if let Some(why) = &state.waiting {
        message.push_str(why);
    }
    bar.set_message(message);
}

fn report(program: &Program, sent: &Sent) -> anyhow::Result<()> {
    if program.json {
        return out::json(sent);
    }
    let totals = &sent.totals;
    out::line(&format!(
        "{} planned, {} sent, {} failed, {} skipped, {} expired, {} cancelled, {} still to send ({} of these deferred)",
        totals.planned,
        totals.sent,
        totals.failed,
        totals.skipped,
        totals.expired,
        totals.cancelled,
        totals.remaining,
        totals.deferred
    ))
}

fn progress(run: &Run) -> RunProgress {
    RunProgress {
        mailing: run.mailing_id,
        run: Some(run.id),
        state: Some(run.state),
        totals: run.totals(),
    }
}

fn sum(runs: &[RunProgress]) -> RunTotals {
    let mut all = RunTotals::default();
    for run in runs {
        add(&mut all, &run.totals);
    }
    all
}

fn add(all: &mut RunTotals, one: &RunTotals) {
    all.planned += one.planned;
    all.sent += one.sent;
    all.deferred += one.deferred;
    all.failed += one.failed;
    all.skipped += one.skipped;
    all.expired += one.expired;
    all.cancelled += one.cancelled;
    all.remaining += one.remaining;
}
