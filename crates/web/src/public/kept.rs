//! A finished page with its holes, and the page that a visitor gets.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::Arc;

use axum::http::{HeaderMap, HeaderValue, header};
use bytes::Bytes;
use rand::seq::index;
use skychimp_core::ids::{ContentVersion, PostId};
use skychimp_core::time::Moment;

use super::{Piece, Public, Sheet};
use crate::error::WebError;
use crate::figures::Shown;
use crate::i18n::Lang;
use crate::{AppState, format};

/// Posts on the home page (R55).
pub(crate) const POSTS: usize = 3;
/// Around the name of a hole. No page holds these characters.
const OPEN: char = '\u{2}';
const CLOSE: char = '\u{3}';

/// What is different at every view.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Hole {
    /// How often a post was read.
    Views(PostId),
    /// The service's figures.
    Figures,
    /// Posts chosen by chance.
    Posts,
}

impl Hole {
    /// How it stands in a page that is going to be kept.
    pub(crate) fn mark(self) -> String {
        match self {
            Self::Views(post) => format!("{OPEN}{post}{CLOSE}"),
            Self::Figures => format!("{OPEN}figures{CLOSE}"),
            Self::Posts => format!("{OPEN}posts{CLOSE}"),
        }
    }

    fn parse(name: &str) -> Option<Self> {
        match name {
            "figures" => Some(Self::Figures),
            "posts" => Some(Self::Posts),
            _ => name.parse().ok().map(Self::Views),
        }
    }
}

#[derive(Debug)]
enum Part {
    Fixed(Piece),
    Open(Hole),
}

/// A finished page.
#[derive(Debug)]
pub(crate) struct Kept {
    /// What it was made from.
    pub(super) version: ContentVersion,
    /// What its handler said about it.
    pub(super) public: Public,
    /// What goes with it.
    pub(super) headers: HeaderMap,
    /// When it was made.
    pub(super) made_at: Moment,
    parts: Vec<Part>,
    /// The posts whose views it shows.
    posts: Vec<PostId>,
    tag: u64,
}

impl Kept {
    /// Takes a page apart.
    pub(super) fn new(
        version: ContentVersion,
        public: Public,
        mut headers: HeaderMap,
        text: &str,
        made_at: Moment,
    ) -> Self {
        let parts = parts(text);
        let posts = parts.iter().filter_map(|part| match part {
            Part::Open(Hole::Views(post)) => Some(*post),
            _ => None,
        });
        let mut hasher = DefaultHasher::new();
        text.hash(&mut hasher);
        headers.remove("x-request-id");
        headers.remove(header::CONTENT_LENGTH);
        // everybody may keep it, and must ask each time whether it is still right
        headers.insert(
            header::CACHE_CONTROL,
            HeaderValue::from_static("public, no-cache"),
        );
        headers.insert(
            header::VARY,
            HeaderValue::from_static("accept-encoding, accept-language, cookie"),
        );
        Self {
            posts: posts.collect(),
            tag: hasher.finish(),
            version,
            public,
            headers,
            made_at,
            parts,
        }
    }

    /// The page as its handler wrote it.
    pub(super) fn text(&self) -> Vec<u8> {
        let mut text = Vec::new();
        for part in &self.parts {
            match part {
                Part::Fixed(piece) => text.extend_from_slice(piece.text()),
                Part::Open(hole) => text.extend_from_slice(hole.mark().as_bytes()),
            }
        }
        text
    }

    /// Bytes it takes in memory.
    pub(super) fn weight(&self) -> usize {
        let pieces: usize = self.pieces().map(Piece::weight).sum();
        pieces + self.public.choice.len() * size_of::<PostId>() + 2_048
    }

    fn pieces(&self) -> impl Iterator<Item = &Piece> {
        self.parts.iter().filter_map(|part| match part {
            Part::Fixed(piece) => Some(piece),
            Part::Open(_) => None,
        })
    }

    fn has(&self, wanted: Hole) -> bool {
        self.parts
            .iter()
            .any(|part| matches!(part, Part::Open(hole) if *hole == wanted))
    }

    /// Some of the posts among which this page chooses: all of them when there are no more than it shows.
    fn chosen(&self) -> Vec<PostId> {
        let all = &self.public.choice;
        let mut places =
            index::sample(&mut rand::rng(), all.len(), POSTS.min(all.len())).into_vec();
        // in their own order: the same three are the same page
        places.sort_unstable();
        places.into_iter().map(|place| all[place]).collect()
    }
}

fn parts(text: &str) -> Vec<Part> {
    let mut parts = Vec::new();
    let mut fixed = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once(OPEN) {
        fixed.push_str(before);
        rest = after;
        let hole = after
            .split_once(CLOSE)
            .and_then(|(name, after)| Some((Hole::parse(name)?, after)));
        if let Some((hole, after)) = hole {
            parts.push(Part::Fixed(Piece::new(std::mem::take(&mut fixed))));
            parts.push(Part::Open(hole));
            rest = after;
        }
    }
    fixed.push_str(rest);
    parts.push(Part::Fixed(Piece::new(fixed)));
    parts
}

