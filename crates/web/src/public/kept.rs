//! A cached page with holes, and the page that a visitor gets.
//!
//! A handler renders a page as one text in which holes are *marks*. Marks contain a random number
//! drawn for each rendering ([`Keep`]), so no text that users wrote or sent can be mistaken for
//! one. The text is split at its marks once. From then on a page is its text and the offsets of its
//! holes, also when it is shared with other nodes, and is never searched for marks again.
//!
//! *Invariant*: what fills a hole is inserted unchanged. A card contains view counts, but no other
//! holes.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::Arc;

use axum::http::{HeaderMap, HeaderValue, header};
use bytes::Bytes;
use rand::seq::index;
use skychimp_core::platform::ids::{ContentVersion, PostId};
use skychimp_core::platform::time::Moment;

use super::{Public, PublicPages};
use crate::kit::app::AppState;
use crate::kit::error::WebError;
use crate::kit::format;
use crate::kit::gzip::{Piece, Sheet};
use crate::kit::hole::{Hole, Keep};
use crate::kit::i18n::Lang;
use crate::public::figures::Shown;

/// Number of posts on the home page (R55).
pub(crate) const POSTS: usize = 3;

#[derive(Debug)]
enum Part {
    Fixed(Piece),
    Open(Hole),
}

/// A cached page.
#[derive(Debug)]
pub(crate) struct Kept {
    /// The content version it was rendered from.
    pub(super) version: ContentVersion,
    /// Its handler's mark.
    pub(super) public: Public,
    /// Its response headers.
    pub(super) headers: HeaderMap,
    /// When it was rendered.
    pub(super) made_at: Moment,
    parts: Vec<Part>,
    /// The posts whose view counts it shows.
    posts: Vec<PostId>,
    tag: u64,
}

impl Kept {
    /// Splits a page that was rendered with `keep`.
    pub(super) fn new(
        version: ContentVersion,
        public: Public,
        mut headers: HeaderMap,
        text: &str,
        keep: Keep,
        made_at: Moment,
    ) -> Self {
        headers.remove("x-request-id");
        headers.remove(header::CONTENT_LENGTH);
        // may be stored anywhere, but must be revalidated at each use
        headers.insert(
            header::CACHE_CONTROL,
            HeaderValue::from_static("public, no-cache"),
        );
        headers.insert(
            header::VARY,
            HeaderValue::from_static("accept-encoding, accept-language, cookie"),
        );
        let (text, holes) = keep.take_out(text);
        Self::of(
            version,
            public,
            headers,
            made_at,
            parts(&text, &holes).unwrap_or_default(),
        )
    }

    /// A post's card for the home page. Keeps only the holes for view counts.
    pub(super) fn card(version: ContentVersion, text: &str, keep: Keep, made_at: Moment) -> Self {
        let (public, headers) = (Public::default(), HeaderMap::new());
        let mut card = Self::new(version, public, headers, text, keep, made_at);
        card.parts
            .retain(|part| matches!(part, Part::Fixed(_) | Part::Open(Hole::Views(_))));
        card
    }

    /// A page rendered by another node. `None` if the holes do not fit its text.
    pub(super) fn made(
        version: ContentVersion,
        public: Public,
        headers: HeaderMap,
        text: &str,
        holes: &[(usize, Hole)],
        made_at: Moment,
    ) -> Option<Self> {
        let parts = parts(text, holes)?;
        Some(Self::of(version, public, headers, made_at, parts))
    }

    fn of(
        version: ContentVersion,
        public: Public,
        headers: HeaderMap,
        made_at: Moment,
        parts: Vec<Part>,
    ) -> Self {
        let mut hasher = DefaultHasher::new();
        let mut posts = Vec::new();
        for part in &parts {
            match part {
                Part::Fixed(piece) => piece.text().hash(&mut hasher),
                Part::Open(hole) => hole.hash(&mut hasher),
            }
            if let Part::Open(Hole::Views(post)) = part {
                posts.push(*post);
            }
        }
        Self {
            version,
            public,
            headers,
            made_at,
            parts,
            posts,
            tag: hasher.finish(),
        }
    }

    /// The page as rendered, without marks, with its holes and their byte offsets.
    pub(super) fn text(&self) -> (Vec<u8>, Vec<(usize, Hole)>) {
        let mut text = Vec::new();
        let mut holes = Vec::new();
        for part in &self.parts {
            match part {
                Part::Fixed(piece) => text.extend_from_slice(piece.text()),
                Part::Open(hole) => holes.push((text.len(), *hole)),
            }
        }
        (text, holes)
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

    /// Randomly chosen posts of this page, or all if it has no more than it shows.
    fn chosen(&self) -> Vec<PostId> {
        let all = &self.public.choice;
        let mut places =
            index::sample(&mut rand::rng(), all.len(), POSTS.min(all.len())).into_vec();
        // keep their order, so that the same posts give the same page and `ETag`
        places.sort_unstable();
        places.into_iter().map(|place| all[place]).collect()
    }
}

/// Splits a text at its holes. `None` if offsets are not ascending or not inside the text.
fn parts(text: &str, holes: &[(usize, Hole)]) -> Option<Vec<Part>> {
    let mut parts = Vec::with_capacity(2 * holes.len() + 1);
    let mut begin = 0;
    for (place, hole) in holes {
        let fixed = text.get(begin..*place)?;
        parts.push(Part::Fixed(Piece::new(fixed.to_owned())));
        parts.push(Part::Open(*hole));
        begin = *place;
    }
    let fixed = text.get(begin..)?;
    parts.push(Part::Fixed(Piece::new(fixed.to_owned())));
    Some(parts)
}

/// A cached page with the contents of its holes for one view.
#[derive(Debug)]
pub(super) struct Filled<'a> {
    kept: &'a Kept,
    lang: Lang,
    figures: Option<Arc<Shown>>,
    cards: Vec<Arc<Kept>>,
}

