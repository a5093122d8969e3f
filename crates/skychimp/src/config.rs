//! Configuration: `defaults < skychimp.toml < .env < SKYCHIMP_* < flags`, checked at start (R5).
//!
//! All values are checked before anything is opened, and all errors are reported together, each
//! with its key and source. Unknown keys are errors: otherwise a mistyped name would silently leave
//! the default in effect.
//!
//! *Design note*: keys are flat and the same in file and environment, so that there is one list to
//! learn. The example file and the manual's table are generated from that list ([`keys::KEYS`]).

pub mod example;
pub mod keys;
pub mod secret;
pub mod sources;

use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use skychimp_core::accounts::account_limit::{AccountPolicy, LIMITS};
use skychimp_core::accounts::registration::Registration;
use skychimp_core::accounts::required_factor::RequiredFactor;
use skychimp_core::blog::media::Gallery;
use skychimp_core::platform::address::EmailAddress;
use skychimp_core::platform::cache::CacheClient;
use skychimp_smtp::{Server, TrustAnchors};
use skychimp_web::kit::client::Proxies;
use skychimp_web::kit::contact::Contact;
use url::Url;

use self::secret::Secret;
use self::sources::{SettingSource, SettingValues};

/// Settings file in the working directory, read if it exists.
pub const FILE: &str = "skychimp.toml";

/// Largest value of `upload_limit`, in bytes.
const UPLOAD_MAX: u64 = 10_000_000_000;
/// Largest value of `disk_floor`, in bytes.
const DISK_FLOOR_MAX: u64 = 1_000_000_000_000_000;
/// Shortest `metrics_token`, in characters.
const METRICS_TOKEN_MIN: usize = 8;

/// Format of log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// Text, coloured on a terminal.
    Auto,
    /// Text without colours.
    Text,
    /// One JSON object per line.
    Json,
}

/// Sender of letters whose mailing names none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MailFrom {
    /// Display name. May be empty.
    pub name: String,
    /// E-mail address.
    pub email: String,
}

/// The checked configuration. Its `Debug` hides secrets.
#[derive(Debug, Clone)]
pub struct Config {
    /// Address and port the site listens on.
    pub listen: SocketAddr,
    /// Public URL of the site, without a trailing slash. `None`: made from `listen`.
    pub base_url: Option<String>,
    /// Directory for the database and files.
    pub data_dir: PathBuf,
    /// Database URL. `None`: SQLite in the data directory.
    pub database_url: Option<Secret>,
    /// Valkey or Redis shared by the nodes. `None`: each node caches for itself.
    pub cache_url: Option<Secret>,
    /// S3-compatible store for the blog's pictures. `None`: a folder in the data directory.
    pub media_url: Option<Secret>,
    /// Memory for cached public pages, in bytes.
    pub page_memory: u64,
    /// Key that signs links. `None`: generated and kept in the data directory.
    pub secret_key: Option<Secret>,
    /// Root certificates for verifying mail servers.
    pub trust_anchors: TrustAnchors,
    /// The mail server. `None`: the servers in the database, or the sandbox if there are none.
    pub smtp: Option<Server>,
    /// The sender. `None`: made from the public URL.
    pub mail_from: Option<MailFrom>,
    /// Who may register.
    pub registration: Registration,
    /// How new accounts begin, and the limits of all accounts.
    pub accounts: AccountPolicy,
    /// Who must have a second factor.
    pub required_factor: RequiredFactor,
    /// Whom people ask, if the operator has set it.
    pub contact: Option<Contact>,
    /// Proxies trusted to report visitors' addresses.
    pub proxies: Proxies,
    /// Most connections of visitors at a time.
    pub max_connections: usize,
    /// Most connections from one address that is no trusted proxy.
    pub max_connections_per_address: usize,
    /// Address and port of the listener for metrics.
    pub metrics_listen: Option<SocketAddr>,
    /// Token for the site's metrics.
    pub metrics_token: Option<Secret>,
    /// Free disk space that is kept, in bytes.
    pub disk_floor: u64,
    /// Delay before the first retry.
    pub retry_base: Duration,
    /// Longest delay between retries.
    pub retry_max: Duration,
    /// Interval at which the engine polls for work.
    pub tick: Duration,
    /// How long a process that stopped renewing its lease keeps its letters.
    pub lease: Duration,
    /// How long a stopping process waits for letters in flight.
    pub stop_timeout: Duration,
    /// Largest file that may be uploaded, in bytes.
    pub upload_limit: u64,
    /// How long deliveries and attempts are kept after a run. `None`: forever.
    pub keep: Option<Duration>,
    /// Log filter. `None`: depends on the command.
    pub log: Option<String>,
    /// Format of the log.
    pub log_format: LogFormat,
    shown: Vec<ShownSetting>,
}

