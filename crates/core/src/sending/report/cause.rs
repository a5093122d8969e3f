//! What a server's reply means, for people who are not postmasters.
//!
//! If no reply decided the outcome, the class gives the cause. Otherwise the enhanced code (RFC
//! 3463) does, and where servers are careless with codes, the words that large providers use.

/// Why a letter was not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Cause {
    /// There is no such mailbox.
    MailboxUnknown,
    /// There is no such domain, or it accepts no mail.
    DomainUnknown,
    /// The mailbox is full.
    MailboxFull,
    /// The mailbox exists but is closed.
    MailboxDisabled,
    /// Treated as spam, or against a policy of the receiver.
    Policy,
    /// The sender's domain or signature is not trusted (SPF, DKIM, DMARC).
    Authentication,
    /// First attempts are refused for a while on purpose (RFC 6647).
    Greylisted,
    /// Too many letters in a short time.
    Rate,
    /// The letter is too large.
    Size,
    /// The sender's address is refused.
    Sender,
    /// The recipient's address is not usable.
    Address,
    /// The letter could not be made or sent because of its content.
    Content,
    /// The server was busy or out of space.
    Busy,
    /// No connection, or it was lost.
    Connection,
    /// No secure connection.
    Tls,
    /// Our mail server refuses our credentials.
    Credentials,
    /// Sending was interrupted; the letter may have arrived.
    Interrupted,
    /// Temporarily refused, reason unknown.
    Temporary,
    /// Permanently refused, reason unknown.
    Permanent,
}

/// Words in replies, in the order in which they are looked for.
const WORDS: [(Cause, &[&str]); 10] = [
    (
        Cause::MailboxFull,
        &[
            "mailbox full",
            "mailbox is full",
            "over quota",
            "overquota",
            "quota exceeded",
            "out of storage",
            "insufficient storage for user",
        ],
    ),
    (
        Cause::Greylisted,
        &["greylist", "graylist", "grey list", "gray list", "postgrey"],
    ),
    (
        Cause::MailboxDisabled,
        &[
            "disabled",
            "inactive",
            "suspended",
            "deactivated",
            "account closed",
            "mailbox unavailable due to inactivity",
        ],
    ),
    (
        Cause::MailboxUnknown,
        &[
            "user unknown",
            "unknown user",
            "no such user",
            "no such mailbox",
            "no such recipient",
            "does not exist",
            "doesn't exist",
            "unknown recipient",
            "invalid recipient",
            "recipient not found",
            "user not found",
            "mailbox not found",
            "no mailbox",
            "invalid mailbox",
            "unknown mailbox",
            "no such address",
            "address unknown",
        ],
    ),
    (
        Cause::DomainUnknown,
        &[
            "host not found",
            "domain not found",
            "unknown domain",
            "nullmx",
            "null mx",
            "does not accept mail",
        ],
    ),
    (
        Cause::Authentication,
        &[
            "dmarc",
            "spf",
            "dkim",
            "unauthenticated",
            "authentication checks",
        ],
    ),
    (
        Cause::Rate,
        &[
            "rate limit",
            "too many",
            "unusual rate",
            "throttl",
            "ratelimit",
            "sending too fast",
            "too fast",
        ],
    ),
    (
        Cause::Policy,
        &[
            "spam",
            "blacklist",
            "blocklist",
            "block list",
            "blocked",
            "listed",
            "reputation",
            "policy",
            "unsolicited",
            "abuse",
            "dnsbl",
            "virus",
            "malware",
        ],
    ),
    (
        Cause::Size,
        &["too large", "too big", "message size", "size limit"],
    ),
    (
        Cause::Sender,
        &[
            "sender address rejected",
            "sender rejected",
            "sender verify",
        ],
    ),
];

impl Cause {
    /// All causes.
    pub const ALL: [Self; 19] = [
        Self::MailboxUnknown,
        Self::DomainUnknown,
        Self::MailboxFull,
        Self::MailboxDisabled,
        Self::Policy,
        Self::Authentication,
        Self::Greylisted,
        Self::Rate,
        Self::Size,
        Self::Sender,
        Self::Address,
        Self::Content,
        Self::Busy,
        Self::Connection,
        Self::Tls,
        Self::Credentials,
        Self::Interrupted,
        Self::Temporary,
        Self::Permanent,
    ];

