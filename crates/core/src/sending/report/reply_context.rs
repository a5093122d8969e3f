//! Interprets what a server says when it does not accept a letter: whose fault it is, and whether
//! the recipient does not exist.
//!
//! Servers use the same words and codes for senders and recipients: Exim verifies our address by
//! asking our server, and passes on "No Such User Here" for every letter. So words about the sender
//! are checked first. A recipient counts as dead only if the reply to their RCPT clearly says so.
//! Replies that can be read in two ways, and replies in other phases, say nothing about them.

use super::Cause;

/// A reply, with the sender and recipient of the letter.
#[derive(Debug, Clone, Copy, Default)]
pub struct ReplyContext<'a> {
    /// Class of the reason, as in the log of attempts.
    pub class: &'a str,
    /// Phase of the SMTP dialogue; empty if unknown.
    pub phase: &'a str,
    /// Reply code, if a reply decided the outcome.
    pub code: Option<i64>,
    /// All lines of the reply, starting with the code.
    pub reply: &'a str,
    /// Envelope sender as it was sent; empty if unknown.
    pub from: &'a str,
    /// Recipient as it was sent; empty if unknown.
    pub to: &'a str,
}

/// Words about the sender, their domain, or how a server checks them.
const OF_SENDER: [&str; 43] = [
    " sender",
    // the same in languages that servers are translated into
    "отправител",
    "absender",
    "expéditeur",
    "expediteur",
    "remitente",
    "mittente",
    "return path",
    "return-path",
    "return address",
    "bounce address",
    "reverse path",
    "reverse-path",
    "envelope from",
    "envelope-from",
    "mail from",
    "mail-from",
    "mailfrom",
    "from address",
    "from-address",
    "from domain",
    "from header",
    " from @",
    "originator",
    "sending domain",
    "sending address",
    "callout",
    "call-out",
    "callback",
    "call back",
    " spf ",
    " dkim",
    " dmarc",
    "domainkeys",
    "unauthenticated",
    "authentication checks",
    "your domain",
    "your address",
    "your email address",
    "your e-mail address",
    "your mailbox",
    "your account",
    "double-bounce",
];

/// Words for reasons that are not the recipient's. A reply that contains one is not clear.
const OF_OTHERS: [&str; 44] = [
    "greylist",
    "graylist",
    "rate limit",
    "ratelimit",
    "throttl",
    "too many",
    "too fast",
    "quota",
    "mailbox full",
    "mailbox is full",
    "out of storage",
    "too large",
    "too big",
    "relaying",
    "relay access denied",
    "relay not permitted",
    "relay denied",
    "unable to relay",
    "permitted to relay",
    "allowed to relay",
    " spam ",
    " spammer",
    "blacklist",
    "blocklist",
    "block list",
    " blocked",
    "reputation",
    "unsolicited",
    " dnsbl",
    " rbl ",
    "virus",
    "malware",
    " policy",
    "client host",
    " your ip",
    "ip address",
    " helo ",
    " ehlo ",
    "reverse dns",
    " tls ",
    "authenticat",
    "password",
    "temporar",
    "syntax",
];

/// Words that say that there is no such mailbox.
const NOBODY: [&str; 41] = [
    "user unknown",
    "unknown user",
    "no such user",
    "no such local user",
    "no such mailbox",
    "no such inbox",
    "no such recipient",
    "no such person",
    "no such account",
    "no such address",
    "no such email",
    "unknown recipient",
    "recipient unknown",
    "recipient not found",
    "recipientnotfound",
    "recipnotfound",
    "user not found",
    "mailbox not found",
    "account not found",
    "unknown mailbox",
    "mailbox unknown",
    "unknown account",
    "unknown address",
    "address unknown",
    "unknown local part",
    "unknown local-part",
    "unknown or illegal alias",
    "invalid recipient",
    "invalid mailbox",
    "invalid user",
    "not a known user",
    "not a valid user",
    "not a valid mailbox",
    "not a valid recipient",
    "no mailbox here",
    "no mailbox by that name",
    "user doesn't have a",
    "user not listed in",
    "unrouteable address",
    // all that Outlook.com and Exchange Online say about an unknown recipient
    " s2017062302",
    "recipient address rejected access denied as 201806281",
];

