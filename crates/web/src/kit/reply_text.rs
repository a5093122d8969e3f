//! Replies as pages show them.
//!
//! What is stored about an attempt, a mail server or a run that waits is either the server's own
//! reply, which begins with its code and is shown as it is, or an English sentence of `smtp` or the
//! engine, which may end in an error of a library. The latter becomes a sentence of ours that says
//! what is wrong; the log of the service has the rest.

use skychimp_core::accounts::account_limit::AccountLimit;
use skychimp_core::sending::letter_limit::LetterWait;
use skychimp_core::sending::mailing::HeldReason;

use crate::kit::i18n::{Lang, Text};
use crate::kit::page::PageContext;

/// How the sentences begin, the words behind their variable part, and what pages say instead. The
/// variable part is given to the sentence as `what`. The first match counts.
const KNOWN: [(&str, &str, &str); 51] = [
    ("no connection to ", " in time", "connect-timeout"),
    ("no connection to ", ": Connection refused", "refused"),
    ("no connection to ", ": ", "connect"),
    ("connection refused", "", "connect"),
    ("the name ", " does not resolve", "name"),
    ("the name ", " has no address", "name"),
    ("the name ", " did not resolve in time", "name-timeout"),
    ("the server does not offer STARTTLS", "", "no-starttls"),
    ("the TLS handshake took too long", "", "tls-timeout"),
    ("the connection is not encrypted", "", "clear-text"),
    ("the server offers neither AUTH", "", "no-login"),
    ("the server does not offer AUTH", "", "no-login"),
    ("the token file ", ": ", "token"),
    ("the server closed the connection", "", "closed"),
    ("the connection broke", "", "closed"),
    ("the encrypted connection broke", "", "closed"),
    ("no reply within ", " s", "no-reply"),
    ("the server took no data for ", " s", "no-data"),
    ("the server sent something that is no reply", "", "protocol"),
    (
        "the server changed the code within one reply",
        "",
        "protocol",
    ),
    ("the server sent a reply without end", "", "protocol"),
    (
        "the server sent a reply that nothing had asked for",
        "",
        "protocol",
    ),
    (
        "the server sent more replies than it was asked for",
        "",
        "protocol",
    ),
    ("a reply of the server is missing", "", "protocol"),
    ("the letter has ", " octets", "too-large"),
    ("the address ", " holds a character", "address"),
    ("the address ", " has no domain", "address"),
    ("the part before @ of ", " is not valid", "address"),
    ("the domain of ", " is not valid", "address"),
    (
        "the server does not take addresses such as ",
        " (SMTPUTF8)",
        "smtputf8",
    ),
    ("the letter holds ", "", "letter"),
    ("the letter could not be written", "", "letter"),
    ("the letter of this run cannot be written", "", "letter"),
    ("the sending process ", "", "process"),
    ("the outcome of this letter was lost", "", "process"),
    ("the letter was held back", "", "held-back"),
    (
        "another letter was announced on this connection",
        "",
        "held-back",
    ),
    ("the connection is closed", "", "held-back"),
    (
        "the connections to this server were closed",
        "",
        "held-back",
    ),
    (
        "this system has no trusted certificates",
        "",
        "certificates",
    ),
    ("the trusted certificates", "", "certificates"),
    (
        "the password was sealed with another secret key",
        "",
        "password",
    ),
    ("the password cannot be read", "", "password"),
    ("there is no such server any more", "", "no-server"),
    ("no sending server is enabled", "", "none-enabled"),
    ("its limit is used up (hour)", "", "limit-hour"),
    ("its limit is used up (day)", "", "limit-day"),
    ("its limit is used up (warm_up)", "", "limit-warm-up"),
    ("its limit is used up", "", "limit"),
    ("refuses the sender ", ":", "sender"),
    ("takes no letters from here", "", "no-relay"),
];

/// Errors of the TLS library, by words that they contain.
const TLS: [(&str, &str); 7] = [
    ("expired", "tls-expired"),
    ("not valid for name", "tls-name"),
    ("notvalidforname", "tls-name"),
    ("unknownissuer", "tls-issuer"),
    ("notvalidyet", "tls-expired"),
    ("invalidcontenttype", "tls-none"),
    ("corrupt message", "tls-none"),
];

