//! Email addresses.
//!
//! An [`EmailAddress`] is safe to pass to a mail server. It has no control characters, quoted local
//! part, source route or IP literal (F12); its domain is a public-looking name in A-labels (F7);
//! its lengths fit SMTP (F9).
//!
//! *Invariants*: parsing [`EmailAddress::as_str`] gives the same address; two addresses belong to
//! the same person exactly when their [`EmailAddress::key`] is equal.
//!
//! *Design notes*: quoted local parts (`"a b"@example.org`) are legal but practically never used.
//! They are refused, because they are how odd bytes get into SMTP commands. Case is folded
//! character by character, because [`str::to_lowercase`] maps a final sigma by its neighbours.

use std::fmt;
use std::str::FromStr;

use idna::uts46::{AsciiDenyList, DnsLength, Hyphens, Uts46};
use unicode_normalization::UnicodeNormalization as _;

/// Longest local part in octets (RFC 5321 §4.5.3.1.1).
const MAX_LOCAL: usize = 64;
/// Longest domain in octets: what fits the 255 octets of a name on the wire (RFC 1035 §2.3.4).
const MAX_DOMAIN: usize = 253;
/// Longest address: a path of 256 octets less its angle brackets (RFC 5321 §4.5.3.1.3).
const MAX_ADDRESS: usize = 254;
/// Longest label of a domain (RFC 1035 §2.3.4).
const MAX_LABEL: usize = 63;

/// A validated address.
///
/// Equality compares the text. To tell whether two addresses belong to the same person, compare
/// [`EmailAddress::key`].
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct EmailAddress {
    text: Box<str>,
    /// Set only where it differs from the text.
    key: Option<Box<str>>,
    /// Byte offset of the `@`.
    at: u8,
}

/// Why a text is not an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// Empty after trimming.
    #[error("the address is empty")]
    Empty,
    /// There is no `@`.
    #[error("the address has no @")]
    NoAt,
    /// Nothing before the `@`.
    #[error("nothing stands before the @")]
    LocalEmpty,
    /// More than 64 octets before the `@`.
    #[error("the part before the @ is longer than 64 octets")]
    LocalTooLong,
    /// A leading, trailing or doubled dot before the `@`.
    #[error("a dot stands at the wrong place before the @")]
    LocalDot,
    /// A character that is not allowed before the `@`.
    #[error("a character that is not allowed stands before the @")]
    LocalCharacter,
    /// A quoted local part.
    #[error("quoted addresses are not supported")]
    Quoted,
    /// A control or invisible character, anywhere.
    #[error("the address contains a control character")]
    Control,
    /// White space inside.
    #[error("the address contains a space")]
    Space,
    /// Nothing after the `@`.
    #[error("nothing stands behind the @")]
    DomainEmpty,
    /// No dot in the domain.
    #[error("the domain has no dot")]
    DomainDot,
    /// The domain is longer than a DNS name may be.
    #[error("the domain is too long")]
    DomainTooLong,
    /// A label of the domain is empty, too long, or has an invalid character.
    #[error("the domain is not a valid name")]
    DomainInvalid,
    /// An IP address instead of a domain name.
    #[error("an IP address is not a domain")]
    DomainIp,
    /// More than 254 octets in total.
    #[error("the address is longer than 254 octets")]
    TooLong,
}

impl AddressError {
    /// The language-neutral code; pages translate it as `error-{code}`.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Empty => "required",
            Self::NoAt => "email_no_at",
            Self::LocalEmpty => "email_local_empty",
            Self::LocalTooLong => "email_local_too_long",
            Self::LocalDot => "email_local_dot",
            Self::LocalCharacter => "email_local_character",
            Self::Quoted => "email_quoted",
            Self::Control => "email_control",
            Self::Space => "email_space",
            Self::DomainEmpty => "email_domain_empty",
            Self::DomainDot => "email_domain_dot",
            Self::DomainTooLong => "email_domain_too_long",
            Self::DomainInvalid => "email_domain_invalid",
            Self::DomainIp => "email_domain_ip",
            Self::TooLong => "email_too_long",
        }
    }
}

