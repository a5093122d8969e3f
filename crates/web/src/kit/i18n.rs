//! Translations: Russian and English.
//!
//! Sentences are in `locales/{en,ru}/*.ftl` (Fluent, for Russian plurals and cases), one file per
//! area. A page gets a sentence by its key, `page.t("messages-title")`, and sets its variables with
//! [`Text::with`]. Numbers are formatted for the language.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;
use std::str::FromStr;

use fluent_templates::fluent_bundle::FluentValue;
use fluent_templates::{LanguageIdentifier, Loader as _, langid, static_loader};

use crate::kit::format;

static_loader! {
    static LOCALES = {
        locales: "./locales",
        fallback_language: "en",
        customise: |bundle| {
            bundle.set_use_isolating(false);
            let russian = bundle.locales.first().is_some_and(|l| l.language.as_str() == "ru");
            bundle.set_formatter(Some(if russian { number_ru } else { number_en }));
        },
    };
}

static ENGLISH: LanguageIdentifier = langid!("en");
static RUSSIAN: LanguageIdentifier = langid!("ru");

fn number_en<M>(value: &FluentValue, _: &M) -> Option<String> {
    number(value, Lang::En)
}

fn number_ru<M>(value: &FluentValue, _: &M) -> Option<String> {
    number(value, Lang::Ru)
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "sentences are given only whole numbers"
)]
fn number(value: &FluentValue, lang: Lang) -> Option<String> {
    match value {
        FluentValue::Number(n) if n.value.fract() == 0.0 => {
            Some(format::number(n.value as i64, lang))
        }
        _ => None,
    }
}

/// A language of the site.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Lang {
    /// English.
    En,
    /// Russian.
    Ru,
}

impl Lang {
    /// The language tag in HTML, cookies and the database.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::En => "en",
            Self::Ru => "ru",
        }
    }

    /// The supported language with the highest weight in `Accept-Language` (RFC 9110 §12.5.4).
    /// English if there is none.
    #[must_use]
    pub fn accepted(header: &str) -> Self {
        let mut best = (0.0_f32, Self::En);
        for part in header.split(',') {
            let (tag, params) = part.split_once(';').unwrap_or((part, ""));
            let quality = params
                .trim()
                .strip_prefix("q=")
                .map_or(1.0, |q| q.trim().parse().unwrap_or(0.0));
            let primary = tag.trim().split('-').next().unwrap_or_default();
            if let Ok(lang) = primary.to_ascii_lowercase().parse::<Self>()
                && quality > best.0
            {
                best = (quality, lang);
            }
        }
        best.1
    }

    /// The sentence with this key.
    #[must_use]
    pub fn t(self, key: impl Into<Cow<'static, str>>) -> Text {
        Text {
            lang: self,
            key: key.into(),
            args: HashMap::new(),
        }
    }

    /// The sentence whose key is composed at run time; see [`crate::kit::page::PageContext::dynamic`].
    #[must_use]
    pub fn dynamic(self, prefix: &str, name: &str) -> Text {
        self.t(format!("{prefix}{}", name.replace('_', "-")))
    }

    fn id(self) -> &'static LanguageIdentifier {
        match self {
            Self::En => &ENGLISH,
            Self::Ru => &RUSSIAN,
        }
    }
}

impl FromStr for Lang {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        match text {
            "en" => Ok(Self::En),
            "ru" => Ok(Self::Ru),
            _ => Err(()),
        }
    }
}

/// A sentence in a language, with its variables. `Display` renders it; templates escape it.
#[derive(Debug, Clone)]
pub struct Text {
    lang: Lang,
    key: Cow<'static, str>,
    args: HashMap<Cow<'static, str>, FluentValue<'static>>,
}

impl Text {
    /// Sets a variable: a number, which selects plurals and is formatted, or a text.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl Arg) -> Self {
        self.args.insert(Cow::Borrowed(name), value.arg());
        self
    }

    /// Like [`Text::with`], for a name known only at run time.
    #[must_use]
    pub fn with_name(mut self, name: String, value: impl Arg) -> Self {
        self.args.insert(Cow::Owned(name), value.arg());
        self
    }

    /// The sentence, or `None` if no translation has its key.
    #[must_use]
    pub fn find(&self) -> Option<String> {
        LOCALES.try_lookup_with_args(self.lang.id(), &self.key, &self.args)
    }
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.find() {
            Some(text) => f.write_str(&text),
            None => f.write_str(&self.key),
        }
    }
}

/// A value for a variable of a sentence.
pub trait Arg {
    /// Converts it to a Fluent value.
    fn arg(&self) -> FluentValue<'static>;
}

impl<T: Arg + ?Sized> Arg for &T {
    fn arg(&self) -> FluentValue<'static> {
        (**self).arg()
    }
}

macro_rules! number_args {
    ($($ty:ty)+) => {$(
        impl Arg for $ty {
            fn arg(&self) -> FluentValue<'static> {
                FluentValue::from(*self)
            }
        }
    )+};
}
number_args!(i64 u64 i32 u32 u16 usize);

macro_rules! text_args {
    ($($ty:ty)+) => {$(
        impl Arg for $ty {
            fn arg(&self) -> FluentValue<'static> {
                FluentValue::from(self.to_string())
            }
        }
    )+};
}
text_args!(str String Cow<'_, str> Text);

#[cfg(test)]
mod tests;
