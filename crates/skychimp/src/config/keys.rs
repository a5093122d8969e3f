//! The settings there are: one row each, from which come the variables, the file, the example and the manual's table.

/// One setting.
#[derive(Debug, Clone, Copy)]
pub struct Key {
    /// Its name in `skychimp.toml`; the variable is `SKYCHIMP_` and the name in capitals.
    pub name: &'static str,
    /// Its value when nobody gives one; `None`: see `unset`.
    pub default: Option<&'static str>,
    /// What it means to leave it out, for settings without a default.
    pub unset: &'static str,
    /// A value for the example file.
    pub example: &'static str,
    /// Never shown; may be given as the name of a file that holds it (`…_file`, `…_FILE`).
    pub secret: bool,
    /// What it does.
    pub doc: &'static str,
}

impl Key {
    /// The environment variable.
    #[must_use]
    pub fn variable(&self) -> String {
        format!("{PREFIX}{}", self.name.to_ascii_uppercase())
    }
}

/// What all variables begin with.
pub const PREFIX: &str = "SKYCHIMP_";

const fn key(name: &'static str, default: &'static str, doc: &'static str) -> Key {
    Key {
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
) -> Key {
    Key {
        name,
        default: None,
        unset,
        example,
        secret: false,
        doc,
    }
}

const fn secret(key: Key) -> Key {
    Key {
        secret: true,
        ..key
    }
}

/// All settings, in the order of the example file.
pub const KEYS: &[Key] = &[
    key(
        "listen",
        "127.0.0.1:8080",
        "Address and port of the site and the API. Port 0 takes any free one.",
    ),
    optional(
        "base_url",
        "http:// and `listen`",
        "https://mail.example.org",
        "The public address of the site: links in letters begin with it. Has to be set before letters leave this machine.",
    ),
    key(
        "data_dir",
        "./data",
        "Folder of the SQLite database, the secret key, the blog's pictures and the sandbox's letters.",
    ),
    secret(optional(
        "database_url",
        "SQLite in `data_dir`",
        "postgres://skychimp:password@db.example.org/skychimp",
        "PostgreSQL (`postgres://…`), or another SQLite file (`sqlite:///path/file.db`).",
    )),
    secret(optional(
        "cache_url",
        "every node caches for itself",
        "redis://cache.example.org",
        "Valkey or Redis 6 or newer, shared by the nodes: `redis://` or, encrypted, `rediss://`. It may be away at any time.",
    )),
    secret(optional(
        "media_url",
        "the folder media of `data_dir`",
        "s3://key:secret@s3.eu-central-1.amazonaws.com/bucket/blog?region=eu-central-1",
        "Where the blog's pictures are: an S3-compatible store, `s3://KEY:SECRET@HOST/BUCKET[/FOLDER]`. After `?`: `region`, `tls=none`. \
         Several nodes need one, or a folder they share.",
    )),
    key(
        "cache_megabytes",
        "32",
        "Memory of each process for finished pages of home page and blog; 0: every page is made anew at each view.",
    ),
    secret(optional(
        "secret_key",
        "made once and kept in `data_dir`/secret.key",
        "at least 32 characters; `openssl rand -hex 32` makes one",
        "Signs links in letters. All nodes of one installation need the same.",
    )),
    secret(optional(
        "smtp_url",
        "the built-in sandbox: nothing leaves this machine",
        "smtp://user:password@mail.example.org:587?tls=required&connections=50&rate=100",
        "The mail server: `smtp://` (STARTTLS) or `smtps://` (TLS from the first byte). After `?`: `tls=required|opportunistic|none`, \
         `connections` (how many at a time), `rate` (letters per second), `messages` (letters per connection), `hello` (our name in EHLO), `pipelining=off`, `auth=xoauth2` (the password is an access token) with \
         `token_file` (the token stands in a file), `timeout_dot=10m` and other time-outs.",
    )),
    optional(
        "smtp_ca",
        "the system's certificates",
        "/etc/skychimp/ca.pem",
        "PEM file of the certificates that the mail server's certificate is checked against.",
    ),
    optional(
        "mail_from",
        "noreply@ and the host of `base_url`",
        "Example Shop <news@example.org>",
        "Sender of mailings that name none and of the service's own letters: `address` or `Name <address>`. Has to exist before letters leave this machine.",
    ),
    key(
        "registration",
        "open",
        "Who may register: `open` (everybody), `closed` (nobody), or domains separated by commas: `example.org, example.com`.",
    ),
    key(
        "trusted_proxies",
        "127.0.0.0/8, ::1",
        "Networks of proxies that are believed about where visitors come from, separated by commas; `none` for none.",
    ),
    key(
        "proxy_header",
        "x-forwarded-for",
        "The header in which these proxies say so: `x-forwarded-for` or `forwarded` (RFC 7239). They must set it themselves.",
    ),
    key(
        "retry_base",
        "5m",
        "Time to the first retry after a temporary refusal; each later one waits about twice as long.",
    ),
    key("retry_max", "4h", "The longest time between two retries."),
    key(
        "tick",
        "1s",
        "How often the engine looks for work that nobody announced to it.",
    ),
    key(
        "lease",
        "60s",
        "When a process has given no sign of life for this long, others take over its letters.",
    ),
    key(
        "stop_timeout",
        "25s",
        "How long a stopping process waits for the letters in flight before it hands them back.",
    ),
    key(
        "upload_limit",
        "500MB",
        "Largest file of recipients that may be uploaded: a number with kB, MB or GB, up to 10GB.",
    ),
    key(
        "keep_days",
        "0",
        "How many days it is kept who got what, with each attempt, after a run is over; counters and reports stay. `0`: for good.",
    ),
    optional(
        "log",
        "`info` for `serve` and `worker`, `warn` for other commands",
        "info,skychimp_engine=debug",
        "What is logged: `error`, `warn`, `info`, `debug`, `trace`, also by module.",
    ),
    key(
        "log_format",
        "auto",
        "`text`, `json`, or `auto`: coloured text on a terminal, plain text elsewhere.",
    ),
];

/// The setting of that name.
#[must_use]
pub fn find(name: &str) -> Option<&'static Key> {
    KEYS.iter().find(|key| key.name == name)
}

/// The known name that a wrong one looks like.
#[must_use]
pub fn nearest(wrong: &str) -> Option<&'static str> {
    let wrong = wrong.strip_suffix("_file").unwrap_or(wrong);
    KEYS.iter()
        .map(|key| (strsim::jaro_winkler(key.name, wrong), key.name))
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .filter(|(likeness, _)| *likeness > 0.75)
        .map(|(_, name)| name)
}