impl EmailAddress {
    /// Parses an address as people type or paste it: trims white space and invisible characters,
    /// normalises Unicode to NFC and converts the domain to lower-case A-labels. The local part
    /// keeps its case.
    pub fn parse(text: &str) -> Result<Self, AddressError> {
        let text = text.trim_matches(|c: char| c.is_whitespace() || is_invisible(c));
        if text.is_ascii() {
            Self::from_ascii(text)
        } else {
            Self::from_unicode(&text.nfc().collect::<String>())
        }
    }

    /// The common case: one allocation, and a second only where the key differs.
    fn from_ascii(text: &str) -> Result<Self, AddressError> {
        let (local, domain) = split(text)?;
        check_local(local)?;
        if has_a_label(domain) {
            return Self::assemble(local, &to_a_labels(domain)?);
        }
        check_domain(domain)?;
        Self::assemble(local, domain)
    }

    fn from_unicode(text: &str) -> Result<Self, AddressError> {
        let (local, domain) = split(text)?;
        check_local(local)?;
        Self::assemble(local, &to_a_labels(domain)?)
    }

    /// Joins validated parts. The domain must be ASCII.
    fn assemble(local: &str, domain: &str) -> Result<Self, AddressError> {
        if local.len() + 1 + domain.len() > MAX_ADDRESS {
            return Err(AddressError::TooLong);
        }
        let mut text = String::with_capacity(local.len() + 1 + domain.len());
        text.push_str(local);
        text.push('@');
        text.push_str(domain);
        text[local.len()..].make_ascii_lowercase();
        let key = if local.is_ascii() {
            local
                .bytes()
                .any(|b| b.is_ascii_uppercase())
                .then(|| text.to_ascii_lowercase())
        } else {
            let folded: String = local.chars().flat_map(char::to_lowercase).nfc().collect();
            (folded != local).then(|| folded + &text[local.len()..])
        };
        Ok(Self {
            at: u8::try_from(local.len()).map_err(|_| AddressError::LocalTooLong)?,
            text: text.into_boxed_str(),
            key: key.map(String::into_boxed_str),
        })
    }

    /// The form sent to mail servers: the local part as typed, the domain in A-labels.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The form that uniqueness is based on: the local part in lower case, the domain in A-labels.
    #[must_use]
    pub fn key(&self) -> &str {
        self.key.as_deref().unwrap_or(&self.text)
    }

    /// The part before the `@`, as typed.
    #[must_use]
    pub fn local(&self) -> &str {
        &self.text[..usize::from(self.at)]
    }

    /// The domain in A-labels.
    #[must_use]
    pub fn domain(&self) -> &str {
        &self.text[usize::from(self.at) + 1..]
    }

    /// Whether only a server with SMTPUTF8 can accept it (F7, RFC 6531).
    #[must_use]
    pub fn needs_smtputf8(&self) -> bool {
        !self.local().is_ascii()
    }

    /// For display: the domain in Unicode if it decodes without errors, otherwise in A-labels.
    #[must_use]
    pub fn to_display(&self) -> String {
        let domain = self.domain();
        if has_a_label(domain) {
            let (shown, result) = idna::domain_to_unicode(domain);
            if result.is_ok() {
                return format!("{}@{shown}", self.local());
            }
        }
        self.text.to_string()
    }
}

impl fmt::Display for EmailAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl FromStr for EmailAddress {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text)
    }
}

impl AsRef<str> for EmailAddress {
    fn as_ref(&self) -> &str {
        &self.text
    }
}

impl serde::Serialize for EmailAddress {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

impl<'de> serde::Deserialize<'de> for EmailAddress {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        Self::parse(&text).map_err(serde::de::Error::custom)
    }
}