/// One line of `config show`.
#[derive(Debug, Clone, serde::Serialize)]
pub struct ShownSetting {
    /// Name of the setting.
    pub key: &'static str,
    /// Its value, `…` for a secret, `None` if unset.
    pub value: Option<String>,
    /// Where the value came from.
    pub source: String,
}

/// Everything that is wrong with a configuration, one message each.
#[derive(Debug, PartialEq, Eq)]
pub struct ConfigError(pub Vec<String>);

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the configuration is wrong:")?;
        for line in &self.0 {
            write!(f, "\n  {line}")?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigError {}

/// Command-line flags that affect the configuration.
#[derive(Debug, Clone, Default)]
pub struct CommandLine {
    /// Value of `--config`.
    pub file: Option<PathBuf>,
    /// Settings given as flags: the flag as typed, the key, the value.
    pub flags: Vec<(String, String, String)>,
}

impl Config {
    /// Loads all sources from the working directory and the process environment. The error lists
    /// everything that is wrong.
    pub fn load(given: &CommandLine) -> Result<Self, ConfigError> {
        Self::load_from(Path::new(""), std::env::vars_os(), given)
    }

    fn load_from(
        folder: &Path,
        environment: impl IntoIterator<Item = (std::ffi::OsString, std::ffi::OsString)>,
        given: &CommandLine,
    ) -> Result<Self, ConfigError> {
        let mut values = SettingValues::default();
        let file = folder.join(FILE);
        match &given.file {
            Some(file) => values.file(file),
            None if file.is_file() => values.file(&file),
            None => {}
        }
        let dot_env = folder.join(".env");
        if dot_env.is_file() {
            values.dot_env(&dot_env);
        }
        // other variables may be anything; only ours have to be valid Unicode
        let mut ours = Vec::new();
        for (name, value) in environment {
            let Some(name) = name.to_str().filter(|name| name.starts_with(keys::PREFIX)) else {
                continue;
            };
            match value.into_string() {
                Ok(value) => ours.push((name.to_owned(), value)),
                Err(_) => values
                    .wrong
                    .push(format!("{name} (in the environment) is not UTF-8")),
            }
        }
        values.environment(ours);
        values.flags(&given.flags);
        Self::check(values)
    }

    fn check(values: SettingValues) -> Result<Self, ConfigError> {
        let mut reader = Reader::new(values);
        let trust_anchors = reader
            .optional("smtp_ca", |text| {
                std::fs::read_to_string(text)
                    .map(TrustAnchors::Pem)
                    .map_err(|error| format!("cannot be read: {error}"))
            })
            .unwrap_or_default();
        let smtp = reader
            .optional("smtp_url", |text| {
                Server::from_url(text).map_err(|error| error.to_string())
            })
            .map(|mut server| {
                server.roots = trust_anchors.clone();
                server
            });
        let mut proxies: Proxies = reader.required("trusted_proxies", str::parse);
        proxies.header = reader.required("proxy_header", str::parse);
        let config = Self {
            listen: reader.required("listen", socket_address),
            base_url: reader.optional("base_url", base_url),
            data_dir: reader.required("data_dir", |text| Ok(PathBuf::from(text))),
            database_url: reader.optional("database_url", database_url),
            cache_url: reader.optional("cache_url", cache_url),
            media_url: reader.optional("media_url", |text| {
                Gallery::s3(text)
                    .map(|_| Secret::new(text))
                    .map_err(|error| error.to_string())
            }),
            page_memory: reader.required("cache_megabytes", |text| {
                text.parse::<u64>()
                    .ok()
                    .filter(|size| *size <= 1 << 20)
                    .map(|size| size << 20)
                    .ok_or_else(|| "is no number of megabytes".to_owned())
            }),
            secret_key: reader.optional("secret_key", secret_key),
            trust_anchors,
            smtp,
            mail_from: reader.optional("mail_from", mail_from),
            registration: reader.required("registration", str::parse),
            accounts: account_policy(&mut reader),
            contact: reader.optional("contact", str::parse),
            required_factor: RequiredFactor {
                roles: reader.required("second_factor_required", str::parse),
                grace: reader.required("second_factor_grace", days),
            },
            proxies,
            max_connections: reader.required("max_connections", connections),
            max_connections_per_address: reader
                .required("max_connections_per_address", connections),
            metrics_listen: reader.optional("metrics_listen", socket_address),
            metrics_token: reader.optional("metrics_token", metrics_token),
            disk_floor: reader.required("disk_floor", |text| size(text, 0, DISK_FLOOR_MAX)),
            retry_base: reader.required("retry_base", |text| duration(text, 1, 24 * 3600)),
            retry_max: reader.required("retry_max", |text| duration(text, 1, 7 * 24 * 3600)),
            tick: reader.required("tick", |text| duration(text, 0, 60)),
            lease: reader.required("lease", |text| duration(text, 5, 3600)),
            stop_timeout: reader.required("stop_timeout", |text| duration(text, 0, 3600)),
            upload_limit: reader.required("upload_limit", |text| size(text, 1_000, UPLOAD_MAX)),
            keep: reader.required("keep_days", |text| {
                let days = text.parse::<u64>().ok().filter(|days| *days <= 36_500);
                let days = days.ok_or_else(|| "is no number of days up to 36500".to_owned())?;
                Ok((days > 0).then(|| Duration::from_hours(24 * days)))
            }),
            log: reader.optional("log", |text| {
                tracing_subscriber::EnvFilter::try_new(text)
                    .map(|_| text.to_owned())
                    .map_err(|error| format!("is no log filter: {error}"))
            }),
            log_format: reader.required("log_format", |text| match text {
                "auto" => Ok(LogFormat::Auto),
                "text" => Ok(LogFormat::Text),
                "json" => Ok(LogFormat::Json),
                _ => Err("is none of auto, text, json".to_owned()),
            }),
            shown: std::mem::take(&mut reader.shown),
        };
        if config.retry_max < config.retry_base {
            let place = reader.source("retry_max");
            reader
                .values
                .wrong
                .push(format!("retry_max (from {place}) is less than retry_base"));
        }
        if reader.values.wrong.is_empty() {
            Ok(config)
        } else {
            Err(ConfigError(reader.values.wrong))
        }
    }

    /// Every setting with its value and source, in the order of [`keys::KEYS`]. Secrets are hidden.
    #[must_use]
    pub fn shown(&self) -> Vec<&ShownSetting> {
        keys::KEYS
            .iter()
            .filter_map(|key| self.shown.iter().find(|shown| shown.key == key.name))
            .collect()
    }

    /// Public URL of the site, without a trailing slash, if it listens on `listen`.
    #[must_use]
    pub fn base_url(&self, listen: SocketAddr) -> String {
        if let Some(url) = &self.base_url {
            return url.clone();
        }
        // browsers cannot open 0.0.0.0
        let host = match listen.ip() {
            ip if ip.is_unspecified() => "localhost".to_owned(),
            std::net::IpAddr::V6(ip) => format!("[{ip}]"),
            std::net::IpAddr::V4(ip) => ip.to_string(),
        };
        format!("http://{host}:{}", listen.port())
    }

    /// The configured sender, or `noreply@` at the host of the public URL.
    #[must_use]
    pub fn mail_from(&self) -> MailFrom {
        if let Some(from) = &self.mail_from {
            return from.clone();
        }
        let host = self
            .base_url
            .as_deref()
            .and_then(|url| Url::parse(url).ok())
            .and_then(|url| url.domain().map(|host| host.trim_end_matches('.').to_owned()))
            .filter(|host| host.contains('.'))
            // RFC 2606: a domain that nobody can own
            .unwrap_or_else(|| "skychimp.invalid".to_owned());
        MailFrom {
            name: "Skychimp".to_owned(),
            email: format!("noreply@{host}"),
        }
    }

    /// The configured database URL, or that of the SQLite file in the data directory.
    #[must_use]
    pub fn database_url(&self) -> Secret {
        self.database_url.clone().unwrap_or_else(|| {
            Secret::new(format!(
                "sqlite://{}",
                self.data_dir.join("skychimp.db").display()
            ))
        })
    }
}

/// Parses values one by one and collects errors.
struct Reader {
    values: SettingValues,
    shown: Vec<ShownSetting>,
}

impl Reader {
    fn new(values: SettingValues) -> Self {
        Self {
            values,
            shown: Vec::new(),
        }
    }

    fn optional<T>(
        &mut self,
        name: &'static str,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<T> {
        let key = keys::find(name)?;
        let value = self.values.get(key);
        self.shown.push(ShownSetting {
            key: name,
            value: value.as_ref().map(|value| {
                if key.secret {
                    "…".to_owned()
                } else {
                    value.text.clone()
                }
            }),
            source: value
                .as_ref()
                .map_or_else(|| "unset".to_owned(), |value| value.source.to_string()),
        });
        let value = value?;
        match parse(value.text.trim()) {
            Ok(parsed) => Some(parsed),
            Err(why) => {
                let text = if key.secret {
                    String::new()
                } else {
                    format!("{:?} ", value.text)
                };
                self.values
                    .wrong
                    .push(format!("{name} (from {}): {text}{why}", value.source));
                None
            }
        }
    }

    /// Parses a key that has a default. If the value is invalid, returns the default and records an
    /// error that stops the program.
    fn required<T>(&mut self, name: &'static str, parse: impl Fn(&str) -> Result<T, String>) -> T {
        if let Some(value) = self.optional(name, &parse) {
            return value;
        }
        let default = keys::find(name).and_then(|key| key.default);
        #[expect(
            clippy::expect_used,
            reason = "the test `defaults_are_valid` parses every default"
        )]
        default
            .and_then(|text| parse(text).ok())
            .expect("every required key has a default that can be read")
    }

    fn source(&self, name: &str) -> String {
        keys::find(name)
            .and_then(|key| self.values.get(key))
            .map_or(SettingSource::Default, |value| value.source)
            .to_string()
    }
}

