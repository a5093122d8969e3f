//! `skychimp demo`.

mod people;
mod posts;

use std::fs::{File, TryLockError};
use std::io::{Cursor, ErrorKind};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use indicatif::{ProgressBar, ProgressStyle};
use skychimp_core::accounts::password::HashedPassword;
use skychimp_core::accounts::user::{NewUser, Role, User};
use skychimp_core::messages::message::{Message, MessageDraft};
use skychimp_core::platform::db::Db;
use skychimp_core::platform::ids::{MailingId, UserId};
use skychimp_core::recipients::import::{self, Hints, ImportOptions};
use skychimp_core::recipients::list::List;
use skychimp_core::sending::mailing::{Mailing, MailingDraft};
use skychimp_core::sending::run::RunProgress;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::serve::{Service, listen};
use crate::engine;
use crate::exit::Exit;
use crate::out;
use crate::program::{Program, private_folder};
use crate::stop;

/// Login of the demo user.
const EMAIL: &str = "demo@example.org";
/// Login of the blog's author.
const WRITER: &str = "editor@example.org";
/// Number of recipients.
const PEOPLE: usize = 1_000;
const SUBJECT: &str = "{{ first_name | default(\"Друг\") }}, новости из города {{ attributes.city | default(\"вашего\") }}";

/// Try Skychimp with sample data: send a mailing of 1 000 letters through the sandbox.
///
/// Creates a new database in the subdirectory demo of the data directory, replacing that of an
/// earlier demo, with a user, 1 000 recipients, a message with personal fields, a mailing and a few
/// blog articles. Sends the mailing over SMTP to the built-in sandbox, then keeps the site running
/// until Ctrl+C. A configured database or mail server is not touched.
#[derive(Debug, clap::Args)]
pub struct Demo {
    /// Exit after sending instead of keeping the site running.
    #[arg(long)]
    exit: bool,

    /// Address and port to listen on. Without it, any free port is used if the configured one is
    /// taken.
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<String>,
}

impl Demo {
    /// The settings given by flags: the flag, the key, the value.
    pub fn flags(&self) -> Option<(String, String, String)> {
        let listen = self.listen.clone()?;
        Some(("--listen".to_owned(), "listen".to_owned(), listen))
    }

    /// Runs the demo until it is stopped, or with `--exit` until everything is sent.
    pub async fn run(self, program: &Program) -> anyhow::Result<Exit> {
        let stop = stop::on_signal(program)?;
        let folder = program.config.data_dir.join("demo");
        let _lock = clear(&folder)?;
        let mut config = program.config.clone();
        config.data_dir = folder;
        (config.database_url, config.media_url) = (None, None);
        (config.smtp, config.base_url) = (None, None);
        let program = Program::new(config, program.json);
        let db = program.database().await?;
        let listener = match &self.listen {
            Some(_) => listen(program.config.listen)?,
            None => listen_somewhere(&program).await?,
        };
        let health = engine::health(&program);
        let engine = Some(health.clone());
        let mut service = Service::start(&program, &db, listener, engine, stop.clone()).await?;
        service.send(&program, &db, health)?;

        let password = password();
        let owner = account(&program, &db, EMAIL, Role::User, &password).await?;
        let writer = account(&program, &db, WRITER, Role::ContentManager, &password).await?;
        posts::write(&program, &db, writer).await?;
        let mailing = fill(&program, &db, owner, &stop).await?;
        let sent = watch(&program, &db, owner, mailing, &stop).await?;

        let page = format!("{}/mailings/{mailing}", service.url(&program));
        let totals = sent.totals;
        if program.json {
            out::json(&serde_json::json!({
                "url": service.url(&program),
                "email": EMAIL,
                "password": password,
                "sandbox": format!("{}/sandbox", service.url(&program)),
                "progress": sent,
            }))?;
        } else {
            out::line(&format!(
                "{} letters: {} sent, {} failed, {} skipped",
                totals.planned, totals.sent, totals.failed, totals.skipped
            ))?;
            if !self.exit {
                out::line(&format!(
                    "\n  The mailing   {page}\n  Its letters   {}/sandbox\n  Log in with   {EMAIL}\n  Password      {password}\n  The blog      {}/blog; {WRITER} writes it, with the same password\n",
                    service.url(&program),
                    service.url(&program)
                ))?;
                out::note("Ctrl+C ends the demo");
            }
        }
        if self.exit {
            stop.cancel();
        }
        service.run(&program).await?;
        program.close(&db).await;
        Ok(match (totals.remaining, totals.failed) {
            (0, 0) => Exit::Done,
            (0, _) => Exit::SomeFailed,
            _ => Exit::Failed,
        })
    }
}

