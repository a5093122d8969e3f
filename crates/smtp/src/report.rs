//! The outcome of a letter, and why a connection could not be opened.

use std::fmt;
use std::time::Duration;

macro_rules! names {
    ($type:ident { $($variant:ident => $name:literal),+ $(,)? }) => {
        impl $type {
            /// Every variant, in the order of declaration.
            pub const ALL: &[Self] = &[$(Self::$variant),+];

            /// The stable name used in databases, logs and JSON.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $name),+ }
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}

/// The outcome of a letter passed to [`Connection::send`](crate::Connection::send).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// The server has accepted responsibility: its 250 to the final dot was read.
    Sent,
    /// Not accepted now; a retry may succeed.
    Deferred,
    /// Refused permanently, by the server or by our own checks.
    Failed,
    /// The final dot may have reached the server, but its reply was not read. A retry may duplicate
    /// the letter.
    InDoubt,
    /// The server was not asked about this letter, or refuses to work for us at all. Not an
    /// attempt; try another connection or server.
    NotTried,
}

names!(Outcome {
    Sent => "sent",
    Deferred => "deferred",
    Failed => "failed",
    InDoubt => "in_doubt",
    NotTried => "not_tried",
});

/// The kind of reason behind an [`Outcome`] or a [`ConnectError`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Class {
    /// A 250 reply.
    Accepted,
    /// A 4yz reply other than those below.
    Temporary,
    /// A 5yz reply.
    Permanent,
    /// 452 or 454: the server's quota or storage is used up (not that of one mailbox).
    Limit,
    /// 421: the server ends the connection (RFC 5321 §3.8) or has too many of them.
    Closing,
    /// The connection was refused, reset or closed.
    Connection,
    /// No reply within the timeout of the phase.
    Timeout,
    /// The server sent something that is not a reply, or does not match the command.
    Protocol,
    /// STARTTLS is not offered, the handshake failed, or the certificate is not trusted.
    Tls,
    /// The server's name does not resolve.
    Dns,
    /// The server requires credentials or refuses ours.
    Auth,
    /// Local check: the address is not safe or not possible to send.
    LocalAddress,
    /// Local check: the letter is longer than the server accepts.
    LocalSize,
    /// Local check: the letter contains a bare CR, a bare LF or a NUL.
    LocalContent,
    /// The caller withheld the letter just before its content was sent.
    Withheld,
}

names!(Class {
    Accepted => "accepted",
    Temporary => "temporary",
    Permanent => "permanent",
    Limit => "limit",
    Closing => "closing",
    Connection => "connection",
    Timeout => "timeout",
    Protocol => "protocol",
    Tls => "tls",
    Dns => "dns",
    Auth => "auth",
    LocalAddress => "local_address",
    LocalSize => "local_size",
    LocalContent => "local_content",
    Withheld => "withheld",
});

/// The step of the session where it happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Phase {
    /// Before anything was sent: local checks or the pool.
    Local,
    /// Name lookup.
    Resolve,
    /// The TCP connection.
    Connect,
    /// The TLS handshake.
    Tls,
    /// The server's greeting.
    Greeting,
    /// EHLO or HELO.
    Hello,
    /// The STARTTLS command.
    StartTls,
    /// AUTH, with the responses to its challenges.
    Auth,
    /// RSET after a refused letter.
    Reset,
    /// MAIL FROM.
    Mail,
    /// RCPT TO.
    Rcpt,
    /// The DATA command.
    Data,
    /// The content, before its final dot.
    Content,
    /// The final dot and its reply.
    EndOfData,
}

names!(Phase {
    Local => "local",
    Resolve => "resolve",
    Connect => "connect",
    Tls => "tls",
    Greeting => "greeting",
    Hello => "hello",
    StartTls => "starttls",
    Auth => "auth",
    Reset => "reset",
    Mail => "mail",
    Rcpt => "rcpt",
    Data => "data",
    Content => "content",
    EndOfData => "dot",
});

/// The result of one attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttemptReport {
    /// The outcome of the letter.
    pub outcome: Outcome,
    /// The kind of reason.
    pub class: Class,
    /// The step that decided.
    pub phase: Phase,
    /// The reply code, if a reply decided; never for local checks.
    pub code: Option<u16>,
    /// The enhanced code (RFC 3463), such as `5.6.7`; local checks set one too.
    pub enhanced: Option<String>,
    /// The server's reply with its code, or a sentence about what happened; one printable line of
    /// at most 2 KiB.
    pub reply: String,
    /// `host:port`.
    pub server: String,
    /// Duration of the call.
    pub duration: Duration,
}

/// A connection could not be opened. This says nothing about any recipient.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{server}: {reply} ({class} at {phase})")]
pub struct ConnectError {
    /// The kind of reason.
    pub class: Class,
    /// The step that failed.
    pub phase: Phase,
    /// The reply code, if the server sent one.
    pub code: Option<u16>,
    /// The enhanced code (RFC 3463), if the server sent one.
    pub enhanced: Option<String>,
    /// The server's reply with its code, or a sentence about what happened; one printable line of
    /// at most 2 KiB.
    pub reply: String,
    /// `host:port`.
    pub server: String,
    /// Time from the start to the failure.
    pub duration: Duration,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// R13: the names are stored, so they must be unique and in snake case.
    #[test]
    fn names_are_unique_snake_case() {
        fn check(names: &[&str]) {
            let mut sorted = names.to_vec();
            sorted.sort_unstable();
            sorted.dedup();
            assert_eq!(sorted.len(), names.len());
            assert!(
                names
                    .iter()
                    .all(|name| name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'))
            );
        }
        check(&Outcome::ALL.iter().map(|o| o.as_str()).collect::<Vec<_>>());
        check(&Class::ALL.iter().map(|c| c.as_str()).collect::<Vec<_>>());
        check(&Phase::ALL.iter().map(|p| p.as_str()).collect::<Vec<_>>());
    }
}
