//! E-mail addresses.

/// A checked address.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct EmailAddress {
    text: String,
    key: String,
}

/// Why a text is no address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// Anything else.
    #[error("not an e-mail address")]
    Syntax,
}

impl AddressError {
    /// The language-neutral code.
    #[must_use]
    pub const fn code(self) -> &'static str {
        "email_syntax"
    }
}

impl EmailAddress {
    /// Reads an address.
    pub fn parse(text: &str) -> Result<Self, AddressError> {
        let text = text.trim();
        if !email_address::EmailAddress::is_valid(text) {
            return Err(AddressError::Syntax);
        }
        Ok(Self {
            text: text.to_owned(),
            key: text.to_lowercase(),
        })
    }

    /// As it is sent to.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// What uniqueness is on.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.key
    }
}