/// Words that say that there is no such domain, or that it accepts no mail.
const NOWHERE: [&str; 9] = [
    "domain not found",
    "host not found",
    "host unknown",
    "unknown domain",
    "no such domain",
    "no such host",
    "non-existent domain",
    "nullmx",
    "does not accept mail",
];

/// Nouns for a recipient who does not exist.
const SOMEBODY: [&str; 8] = [
    " user",
    " mailbox",
    " recipient",
    " account",
    " inbox",
    " address",
    " alias",
    " @",
];

/// Local parts of contact addresses that replies mention.
const HELPERS: [&str; 7] = [
    "postmaster",
    "hostmaster",
    "abuse",
    "support",
    "help",
    "helpdesk",
    "admin",
];

/// How many bytes before "does not exist" are searched for what does not exist.
const CONTEXT_CHARS: usize = 80;

impl ReplyContext<'_> {
    /// Why the letter was not accepted.
    #[must_use]
    pub fn cause(&self) -> Cause {
        let found = Cause::from_reply(self.class, self.code, self.reply);
        let parts = Parts::of(self.reply);
        match found {
            // Exim's explanation mentions blacklists, which looks like a policy
            Cause::Policy if parts.text.contains("sender verify failed") => Cause::Sender,
            Cause::MailboxUnknown | Cause::DomainUnknown | Cause::MailboxDisabled
                if self.is_early() || self.is_of_sender(&parts) =>
            {
                Cause::of_sender(self.reply)
            }
            Cause::Permanent if self.is_of_sender(&parts) => Cause::Sender,
            found => found,
        }
    }

    /// Whether the server says, permanently and clearly, that the recipient's mailbox or domain
    /// does not exist.
    #[must_use]
    pub fn is_dead(&self) -> bool {
        let refused = self.class == "permanent" && matches!(self.code, Some(500..=599));
        if !refused || self.phase != "rcpt" {
            return false;
        }
        let parts = Parts::of(self.reply);
        if self.is_of_sender(&parts)
            || OF_OTHERS.iter().any(|word| parts.text.contains(word))
            || parts.addresses.iter().any(|it| !self.is_recipient(it))
        {
            return false;
        }
        match Cause::enhanced(self.reply).or(parts.code) {
            Some((1, 1 | 6 | 10)) => true,
            Some((1, 2)) => self.is_of_domain(&parts),
            None | Some((0 | 5, _) | (1 | 2, 0) | (2 | 4 | 7, 1)) => {
                parts.says_nobody() || parts.says_nowhere() && self.is_of_domain(&parts)
            }
            _ => false,
        }
    }

    /// Whether the server did not know the recipient yet.
    fn is_early(&self) -> bool {
        !matches!(self.phase, "" | "rcpt" | "data" | "content" | "dot")
    }

    /// Whether the reply is, or may be, about the sender.
    fn is_of_sender(&self, parts: &Parts) -> bool {
        let code = Cause::enhanced(self.reply).or(parts.code);
        let (from, to) = (self.from.to_lowercase(), self.to.to_lowercase());
        let named = |address: &String| !to.is_empty() && *address == to && to != from;
        let ours = domain(&from);
        let foreign = !ours.is_empty() && ours != domain(&to);
        matches!(code, Some((1, 7 | 8) | (7, 20..=27)))
            || OF_SENDER.iter().any(|word| parts.text.contains(word))
            || parts.text.contains("verification failed")
                && (parts.addresses.is_empty() || !parts.addresses.iter().all(named))
            || parts.addresses.iter().any(|address| {
                // also `from=a@b`
                let it = address.strip_suffix(&*from);
                !from.is_empty() && it.is_some_and(|it| it.is_empty() || it.ends_with('='))
                    || foreign && domain(address) == ours
            })
            || foreign
                && parts.domains.iter().any(|domain| domain == ours)
                && !parts.addresses.iter().any(named)
    }

    /// Whether an address in the reply is the recipient's, however the server writes it, or a
    /// contact address.
    fn is_recipient(&self, address: &str) -> bool {
        let to = self.to.to_lowercase();
        let (name, helper) = (local(address), HELPERS.contains(&local(address)));
        to.is_empty() || name == local(&to) || domain(address) == domain(&to) || helper
    }

    /// Whether the reply is about the recipient's domain, which must differ from the sender's.
    fn is_of_domain(&self, parts: &Parts) -> bool {
        let (from, to) = (self.from.to_lowercase(), self.to.to_lowercase());
        let to = domain(&to);
        let named = parts.addresses.iter().any(|address| domain(address) == to)
            || parts.domains.iter().any(|domain| domain == to)
            || parts.text.contains(" recipient");
        named && to != domain(&from)
    }
}

