//! A letter, and the checks it must pass before it is sent.

use std::borrow::Cow;

use bytes::Bytes;

use crate::report::Class;

/// One message for one recipient.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Letter {
    /// The caller's id, passed to the hook before the content; otherwise unused.
    pub id: u64,
    /// Envelope sender; empty for the null sender `<>`.
    pub from: String,
    /// Envelope recipient.
    pub to: String,
    /// Header and body with CRLF line ends, not dot-stuffed. A missing final CRLF is added.
    pub data: Bytes,
}

/// Why a letter may not be sent, according to our own checks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub class: Class,
    pub enhanced: &'static str,
    pub reason: String,
}

impl Refusal {
    fn address(enhanced: &'static str, reason: impl Into<String>) -> Self {
        Self {
            class: Class::LocalAddress,
            enhanced,
            reason: reason.into(),
        }
    }
}

/// What the server advertised, as far as it concerns letters.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct LetterLimits {
    pub smtputf8: bool,
    pub eight_bit: bool,
    /// SIZE was advertised; a number above 0 is the maximum size in octets.
    pub size: Option<u64>,
}

/// The commands of a letter that has passed all checks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Envelope {
    pub mail: String,
    pub rcpt: String,
}

impl Envelope {
    /// Checks the letter and builds its MAIL and RCPT commands, without line ends.
    pub fn new(letter: &Letter, limits: LetterLimits) -> Result<Self, Refusal> {
        let from = if letter.from.is_empty() {
            Cow::Borrowed("")
        } else {
            path(&letter.from, limits.smtputf8)?
        };
        let to = path(&letter.to, limits.smtputf8)?;
        check_content(&letter.data)?;
        let mut mail = format!("MAIL FROM:<{from}>");
        if let Some(most) = limits.size {
            let size = letter.data.len() as u64;
            if most > 0 && size > most {
                return Err(Refusal {
                    class: Class::LocalSize,
                    enhanced: "5.3.4",
                    reason: format!("the letter has {size} octets, the server accepts {most}"),
                });
            }
            mail.push_str(" SIZE=");
            mail.push_str(&size.to_string());
        }
        // 8-bit content is sent unchanged to a server without the extension: nearly all accept it
        if limits.eight_bit && !letter.data.is_ascii() {
            mail.push_str(" BODY=8BITMIME");
        }
        if !from.is_ascii() || !to.is_ascii() {
            mail.push_str(" SMTPUTF8");
        }
        Ok(Self {
            mail,
            rcpt: format!("RCPT TO:<{to}>"),
        })
    }
}

/// The address as sent, with the domain in A-labels (F7, F12).
///
/// Stricter than RFC 5321: no white space even in quotes, no source routes, no comments.
fn path(address: &str, smtputf8: bool) -> Result<Cow<'_, str>, Refusal> {
    const SYNTAX: &str = "5.1.3";
    let shown = || crate::reply::printable(address.as_bytes(), 100);
    if address
        .chars()
        .any(|c| c.is_control() || c.is_whitespace() || matches!(c, '<' | '>'))
    {
        return Err(Refusal::address(
            SYNTAX,
            format!(
                "the address {} holds a character that may not be sent",
                shown()
            ),
        ));
    }
    let Some((local, domain)) = address.rsplit_once('@') else {
        return Err(Refusal::address(
            SYNTAX,
            format!("the address {} has no domain", shown()),
        ));
    };
    if !is_local_part(local) {
        return Err(Refusal::address(
            SYNTAX,
            format!("the part before @ of {} is not valid", shown()),
        ));
    }
    if !local.is_ascii() && !smtputf8 {
        return Err(Refusal::address(
            "5.6.7",
            format!(
                "the server does not take addresses such as {} (SMTPUTF8)",
                shown()
            ),
        ));
    }
    let ascii = if domain.is_ascii() {
        Cow::Borrowed(domain)
    } else {
        idna::domain_to_ascii(domain).map(Cow::Owned).map_err(|_| {
            Refusal::address(SYNTAX, format!("the domain of {} is not valid", shown()))
        })?
    };
    if !is_domain(&ascii) {
        return Err(Refusal::address(
            SYNTAX,
            format!("the domain of {} is not valid", shown()),
        ));
    }
    Ok(match ascii {
        Cow::Borrowed(_) => Cow::Borrowed(address),
        Cow::Owned(ascii) => Cow::Owned(format!("{local}@{ascii}")),
    })
}

