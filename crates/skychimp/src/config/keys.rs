//! All settings. Environment variables, the settings file, the example file and the manual's table
//! are derived from this list.

/// One setting.
#[derive(Debug, Clone, Copy)]
pub struct SettingKey {
    /// Name in `skychimp.toml`. The variable is `SKYCHIMP_` and the name in upper case.
    pub name: &'static str,
    /// Value if none is given. `None`: see `unset`.
    pub default: Option<&'static str>,
    /// What happens if it is left out, for settings without a default.
    pub unset: &'static str,
    /// A value for the example file.
    pub example: &'static str,
    /// Never shown. May be read from a file named by `…_file` or `…_FILE`.
    pub secret: bool,
    /// Description in the example file and the manual.
    pub doc: &'static str,
}

impl SettingKey {
    /// Name of the environment variable.
    #[must_use]
    pub fn variable(&self) -> String {
        format!("{PREFIX}{}", self.name.to_ascii_uppercase())
    }
}

/// Prefix of all variables.
pub const PREFIX: &str = "SKYCHIMP_";

const fn key(name: &'static str, default: &'static str, doc: &'static str) -> SettingKey {
    SettingKey {
        name,
        default: Some(default),
        unset: "",
        example: default,
        secret: false,
        doc,
    }
}

const fn optional(
    name: &'static str,
    unset: &'static str,
    example: &'static str,
    doc: &'static str,
) -> SettingKey {
    SettingKey {
        name,
        default: None,
        unset,
        example,
        secret: false,
        doc,
    }
}

const fn secret(key: SettingKey) -> SettingKey {
    SettingKey {
        secret: true,
        ..key
    }
}

