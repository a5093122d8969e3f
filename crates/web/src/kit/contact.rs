//! Whom people ask who have trouble with the service: an address, or a page.

use std::str::FromStr;

use skychimp_core::platform::address::EmailAddress;
use url::Url;

/// The operator's contact: a `mailto:` or `https:` URI.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Contact(String);

impl Contact {
    /// The URI, for links and `security.txt`.
    #[must_use]
    pub fn uri(&self) -> &str {
        &self.0
    }

    /// The address of a `mailto:` URI, or the whole URI.
    #[must_use]
    pub fn shown(&self) -> &str {
        self.0.strip_prefix("mailto:").unwrap_or(&self.0)
    }
}

impl FromStr for Contact {
    type Err = String;

    /// Parses an e-mail address or an `https` URL.
    fn from_str(text: &str) -> Result<Self, String> {
        if let Ok(url) = Url::parse(text)
            && url.scheme() == "https"
        {
            return Ok(Self(url.into()));
        }
        match EmailAddress::parse(text) {
            // these characters would end the address in a URI (RFC 6068 §2)
            Ok(email) if !email.as_str().contains(['%', '?', '#', '&', '/']) => {
                Ok(Self(format!("mailto:{}", email.as_str())))
            }
            _ => Err("is neither an e-mail address nor an https URL".to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// R30: a contact is an address or a page.
    #[test]
    fn contacts_are_read() {
        let read = |text: &str| text.parse::<Contact>();
        let ann = read("ann@example.org").unwrap();
        assert_eq!(
            (ann.uri(), ann.shown()),
            ("mailto:ann@example.org", "ann@example.org")
        );
        let page = read("https://example.org/help").unwrap();
        assert_eq!(page.uri(), "https://example.org/help");
        for wrong in [
            "",
            "ann",
            "http://example.org/",
            "javascript:alert(1)",
            "a?b@example.org",
        ] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }
}
