//! Placeholders: the parts of a cached page that are filled in at every view.
//!
//! While a page is rendered, a placeholder is a *mark* in its text. Marks contain a random number drawn
//! for each rendering ([`CacheMode`]), so no text that users wrote or sent can be mistaken for one.

use skychimp_core::platform::ids::PostId;

/// Tells handlers that the page will be cached: placeholders stay open, and no view is counted.
#[derive(Debug, Clone, Copy)]
pub(crate) struct CacheMode(u128);

impl CacheMode {
    /// For one rendering of a page.
    pub(crate) fn new() -> Self {
        Self(rand::random())
    }

    /// The mark for a placeholder in the page being rendered.
    pub(crate) fn mark(self, placeholder: Placeholder) -> String {
        let (open, close) = (self.open(), Self::CLOSE);
        match placeholder {
            Placeholder::Views(post) => format!("{open}{post}{close}"),
            Placeholder::Figures => format!("{open}figures{close}"),
            Placeholder::Posts => format!("{open}posts{close}"),
        }
    }

    /// Contains only characters that HTML escaping leaves unchanged.
    fn open(self) -> String {
        format!("hole-{:032x}-", self.0)
    }

    const CLOSE: char = '.';

    /// The text without its marks, with the placeholders and their byte offsets.
    pub(crate) fn take_out(self, text: &str) -> (String, Vec<(usize, Placeholder)>) {
        let open = self.open();
        let mut rest = text;
        let mut left = String::with_capacity(text.len());
        let mut placeholders = Vec::new();
        while let Some((before, after)) = rest.split_once(&open) {
            left.push_str(before);
            let (name, after) = after.split_once(Self::CLOSE).unwrap_or((after, ""));
            // only we know the number, so the name is one of ours
            placeholders
                .extend(Placeholder::parse(name).map(|placeholder| (left.len(), placeholder)));
            rest = after;
        }
        left.push_str(rest);
        (left, placeholders)
    }
}

/// A part that differs from view to view.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub(crate) enum Placeholder {
    /// View count of a post.
    Views(PostId),
    /// Statistics of the service.
    Figures,
    /// Randomly chosen posts.
    Posts,
}

impl Placeholder {
    fn parse(name: &str) -> Option<Self> {
        match name {
            "figures" => Some(Self::Figures),
            "posts" => Some(Self::Posts),
            _ => name.parse().ok().map(Self::Views),
        }
    }
}