/// All settings, in the order of the example file.
pub const KEYS: &[SettingKey] = &[
    key(
        "listen",
        "127.0.0.1:8080",
        "Address and port the site listens on. Port 0 picks a free port.",
    ),
    optional(
        "base_url",
        "http:// and `listen`",
        "https://mail.example.org",
        "Public URL of the site, used in links in letters. Must be set before letters leave this machine.",
    ),
    key(
        "data_dir",
        "./data",
        "Directory for the SQLite database, the secret key, the blog's pictures and the sandbox's letters.",
    ),
    secret(optional(
        "database_url",
        "SQLite in `data_dir`",
        "postgres://skychimp:password@db.example.org/skychimp",
        "Database: PostgreSQL (`postgres://…`) or another SQLite file (`sqlite:///path/file.db`).",
    )),
    secret(optional(
        "cache_url",
        "every node caches for itself",
        "redis://cache.example.org",
        "Cache shared by the nodes: Valkey, or Redis 6 or newer. `redis://`, or `rediss://` for TLS. The service keeps working when it is unavailable.",
    )),
    secret(optional(
        "media_url",
        "the directory media in `data_dir`",
        "s3://key:secret@s3.eu-central-1.amazonaws.com/bucket/blog?region=eu-central-1",
        "Storage for the blog's pictures: an S3-compatible store, `s3://KEY:SECRET@HOST/BUCKET[/FOLDER]`. Options after `?`: `region`, `tls=none`. \
         Several nodes need such a store or a shared directory.",
    )),
    key(
        "cache_megabytes",
        "32",
        "Memory per process for cached pages of the home page and the blog, in megabytes. `0` turns the cache off.",
    ),
    secret(optional(
        "secret_key",
        "generated once and kept in `data_dir`/secret.key",
        "at least 32 characters; `openssl rand -hex 32` makes one",
        "Key that signs links in letters. Must be the same on all nodes of an installation.",
    )),
    secret(optional(
        "smtp_url",
        "the built-in sandbox: nothing leaves this machine",
        "smtp://user:password@mail.example.org:587?tls=required&connections=50&rate=100",
        "Mail server: `smtp://` (STARTTLS) or `smtps://` (TLS from the first byte). Options after `?`: `tls=required|opportunistic|none`, \
         `connections` (maximum at a time), `rate` (letters per second), `messages` (letters per connection), `hello` (our name in EHLO), `pipelining=off`, `auth=xoauth2` (the password is an access token) with \
         `token_file` (a file that contains the token), `timeout_dot=10m` and other timeouts.",
    )),
    optional(
        "smtp_ca",
        "the system's certificates",
        "/etc/skychimp/ca.pem",
        "PEM file with the CA certificates used to verify the mail server.",
    ),
    optional(
        "mail_from",
        "noreply@ and the host of `base_url`",
        "Example Shop <news@example.org>",
        "Sender of the service's own letters, and of mailings without a sender: `address` or `Name <address>`. Must be a real address before letters leave this machine.",
    ),
    key(
        "registration",
        "open",
        "Who may register: `open` (anyone), `closed` (no one), or only addresses in these domains, separated by commas: `example.org, example.com`.",
    ),
    key(
        "new_accounts",
        "limit",
        "How accounts begin that people register themselves: `approve` (their mailings wait until a manager has approved one), \
         `limit` (few letters a day until then) or `trust` (like all others). Accounts made by `user create` or at `/setup` are never new.",
    ),
    key(
        "new_account_letters_per_day",
        "200",
        "Letters per day of a new account, with `new_accounts = \"limit\"`.",
    ),
    key(
        "letters_per_hour",
        "unlimited",
        "Letters of mailings that an account may send per hour: a number or `unlimited`. The rest waits. \
         This and the other limits of accounts are defaults: a manager can set others on a user's page.",
    ),
    key(
        "letters_per_day",
        "unlimited",
        "Letters of mailings that an account may send per day, from midnight in the user's time zone. The rest waits.",
    ),
    key(
        "recipients",
        "unlimited",
        "Recipients that an account may have.",
    ),
    key(
        "mailings_at_once",
        "unlimited",
        "Mailings that an account may have under way at the same time. The next one waits until one of them is over.",
    ),
    key("messages", "2000", "Messages that an account may have."),
    key(
        "letter_size",
        "unlimited",
        "Size of a message: subject, preview text, HTML and text together, with kB, MB or GB.",
    ),
    key(
        "uploads_waiting",
        "3",
        "Uploaded files of recipients that may wait for their import, per account.",
    ),
    key("uploads_size", "200MB", "Size of these files together."),
    key(
        "pictures",
        "unlimited",
        "Pictures that an account may have uploaded.",
    ),
    key(
        "previews_per_hour",
        "unlimited",
        "Previews of messages per hour, per account.",
    ),
    key(
        "test_letters_per_hour",
        "60",
        "Test letters per hour, per account.",
    ),
    optional(
        "contact",
        "nobody is named",
        "help@example.org",
        "Whom people ask who are blocked, and who find a weakness: an e-mail address or an `https` URL. With it the site has `/.well-known/security.txt` (RFC 9116).",
    ),
    key(
        "second_factor_required",
        "none",
        "Roles that must have a second factor (an authenticator or a passkey), separated by commas: `user`, `manager`, `content_manager`, `admin`; `none` for no role.",
    ),
    key(
        "second_factor_grace",
        "7d",
        "How long an account may take to set it up, from when the requirement first applied to it. After that only the pages that set it up are open. `0d`: no time.",
    ),
    key(
        "trusted_proxies",
        "127.0.0.0/8, ::1",
        "Networks of trusted reverse proxies, separated by commas; `none` for no proxy. Only these may report a visitor's address.",
    ),
    key(
        "proxy_header",
        "x-forwarded-for",
        "Header in which trusted proxies report the visitor's address: `x-forwarded-for` or `forwarded` (RFC 7239). The proxies must set it.",
    ),
    key(
        "max_connections",
        "4096",
        "Largest number of connections of visitors at a time. Never more than the limit of open files allows after half of it, at most 1024, is kept for database and engine. When all are taken, the one that has gone longest without a complete request is closed for a new one.",
    ),
    key(
        "max_connections_per_address",
        "200",
        "Largest number of connections from one address (from one /64 of IPv6). Does not apply to `trusted_proxies`.",
    ),
    optional(
        "metrics_listen",
        "no listener for metrics",
        "127.0.0.1:9090",
        "Address and port of a listener of its own for `/metrics`, which asks for no token. Do not make it public.",
    ),
    secret(optional(
        "metrics_token",
        "the site has no `/metrics`",
        "at least 8 characters; `openssl rand -hex 32` makes one",
        "Token with which `/metrics` of the site is read: `Authorization: Bearer TOKEN`.",
    )),
    key(
        "disk_floor",
        "500MB",
        "Free disk space below which uploads are refused and `/readyz` answers 503: a number with kB, MB, GB or TB. At least 5 % of the disk is kept free in any case.",
    ),
    key(
        "retry_base",
        "5m",
        "Delay before the first retry after a temporary failure. Each later delay is about twice as long.",
    ),
    key("retry_max", "4h", "Longest delay between two retries."),
    key(
        "tick",
        "1s",
        "How often the engine polls the database for work, in addition to wake-up signals.",
    ),
    key(
        "lease",
        "60s",
        "If a process does not renew its lease for this long, other processes take over its letters.",
    ),
    key(
        "stop_timeout",
        "25s",
        "How long a stopping process waits for letters in flight before it returns them to the queue.",
    ),
    key(
        "upload_limit",
        "500MB",
        "Largest file of recipients that may be uploaded: a number with kB, MB or GB, at most 10GB.",
    ),
    key(
        "keep_days",
        "0",
        "How many days deliveries and attempts are kept after a run ends. Counters and reports are always kept. `0`: keep everything.",
    ),
    optional(
        "log",
        "`info` for `serve` and `worker`, `warn` for other commands",
        "info,skychimp_engine=debug",
        "Log level: `error`, `warn`, `info`, `debug` or `trace`, optionally per module.",
    ),
    key(
        "log_format",
        "auto",
        "Log format: `text`, `json`, or `auto` (coloured text on a terminal, plain text elsewhere).",
    ),
];

/// Finds the setting with this name.
#[must_use]
pub fn find(name: &str) -> Option<&'static SettingKey> {
    KEYS.iter().find(|key| key.name == name)
}

/// Finds the known name most similar to a wrong one, for "did you mean".
#[must_use]
pub fn nearest(wrong: &str) -> Option<&'static str> {
    let wrong = wrong.strip_suffix("_file").unwrap_or(wrong);
    KEYS.iter()
        .map(|key| (strsim::jaro_winkler(key.name, wrong), key.name))
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .filter(|(likeness, _)| *likeness > 0.75)
        .map(|(_, name)| name)
}
