//! What became of a letter, and why a connection could not be made.

use std::fmt;
use std::time::Duration;

macro_rules! names {
    ($type:ident { $($variant:ident => $name:literal),+ $(,)? }) => {
        impl $type {
            /// All values.
            pub const ALL: &[Self] = &[$(Self::$variant),+];

            /// The stable name in databases, logs and JSON.
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

/// What became of a letter that was given to [`Connection::send`](crate::Connection::send).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// The server took responsibility: its 250 to the final dot was read.
    Sent,
    /// Not accepted now; the same letter may be accepted later.
    Deferred,
    /// Refused for good, by the server or by our own checks.
    Failed,
    /// The final dot may have reached the server and its reply was not read: sending again may double the letter.
    InDoubt,
    /// The server was never asked about this letter, or refuses to work for us at all: no attempt, try it elsewhere.
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
    /// The server said 250.
    Accepted,
    /// A 4yz reply other than the ones below.
    Temporary,
    /// A 5yz reply.
    Permanent,
    /// 452 or 454: the server's quota or its storage is used up (not one recipient's mailbox).
    Limit,
    /// 421: the server ends the connection (RFC 5321 §3.8), or has too many of them.
    Closing,
    /// The connection was refused, reset or closed.
    Connection,
    /// No reply within the time-out of the phase.
    Timeout,
    /// What the server sent is no reply, or not a reply to what was asked.
    Protocol,
    /// STARTTLS is not offered, the handshake failed, the certificate is not trusted.
    Tls,
    /// The name of the server does not resolve.
    Dns,
    /// The server wants credentials or does not take ours.
    Auth,
    /// Our check: an address that must not or cannot go on the wire.
    LocalAddress,
    /// Our check: the letter is longer than the server accepts.
    LocalSize,
    /// Our check: the letter holds a bare CR, a bare LF or a NUL.
    LocalContent,
    /// The caller held the letter back at the last moment.
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

/// Where in the dialogue it happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Phase {
    /// Before anything was sent: our own checks, the pool.
    Local,
    /// Looking up the server's name.
    Resolve,
    /// TCP.
    Connect,
    /// The TLS handshake.
    Tls,
    /// Waiting for the first line.
    Greeting,
    /// EHLO or HELO.
    Hello,
    /// The STARTTLS command.
    StartTls,
    /// AUTH.
    Auth,
    /// RSET after a refused letter.
    Reset,
    /// MAIL.
    Mail,
    /// RCPT.
    Rcpt,
    /// DATA.
    Data,
    /// The content, before its final dot.
    Content,
    /// The final dot and its reply.
    Dot,
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
    Dot => "dot",
});

/// The result of one attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// What became of the letter.
    pub outcome: Outcome,
    /// Why.
    pub class: Class,
    /// Where.
    pub phase: Phase,
    /// The reply code, when a reply decided (also for local checks that imitate one: never).
    pub code: Option<u16>,
    /// The enhanced code (RFC 3463); local checks give one too, such as `5.6.7`.
    pub enhanced: Option<String>,
    /// The server's reply with its code, or a sentence that says what happened; one printable line of at most 2 KiB.
    pub reply: String,
    /// `host:port`.
    pub server: String,
    /// From the call to its end.
    pub duration: Duration,
}

/// A connection that was not made. It says nothing about any recipient.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{server}: {reply} ({class} at {phase})")]
pub struct ConnectError {
    /// Why.
    pub class: Class,
    /// Where.
    pub phase: Phase,
    /// The reply code, when the server gave one.
    pub code: Option<u16>,
    /// The enhanced code (RFC 3463), when the server gave one.
    pub enhanced: Option<String>,
    /// The server's reply with its code, or a sentence that says what happened; one printable line of at most 2 KiB.
    pub reply: String,
    /// `host:port`.
    pub server: String,
    /// From the beginning to the failure.
    pub duration: Duration,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// R13: the names are stored, so they are unique and in snake case.
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