fn local(address: &str) -> &str {
    address.rsplit_once('@').map_or(address, |(local, _)| local)
}

fn domain(address: &str) -> &str {
    address.rsplit_once('@').map_or("", |(_, domain)| domain)
}

/// A reply taken apart: the addresses and domains it mentions, and the other words.
#[derive(Debug, Default)]
struct Parts {
    /// In lower case, with a space around each word and `@` for each address; without links and
    /// host names.
    text: String,
    addresses: Vec<String>,
    domains: Vec<String>,
    /// Enhanced code after the words, as qmail writes it: `(#5.1.1)`.
    code: Option<(u32, u32)>,
}

impl Parts {
    fn of(reply: &str) -> Self {
        let reply = reply.to_lowercase();
        let mut parts = Self {
            text: " ".to_owned(),
            ..Self::default()
        };
        let is_separator = |c: char| c.is_whitespace() || "<>()[]{},;:\"".contains(c);
        for word in reply.split(is_separator) {
            let word = word.trim_matches(|c: char| ".!?'`".contains(c));
            if word.is_empty() || word.contains("//") {
                continue;
            }
            let word = match word.split_once('@') {
                Some((local, domain)) if !local.is_empty() && !domain.is_empty() => {
                    parts.addresses.push(word.to_owned());
                    "@"
                }
                _ if is_host(word) => {
                    parts.domains.push(word.to_owned());
                    continue;
                }
                _ => word,
            };
            if let Some(code) = word.strip_prefix('#') {
                parts.code = parts.code.or_else(|| Cause::numbers(code));
            }
            parts.text.push_str(word);
            parts.text.push(' ');
        }
        parts
    }

    fn says_nobody(&self) -> bool {
        NOBODY.iter().any(|words| self.text.contains(words)) || self.missing() == Some(false)
    }

    fn says_nowhere(&self) -> bool {
        NOWHERE.iter().any(|words| self.text.contains(words)) || self.missing() == Some(true)
    }

    /// Whether what "does not exist" is a domain; `None` when the reply does not say that, or not
    /// of what.
    fn missing(&self) -> Option<bool> {
        let found = ["not exist", "n't exist", "no longer exist"].map(|it| self.text.find(it));
        let end = found.into_iter().flatten().min()?;
        let begin = self
            .text
            .floor_char_boundary(end.saturating_sub(CONTEXT_CHARS));
        let before = &self.text[begin..end];
        let says = |words: &[&str]| words.iter().any(|word| before.contains(word));
        if says(&[" domain", " host"]) {
            return Some(true);
        }
        says(&SOMEBODY).then_some(false)
    }
}

/// `mx1.example.org`, but not `5.1.1` or `RESOLVER.ADR.RecipientNotFound`.
fn is_host(word: &str) -> bool {
    let fits = |label: &str| {
        !label.is_empty()
            && label
                .chars()
                .all(|c| c.is_alphanumeric() || c == '-' || c == '_')
    };
    let last = word.rsplit('.').next().unwrap_or_default();
    word.contains('.')
        && word.split('.').all(fits)
        && last.chars().any(char::is_alphabetic)
        && !word.starts_with("resolver.adr.")
}

#[cfg(test)]
mod tests;
