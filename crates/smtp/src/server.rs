//! A sending server: where it is, how to talk to it, its limits.

use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use percent_encoding::percent_decode_str;
use url::Url;

/// When the connection is encrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tls {
    /// Never.
    None,
    /// STARTTLS when the server offers it.
    ///
    /// Without credentials any certificate is taken and a failed handshake falls
    /// back to clear text (RFC 7435: better than nothing). With credentials the
    /// certificate is verified, and they are never sent in clear text.
    Opportunistic,
    /// STARTTLS with a verified certificate, or no connection.
    Required,
    /// TLS from the first octet (port 465), certificate verified.
    Implicit,
}

/// User name and password.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// The user name.
    pub user: String,
    /// The password.
    pub password: String,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").finish_non_exhaustive()
    }
}

/// Whose certificates are trusted.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Roots {
    /// The operating system's.
    #[default]
    System,
    /// The certificates in this PEM text, and no others.
    Pem(String),
}

/// How long to wait, per phase. The defaults are the minima of RFC 5321 §4.5.3.2.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    /// Looking up the name, connecting, the TLS handshake: each.
    pub connect: Duration,
    /// The first line of the server.
    pub greeting: Duration,
    /// The reply to EHLO, STARTTLS, AUTH, RSET.
    pub command: Duration,
    /// The reply to MAIL.
    pub mail: Duration,
    /// The reply to RCPT.
    pub rcpt: Duration,
    /// The reply to DATA.
    pub data: Duration,
    /// The server takes nothing while we write.
    pub block: Duration,
    /// The reply to the final dot. A shorter time makes duplicates.
    pub dot: Duration,
    /// The whole of QUIT.
    pub quit: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        const MINUTE: Duration = Duration::from_mins(1);
        Self {
            connect: Duration::from_secs(30),
            greeting: 5 * MINUTE,
            command: 5 * MINUTE,
            mail: 5 * MINUTE,
            rcpt: 5 * MINUTE,
            data: 2 * MINUTE,
            block: 3 * MINUTE,
            dot: 10 * MINUTE,
            quit: Duration::from_secs(5),
        }
    }
}

impl Timeouts {
    /// The same time for every phase: for tests and for trying out a server.
    #[must_use]
    pub const fn all(limit: Duration) -> Self {
        Self {
            connect: limit,
            greeting: limit,
            command: limit,
            mail: limit,
            rcpt: limit,
            data: limit,
            block: limit,
            dot: limit,
            quit: limit,
        }
    }
}

/// A sending server with its limits.
#[derive(Debug, Clone, PartialEq)]
pub struct Server {
    /// Host name or IP address.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// Encryption.
    pub tls: Tls,
    /// For AUTH, when the server wants it.
    pub credentials: Option<Credentials>,
    /// Whether credentials may go in clear text to a loopback address: `tls=none` was written out.
    pub clear_text_auth: bool,
    /// Our name in EHLO; without one the address literal of our side of the connection.
    pub hello: Option<String>,
    /// Time-outs per phase.
    pub timeouts: Timeouts,
    /// The greatest number of connections at a time.
    pub connections: usize,
    /// The greatest number of letters per second.
    pub rate: Option<f64>,
    /// After so many letters a connection is replaced.
    pub messages_per_connection: Option<u32>,
    /// An unused connection is closed after this time.
    pub idle: Duration,
    /// Trusted certificates.
    pub roots: Roots,
}

/// A mail server URL that cannot be used. The message names the part and never shows the password.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("mail server URL, {part}: {reason}")]
pub struct UrlError {
    /// The part that is wrong, such as `port` or `query key "rate"`.
    pub part: String,
    /// What is wrong with it.
    pub reason: String,
}

impl UrlError {
    fn new(part: impl Into<String>, reason: impl Into<String>) -> Self {
        Self {
            part: part.into(),
            reason: reason.into(),
        }
    }
}

impl Server {
    /// A server without credentials; TLS when it offers it, 20 connections, no other limits.
    pub fn new(host: impl Into<String>, port: u16) -> Self {
        Self {
            host: host.into(),
            port,
            tls: Tls::Opportunistic,
            credentials: None,
            clear_text_auth: false,
            hello: None,
            timeouts: Timeouts::default(),
            connections: 20,
            rate: None,
            messages_per_connection: None,
            idle: Duration::from_mins(1),
            roots: Roots::System,
        }
    }