/// Empties the directory and locks it for as long as the returned file is open.
fn clear(folder: &Path) -> anyhow::Result<File> {
    let lock = folder.join("lock");
    let strange = !lock.exists()
        && folder
            .read_dir()
            .is_ok_and(|mut entries| entries.next().is_some());
    if strange {
        anyhow::bail!(
            "{} holds files that are not a demo's; use another --data-dir",
            folder.display()
        );
    }
    private_folder(folder).with_context(|| format!("{} cannot be made", folder.display()))?;
    let file = File::create(&lock).with_context(|| format!("{} cannot be made", lock.display()))?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            anyhow::bail!("another demo is running in {}", folder.display())
        }
        Err(TryLockError::Error(error)) => {
            return Err(error).with_context(|| format!("{} cannot be locked", lock.display()));
        }
    }
    for entry in folder.read_dir()? {
        let path: PathBuf = entry?.path();
        if path == lock {
            continue;
        }
        if path.is_dir() {
            std::fs::remove_dir_all(&path)?;
        } else {
            std::fs::remove_file(&path)?;
        }
    }
    Ok(file)
}

/// Binds the configured address, or any free port if that port is taken.
async fn listen_somewhere(program: &Program) -> anyhow::Result<TcpListener> {
    let mut address = program.config.listen;
    match TcpListener::bind(address).await {
        Err(error) if error.kind() == ErrorKind::AddrInUse => {
            address.set_port(0);
            listen(address)
        }
        Ok(listener) => Ok(listener),
        Err(_) => listen(address),
    }
}

/// Returns a password of 16 unambiguous letters and digits in groups of four: 80 random bits.
fn password() -> String {
    const SIGNS: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";
    let random: [u8; 16] = rand::random();
    let signs: Vec<char> = random
        .iter()
        .map(|byte| char::from(SIGNS[usize::from(byte % 32)]))
        .collect();
    signs
        .chunks(4)
        .map(String::from_iter)
        .collect::<Vec<_>>()
        .join("-")
}

async fn account(
    program: &Program,
    db: &Db,
    email: &str,
    role: Role,
    password: &str,
) -> anyhow::Result<UserId> {
    let password = password.to_owned();
    let password = tokio::task::spawn_blocking(move || HashedPassword::new(&password)).await??;
    let mut tx = db.write().await?;
    let new = NewUser {
        email,
        name: "Demo",
        role,
        verified: true,
        zone: "Europe/Moscow",
    };
    let id = User::create(&mut tx, &new, &password, program.clock.now()).await?;
    tx.commit().await?;
    Ok(id)
}

/// Creates the list, message and mailing, and starts the mailing.
async fn fill(
    program: &Program,
    db: &Db,
    owner: UserId,
    stop: &CancellationToken,
) -> anyhow::Result<MailingId> {
    let now = program.clock.now();
    let mut tx = db.write().await?;
    let list = List::find_or_create(&mut tx, owner, "Клиенты / Customers", now).await?;
    tx.commit().await?;
    let file = people::csv(PEOPLE).into_bytes();
    let preview = import::inspect(Cursor::new(&file), Hints::default())?;
    let options = ImportOptions {
        mapping: preview.mapping(),
        format: preview.format,
        list: Some(list),
    };
    let clock = &program.clock;
    import::run(
        db,
        owner,
        Cursor::new(file),
        &options,
        None,
        clock,
        |_| {},
        stop,
    )
    .await?;

    let mut tx = db.write().await?;
    let message = MessageDraft {
        subject: SUBJECT.to_owned(),
        preview_text: "A letter with personal fields, sent by Skychimp".to_owned(),
        html: include_str!("demo/letter.html").to_owned(),
        text: String::new(),
    };
    let message = Message::create(&mut tx, owner, &message, now).await?;
    let draft = MailingDraft {
        title: "Первая рассылка / First mailing".to_owned(),
        message_id: Some(message),
        lists: vec![list],
        from_name: "Skychimp Demo".to_owned(),
        from_email: "news@example.org".to_owned(),
        zone: "Europe/Moscow".to_owned(),
        ..MailingDraft::default()
    };
    let id = Mailing::create(&mut tx, owner, &draft, EMAIL, now).await?;
    Mailing::start(&mut tx, owner, id, &program.service(), EMAIL, now).await?;
    tx.commit().await?;
    Ok(id)
}

/// Shows progress until the mailing is finished or `stop` is cancelled.
async fn watch(
    program: &Program,
    db: &Db,
    owner: UserId,
    mailing: MailingId,
    stop: &CancellationToken,
) -> anyhow::Result<RunProgress> {
    let bar = ProgressBar::new(PEOPLE as u64).with_style(ProgressStyle::with_template(
        "{bar:40} {pos}/{len} letters  {per_sec}  {elapsed}",
    )?);
    if !program.json {
        out::note("sending over SMTP to the built-in sandbox; nothing leaves this machine");
    }
    loop {
        let mut tx = db.read().await?;
        let progress = RunProgress::of(&mut tx, owner, mailing).await?;
        drop(tx);
        let totals = progress.totals;
        let over = totals.planned - totals.remaining;
        bar.set_position(u64::try_from(over).unwrap_or(0));
        let done = totals.planned > 0 && totals.remaining == 0;
        if done || stop.is_cancelled() {
            bar.finish_and_clear();
            return Ok(progress);
        }
        tokio::select! {
            () = stop.cancelled() => {}
            () = tokio::time::sleep(std::time::Duration::from_millis(50)) => {}
        }
    }
}
