//! The context shared by all commands.

use std::fs::DirBuilder;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::Duration;

use anyhow::Context as _;
use skychimp_core::accounts::user::User;
use skychimp_core::blog::media::Gallery;
use skychimp_core::platform::cache::CacheClient;
use skychimp_core::platform::db::Db;
use skychimp_core::platform::disk::Disk;
use skychimp_core::platform::ids::{MailingId, UserId};
use skychimp_core::platform::secret::SecretKey;
use skychimp_core::platform::time::Clock;
use skychimp_core::sending::mailing::{FromIdentity, Mailing};
use skychimp_core::sending::service::ServiceIdentity;
use url::Url;

use crate::config::Config;
use crate::config::secret;
use crate::private;

/// How long closing the database connections may take.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);

/// The configuration, and methods to open what it names.
#[derive(Debug)]
pub struct Program {
    /// The checked configuration.
    pub config: Config,
    /// Whether `--json` was given.
    pub json: bool,
    /// Source of the current time.
    pub clock: Clock,
    shared: OnceLock<CacheClient>,
}

impl Program {
    /// Creates a program that uses the system clock.
    pub fn new(config: Config, json: bool) -> Self {
        Self {
            config,
            json,
            clock: Clock::system(),
            shared: OnceLock::new(),
        }
    }

    /// Creates the data directory, accessible only to its owner, if it does not exist.
    pub fn data_dir(&self) -> anyhow::Result<()> {
        let folder = &self.config.data_dir;
        private_folder(folder)
            .with_context(|| format!("data_dir {} cannot be made", folder.display()))
    }

    /// Restricts the service's files to their owner. `deep` includes the contents of
    /// subdirectories.
    pub fn tighten(&self, deep: bool) {
        let file = self.sqlite_file();
        private::tighten(&self.config.data_dir, file.as_deref(), deep);
    }

    /// Connects to the database without migrating it.
    pub async fn connect(&self) -> anyhow::Result<Db> {
        self.data_dir()?;
        self.tighten(false);
        let db = Db::connect(self.config.database_url().reveal())
            .await
            .context("cannot open the database (database_url)")?
            .with_settings(self.config.accounts);
        // a directory created by someone else is ours now that the database is in it
        self.tighten(false);
        Ok(db)
    }

    /// Connects to the database and migrates its schema.
    pub async fn database(&self) -> anyhow::Result<Db> {
        let db = self.connect().await?;
        db.migrate()
            .await
            .context("cannot bring the database up to date")?;
        Ok(db)
    }

    /// Closes the database when a command was stopped. Does not wait for a connection that hangs.
    pub async fn close(&self, db: &Db) {
        if tokio::time::timeout(CLOSE_TIMEOUT, db.close())
            .await
            .is_err()
        {
            tracing::warn!("the database was not closed in time");
        }
    }

    /// Public URL of the site, for links in letters.
    pub fn base_url(&self) -> anyhow::Result<Url> {
        let url = self.config.base_url(self.config.listen);
        Url::parse(&url).context("base_url and listen make no address of a site")
    }

    /// Opens the store for the blog's pictures.
    pub fn gallery(&self) -> anyhow::Result<Gallery> {
        let opened = if let Some(url) = &self.config.media_url {
            Gallery::s3(url.reveal())
        } else {
            self.data_dir()?;
            Gallery::in_folder(&self.config.data_dir.join("media"))
        };
        opened.context("cannot open the store of pictures (media_url)")
    }

    /// The disks of the data directory and of a SQLite file elsewhere.
    pub fn disk(&self) -> Disk {
        let mut folders = vec![self.config.data_dir.clone()];
        folders.extend(
            self.sqlite_file()
                .as_deref()
                .and_then(Path::parent)
                .map(Path::to_owned),
        );
        Disk::of(folders, self.config.disk_floor)
    }

    /// The configured SQLite file.
    fn sqlite_file(&self) -> Option<PathBuf> {
        let url = self.config.database_url.as_ref()?.reveal();
        let path = url.strip_prefix("sqlite://")?;
        Some(PathBuf::from(path.split('?').next().unwrap_or(path)))
    }

    /// The key that signs links: the configured one, or the one kept in the data directory.
    pub fn secret_key(&self, db: &Db) -> anyhow::Result<SecretKey> {
        if let Some(key) = &self.config.secret_key {
            return Ok(secret::key(key));
        }
        self.data_dir()?;
        let key = secret::kept_key(&self.config.data_dir).with_context(|| {
            format!(
                "secret.key in data_dir {} cannot be read or made",
                self.config.data_dir.display()
            )
        })?;
        if matches!(db, Db::Postgres { .. }) {
            tracing::warn!(
                "secret_key is unset, so this node uses the one in its data folder; nodes that share a database must \
                 share SKYCHIMP_SECRET_KEY too"
            );
        }
        Ok(secret::key(&key))
    }

    /// Connects to the shared cache if one is configured. There is one connection per process,
    /// opened in the background.
    pub fn cache(&self, db: &Db) -> anyhow::Result<CacheClient> {
        if let Some(shared) = self.shared.get() {
            return Ok(shared.clone());
        }
        let shared = match &self.config.cache_url {
            Some(url) => {
                CacheClient::connect(url.reveal(), &self.secret_key(db)?).context("cache_url")?
            }
            None => CacheClient::none(),
        };
        Ok(self.shared.get_or_init(|| shared).clone())
    }

    /// Settings that must be in order before letters go to other people.
    pub fn service(&self) -> ServiceIdentity {
        let from = self.config.mail_from();
        ServiceIdentity {
            sender: FromIdentity {
                name: from.name,
                email: from.email,
            },
            base_url: self.config.base_url.clone(),
            mail_server: self.config.smtp.as_ref().map(|server| server.host.clone()),
        }
    }

    /// Returns the owner of a mailing.
    pub async fn owner_of(&self, db: &Db, mailing: MailingId) -> anyhow::Result<UserId> {
        let mut tx = db.read().await?;
        Mailing::owner_of(&mut tx, mailing)
            .await?
            .with_context(|| format!("there is no mailing {mailing}"))
    }

    /// Finds the user named by `--owner`.
    pub async fn owner(&self, db: &Db, email: &str) -> anyhow::Result<User> {
        let mut tx = db.read().await?;
        User::by_email(&mut tx, email)
            .await?
            .with_context(|| format!("there is no user {email} (--owner)"))
    }
}

/// Creates a directory that only its owner can access. An existing one is left unchanged.
pub fn private_folder(folder: &Path) -> io::Result<()> {
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder)
}