    /// Reads `smtp://user:pass@host:587?tls=required&connections=50&rate=100` or `smtps://…`.
    ///
    /// | part | meaning, and its value when it is missing |
    /// |---|---|
    /// | port | 587 with credentials, else 25; `smtps` 465 |
    /// | `tls` | `required`, `opportunistic`, `none`; credentials to another machine require it, else opportunistic |
    /// | `connections` | at a time, 1 to 1000; 20 |
    /// | `rate` | letters per second, decimals allowed; no limit |
    /// | `messages` | letters per connection; no limit |
    /// | `hello` | our name in EHLO; our address |
    ///
    /// User name and password are percent-encoded. Unknown keys are errors.
    pub fn from_url(text: &str) -> Result<Self, UrlError> {
        let url =
            Url::parse(text).map_err(|error| UrlError::new("as a whole", error.to_string()))?;
        let implicit = match url.scheme() {
            "smtp" => false,
            "smtps" => true,
            other => {
                return Err(UrlError::new(
                    "scheme",
                    format!("{other:?} is neither smtp nor smtps"),
                ));
            }
        };
        let host = host_of(&url)?;
        if !matches!(url.path(), "" | "/") || url.fragment().is_some() {
            return Err(UrlError::new(
                "path",
                "nothing may follow the host but ?key=value",
            ));
        }
        let credentials = credentials_of(&url)?;
        let port = match (url.port(), implicit) {
            (Some(0), _) => return Err(UrlError::new("port", "must not be 0")),
            (Some(port), _) => port,
            (None, true) => 465,
            (None, false) if credentials.is_some() => 587,
            (None, false) => 25,
        };
        let mut server = Self::new(host, port);
        server.credentials = credentials;
        server.tls = if implicit {
            Tls::Implicit
        } else if server.credentials.is_some() && !server.is_loopback() {
            Tls::Required
        } else {
            Tls::Opportunistic
        };
        let mut seen = Vec::new();
        for (key, value) in url.query_pairs() {
            if seen.contains(&key) {
                return Err(UrlError::new(
                    format!("query key {key:?}"),
                    "is given twice",
                ));
            }
            server
                .set(&key, &value, implicit)
                .map_err(|reason| UrlError::new(format!("query key {key:?}"), reason))?;
            seen.push(key);
        }
        if server.tls == Tls::None && server.credentials.is_some() && !server.clear_text_auth {
            return Err(UrlError::new(
                "query key \"tls\"",
                "credentials are sent in clear text to a loopback address only",
            ));
        }
        Ok(server)
    }

    /// One query key; the error is what is wrong with its value.
    fn set(&mut self, key: &str, value: &str, implicit: bool) -> Result<(), String> {
        match key {
            "tls" => {
                self.tls = match value {
                    "required" if implicit => Tls::Implicit,
                    _ if implicit => return Err("smtps:// is always encrypted".into()),
                    "required" => Tls::Required,
                    "opportunistic" => Tls::Opportunistic,
                    "none" => Tls::None,
                    other => {
                        return Err(format!("{other:?} is not required, opportunistic or none"));
                    }
                };
                self.clear_text_auth = self.tls == Tls::None && self.is_loopback();
            }
            "connections" => {
                self.connections = value
                    .parse()
                    .ok()
                    .filter(|number| (1..=1000).contains(number))
                    .ok_or_else(|| format!("{value:?} is not a number from 1 to 1000"))?;
            }
            "rate" => {
                self.rate = Some(
                    value
                        .parse()
                        .ok()
                        .filter(|rate| (0.001..=1_000_000.0).contains(rate))
                        .ok_or_else(|| {
                            format!("{value:?} is not a number of letters per second above 0")
                        })?,
                );
            }
            "messages" => {
                self.messages_per_connection = Some(
                    value
                        .parse()
                        .ok()
                        .filter(|number| *number > 0)
                        .ok_or_else(|| format!("{value:?} is not a number above 0"))?,
                );
            }
            "hello" => {
                let fits = (1..=255).contains(&value.len())
                    && value
                        .bytes()
                        .all(|b| b.is_ascii_alphanumeric() || b"-._[]:".contains(&b));
                if !fits {
                    return Err(format!("{value:?} is not a host name"));
                }
                self.hello = Some(value.to_owned());
            }
            _ => {
                return Err(
                    "is unknown (known: tls, connections, rate, messages, hello)".to_owned(),
                );
            }
        }
        Ok(())
    }

    /// `host:port`, as in reports; an IPv6 address in brackets.
    #[must_use]
    pub fn name(&self) -> String {
        if self.host.contains(':') {
            format!("[{}]:{}", self.host, self.port)
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }

    /// Whether the host is this machine by its name alone.
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        match self.host.parse::<IpAddr>() {
            Ok(address) => address.is_loopback(),
            Err(_) => self.host.eq_ignore_ascii_case("localhost"),
        }
    }
}

fn host_of(url: &Url) -> Result<String, UrlError> {
    let host = url.host_str().unwrap_or_default();
    if host.is_empty() {
        return Err(UrlError::new("host", "is missing"));
    }
    let host = percent_decode_str(host)
        .decode_utf8()
        .map_err(|_| UrlError::new("host", "is not UTF-8"))?;
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let host = if host.is_ascii() {
        host.to_owned()
    } else {
        idna::domain_to_ascii(host).map_err(|_| UrlError::new("host", "is not a host name"))?
    };
    let fits = host
        .bytes()
        .all(|b| b.is_ascii_alphanumeric() || b"-._:".contains(&b));
    if fits {
        Ok(host)
    } else {
        Err(UrlError::new("host", "is not a host name"))
    }
}

