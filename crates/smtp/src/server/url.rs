//! A sending server as a URL.

use std::time::Duration;

use percent_encoding::percent_decode_str;
use url::Url;

use super::{Credentials, Login, Server, Timeouts, Tls};

/// Permitted query keys.
const KEYS: &str = "tls, connections, rate, messages, hello, pipelining, auth, token_file, \
    timeout_connect, timeout_greeting, timeout_command, timeout_mail, timeout_rcpt, timeout_data, \
    timeout_block, timeout_dot, timeout_quit";

/// An invalid mail server URL. The message names the part and never contains the password.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("mail server URL, {part}: {reason}")]
pub struct UrlError {
    /// The invalid part, such as `port` or `query key "rate"`.
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
    /// Parses `smtp://user:pass@host:587?tls=required&connections=50&rate=100` or `smtps://…`.
    ///
    /// | part | meaning | default |
    /// |---|---|---|
    /// | port | TCP port | 587 with credentials, otherwise 25; `smtps`: 465 |
    /// | `tls` | `required`, `opportunistic` or `none` | see below |
    /// | `connections` | simultaneous connections, 1 to 1000 | 20 |
    /// | `rate` | letters per second, may be a fraction | no limit |
    /// | `messages` | letters per connection | no limit |
    /// | `ehlo_name` | the name sent in EHLO | our address |
    /// | `pipelining` | `off` for a server that offers it but fails at it | `on` |
    /// | `auth` | `password`, or `xoauth2` if the password is an access token | `password` |
    /// | `token_file` | file with the access token, instead of a password | none |
    /// | `timeout_*` | e.g. `90s`, `10m`; one per field of [`Timeouts`] | as there |
    ///
    /// `tls` defaults to `required` with credentials for another host, otherwise to
    /// `opportunistic`. User name and password are percent-encoded. Unknown keys are errors.
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
        let token_file = url.query_pairs().any(|(key, _)| key == "token_file");
        let credentials = credentials_of(&url, token_file)?;
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
        if server.login != Login::Password && server.credentials.is_none() {
            return Err(UrlError::new(
                "user name",
                "is missing; a token belongs to a user",
            ));
        }
        Ok(server)
    }

    /// Sets one query key; the error says what is wrong with its value.
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
                self.ehlo_name = Some(value.to_owned());
            }
            "pipelining" => {
                self.pipelining = match value {
                    "on" => true,
                    "off" => false,
                    other => return Err(format!("{other:?} is neither on nor off")),
                };
            }
            "auth" => match (value, &self.login) {
                ("xoauth2", Login::Password) => self.login = Login::Token,
                ("xoauth2", _) | ("password", Login::Password) => {}
                ("password", _) => return Err("a token is no password".to_owned()),
                (other, _) => return Err(format!("{other:?} is neither password nor xoauth2")),
            },
            "token_file" => {
                if value.is_empty() {
                    return Err("names no file".to_owned());
                }
                self.login = Login::TokenFile(value.into());
            }
            _ => {
                let Some(timeout) = key
                    .strip_prefix("timeout_")
                    .and_then(|phase| self.timeouts.phase(phase))
                else {
                    return Err(format!("is unknown (known: {KEYS})"));
                };
                *timeout = duration(value)?;
            }
        }
        Ok(())
    }
}

impl Timeouts {
    /// The timeout of a phase, by field name.
    fn phase(&mut self, name: &str) -> Option<&mut Duration> {
        Some(match name {
            "connect" => &mut self.connect,
            "greeting" => &mut self.greeting,
            "command" => &mut self.command,
            "mail" => &mut self.mail,
            "rcpt" => &mut self.rcpt,
            "data" => &mut self.data,
            "block" => &mut self.block,
            "dot" => &mut self.dot,
            "quit" => &mut self.quit,
            _ => return None,
        })
    }
}

