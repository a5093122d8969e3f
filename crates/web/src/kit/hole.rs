//! The parts of a kept page that are filled at every view.
//!
//! While a page is made, such a hole is a *mark* in its text. The mark begins with a number that was drawn for this one making
//! of the page ([`Keep`]), so nothing that people wrote or asked for can be one.

use skychimp_core::platform::ids::PostId;

/// Says to handlers that the page they make will be kept: holes stay open, nobody is counted.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Keep(u128);

impl Keep {
    /// For one making of a page.
    pub(crate) fn new() -> Self {
        Self(rand::random())
    }

    /// How a hole stands in the page that is being made.
    pub(crate) fn mark(self, hole: Hole) -> String {
        let (open, close) = (self.open(), Self::CLOSE);
        match hole {
            Hole::Views(post) => format!("{open}{post}{close}"),
            Hole::Figures => format!("{open}figures{close}"),
            Hole::Posts => format!("{open}posts{close}"),
        }
    }

    /// Escaping for HTML leaves a mark as it is.
    fn open(self) -> String {
        format!("hole-{:032x}-", self.0)
    }

    const CLOSE: char = '.';

    /// The text without its marks, and where they stood.
    pub(crate) fn take_out(self, text: &str) -> (String, Vec<(usize, Hole)>) {
        let open = self.open();
        let mut rest = text;
        let mut left = String::with_capacity(text.len());
        let mut holes = Vec::new();
        while let Some((before, after)) = rest.split_once(&open) {
            left.push_str(before);
            let (name, after) = after.split_once(Self::CLOSE).unwrap_or((after, ""));
            // only we know the number, and we name what there is
            holes.extend(Hole::parse(name).map(|hole| (left.len(), hole)));
            rest = after;
        }
        left.push_str(rest);
        (left, holes)
    }
}

/// What is different at every view.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub(crate) enum Hole {
    /// How often a post was read.
    Views(PostId),
    /// The service's figures.
    Figures,
    /// Posts chosen by chance.
    Posts,
}

impl Hole {
    fn parse(name: &str) -> Option<Self> {
        match name {
            "figures" => Some(Self::Figures),
            "posts" => Some(Self::Posts),
            _ => name.parse().ok().map(Self::Views),
        }
    }
}