impl PageContext {
    /// Why something is waiting. Faults of the configuration, which `core` stores in English, are
    /// translated.
    #[must_use]
    pub fn waiting(&self, why: &str) -> String {
        match HeldReason::from_sentence(why) {
            Some(HeldReason::Service(fault)) => self.field_error(&fault.into()).to_string(),
            Some(HeldReason::Approval) => self.t("held-approval").to_string(),
            Some(HeldReason::AtOnce(most)) => self.t("held-at-once").with("most", most).to_string(),
            Some(HeldReason::Letters(most)) => {
                self.t("held-letters").with("most", most).to_string()
            }
            None => self.reply(why),
        }
    }

    /// Problems of a message as the history of a mailing stores them, in English: `html: template
    /// unclosed (line 1, detail {{); …`.
    pub(crate) fn problems(&self, stored: &str) -> String {
        let sentence = |problem: &str| {
            let (field, broken) = problem.split_once(": ")?;
            let (code, params) = broken.split_once(" (").unwrap_or((broken, ""));
            let params = params.strip_suffix(')').unwrap_or(params);
            let params = params.splitn(3, ", ");
            let params = params.filter_map(|param| param.split_once(' '));
            let label = self.dynamic("messages-", field).find()?;
            Some(format!("{label}: {}", self.rule_broken(code, params)))
        };
        let sentences: Option<Vec<_>> = stored.split("; ").map(sentence).collect();
        match sentences {
            Some(sentences) => sentences.join(" "),
            None => self.t("why-message-broken").to_string(),
        }
    }

    /// A stored reply: the server's words, or our sentence for an error of our side.
    #[must_use]
    pub fn reply(&self, stored: &str) -> String {
        shown(self.lang, stored)
    }

    /// Why letters of a run wait for a limit of their owner.
    #[must_use]
    pub fn limited(&self, wait: &LetterWait) -> String {
        let when = match wait.days() {
            0 => self.t("limited-today"),
            1 => self.t("limited-tomorrow"),
            days => self.t("limited-in-days").with("days", days),
        };
        let when = when.with("hour", wait.hour()).to_string();
        let limit = match wait.limit {
            AccountLimit::LettersPerHour => self.t("limited-hour"),
            _ if wait.is_new => self.t("limited-new"),
            _ => self.t("limited-day"),
        };
        let more = self.t("limited-more").with("count", wait.letters);
        let more = more.with("when", when);
        format!("{more} {}", limit.with("most", wait.most))
    }
}

/// A stored reply, in the language of the page.
pub(crate) fn shown(lang: Lang, stored: &str) -> String {
    let stored = stored.trim();
    if stored.is_empty() || has_code(stored) {
        return stored.to_owned();
    }
    if let Some(tested) = tested(lang, stored) {
        return tested;
    }
    let parts: Vec<_> = stored.split("; ").collect();
    if parts.len() > 1 && parts.iter().all(|part| server(part).is_some()) {
        let parts = parts.into_iter().map(|part| shown(lang, part));
        return parts.collect::<Vec<_>>().join(" ");
    }
    match server(stored) {
        Some((name, said)) => format!("{name}: {}", shown(lang, without_class(said))),
        None => sentence(lang, stored).to_string(),
    }
}

/// Whether it is a reply of a server: they begin with a code.
fn has_code(stored: &str) -> bool {
    let (code, rest) = stored.split_at_checked(3).unwrap_or((stored, "x"));
    code.len() == 3
        && code.bytes().all(|b| b.is_ascii_digit())
        && !rest.starts_with(char::is_alphanumeric)
}

/// Splits `host:port: sentence`.
fn server(stored: &str) -> Option<(&str, &str)> {
    let (name, said) = stored.split_once(": ")?;
    let (host, port) = name.rsplit_once(':')?;
    let numeric = port.bytes().all(|b| b.is_ascii_digit()) && !port.is_empty();
    (numeric && !host.contains(' ')).then_some((name, said))
}

/// Drops the class and phase that an error of a connection ends with: ` (tls at starttls)`.
fn without_class(said: &str) -> &str {
    let Some((before, class)) = said
        .strip_suffix(')')
        .and_then(|said| said.rsplit_once(" ("))
    else {
        return said;
    };
    let plain = |word: &str| word.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
    let named = class.split(' ').all(plain) && !before.ends_with("used up");
    if named { before } else { said }
}

fn sentence(lang: Lang, said: &str) -> Text {
    if let Some(error) = said.strip_prefix("the TLS handshake failed") {
        let error = error.to_ascii_lowercase();
        let known = TLS.iter().find(|(words, _)| error.contains(words));
        return lang.dynamic("reply-", known.map_or("tls", |(_, key)| key));
    }
    for (begins, behind, key) in KNOWN {
        let Some(rest) = said.strip_prefix(begins) else {
            continue;
        };
        let Some((what, _)) = rest.split_once(behind) else {
            continue;
        };
        let text = lang.dynamic("reply-", key);
        return match what.parse::<f64>() {
            #[expect(clippy::cast_possible_truncation, reason = "whole seconds")]
            Ok(seconds) => text.with("what", seconds.round() as i64),
            Err(_) => text.with("what", what),
        };
    }
    lang.t("reply-other")
}