fn base_url(text: &str) -> Result<String, String> {
    let url = Url::parse(text).map_err(|error| format!("is no URL: {error}"))?;
    if !["http", "https"].contains(&url.scheme()) || url.host_str().is_none() {
        return Err("must begin with https:// or http:// and a host".to_owned());
    }
    if url.path() != "/" || url.query().is_some() || url.fragment().is_some() {
        return Err("must be only scheme, host and port: the site lives at the root".to_owned());
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("must not hold a user name or password".to_owned());
    }
    Ok(url.as_str().trim_end_matches('/').to_owned())
}

fn database_url(text: &str) -> Result<Secret, String> {
    let known = ["postgres://", "postgresql://", "sqlite://"];
    if !known.iter().any(|scheme| text.starts_with(scheme)) {
        return Err("must begin with postgres://, postgresql:// or sqlite://".to_owned());
    }
    if !text.starts_with("sqlite://") {
        Url::parse(text).map_err(|error| format!("is no URL: {error}"))?;
    }
    Ok(Secret::new(text))
}

fn cache_url(text: &str) -> Result<Secret, String> {
    let url = Url::parse(text).map_err(|error| format!("is no URL: {error}"))?;
    if !["redis", "rediss", "valkey", "valkeys"].contains(&url.scheme()) || url.host_str().is_none()
    {
        return Err("must begin with redis:// or rediss:// and a host".to_owned());
    }
    CacheClient::validate(text)?;
    Ok(Secret::new(text))
}