    /// The name in translation keys.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::MailboxUnknown => "mailbox_unknown",
            Self::DomainUnknown => "domain_unknown",
            Self::MailboxFull => "mailbox_full",
            Self::MailboxDisabled => "mailbox_disabled",
            Self::Policy => "policy",
            Self::Authentication => "authentication",
            Self::Greylisted => "greylisted",
            Self::Rate => "rate",
            Self::Size => "size",
            Self::Sender => "sender",
            Self::Address => "address",
            Self::Content => "content",
            Self::Busy => "busy",
            Self::Connection => "connection",
            Self::Tls => "tls",
            Self::Credentials => "credentials",
            Self::Interrupted => "interrupted",
            Self::Temporary => "temporary",
            Self::Permanent => "permanent",
        }
    }

    /// Cause by class, code and words of the last attempt, about the sender or the recipient.
    /// [`ReplyContext::cause`](super::ReplyContext::cause) tells these apart.
    pub(super) fn from_reply(class: &str, code: Option<i64>, reply: &str) -> Self {
        match class {
            "connection" | "timeout" | "dns" | "protocol" => return Self::Connection,
            "tls" => return Self::Tls,
            "auth" => return Self::Credentials,
            "interrupted" => return Self::Interrupted,
            "local_address" => return Self::Address,
            "local_size" => return Self::Size,
            "local_template" | "local_content" => return Self::Content,
            _ => {}
        }
        // 5.7.1 and 5.0.0 are used for everything, so words decide
        let coded =
            Self::enhanced(reply).and_then(|(subject, detail)| Self::by_code(subject, detail));
        let any = |_| true;
        coded
            .or_else(|| Self::by_words(reply, any))
            .unwrap_or(match (class, code) {
                ("limit" | "closing", _) => Self::Busy,
                ("temporary", _) | (_, Some(400..=499)) => Self::Temporary,
                _ => Self::Permanent,
            })
    }

    /// Cause of a reply about the sender, whatever its code says.
    pub(super) fn of_sender(reply: &str) -> Self {
        let others = |cause| matches!(cause, Self::Authentication | Self::Policy | Self::Rate);
        Self::by_words(reply, others).unwrap_or(Self::Sender)
    }

    /// The first wanted cause whose words occur in the reply.
    fn by_words(reply: &str, wanted: fn(Self) -> bool) -> Option<Self> {
        let reply = reply.to_lowercase();
        let says = |(cause, words): &&(Self, &[&str])| {
            wanted(*cause) && words.iter().any(|word| reply.contains(word))
        };
        WORDS.iter().find(says).map(|(cause, _)| *cause)
    }

    /// Cause by subject and detail of the enhanced code, where these are specific enough.
    const fn by_code(subject: u32, detail: u32) -> Option<Self> {
        Some(match (subject, detail) {
            (1, 1 | 6 | 10) => Self::MailboxUnknown,
            (1, 2) | (4, 4) => Self::DomainUnknown,
            (1, 3) => Self::Address,
            (1, 7 | 8) | (7, 27) => Self::Sender,
            (2, 1) => Self::MailboxDisabled,
            (2, 2) => Self::MailboxFull,
            (2, 3) | (3, 4) => Self::Size,
            (7, 20..=26) => Self::Authentication,
            (7, 28) => Self::Rate,
            _ => return None,
        })
    }

    /// Subject and detail of the enhanced code at the start of a reply: `550 5.1.1 …` → (1, 1).
    pub(super) fn enhanced(reply: &str) -> Option<(u32, u32)> {
        Self::numbers(reply.get(4..)?.split_whitespace().next()?)
    }

    /// Subject and detail of an enhanced code of a refusal (class 4 or 5).
    pub(super) fn numbers(code: &str) -> Option<(u32, u32)> {
        let mut parts = code.split('.');
        let class: u32 = parts.next()?.parse().ok()?;
        let subject = parts.next()?.parse().ok()?;
        let detail = parts.next()?.parse().ok()?;
        ((class == 4 || class == 5) && parts.next().is_none()).then_some((subject, detail))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sending::report::ReplyContext;

    /// R29: replies of large providers are understood.
    #[test]
    fn replies_have_causes() {
        for (class, reply, cause) in [
            (
                "permanent",
                "550 5.1.1 <a@b.example>: Recipient address rejected: User unknown",
                Cause::MailboxUnknown,
            ),
            (
                "permanent",
                "550-5.1.1 The email account that you tried to reach does not exist.",
                Cause::MailboxUnknown,
            ),
            (
                "permanent",
                "550 Message was not accepted -- invalid mailbox. Local mailbox a@mail.ru is unavailable: user not found",
                Cause::MailboxUnknown,
            ),
            (
                "permanent",
                "550 5.7.1 No such user!",
                Cause::MailboxUnknown,
            ),
            (
                "permanent",
                "550-5.2.1 The email account that you tried to reach is disabled.",
                Cause::MailboxDisabled,
            ),
            (
                "temporary",
                "452-4.2.2 The recipient's inbox is out of storage space.",
                Cause::MailboxFull,
            ),
            ("permanent", "552 Mailbox is full", Cause::MailboxFull),
            (
                "temporary",
                "450 4.2.0 <a@b.example>: Recipient address rejected: Greylisted",
                Cause::Greylisted,
            ),
            (
                "closing",
                "421-4.7.28 Our system has detected an unusual rate of unsolicited mail",
                Cause::Rate,
            ),
            (
                "permanent",
                "550-5.7.26 This mail has been blocked because the sender is unauthenticated.",
                Cause::Authentication,
            ),
            (
                "permanent",
                "554 5.7.1 Service unavailable; Client host [192.0.2.1] blocked using zen.spamhaus.org",
                Cause::Policy,
            ),
            (
                "permanent",
                "552 5.3.4 Message size exceeds fixed limit",
                Cause::Size,
            ),
            (
                "permanent",
                "550 5.4.4 Host not found",
                Cause::DomainUnknown,
            ),
            (
                "limit",
                "452 4.3.1 Insufficient system storage",
                Cause::Busy,
            ),
            ("closing", "421 4.3.0 Try again later", Cause::Busy),
            (
                "temporary",
                "451 Local error in processing",
                Cause::Temporary,
            ),
            ("permanent", "554 Transaction failed", Cause::Permanent),
            ("timeout", "no reply within 300 s", Cause::Connection),
            ("tls", "the certificate is not trusted", Cause::Tls),
            ("local_size", "the letter is too long", Cause::Size),
            ("interrupted", "the process ended", Cause::Interrupted),
        ] {
            let code = reply.get(..3).and_then(|code| code.parse().ok());
            let said = ReplyContext {
                class,
                code,
                reply,
                ..ReplyContext::default()
            };
            assert_eq!(said.cause(), cause, "{reply}");
        }
    }

    /// R29: no two causes have the same name.
    #[test]
    fn names_differ() {
        let names: std::collections::BTreeSet<_> =
            Cause::ALL.map(Cause::as_str).into_iter().collect();
        assert_eq!(names.len(), Cause::ALL.len());
    }
}