/// The result of a server's test: what it can do, or why it takes no letters.
fn tested(lang: Lang, stored: &str) -> Option<String> {
    let (name, can) = stored.split_once(" answers, ")?;
    let mut said = vec![lang.t("tested-answers").with("server", name).to_string()];
    let (can, but) = match can.split_once(", but ") {
        Some((can, but)) => (can, Some(but)),
        None => (can, None),
    };
    for ability in can.split(", ") {
        let key = match ability {
            "encrypted" => "encrypted",
            "NOT encrypted" => "clear",
            "took the credentials" => "signed-in",
            "pipelining" => "pipelining",
            "no pipelining (slower)" => "no-pipelining",
            _ => "size",
        };
        let size = ability
            .strip_prefix("letters up to ")
            .and_then(|size| size.split_once(' '));
        let size = size.map_or("", |(size, _)| size);
        said.push(lang.dynamic("tested-", key).with("size", size).to_string());
    }
    let mut text = format!("{}.", said.join(", "));
    if let Some(but) = but {
        text.push(' ');
        text.push_str(&sentence(lang, but).to_string());
        if let Some(at) = but.find(": ") {
            text.push(' ');
            text.push_str(&shown(lang, &but[at + 2..]));
        }
    }
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// R26: what servers say is shown as it is; errors of our own are sentences in the language of
    /// the page, without the words of a library.
    #[test]
    fn errors_of_servers_are_sentences() {
        let ru = |stored: &str| shown(Lang::Ru, stored);
        assert_eq!(ru("550 5.1.1 no such user"), "550 5.1.1 no such user");
        assert_eq!(ru("250"), "250");
        assert_eq!(ru(""), "");
        for (stored, said) in [
            (
                "no connection to 127.0.0.1:1: Connection refused (os error 111)",
                "127.0.0.1:1 не принимает соединения. Проверьте имя и порт сервера.",
            ),
            (
                "mail.test:25: no connection to 10.0.0.1:25 in time (connection at connect)",
                "mail.test:25: 10.0.0.1:25 не отвечает. Проверьте имя и порт сервера.",
            ),
            (
                "the TLS handshake failed: invalid peer certificate: UnknownIssuer",
                "Сертификат сервера выдан центром, которому эта машина не доверяет.",
            ),
            ("no reply within 30 s", "Сервер не ответил за 30\u{a0}с."),
            (
                "mail.test:25: 535 5.7.8 no (auth at auth)",
                "mail.test:25: 535 5.7.8 no",
            ),
            (
                "a.test:25: the server closed the connection (closing); b.test:25: its limit is used up (day)",
                "a.test:25: Сервер закрыл соединение. b.test:25: Лимит за 24\u{a0}часа исчерпан.",
            ),
            (
                "mail.test:587 answers, encrypted, took the credentials, pipelining, letters up to 10 MiB",
                "mail.test:587 отвечает, соединение зашифровано, вход выполнен, поддерживает PIPELINING, принимает письма до 10\u{a0}МиБ.",
            ),
            (
                "mail.test:25 answers, NOT encrypted, but refuses the sender a@b.test: 553 not yours",
                "mail.test:25 отвечает, соединение не зашифровано. Сервер не принимает письма с адреса отправителя a@b.test. 553 not yours",
            ),
            (
                "something (of a) library",
                "Передать письмо не удалось. Подробности — в журнале сервиса.",
            ),
        ] {
            assert_eq!(ru(stored).replace("\u{a0}—", " —"), said, "{stored}");
        }
    }

    /// Every sentence exists, with its variables.
    #[test]
    fn every_known_error_has_its_sentence() {
        let keys = KNOWN
            .iter()
            .map(|(_, _, key)| *key)
            .chain(TLS.iter().map(|(_, key)| *key));
        for key in keys.chain(["tls", "other"]) {
            for lang in [Lang::En, Lang::Ru] {
                let text = lang.dynamic("reply-", key).with("what", "x.test").find();
                let text = text.unwrap_or_else(|| panic!("no reply-{key}"));
                assert!(!text.contains('$') && text.ends_with('.'), "{text}");
            }
        }
    }
}
