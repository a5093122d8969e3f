//! State shared by handlers: database, clock, settings, keys and limits. Nothing specific to one
//! page.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use skychimp_core::accounts::passkey::Passkeys;
use skychimp_core::accounts::password::Hasher;
use skychimp_core::accounts::registration::Registration;
use skychimp_core::accounts::required_factor::RequiredFactor;
use skychimp_core::accounts::second_factor::SecondFactorKey;
use skychimp_core::blog::media::Gallery;
use skychimp_core::platform::cache::CacheClient;
use skychimp_core::platform::db::Db;
use skychimp_core::platform::disk::Disk;
use skychimp_core::platform::secret::{SecretKey, SigningKey};
use skychimp_core::platform::time::Clock;
use skychimp_core::recipients::resubscribe::ResubscribeKey;
use skychimp_core::recipients::unsubscribe::UnsubscribeKey;
use skychimp_core::sending::sending_server::SendingServer;
use skychimp_core::sending::service::ServiceIdentity;
use skychimp_core::sending::worker::EngineHealth;
use url::Url;

use crate::kit::background::Background;
use crate::kit::body_limit::LargeForms;
use crate::kit::client::Proxies;
use crate::kit::contact::Contact;
use crate::kit::error::WebError;
use crate::kit::http_counts::HttpCounts;
use crate::kit::late_form;
use crate::kit::local_rate_limit::LocalRateLimit;
use crate::kit::preview_turns::PreviewTurns;
use crate::kit::rate_limits::ActiveRefusals;
use crate::kit::readiness::DatabaseCheck;
use crate::kit::sandbox::SandboxStore;
use crate::kit::site_name::ShownSiteName;
use crate::kit::table::DownloadTurns;
use crate::kit::untrusted_peers::UntrustedPeers;
use crate::kit::user_turns::{SearchTurns, UserTurns};
use crate::kit::views::Views;

/// Maximum body of the largest forms, in bytes. A message has up to a million characters, and URL
/// encoding triples the length.
pub const BODY_MAX: usize = 8 * 1024 * 1024;

/// Configuration of the site.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Public URL of the site. Links in letters start with it.
    pub base_url: Url,
    /// Folder for temporary files. Older versions kept uploads in it.
    pub data_dir: PathBuf,
    /// Largest file that may be uploaded, in bytes.
    pub upload_limit: u64,
    /// Store for the blog's pictures.
    pub gallery: Gallery,
    /// Signs forms and links.
    pub secret: SecretKey,
    /// All settings of the process, for the administrators' page.
    pub shown: Vec<SettingLine>,
    /// The mail server from the configuration, as pages show it.
    pub mail_server: Option<SendingServer>,
    /// Cache shared by the nodes. May be [`CacheClient::none`].
    pub shared: CacheClient,
    /// Who may register.
    pub registration: Registration,
    /// Whom people ask who cannot log in, and who find a weakness.
    pub contact: Option<Contact>,
    /// Who must have a second factor.
    pub required_factor: RequiredFactor,
    /// Proxies trusted to report visitors' addresses.
    pub proxies: Proxies,
    /// Memory for cached public pages, in bytes; 0 turns the cache off.
    pub page_memory: u64,
    /// Identifies this build. Nodes share cached pages only with nodes of the same build.
    pub build: String,
    /// Settings that must be in order before letters go to other people.
    pub service: ServiceIdentity,
    /// Health of the engine in this process. `None`: there is no engine, and the site is ready
    /// without.
    pub engine: Option<EngineHealth>,
    /// The disks that the service writes to.
    pub disk: Disk,
    /// Signature of the token for `/metrics`. `None`: the site has no such page.
    pub metrics_token: Option<MetricsToken>,
}

/// The token that programs send to read `/metrics`. Its `Debug` hides it.
#[derive(Clone)]
pub struct MetricsToken {
    key: SigningKey,
    signature: [u8; 32],
}

impl MetricsToken {
    /// A token. `secret` makes the key with which tokens are compared.
    #[must_use]
    pub fn new(secret: &SecretKey, token: &str) -> Self {
        let key = secret.derive("metrics");
        let signature = key.sign(token.as_bytes());
        Self { key, signature }
    }

    /// Whether this is the token. The time does not depend on how much of it is right.
    #[must_use]
    pub fn is(&self, token: &str) -> bool {
        self.key.verify(token.as_bytes(), &self.signature)
    }
}

impl std::fmt::Debug for MetricsToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("MetricsToken(…)")
    }
}