impl<'a> Filled<'a> {
    /// Fetches the contents of the holes.
    pub(super) async fn new(
        app: &AppState,
        public: &PublicPages,
        kept: &'a Kept,
        lang: Lang,
    ) -> Result<Self, WebError> {
        let mut filled = Self {
            kept,
            lang,
            figures: None,
            cards: Vec::new(),
        };
        if kept.has(Hole::Figures) {
            filled.figures = Some(public.figures.shown(app).await?);
        }
        if kept.has(Hole::Posts) {
            for post in kept.chosen() {
                // a post unpublished after this view began has no card
                filled
                    .cards
                    .extend(public.card(app, kept.version, lang, post).await?);
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

    /// Its `ETag`: weak, because view counts are not part of it.
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

    /// Renders the page.
    pub(super) fn write(&self, app: &AppState, gzip: bool) -> Bytes {
        let figures = self
            .figures
            .as_ref()
            .map_or(0, |shown| shown.piece(self.lang).size(gzip));
        let pieces = self.pages().flat_map(Kept::pieces);
        let pieces: usize = pieces.map(|piece| piece.size(gzip)).sum();
        let mut sheet = Sheet::new(gzip, pieces + figures);
        for part in &self.kept.parts {
            match part {
                Part::Open(Hole::Posts) => {
                    let parts = self.cards.iter().flat_map(|card| &card.parts);
                    parts.for_each(|part| self.write_part(part, app, &mut sheet));
                }
                part => self.write_part(part, app, &mut sheet),
            }
        }
        sheet.finish()
    }

    /// Renders one part.
    fn write_part(&self, part: &Part, app: &AppState, sheet: &mut Sheet) {
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
            Part::Open(Hole::Posts) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(text: &str, keep: Keep) -> Kept {
        let now = Moment::from_millis(0);
        let (version, public) = (ContentVersion::new(now), Public::default());
        Kept::new(version, public, HeaderMap::new(), text, keep, now)
    }

    /// R57: a page is split at its holes and nowhere else, and is the same on another node.
    #[test]
    fn pages_are_taken_apart_at_their_holes() {
        let keep = Keep::new();
        let post = PostId::new(Moment::from_millis(0));
        let (views, figures) = (keep.mark(Hole::Views(post)), keep.mark(Hole::Figures));
        let whole = kept(&format!("<p>ж{views}</p>{figures}<b>"), keep);
        assert_eq!(whole.posts, [post]);
        assert!(whole.has(Hole::Figures) && !whole.has(Hole::Posts));
        let (text, holes) = whole.text();
        assert_eq!(text, "<p>ж</p><b>".as_bytes());
        assert_eq!(holes, [(5, Hole::Views(post)), (9, Hole::Figures)]);
        let made = |holes: &[(usize, Hole)]| {
            let (version, public) = (whole.version, Public::default());
            let text = std::str::from_utf8(&text).unwrap();
            Kept::made(
                version,
                public,
                HeaderMap::new(),
                text,
                holes,
                whole.made_at,
            )
        };
        let there = made(&holes).unwrap();
        assert_eq!(
            (there.tag, there.text()),
            (whole.tag, (text.clone(), holes.clone()))
        );
        for wrong in [4, 100, usize::MAX] {
            assert!(made(&[(wrong, Hole::Posts)]).is_none(), "{wrong}");
        }
        assert!(made(&[(9, Hole::Posts), (5, Hole::Posts)]).is_none());
    }

    /// R57: marks of another rendering, or made up by someone, are plain text.
    #[test]
    fn marks_cannot_be_written_by_people() {
        let keep = Keep::new();
        let other = Keep::new();
        for text in [
            other.mark(Hole::Posts),
            other.mark(Hole::Figures),
            "\u{2}posts\u{3}".to_owned(),
            "hole-posts.".to_owned(),
            format!("hole-{:032x}-posts.", 0),
        ] {
            let page = kept(&text, keep);
            assert_eq!(page.text(), (text.clone().into_bytes(), Vec::new()));
        }
    }

    /// R57: cards have no holes except view counts, so filling terminates.
    #[test]
    fn cards_have_no_further_holes() {
        let keep = Keep::new();
        let post = PostId::new(Moment::from_millis(0));
        let marks = [Hole::Posts, Hole::Figures, Hole::Views(post)].map(|hole| keep.mark(hole));
        let now = Moment::from_millis(0);
        let card = Kept::card(ContentVersion::new(now), &marks.concat(), keep, now);
        assert_eq!(card.text().1, [(0, Hole::Views(post))]);
    }

    /// R55: three different posts are chosen from many, all if there are few, and each with equal
    /// chance.
    #[test]
    fn three_different_posts_are_chosen() {
        let ids: Vec<_> = (0..7)
            .map(|_| PostId::new(Moment::from_millis(0)))
            .collect();
        let mut page = kept("", Keep::new());
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
        // 857 each are expected; ten standard deviations off is no coincidence
        assert!(
            ids.iter().all(|id| (640..1_080).contains(&seen[id])),
            "{seen:?}"
        );
    }
}