/// Letters, digits, `.` and the other RFC 5322 `atext` characters, or a quoted string.
fn is_local_part(local: &str) -> bool {
    if local.is_empty() || local.len() > 64 {
        return false;
    }
    if let Some(inner) = local
        .strip_prefix('"')
        .and_then(|rest| rest.strip_suffix('"'))
    {
        return !inner.is_empty() && !inner.contains(['"', '\\']);
    }
    local
        .chars()
        .all(|c| !c.is_ascii() || c.is_ascii_alphanumeric() || "!#$%&'*+-/=?^_`{|}~.".contains(c))
}

/// A host name, or an address literal in brackets.
fn is_domain(domain: &str) -> bool {
    if domain.is_empty() || domain.len() > 255 {
        return false;
    }
    let (inner, signs) = match domain
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
    {
        Some(inner) => (inner, ":."),
        None => (domain, "-_."),
    };
    !inner.is_empty()
        && !inner.starts_with(['.', '-'])
        && !inner.ends_with(['.', '-'])
        && !inner.contains("..")
        && inner
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || signs.contains(c))
}

/// F2: checks that every CR is followed by LF, every LF follows CR, and there is no NUL.
fn check_content(data: &[u8]) -> Result<(), Refusal> {
    let refuse = |what: &str| {
        Err(Refusal {
            class: Class::LocalContent,
            enhanced: "5.6.0",
            reason: format!("the letter holds {what}"),
        })
    };
    let ends = line_ends(data);
    if memchr::memchr_iter(b'\n', data).count() != ends {
        return refuse("a line feed without a carriage return");
    }
    if memchr::memchr_iter(b'\r', data).count() != ends {
        return refuse("a carriage return without a line feed");
    }
    if memchr::memchr(0, data).is_some() {
        return refuse("a NUL octet");
    }
    Ok(())
}

/// Counts CRLF pairs. Branch-free with short sums, so that it vectorizes; a search would stop at
/// each line.
fn line_ends(data: &[u8]) -> usize {
    const BLOCK: usize = u8::MAX as usize;
    let Some((_, behind)) = data.split_first() else {
        return 0;
    };
    let blocks = data.chunks(BLOCK).zip(behind.chunks(BLOCK));
    blocks
        .map(|(first, second)| {
            let pairs = first.iter().zip(second);
            usize::from(pairs.fold(0_u8, |sum, (a, b)| {
                sum + (u8::from(*a == b'\r') & u8::from(*b == b'\n'))
            }))
        })
        .sum()
}

/// Writes the content with dot-stuffing (F6) and the final dot, in chunks of any size.
#[derive(Debug)]
pub(crate) struct Stuffer<'a> {
    rest: &'a [u8],
    line_start: bool,
    done: bool,
}

impl<'a> Stuffer<'a> {
    pub fn new(data: &'a [u8]) -> Self {
        Self {
            rest: data,
            line_start: true,
            done: false,
        }
    }

    /// Whether everything including the final dot has been written.
    pub fn is_done(&self) -> bool {
        self.done
    }