/// A setting in effect, as the administrators' page shows it.
#[derive(Debug, Clone)]
pub struct SettingLine {
    /// Name of the setting.
    pub key: &'static str,
    /// Its value, with secrets hidden. `None`: unset.
    pub value: Option<String>,
    /// Where the value came from.
    pub source: String,
}

/// Everything handlers work with.
#[derive(Debug)]
pub struct App {
    /// The database.
    pub db: Db,
    /// Source of the current time.
    pub clock: Clock,
    /// Configuration of the site.
    pub settings: Settings,
    /// Letters in the sandbox, if it is on.
    pub sandbox: Option<Arc<SandboxStore>>,
    /// Makes and verifies unsubscribe links.
    pub unsubscribe_key: UnsubscribeKey,
    /// Signs the links in letters that ask whether to subscribe again.
    pub resubscribe_key: ResubscribeKey,
    /// Hashes and verifies passwords.
    pub hasher: Hasher,
    /// View counts of blog posts.
    pub views: Arc<Views>,
    /// Counters of the HTTP server.
    pub http: Arc<HttpCounts>,
    /// What no request waits for.
    pub background: Background,
    pub(crate) site_name: ShownSiteName,
    pub(crate) csrf_key: SigningKey,
    pub(crate) device_key: SigningKey,
    pub(crate) second_key: SecondFactorKey,
    pub(crate) passkeys: Passkeys,
    pub(crate) refused: ActiveRefusals,
    pub(crate) untrusted: UntrustedPeers,
    pub(crate) large_forms: LargeForms,
    pub(crate) form_turns: UserTurns,
    /// Turns of users' pages.
    pub(crate) page_turns: UserTurns,
    /// Turns of users' pictures.
    pub(crate) picture_turns: UserTurns,
    /// Turns of all users' searches.
    pub(crate) search_turns: SearchTurns,
    /// Turns of downloads.
    pub(crate) downloads: DownloadTurns,
    pub(crate) database_check: DatabaseCheck,
    pub(crate) token_limit: LocalRateLimit,
    pub(crate) late_limit: LocalRateLimit,
    pub(crate) previews: PreviewTurns,
}

impl App {
    /// Whether visitors use https, so that cookies can be `Secure`.
    #[must_use]
    pub fn secure(&self) -> bool {
        self.settings.base_url.scheme() == "https"
    }

    /// Scheme, host and port of the site, as browsers send them in `Origin`.
    #[must_use]
    pub fn origin(&self) -> String {
        self.settings.base_url.origin().ascii_serialization()
    }

    /// Whether the disk has room for a file; ask again while the file grows. The answer is at most
    /// a second old.
    ///
    /// # Errors
    ///
    /// [`WebError::DiskShort`] when less is free than `disk_floor`.
    pub(crate) fn check_disk(&self) -> Result<(), WebError> {
        if self.settings.disk.below_floor() {
            return Err(WebError::DiskShort);
        }
        Ok(())
    }
}

/// Shared handle to [`App`].
#[derive(Debug, Clone)]
pub struct AppState(Arc<App>);

impl std::ops::Deref for AppState {
    type Target = App;

    fn deref(&self) -> &App {
        &self.0
    }
}

impl AppState {
    /// Creates the state, and derives its keys from the secret.
    #[must_use]
    pub fn new(
        db: Db,
        clock: Clock,
        settings: Settings,
        sandbox: Option<Arc<SandboxStore>>,
    ) -> Self {
        Self(Arc::new(App {
            db,
            clock,
            unsubscribe_key: UnsubscribeKey::new(&settings.secret),
            resubscribe_key: ResubscribeKey::new(&settings.secret),
            hasher: Hasher::default(),
            site_name: ShownSiteName::default(),
            csrf_key: settings.secret.derive("csrf"),
            device_key: settings.secret.derive("device"),
            second_key: SecondFactorKey::new(&settings.secret),
            passkeys: Passkeys::new(&settings.base_url),
            refused: ActiveRefusals::default(),
            untrusted: UntrustedPeers::default(),
            large_forms: LargeForms::default(),
            form_turns: UserTurns::of_forms(),
            page_turns: UserTurns::of_pages(),
            picture_turns: UserTurns::of_pictures(),
            search_turns: SearchTurns::default(),
            downloads: DownloadTurns::default(),
            database_check: DatabaseCheck::default(),
            http: Arc::default(),
            views: Arc::default(),
            background: Background::default(),
            settings,
            sandbox,
            token_limit: LocalRateLimit::new(60, Duration::from_mins(1)),
            late_limit: late_form::limit(),
            previews: PreviewTurns::default(),
        }))
    }
}