/// Splits at the last `@`. Errors of the text as a whole take precedence.
fn split(text: &str) -> Result<(&str, &str), AddressError> {
    if text.is_empty() {
        return Err(AddressError::Empty);
    }
    let odd = |b: u8| b <= b' ' || b == 0x7f || b >= 0x80;
    if text.bytes().any(odd) {
        for c in text.chars() {
            if c.is_control() || is_invisible(c) {
                return Err(AddressError::Control);
            }
            if c.is_whitespace() {
                return Err(AddressError::Space);
            }
        }
    }
    let (local, domain) = text.rsplit_once('@').ok_or(AddressError::NoAt)?;
    if local.starts_with('"') {
        return Err(AddressError::Quoted);
    }
    if local.is_empty() {
        return Err(AddressError::LocalEmpty);
    }
    if local.len() > MAX_LOCAL {
        return Err(AddressError::LocalTooLong);
    }
    if domain.is_empty() {
        return Err(AddressError::DomainEmpty);
    }
    // before any costly step; `check_domain` applies the exact limit
    if domain.len() > 4 * MAX_DOMAIN {
        return Err(AddressError::DomainTooLong);
    }
    Ok((local, domain))
}

/// Checks for a dot-atom (RFC 5322 §3.2.3) with the extra characters of RFC 6531.
fn check_local(local: &str) -> Result<(), AddressError> {
    let mut after_dot = true;
    for c in local.bytes() {
        if c == b'.' {
            if after_dot {
                return Err(AddressError::LocalDot);
            }
            after_dot = true;
        } else if is_atext(c) || c >= 0x80 {
            after_dot = false;
        } else {
            return Err(AddressError::LocalCharacter);
        }
    }
    if after_dot {
        return Err(AddressError::LocalDot);
    }
    Ok(())
}

const fn is_atext(c: u8) -> bool {
    matches!(
        c,
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'!' | b'#' | b'$' | b'%' | b'&' | b'\'' | b'*' | b'+' | b'-' | b'/'
            | b'=' | b'?' | b'^' | b'_' | b'`' | b'{' | b'|' | b'}' | b'~'
    )
}

/// Whether any label is already encoded as an A-label.
fn has_a_label(domain: &str) -> bool {
    domain.split('.').any(|label| {
        label
            .get(..4)
            .is_some_and(|p| p.eq_ignore_ascii_case("xn--"))
    })
}

fn to_a_labels(domain: &str) -> Result<String, AddressError> {
    if domain.starts_with('[') {
        return Err(AddressError::DomainIp);
    }
    let ascii = Uts46::new()
        .to_ascii(
            domain.as_bytes(),
            AsciiDenyList::STD3,
            Hyphens::Allow,
            DnsLength::Ignore,
        )
        .map_err(|_| AddressError::DomainInvalid)?;
    check_domain(&ascii)?;
    Ok(ascii.into_owned())
}

/// Checks for letters, digits and hyphens in at least two labels, the last one not a number
/// (RFC 1123 §2.1).
fn check_domain(domain: &str) -> Result<(), AddressError> {
    if domain.starts_with('[') {
        return Err(AddressError::DomainIp);
    }
    if domain.len() > MAX_DOMAIN {
        return Err(AddressError::DomainTooLong);
    }
    let (mut labels, mut last) = (0, "");
    for label in domain.split('.') {
        let inner = |b: u8| b.is_ascii_alphanumeric() || b == b'-';
        if label.is_empty()
            || label.len() > MAX_LABEL
            || label.starts_with('-')
            || label.ends_with('-')
            || !label.bytes().all(inner)
        {
            return Err(AddressError::DomainInvalid);
        }
        labels += 1;
        last = label;
    }
    if last.bytes().all(|b| b.is_ascii_digit()) {
        return Err(AddressError::DomainIp);
    }
    if labels < 2 {
        return Err(AddressError::DomainDot);
    }
    Ok(())
}