/// Parses an integer with its unit: `500ms`, `90s`, `10m`, `1h`.
fn duration(text: &str) -> Result<Duration, String> {
    let digits = text.find(|c: char| !c.is_ascii_digit());
    let (number, unit) = text.split_at(digits.unwrap_or(text.len()));
    let milliseconds: u64 = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => 0,
    };
    number
        .parse::<u64>()
        .ok()
        .and_then(|number| number.checked_mul(milliseconds))
        .filter(|time| (1..=24 * 3_600_000).contains(time))
        .map(Duration::from_millis)
        .ok_or_else(|| format!("{text:?} is no time such as 90s or 10m, of a day at most"))
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

/// `token_file`: no password is expected.
fn credentials_of(url: &Url, token_file: bool) -> Result<Option<Credentials>, UrlError> {
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
        (_, Some(_)) if token_file => Err(UrlError::new(
            "password",
            "is given although the token stands in a file",
        )),
        (user, None) if token_file => Ok(Some(Credentials {
            user: decode("user name", user)?,
            password: String::new(),
        })),
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

    /// R5, S7: a URL can set every option of a server.
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
        assert_eq!(server.ehlo_name.as_deref(), Some("out.example.org"));
    }

    /// S1, hazard 7: timeouts can be set and pipelining switched off for servers that need it.
    #[test]
    fn url_gives_time_outs_and_switches() {
        let server = Server::from_url(
            "smtp://relay.lan?pipelining=off&timeout_dot=20m&timeout_rcpt=90s&timeout_connect=500ms",
        )
        .unwrap();
        assert!(!server.pipelining);
        let expected = Timeouts {
            connect: Duration::from_millis(500),
            rcpt: Duration::from_secs(90),
            dot: Duration::from_mins(20),
            ..Timeouts::default()
        };
        assert_eq!(server.timeouts, expected);
        for phase in [
            "connect", "greeting", "command", "mail", "rcpt", "data", "block", "dot", "quit",
        ] {
            let server = Server::from_url(&format!("smtp://relay.lan?timeout_{phase}=7s")).unwrap();
            assert_ne!(server.timeouts, Timeouts::default(), "{phase}");
            assert!(KEYS.contains(&format!("timeout_{phase}")));
        }
    }

    /// S7: an access token is given in the URL or in a file.
    #[test]
    fn url_gives_tokens() {
        let token =
            Server::from_url("smtps://me%40example.org:t0ken@mail.example.org?auth=xoauth2")
                .unwrap();
        assert_eq!(token.login, Login::Token);
        assert_eq!(token.credentials.unwrap().password, "t0ken");
        let file = Server::from_url(
            "smtp://me%40example.org@mail.example.org?auth=xoauth2&token_file=/run/token",
        )
        .unwrap();
        assert_eq!(file.login, Login::TokenFile("/run/token".into()));
        assert_eq!((file.port, file.tls), (587, Tls::Required));
        assert_eq!(file.credentials.unwrap().user, "me@example.org");
    }

    /// S7: port and encryption default by scheme and credentials.
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

    /// S7: clear-text credentials need both a loopback address and `tls=none`.
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

    /// R5: the error names the invalid part.
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
        for (wrong, key) in [
            ("pipelining=maybe", "pipelining"),
            ("timeout_dot=0s", "timeout_dot"),
            ("timeout_dot=10", "timeout_dot"),
            ("timeout_dot=25h", "timeout_dot"),
            ("timeout_dot=99999999999999999999s", "timeout_dot"),
            ("timeout_tea=5s", "timeout_tea"),
            ("auth=cram", "auth"),
            ("token_file=", "token_file"),
        ] {
            let part = part(
                &format!("smtp://u:p@host?{wrong}")
                    .replace("u:p@", if key == "token_file" { "u@" } else { "u:p@" }),
            );
            assert_eq!(part, format!("query key {key:?}"), "{wrong}");
        }
        assert_eq!(part("smtp://host?token_file=/t"), "user name");
        assert_eq!(part("smtp://u:p@host?token_file=/t"), "password");
    }

    /// R5: logged settings contain no secret.
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
