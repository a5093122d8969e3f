//! The extensions that a server announces in its reply to EHLO.

use crate::letter::LetterLimits;
use crate::reply::Reply;

/// The extensions a server offers on this connection.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "one per EHLO keyword")]
pub struct Capabilities {
    /// Commands may be sent in groups (RFC 2920).
    pub pipelining: bool,
    /// 8-bit content (RFC 6152).
    pub eight_bit_mime: bool,
    /// Maximum size of a letter in octets (RFC 1870); 0: no limit given, `None`: no SIZE.
    pub size: Option<u64>,
    /// Non-ASCII local parts (RFC 6531).
    pub smtputf8: bool,
    /// Enhanced status codes (RFC 2034).
    pub enhanced_status_codes: bool,
    /// STARTTLS (RFC 3207).
    pub starttls: bool,
    /// AUTH PLAIN (RFC 4616).
    pub auth_plain: bool,
    /// AUTH LOGIN (not in an RFC).
    pub auth_login: bool,
    /// AUTH XOAUTH2, as used by Google and Microsoft.
    pub auth_xoauth2: bool,
}

impl Capabilities {
    pub(crate) fn parse(reply: &Reply) -> Self {
        let mut found = Self::default();
        // the first line is the server's name
        for line in reply.lines.iter().skip(1) {
            // some servers write AUTH=LOGIN
            let mut words = line.split([' ', '=']).filter(|word| !word.is_empty());
            let keyword = words.next().unwrap_or_default().to_ascii_uppercase();
            match keyword.as_str() {
                "PIPELINING" => found.pipelining = true,
                "8BITMIME" => found.eight_bit_mime = true,
                "SIZE" => {
                    found.size = Some(words.next().and_then(|n| n.parse().ok()).unwrap_or(0));
                }
                "SMTPUTF8" => found.smtputf8 = true,
                "ENHANCEDSTATUSCODES" => found.enhanced_status_codes = true,
                "STARTTLS" => found.starttls = true,
                "AUTH" => {
                    for word in words {
                        found.auth_plain |= word.eq_ignore_ascii_case("PLAIN");
                        found.auth_login |= word.eq_ignore_ascii_case("LOGIN");
                        found.auth_xoauth2 |= word.eq_ignore_ascii_case("XOAUTH2");
                    }
                }
                _ => {}
            }
        }
        found
    }

    pub(crate) const fn limits(&self) -> LetterLimits {
        LetterLimits {
            smtputf8: self.smtputf8,
            eight_bit: self.eight_bit_mime,
            size: self.size,
        }
    }
}