fn secret_key(text: &str) -> Result<Secret, String> {
    if text.chars().count() < secret::MIN {
        return Err(format!("must have at least {} characters", secret::MIN));
    }
    Ok(Secret::new(text))
}

fn mail_from(text: &str) -> Result<MailFrom, String> {
    let (name, email) = match text.rsplit_once('<') {
        Some((name, rest)) => (
            name.trim().trim_matches('"').trim(),
            rest.strip_suffix('>')
                .ok_or("must be address or Name <address>")?,
        ),
        None => ("", text),
    };
    if name.chars().any(char::is_control) {
        return Err("holds control characters".to_owned());
    }
    let email =
        EmailAddress::parse(email).map_err(|error| format!("holds a wrong address: {error}"))?;
    Ok(MailFrom {
        name: name.to_owned(),
        email: email.as_str().to_owned(),
    })
}

fn socket_address(text: &str) -> Result<SocketAddr, String> {
    text.parse()
        .map_err(|_| "is not an address and port like 127.0.0.1:8080".to_owned())
}

fn connections(text: &str) -> Result<usize, String> {
    let number = text.parse().ok();
    number
        .filter(|number| (1..=1_000_000).contains(number))
        .ok_or_else(|| "is no number from 1 to 1000000".to_owned())
}

fn metrics_token(text: &str) -> Result<Secret, String> {
    if text.chars().count() < METRICS_TOKEN_MIN {
        return Err(format!("must have at least {METRICS_TOKEN_MIN} characters"));
    }
    Ok(Secret::new(text))
}