    /// Appends about `most` octets to `out`, or slightly more.
    pub fn fill(&mut self, out: &mut Vec<u8>, most: usize) {
        if self.done {
            return;
        }
        let (now, later) = self.rest.split_at(self.rest.len().min(most));
        self.rest = later;
        if let Some(last) = now.last() {
            let mut from = 0;
            if self.line_start && now[0] == b'.' {
                out.push(b'.');
            }
            for at in memchr::memmem::find_iter(now, b"\n.") {
                out.extend_from_slice(&now[from..=at]);
                out.push(b'.');
                from = at + 1;
            }
            out.extend_from_slice(&now[from..]);
            self.line_start = *last == b'\n';
        }
        if self.rest.is_empty() {
            out.extend_from_slice(if self.line_start {
                b".\r\n"
            } else {
                b"\r\n.\r\n"
            });
            self.done = true;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn letter(to: &str, data: &'static [u8]) -> Letter {
        Letter {
            id: 1,
            from: "sender@example.org".into(),
            to: to.into(),
            data: Bytes::from_static(data),
        }
    }

    fn refusal(to: &str) -> Refusal {
        Envelope::new(&letter(to, b"x\r\n"), LetterLimits::default()).unwrap_err()
    }

    /// F12: addresses that could inject commands or are malformed are refused.
    #[test]
    fn odd_addresses_are_refused() {
        for address in [
            "",
            "plain",
            "@example.org",
            "a@",
            "a@b\r\nRCPT TO:<x@y>",
            "\"a\r\nRCPT TO:<x>\"@y",
            "a\0b@example.org",
            "a b@example.org",
            "\"a b\"@example.org",
            "a\u{a0}b@example.org",
            "a@b> SIZE=1",
            "<a@b>",
            "@relay.example:a@example.org",
            "a:b@example.org",
            "a,b@example.org",
            "a@b@example.org",
            "a\"b@example.org",
            "\"a\"b\"@example.org",
            "a@exa mple.org",
            "a@.example.org",
            "a@example..org",
            "a@-example.org",
            "a@[127.0.0.1",
            "a@example.org/x",
        ] {
            assert_eq!(refusal(address).class, Class::LocalAddress, "{address:?}");
        }
        let long = format!("{}@example.org", "a".repeat(65));
        assert_eq!(refusal(&long).class, Class::LocalAddress);
    }

    /// F7: domains are sent as A-labels; a non-ASCII local part needs SMTPUTF8.
    #[test]
    fn domain_goes_in_a_labels_and_local_part_needs_smtputf8() {
        let envelope =
            Envelope::new(&letter("info@пример.рф", b"x\r\n"), LetterLimits::default()).unwrap();
        assert_eq!(envelope.rcpt, "RCPT TO:<info@xn--e1afmkfd.xn--p1ai>");
        let refused = refusal("инфо@example.org");
        assert_eq!(refused.enhanced, "5.6.7");
        let limits = LetterLimits {
            smtputf8: true,
            ..LetterLimits::default()
        };
        let envelope = Envelope::new(&letter("инфо@example.org", b"x\r\n"), limits).unwrap();
        assert_eq!(envelope.mail, "MAIL FROM:<sender@example.org> SMTPUTF8");
        assert_eq!(envelope.rcpt, "RCPT TO:<инфо@example.org>");
    }

    /// Hazard 9: the commands for the longest addresses are far below 4 kB.
    #[test]
    fn longest_envelope_is_short() {
        let domain = [
            "d".repeat(63),
            "e".repeat(63),
            "f".repeat(63),
            "g".repeat(63),
        ]
        .join(".");
        let address = format!("{}@{domain}", "é".repeat(32));
        let limits = LetterLimits {
            smtputf8: true,
            eight_bit: true,
            size: Some(0),
        };
        let longest = Letter {
            from: address.clone(),
            ..letter(&address, "ё\r\n".as_bytes())
        };
        let envelope = Envelope::new(&longest, limits).unwrap();
        let group = envelope.mail.len() + envelope.rcpt.len() + "\r\n\r\nDATA\r\n".len();
        assert!(group < 1_000, "{group}");
        let too_long = format!("a@{}.{domain}", "h".repeat(3));
        assert_eq!(refusal(&too_long).class, Class::LocalAddress);
    }

    /// F8: SIZE and BODY are used only if advertised.
    #[test]
    fn parameters_only_if_advertised() {
        let eight_bit = letter("a@example.org", "ё\r\n".as_bytes());
        let plain = Envelope::new(&eight_bit, LetterLimits::default()).unwrap();
        assert_eq!(plain.mail, "MAIL FROM:<sender@example.org>");
        let limits = LetterLimits {
            eight_bit: true,
            size: Some(0),
            ..LetterLimits::default()
        };
        let full = Envelope::new(&eight_bit, limits).unwrap();
        assert_eq!(
            full.mail,
            "MAIL FROM:<sender@example.org> SIZE=4 BODY=8BITMIME"
        );
        let limits = LetterLimits {
            size: Some(3),
            ..LetterLimits::default()
        };
        let refused = Envelope::new(&eight_bit, limits).unwrap_err();
        assert_eq!(
            (refused.class, refused.enhanced),
            (Class::LocalSize, "5.3.4")
        );
    }

    /// F2: bare CR, bare LF and NUL are refused.
    #[test]
    fn bare_line_ends_and_nul_are_refused() {
        for data in [
            &b"a\nb\r\n"[..],
            b"\n",
            b"a\rb\r\n",
            b"a\r\r\n",
            b"a\r",
            b"a\r\n.\r.\r\n",
            b"a\0\r\n",
        ] {
            assert!(check_content(data).is_err(), "{data:?}");
        }
        assert!(check_content(b"a\r\n\r\nb").is_ok());
        assert!(check_content(b"").is_ok());
    }

    fn stuffed(data: &[u8], most: usize) -> Vec<u8> {
        let mut out = Vec::new();
        let mut stuffer = Stuffer::new(data);
        while !stuffer.is_done() {
            stuffer.fill(&mut out, most);
        }
        out
    }

    /// F6: dots at the start of a line are doubled.
    #[test]
    fn dots_at_line_starts_are_doubled() {
        assert_eq!(stuffed(b"", 10), b".\r\n");
        assert_eq!(stuffed(b".", 10), b"..\r\n.\r\n");
        assert_eq!(
            stuffed(b"a.b\r\n.\r\n..c\r\n", 100),
            b"a.b\r\n..\r\n...c\r\n.\r\n"
        );
        assert_eq!(stuffed(b"no end", 100), b"no end\r\n.\r\n");
    }
}