fn credentials_of(url: &Url) -> Result<Option<Credentials>, UrlError> {
    let decode = |part: &'static str, text: &str| {
        percent_decode_str(text)
            .decode_utf8()
            .map(std::borrow::Cow::into_owned)
            .map_err(|_| UrlError::new(part, "is not UTF-8 after percent-decoding"))
            .and_then(|text| {
                if text.contains('\0') {
                    Err(UrlError::new(part, "holds a NUL"))
                } else {
                    Ok(text)
                }
            })
    };
    match (url.username(), url.password()) {
        ("", None) => Ok(None),
        ("", Some(_)) => Err(UrlError::new("user name", "is missing before the password")),
        (_, None) => Err(UrlError::new("password", "is missing after the user name")),
        (user, Some(password)) => Ok(Some(Credentials {
            user: decode("user name", user)?,
            password: decode("password", password)?,
        })),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// R5, S7
    #[test]
    fn url_gives_every_setting() {
        let server = Server::from_url(
            "smtp://us%40er:p%3Ass@mail.example.org:2587?tls=required&connections=50&rate=0.5&messages=20&hello=out.example.org",
        )
        .unwrap();
        assert_eq!(server.name(), "mail.example.org:2587");
        assert_eq!(server.tls, Tls::Required);
        let credentials = server.credentials.unwrap();
        assert_eq!(credentials.user, "us@er");
        assert_eq!(credentials.password, "p:ss");
        assert_eq!(server.connections, 50);
        assert_eq!(server.rate, Some(0.5));
        assert_eq!(server.messages_per_connection, Some(20));
        assert_eq!(server.hello.as_deref(), Some("out.example.org"));
    }

    /// S7
    #[test]
    fn defaults_follow_scheme_and_credentials() {
        let relay = Server::from_url("smtp://relay.lan").unwrap();
        assert_eq!((relay.port, relay.tls), (25, Tls::Opportunistic));
        let submission = Server::from_url("smtp://u:p@mail.example.org").unwrap();
        assert_eq!((submission.port, submission.tls), (587, Tls::Required));
        let implicit = Server::from_url("smtps://u:p@mail.example.org/").unwrap();
        assert_eq!((implicit.port, implicit.tls), (465, Tls::Implicit));
        let six = Server::from_url("smtp://[::1]:2525?tls=none").unwrap();
        assert_eq!((six.name().as_str(), six.tls), ("[::1]:2525", Tls::None));
    }

    /// S7: credentials in clear text only to this machine, and only when asked for.
    #[test]
    fn clear_text_credentials_need_loopback_and_tls_none() {
        assert!(
            Server::from_url("smtp://u:p@127.0.0.1:25?tls=none")
                .unwrap()
                .clear_text_auth
        );
        assert!(
            !Server::from_url("smtp://u:p@127.0.0.1:25")
                .unwrap()
                .clear_text_auth
        );
        let error = Server::from_url("smtp://u:p@mail.example.org?tls=none").unwrap_err();
        assert_eq!(
            error.to_string(),
            "mail server URL, query key \"tls\": credentials are sent in clear text to a loopback address only"
        );
    }

    /// R5: the error names the part.
    #[test]
    fn errors_name_the_part() {
        let part = |text: &str| Server::from_url(text).unwrap_err().part;
        assert_eq!(part("mail.example.org"), "as a whole");
        assert_eq!(part("http://mail.example.org"), "scheme");
        assert_eq!(part("smtp:///"), "host");
        assert_eq!(part("smtp://a%20b/"), "host");
        assert_eq!(part("smtp://host:0"), "port");
        assert_eq!(part("smtp://host/path"), "path");
        assert_eq!(part("smtp://user@host"), "password");
        assert_eq!(part("smtp://:pass@host"), "user name");
        assert_eq!(part("smtp://host?tls=maybe"), "query key \"tls\"");
        assert_eq!(part("smtps://host?tls=none"), "query key \"tls\"");
        assert_eq!(part("smtp://host?rate=-1"), "query key \"rate\"");
        assert_eq!(part("smtp://host?rate=NaN"), "query key \"rate\"");
        assert_eq!(
            part("smtp://host?connections=0"),
            "query key \"connections\""
        );
        assert_eq!(part("smtp://host?messages=x"), "query key \"messages\"");
        assert_eq!(part("smtp://host?hello=a%0d%0ab"), "query key \"hello\"");
        assert_eq!(part("smtp://host?rat=1"), "query key \"rat\"");
        assert_eq!(part("smtp://host?rate=1&rate=2"), "query key \"rate\"");
    }

    /// R5: a log of the settings shows no secret.
    #[test]
    fn debug_hides_credentials() {
        let server = Server::from_url("smtp://robot:s3cret@mail.example.org").unwrap();
        let shown = format!("{server:?}");
        assert!(
            !shown.contains("s3cret") && !shown.contains("robot"),
            "{shown}"
        );
    }
}