/// Invisible characters: zero-width, direction, byte order and line separator marks, and code
/// points that are not characters.
const fn is_invisible(c: char) -> bool {
    matches!(
        c,
        '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{ffff}' | '\u{e0000}'..='\u{e0fff}'
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn ok(text: &str) -> EmailAddress {
        EmailAddress::parse(text).unwrap_or_else(|e| panic!("{text:?}: {e}"))
    }

    fn code(text: &str) -> &'static str {
        EmailAddress::parse(text)
            .map(|a| a.to_string())
            .expect_err(text)
            .code()
    }

    #[test]
    fn local_part_is_kept_and_domain_is_lowered() {
        let address = ok("  Ann.Smith+News@Example.ORG\r\n");
        assert_eq!(address.as_str(), "Ann.Smith+News@example.org");
        assert_eq!(address.key(), "ann.smith+news@example.org");
        assert_eq!(address.local(), "Ann.Smith+News");
        assert_eq!(address.domain(), "example.org");
        assert!(!address.needs_smtputf8());
    }

    /// F7: a domain is converted to A-labels, whatever form it was typed in.
    #[test]
    fn idn_domains_become_a_labels() {
        let typed = ok("info@Пример.РФ");
        assert_eq!(typed.as_str(), "info@xn--e1afmkfd.xn--p1ai");
        assert_eq!(typed, ok("info@XN--E1AFMKFD.xn--p1ai"));
        assert_eq!(typed.to_display(), "info@пример.рф");
        assert_eq!(ok("a@straße.de").domain(), "xn--strae-oqa.de");
        // with an ideographic full stop
        assert_eq!(ok("a@例え。jp").domain(), "xn--r8jz45g.jp");
    }

    #[test]
    fn unicode_local_parts_compare_without_case_and_composition() {
        let composed = ok("Чай@example.org");
        let decomposed = ok("Чаи\u{306}@example.org");
        assert_eq!(composed, decomposed);
        assert_eq!(composed.key(), "чай@example.org");
        assert!(composed.needs_smtputf8());
        assert_eq!(ok("ΟΔΟΣ@example.org").key(), ok("οδοσ@example.org").key());
    }

    /// F9: local parts, labels, domains and addresses that are too long are refused.
    #[test]
    fn lengths_are_limited() {
        let local = "l".repeat(64);
        assert_eq!(ok(&format!("{local}@example.org")).local(), local);
        assert_eq!(
            code(&format!("{local}l@example.org")),
            "email_local_too_long"
        );
        let label = "d".repeat(63);
        assert_eq!(code(&format!("a@{label}d.org")), "email_domain_invalid");
        let domain = format!("{label}.{label}.{label}.{}", "d".repeat(60));
        assert_eq!(domain.len(), 252);
        ok(&format!("a@{domain}"));
        assert_eq!(code(&format!("ab@{domain}")), "email_too_long");
        assert_eq!(code(&format!("a@{domain}dd")), "email_domain_too_long");
        assert_eq!(
            code(&format!("a@{}.рф", "д".repeat(60))),
            "email_domain_invalid"
        );
        assert_eq!(
            code(&format!("a@{}.рф", "д".repeat(4_000))),
            "email_domain_too_long"
        );
    }

    /// F12: nothing that could become an SMTP command or a header is accepted as an address.
    #[test]
    fn odd_addresses_are_refused() {
        for (text, expected) in [
            ("", "required"),
            (" \t\u{feff}", "required"),
            ("example.org", "email_no_at"),
            ("@example.org", "email_local_empty"),
            ("a@", "email_domain_empty"),
            ("\"a b\"@example.org", "email_space"),
            ("\"a\r\nRCPT TO:<x>\"@y.org", "email_control"),
            ("\"a\"@example.org", "email_quoted"),
            ("a\u{0}b@example.org", "email_control"),
            ("a\rb@example.org", "email_control"),
            ("a\nb@example.org", "email_control"),
            ("a@exa\nmple.org", "email_control"),
            ("a\u{7f}@example.org", "email_control"),
            ("a\u{85}@example.org", "email_control"),
            ("a\u{2028}b@example.org", "email_control"),
            ("a\u{202e}b@example.org", "email_control"),
            ("a b@example.org", "email_space"),
            ("a\u{a0}b@example.org", "email_space"),
            ("a@example .org", "email_space"),
            ("@relay.org:a@example.org", "email_local_character"),
            ("a@b@example.org", "email_local_character"),
            ("a%b@c@example.org", "email_local_character"),
            ("<a@example.org>", "email_local_character"),
            ("Ann<a@example.org>", "email_local_character"),
            ("a,b@example.org", "email_local_character"),
            ("a\\@example.org", "email_local_character"),
            (".a@example.org", "email_local_dot"),
            ("a.@example.org", "email_local_dot"),
            ("a..b@example.org", "email_local_dot"),
            ("a@[127.0.0.1]", "email_domain_ip"),
            ("a@[IPv6:::1]", "email_domain_ip"),
            ("чай@[127.0.0.1]", "email_domain_ip"),
            ("a@127.0.0.1", "email_domain_ip"),
            ("a@localhost", "email_domain_dot"),
            ("a@exa_mple.org", "email_domain_invalid"),
            ("чай@exa_mple.org", "email_domain_invalid"),
            ("a@-example.org", "email_domain_invalid"),
            ("a@example-.org", "email_domain_invalid"),
            ("a@example..org", "email_domain_invalid"),
            ("a@.example.org", "email_domain_invalid"),
            ("a@example.org.", "email_domain_invalid"),
            ("a@xn--.org", "email_domain_invalid"),
            ("a@xn--\u{0}.org", "email_control"),
            ("a@exam>ple.org", "email_domain_invalid"),
        ] {
            assert_eq!(code(text), expected, "{text:?}");
        }
    }

    #[test]
    fn common_addresses_are_taken() {
        for text in [
            "a@b.co",
            "o'brien@example.ie",
            "x_y-z=1/2{3}|~!#$%&*?^`@example.org",
            "1@1.de",
            "user@r3---sn-apo3qvuoxuxbt-j5pe.example.net",
            "почта@пример.рф",
        ] {
            let address = ok(text);
            assert_eq!(ok(address.as_str()), address);
            assert_eq!(ok(&address.to_display()), address);
        }
    }

    proptest! {
        #[test]
        fn any_text_is_refused_or_safe(text in "\\PC{0,20}|[ -~]{0,10}@[ -~]{0,20}|.{0,8}@.{0,8}\\.(org|рф)") {
            if let Ok(address) = EmailAddress::parse(&text) {
                let shown = address.as_str();
                prop_assert!(!shown.chars().any(|c| c.is_control() || c.is_whitespace() || "<>\"\\,;:()[]".contains(c)));
                prop_assert_eq!(shown.matches('@').count(), 1);
                prop_assert!(shown.len() <= 254);
                prop_assert!(address.domain().is_ascii());
                prop_assert_eq!(&EmailAddress::parse(shown).unwrap(), &address);
                let by_key = EmailAddress::parse(address.key()).unwrap();
                prop_assert_eq!(by_key.key(), address.key());
            }
        }

        #[test]
        fn case_never_makes_another_key(local in "[a-zA-Zа-яА-Я0-9]{1,12}", domain in "[a-zA-Z]{1,10}\\.(Com|РФ|org)") {
            let address = ok(&format!("{local}@{domain}"));
            let upper = ok(&format!("{}@{}", local.to_uppercase(), domain.to_uppercase()));
            prop_assert_eq!(address.key(), upper.key());
        }
    }
}