/// A kept page and what goes into its holes at one view.
#[derive(Debug)]
pub(super) struct Filled<'a> {
    kept: &'a Kept,
    lang: Lang,
    figures: Option<Arc<Shown>>,
    cards: Vec<Arc<Kept>>,
}

impl<'a> Filled<'a> {
    /// Finds what belongs into the holes.
    pub(super) async fn new(app: &AppState, kept: &'a Kept, lang: Lang) -> Result<Self, WebError> {
        let mut filled = Self {
            kept,
            lang,
            figures: None,
            cards: Vec::new(),
        };
        if kept.has(Hole::Figures) {
            filled.figures = Some(app.figures.shown(app).await?);
        }
        if kept.has(Hole::Posts) {
            for post in kept.chosen() {
                // withdrawn a moment ago, after this view began
                filled
                    .cards
                    .extend(app.pages.card(app, kept.version, lang, post).await?);
            }
        }
        for page in filled.pages() {
            app.views
                .refresh(&app.db, &page.posts, app.clock.now())
                .await?;
        }
        Ok(filled)
    }

    fn pages(&self) -> impl Iterator<Item = &Kept> {
        std::iter::once(self.kept).chain(self.cards.iter().map(Arc::as_ref))
    }

    /// Its `ETag`: weak, because numbers of views are not part of it.
    pub(super) fn tag(&self) -> String {
        let figures = self.figures.as_ref().map(|shown| shown.tag);
        let tag = self
            .pages()
            .map(|page| page.tag)
            .chain(figures)
            .fold(0_u64, |tag, more| {
                tag.rotate_left(7).wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ more
            });
        format!("W/\"{tag:016x}\"")
    }

    /// Writes it.
    pub(super) fn write(&self, app: &AppState, gzip: bool) -> Bytes {
        let figures = self
            .figures
            .as_ref()
            .map_or(0, |shown| shown.piece(self.lang).size(gzip));
        let pieces = self.pages().flat_map(Kept::pieces);
        let pieces: usize = pieces.map(|piece| piece.size(gzip)).sum();
        let mut sheet = Sheet::new(gzip, pieces + figures);
        self.write_page(self.kept, app, &mut sheet);
        sheet.finish()
    }

    fn write_page(&self, page: &Kept, app: &AppState, sheet: &mut Sheet) {
        for part in &page.parts {
            match part {
                Part::Fixed(piece) => sheet.piece(piece),
                Part::Open(Hole::Views(post)) => {
                    let number = format::number(app.views.number(*post), self.lang);
                    sheet.text(number.as_bytes());
                }
                Part::Open(Hole::Figures) => {
                    if let Some(shown) = &self.figures {
                        sheet.piece(shown.piece(self.lang));
                    }
                }
                Part::Open(Hole::Posts) => {
                    for card in &self.cards {
                        self.write_page(card, app, sheet);
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(text: &str) -> Kept {
        let now = Moment::from_millis(0);
        Kept::new(
            ContentVersion::new(now),
            Public::default(),
            HeaderMap::new(),
            text,
            now,
        )
    }

    /// R57: a page is taken apart at its holes and nowhere else.
    #[test]
    fn pages_are_taken_apart_at_their_holes() {
        let post = PostId::new(Moment::from_millis(0));
        let (views, figures) = (Hole::Views(post).mark(), Hole::Figures.mark());
        let text = format!("<p>{views}</p>{figures}<b>");
        let whole = kept(&text);
        assert_eq!(whole.posts, [post]);
        assert!(whole.has(Hole::Figures) && !whole.has(Hole::Posts));
        assert_eq!(whole.pieces().count(), 3);
        assert_eq!(whole.text(), text.as_bytes());
        // an author's odd characters are no hole
        let odd = kept("\u{2}a \u{2}b\u{3}");
        assert_eq!(odd.pieces().count(), 1);
    }

    /// R55: three different posts of many, all of a few; each has its chance.
    #[test]
    fn three_different_posts_are_chosen() {
        let ids: Vec<_> = (0..7)
            .map(|_| PostId::new(Moment::from_millis(0)))
            .collect();
        let mut page = kept("");
        page.public.choice = ids[..2].to_vec();
        assert_eq!(page.chosen(), ids[..2]);
        page.public.choice.clone_from(&ids);
        let mut seen = std::collections::BTreeMap::new();
        for _ in 0..2_000 {
            let chosen = page.chosen();
            assert!(
                chosen.len() == 3
                    && chosen.is_sorted()
                    && chosen[0] != chosen[1]
                    && chosen[1] != chosen[2]
            );
            for id in chosen {
                *seen.entry(id).or_insert(0) += 1;
            }
        }
        // 857 of each are to be expected; ten deviations off is no chance
        assert!(
            ids.iter().all(|id| (640..1_080).contains(&seen[id])),
            "{seen:?}"
        );
    }
}
