//! What handlers work with: the database, the clock, the settings, keys and limits. Nothing of single pages.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use skychimp_core::accounts::passkey::Passkeys;
use skychimp_core::accounts::password::Hasher;
use skychimp_core::accounts::registration::Registration;
use skychimp_core::accounts::second_factor::SecondFactorKey;
use skychimp_core::blog::media::Gallery;
use skychimp_core::platform::db::Db;
use skychimp_core::platform::secret::{SecretKey, SigningKey};
use skychimp_core::platform::shared::Shared;
use skychimp_core::platform::time::Clock;
use skychimp_core::platform::wake::Wake;
use skychimp_core::recipients::unsubscribe::UnsubscribeKey;
use skychimp_core::sending::sending_server::SendingServer;
use skychimp_core::sending::service::Service;
use skychimp_core::sending::worker::EngineHealth;
use url::Url;

use crate::kit::background::Background;
use crate::kit::client::Proxies;
use crate::kit::guard::Refused;
use crate::kit::limit::Limit;
use crate::kit::sandbox::SandboxStore;
use crate::kit::views::Views;

/// Longest body of a form. A message has up to a million characters, which a form writes three times as long.
pub const BODY_MAX: usize = 8 * 1024 * 1024;

/// What the site is told at its start.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where visitors find the site; links in letters start with it.
    pub base_url: Url,
    /// Folder for temporary files. Older versions kept uploads in it.
    pub data_dir: PathBuf,
    /// Largest file that may be uploaded, in bytes.
    pub upload_limit: u64,
    /// Where the blog's pictures are.
    pub gallery: Gallery,
    /// Signs forms and links.
    pub secret: SecretKey,
    /// All settings of the process, for its administrators to look at.
    pub shown: Vec<SettingLine>,
    /// The mail server of the configuration, as pages show it.
    pub mail_server: Option<SendingServer>,
    /// The server that nodes share; it may be none.
    pub shared: Shared,
    /// Who may register.
    pub registration: Registration,
    /// Whom to believe about where visitors come from.
    pub proxies: Proxies,
    /// Bytes of memory for finished public pages; 0: each is made anew.
    pub page_memory: u64,
    /// Names this program among its versions: nodes share pages only with their like.
    pub build: String,
    /// What letters to strangers are held against.
    pub service: Service,
    /// How the engine of this process does; `None`: it has none, and is ready without.
    pub engine: Option<EngineHealth>,
}

/// A setting in force, as the administrator's page shows it.
#[derive(Debug, Clone)]
pub struct SettingLine {
    /// Its name.
    pub key: &'static str,
    /// Its value, secrets hidden; `None`: unset.
    pub value: Option<String>,
    /// Where it comes from.
    pub source: String,
}

/// Everything handlers work with.
#[derive(Debug)]
pub struct App {
    /// The database.
    pub db: Db,
    /// Tells the engine that there is work.
    pub wake: Wake,
    /// Where the present comes from.
    pub clock: Clock,
    /// What the site was told.
    pub settings: Settings,
    /// The letters of the sandbox, when it is on.
    pub sandbox: Option<Arc<SandboxStore>>,
    /// Makes and reads the links that unsubscribe.
    pub unsubscribe_key: UnsubscribeKey,
    /// Hashes and compares passwords.
    pub hasher: Hasher,
    /// How often posts were read.
    pub views: Arc<Views>,
    /// What no request waits for.
    pub background: Background,
    pub(crate) csrf_key: SigningKey,
    pub(crate) device_key: SigningKey,
    pub(crate) second_key: SecondFactorKey,
    pub(crate) passkeys: Passkeys,
    pub(crate) refused: Refused,
    pub(crate) token_limit: Limit,
    pub(crate) test_limit: Limit,
}

impl App {
    /// Visitors come over https.
    #[must_use]
    pub fn secure(&self) -> bool {
        self.settings.base_url.scheme() == "https"
    }

    /// Scheme, host and port of the site, as browsers write them in `Origin`.
    #[must_use]
    pub fn origin(&self) -> String {
        self.settings.base_url.origin().ascii_serialization()
    }
}

/// [`App`], shared.
#[derive(Debug, Clone)]
pub struct AppState(Arc<App>);

impl std::ops::Deref for AppState {
    type Target = App;

    fn deref(&self) -> &App {
        &self.0
    }
}

impl AppState {
    /// Puts the parts together.
    #[must_use]
    pub fn new(
        db: Db,
        wake: Wake,
        clock: Clock,
        settings: Settings,
        sandbox: Option<Arc<SandboxStore>>,
    ) -> Self {
        Self(Arc::new(App {
            db,
            wake,
            clock,
            unsubscribe_key: UnsubscribeKey::new(&settings.secret),
            hasher: Hasher::default(),
            csrf_key: settings.secret.derive("csrf"),
            device_key: settings.secret.derive("device"),
            second_key: SecondFactorKey::new(&settings.secret),
            passkeys: Passkeys::new(&settings.base_url),
            refused: Refused::default(),
            views: Arc::default(),
            background: Background::default(),
            settings,
            sandbox,
            token_limit: Limit::new(60, Duration::from_mins(1)),
            test_limit: Limit::new(60, Duration::from_hours(1)),
        }))
    }
}
