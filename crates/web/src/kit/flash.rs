//! Flash messages: one sentence on the page after a redirect, such as "Message saved."
//!
//! The cookie holds the key of a sentence and its variables, never free text.

use axum::http::HeaderMap;
use percent_encoding::{NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

use crate::kit::cookies;
use crate::kit::i18n::Text;
use crate::kit::page::PageContext;

pub(crate) const NAME: &str = "flash";

/// A sentence for the next page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Flash {
    tone: FlashKind,
    key: String,
    values: Vec<(String, String)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum FlashKind {
    Done,
    Note,
    Warn,
}

impl Flash {
    /// Reports success.
    #[must_use]
    pub fn done(key: &str) -> Self {
        Self::new(FlashKind::Done, key)
    }

    /// Reports something the visitor should know.
    #[must_use]
    pub fn note(key: &str) -> Self {
        Self::new(FlashKind::Note, key)
    }

    /// Reports something that did not work.
    #[must_use]
    pub fn warn(key: &str) -> Self {
        Self::new(FlashKind::Warn, key)
    }

    /// Reports the result of an action: `done` if it changed something, else `unchanged`.
    #[must_use]
    pub fn changed(changed: bool, done: &str, unchanged: &str) -> Self {
        if changed {
            Self::done(done)
        } else {
            Self::note(unchanged)
        }
    }

    fn new(tone: FlashKind, key: &str) -> Self {
        Self {
            tone,
            key: key.to_owned(),
            values: Vec::new(),
        }
    }

    /// Sets a variable of the sentence. Values are cut to 200 characters.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl std::fmt::Display) -> Self {
        let value: String = value.to_string().chars().take(200).collect();
        self.values.push((name.to_owned(), value));
        self
    }

    /// The sentence in the visitor's language. `None` if there is no sentence with its key.
    #[must_use]
    pub fn text(&self, page: &PageContext) -> Option<String> {
        let mut text: Text = page.lang.t(self.key.clone());
        for (name, value) in &self.values {
            text = match value.parse::<i64>() {
                Ok(number) => text.with_name(name.clone(), number),
                Err(_) => text.with_name(name.clone(), value),
            };
        }
        text.find()
    }

    /// Bootstrap class of its alert: `success`, `info` or `warning`.
    #[must_use]
    pub fn class(&self) -> &'static str {
        match self.tone {
            FlashKind::Done => "success",
            FlashKind::Note => "info",
            FlashKind::Warn => "warning",
        }
    }

    /// Bootstrap icon of its alert.
    #[must_use]
    pub fn icon(&self) -> &'static str {
        match self.tone {
            FlashKind::Done => "check-circle-fill",
            FlashKind::Note => "info-circle",
            FlashKind::Warn => "exclamation-triangle",
        }
    }

    pub(crate) fn cookie(&self) -> String {
        let mut parts = vec![self.class().to_owned(), self.key.clone()];
        for (name, value) in &self.values {
            parts.push(name.clone());
            parts.push(utf8_percent_encode(value, NON_ALPHANUMERIC).to_string());
        }
        format!("{}; HttpOnly", cookies::plain(NAME, &parts.join("|"), 60))
    }

    pub(crate) fn clear() -> String {
        cookies::plain(NAME, "", 0)
    }

    pub(crate) fn read(headers: &HeaderMap) -> Vec<Self> {
        cookies::get(headers, NAME)
            .and_then(|text| Self::parse(&text))
            .into_iter()
            .collect()
    }

    fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split('|');
        let tone = match parts.next()? {
            "success" => FlashKind::Done,
            "info" => FlashKind::Note,
            "warning" => FlashKind::Warn,
            _ => return None,
        };
        let mut flash = Self::new(tone, parts.next()?);
        while let (Some(name), Some(value)) = (parts.next(), parts.next()) {
            let value = percent_decode_str(value).decode_utf8().ok()?.into_owned();
            flash.values.push((name.to_owned(), value));
        }
        Some(flash)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flash_survives_its_cookie() {
        let flash = Flash::warn("messages-in-use").with("mailing", "Весна; 50 % | скидка");
        let cookie = flash.cookie();
        let value = cookie
            .strip_prefix("flash=")
            .unwrap()
            .split(';')
            .next()
            .unwrap();
        assert_eq!(Flash::parse(value), Some(flash));
    }
}