fn account_policy(reader: &mut Reader) -> AccountPolicy {
    AccountPolicy {
        new_accounts: reader.required("new_accounts", str::parse),
        new_account_letters_per_day: reader.required("new_account_letters_per_day", |text| {
            let letters = text.parse().ok();
            letters
                .filter(|letters| (1..=1_000_000_000).contains(letters))
                .ok_or_else(|| "is no number from 1 to 1000000000".to_owned())
        }),
        limits: LIMITS.map(|row| reader.required(row.name, |text| row.parse(text))),
    }
}

/// Parses a number of days such as `7d`, or a shorter time such as `12h`, up to a year.
fn days(text: &str) -> Result<Duration, String> {
    let days = text.strip_suffix('d').and_then(|days| days.parse().ok());
    match days {
        Some(days @ 0..=365_u64) => Ok(Duration::from_hours(24 * days)),
        Some(_) => Err("is more than 365d".to_owned()),
        None if text.trim_end_matches(char::is_alphabetic) == "0" => Ok(Duration::ZERO),
        None => duration(text, 0, 365 * 24 * 3_600)
            .map_err(|why| why.replace("30s, 5m or 1h 30m", "7d or 12h")),
    }
}

/// Parses a size such as `500MB` into bytes, from `min` to `max`.
fn size(text: &str, min: u64, max: u64) -> Result<u64, String> {
    let digits = text.trim_end_matches(|c: char| !c.is_ascii_digit());
    let unit = match text[digits.len()..].trim().to_ascii_lowercase().as_str() {
        "kb" => 1_000,
        "mb" => 1_000_000,
        "gb" => 1_000_000_000,
        "tb" => 1_000_000_000_000,
        _ => return Err("is no size like 500MB: a whole number with kB, MB, GB or TB".to_owned()),
    };
    digits
        .parse::<u64>()
        .ok()
        .and_then(|number| number.checked_mul(unit))
        .filter(|bytes| (min..=max).contains(bytes))
        .ok_or_else(|| match max {
            UPLOAD_MAX => "must be from 1kB to 10GB".to_owned(),
            _ => "is too large".to_owned(),
        })
}

/// Parses a duration such as `5m`, `30s`, `1h 30m` or `500ms`, from `min` to `max` seconds. The
/// error continues a sentence that begins with the name of the setting.
pub fn duration(text: &str, min: u64, max: u64) -> Result<Duration, String> {
    let parsed: jiff::SignedDuration = text
        .parse()
        .map_err(|_| "is no duration like 30s, 5m or 1h 30m".to_owned())?;
    Duration::try_from(parsed)
        .ok()
        .filter(|d| {
            (Duration::from_secs(min)..=Duration::from_secs(max)).contains(d) && !d.is_zero()
        })
        .ok_or_else(|| {
            let least = if min == 0 { 1 } else { min };
            format!("is not between {least}s and {max}s")
        })
}

#[cfg(test)]
mod tests;
