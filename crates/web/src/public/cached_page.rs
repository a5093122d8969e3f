//! A cached page with placeholders, and the page that a visitor gets.
//!
//! A handler renders a page as one text in which placeholders are *marks*. Marks contain a random
//! number drawn for each rendering ([`CacheMode`]), so no text that users wrote or sent can be
//! mistaken for one. The text is split at its marks once. From then on a page is its text and the
//! offsets of its placeholders, also when it is shared with other nodes, and is never searched for
//! marks again.
//!
//! *Invariant*: what fills a placeholder is inserted unchanged. A card contains view counts, but no
//! other placeholders.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::Arc;

use axum::http::{HeaderMap, HeaderValue, header};
use bytes::Bytes;
use rand::seq::index;
use skychimp_core::platform::ids::{ContentVersion, PostId};
use skychimp_core::platform::time::Timestamp;

use super::{PublicAnswer, PublicPages};
use crate::kit::app::AppState;
use crate::kit::error::WebError;
use crate::kit::format;
use crate::kit::gzip::{Fragment, GzipWriter};
use crate::kit::i18n::Lang;
use crate::kit::placeholder::{CacheMode, Placeholder};
use crate::public::figures::RenderedFigures;

/// Number of posts on the home page (R55).
pub(crate) const POSTS: usize = 3;

#[derive(Debug)]
enum PagePart {
    Fixed(Fragment),
    Open(Placeholder),
}

/// A cached page.
#[derive(Debug)]
pub(crate) struct CachedPage {
    /// The content version it was rendered from.
    pub(super) version: ContentVersion,
    /// Its handler's mark.
    pub(super) public: PublicAnswer,
    /// Its response headers.
    pub(super) headers: HeaderMap,
    /// When it was rendered.
    pub(super) made_at: Timestamp,
    parts: Vec<PagePart>,
    /// The posts whose view counts it shows.
    posts: Vec<PostId>,
    tag: u64,
}

impl CachedPage {
    /// Splits a page that was rendered with `keep`.
    pub(super) fn new(
        version: ContentVersion,
        public: PublicAnswer,
        mut headers: HeaderMap,
        text: &str,
        keep: CacheMode,
        made_at: Timestamp,
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
        let (text, placeholders) = keep.take_out(text);
        Self::of(
            version,
            public,
            headers,
            made_at,
            parts(&text, &placeholders).unwrap_or_default(),
        )
    }

    /// A post's card for the home page. Keeps only the placeholders for view counts.
    pub(super) fn card(
        version: ContentVersion,
        text: &str,
        keep: CacheMode,
        made_at: Timestamp,
    ) -> Self {
        let (public, headers) = (PublicAnswer::default(), HeaderMap::new());
        let mut card = Self::new(version, public, headers, text, keep, made_at);
        card.parts.retain(|part| {
            matches!(
                part,
                PagePart::Fixed(_) | PagePart::Open(Placeholder::Views(_))
            )
        });
        card
    }

    /// A page rendered by another node. `None` if the placeholders do not fit its text.
    pub(super) fn from_parts(
        version: ContentVersion,
        public: PublicAnswer,
        headers: HeaderMap,
        text: &str,
        placeholders: &[(usize, Placeholder)],
        made_at: Timestamp,
    ) -> Option<Self> {
        let parts = parts(text, placeholders)?;
        Some(Self::of(version, public, headers, made_at, parts))
    }

    fn of(
        version: ContentVersion,
        public: PublicAnswer,
        headers: HeaderMap,
        made_at: Timestamp,
        parts: Vec<PagePart>,
    ) -> Self {
        let mut hasher = DefaultHasher::new();
        let mut posts = Vec::new();
        for part in &parts {
            match part {
                PagePart::Fixed(piece) => piece.text().hash(&mut hasher),
                PagePart::Open(placeholder) => placeholder.hash(&mut hasher),
            }
            if let PagePart::Open(Placeholder::Views(post)) = part {
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

    /// The page as rendered, without marks, with its placeholders and their byte offsets.
    pub(super) fn text(&self) -> (Vec<u8>, Vec<(usize, Placeholder)>) {
        let mut text = Vec::new();
        let mut placeholders = Vec::new();
        for part in &self.parts {
            match part {
                PagePart::Fixed(piece) => text.extend_from_slice(piece.text()),
                PagePart::Open(placeholder) => placeholders.push((text.len(), *placeholder)),
            }
        }
        (text, placeholders)
    }

    /// Bytes it takes in memory.
    pub(super) fn weight(&self) -> usize {
        let pieces: usize = self.pieces().map(Fragment::weight).sum();
        pieces + self.public.choice.len() * size_of::<PostId>() + 2_048
    }

    fn pieces(&self) -> impl Iterator<Item = &Fragment> {
        self.parts.iter().filter_map(|part| match part {
            PagePart::Fixed(piece) => Some(piece),
            PagePart::Open(_) => None,
        })
    }

    fn has(&self, wanted: Placeholder) -> bool {
        self.parts
            .iter()
            .any(|part| matches!(part, PagePart::Open(placeholder) if *placeholder == wanted))
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

/// Splits a text at its placeholders. `None` if offsets are not ascending or not inside the text.
fn parts(text: &str, placeholders: &[(usize, Placeholder)]) -> Option<Vec<PagePart>> {
    let mut parts = Vec::with_capacity(2 * placeholders.len() + 1);
    let mut begin = 0;
    for (place, placeholder) in placeholders {
        let fixed = text.get(begin..*place)?;
        parts.push(PagePart::Fixed(Fragment::new(fixed.to_owned())));
        parts.push(PagePart::Open(*placeholder));
        begin = *place;
    }
    let fixed = text.get(begin..)?;
    parts.push(PagePart::Fixed(Fragment::new(fixed.to_owned())));
    Some(parts)
}

/// A cached page with the contents of its placeholders for one view.
#[derive(Debug)]
pub(super) struct FilledPage<'a> {
    kept: &'a CachedPage,
    lang: Lang,
    figures: Option<Arc<RenderedFigures>>,
    cards: Vec<Arc<CachedPage>>,
}

impl<'a> FilledPage<'a> {
    /// Fetches the contents of the placeholders.
    pub(super) async fn new(
        app: &AppState,
        public: &PublicPages,
        kept: &'a CachedPage,
        lang: Lang,
    ) -> Result<Self, WebError> {
        let mut filled = Self {
            kept,
            lang,
            figures: None,
            cards: Vec::new(),
        };
        if kept.has(Placeholder::Figures) {
            filled.figures = Some(public.figures.current(app).await?);
        }
        if kept.has(Placeholder::Posts) {
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

    fn pages(&self) -> impl Iterator<Item = &CachedPage> {
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
        let pieces = self.pages().flat_map(CachedPage::pieces);
        let pieces: usize = pieces.map(|piece| piece.size(gzip)).sum();
        let mut sheet = GzipWriter::new(gzip, pieces + figures);
        for part in &self.kept.parts {
            match part {
                PagePart::Open(Placeholder::Posts) => {
                    let parts = self.cards.iter().flat_map(|card| &card.parts);
                    parts.for_each(|part| self.write_part(part, app, &mut sheet));
                }
                part => self.write_part(part, app, &mut sheet),
            }
        }
        sheet.finish()
    }

    /// Renders one part.
    fn write_part(&self, part: &PagePart, app: &AppState, sheet: &mut GzipWriter) {
        match part {
            PagePart::Fixed(piece) => sheet.piece(piece),
            PagePart::Open(Placeholder::Views(post)) => {
                let number = format::number(app.views.number(*post), self.lang);
                sheet.text(number.as_bytes());
            }
            PagePart::Open(Placeholder::Figures) => {
                if let Some(shown) = &self.figures {
                    sheet.piece(shown.piece(self.lang));
                }
            }
            PagePart::Open(Placeholder::Posts) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(text: &str, keep: CacheMode) -> CachedPage {
        let now = Timestamp::from_millis(0);
        let (version, public) = (ContentVersion::new(now), PublicAnswer::default());
        CachedPage::new(version, public, HeaderMap::new(), text, keep, now)
    }

    /// R57: a page is split at its placeholders and nowhere else, and is the same on another node.
    #[test]
    fn pages_are_taken_apart_at_their_holes() {
        let keep = CacheMode::new();
        let post = PostId::new(Timestamp::from_millis(0));
        let (views, figures) = (
            keep.mark(Placeholder::Views(post)),
            keep.mark(Placeholder::Figures),
        );
        let whole = kept(&format!("<p>ж{views}</p>{figures}<b>"), keep);
        assert_eq!(whole.posts, [post]);
        assert!(whole.has(Placeholder::Figures) && !whole.has(Placeholder::Posts));
        let (text, placeholders) = whole.text();
        assert_eq!(text, "<p>ж</p><b>".as_bytes());
        assert_eq!(
            placeholders,
            [(5, Placeholder::Views(post)), (9, Placeholder::Figures)]
        );
        let made = |placeholders: &[(usize, Placeholder)]| {
            let (version, public) = (whole.version, PublicAnswer::default());
            let text = std::str::from_utf8(&text).unwrap();
            CachedPage::from_parts(
                version,
                public,
                HeaderMap::new(),
                text,
                placeholders,
                whole.made_at,
            )
        };
        let there = made(&placeholders).unwrap();
        assert_eq!(
            (there.tag, there.text()),
            (whole.tag, (text.clone(), placeholders.clone()))
        );
        for wrong in [4, 100, usize::MAX] {
            assert!(made(&[(wrong, Placeholder::Posts)]).is_none(), "{wrong}");
        }
        assert!(made(&[(9, Placeholder::Posts), (5, Placeholder::Posts)]).is_none());
    }

    /// R57: marks of another rendering, or made up by someone, are plain text.
    #[test]
    fn marks_cannot_be_written_by_people() {
        let keep = CacheMode::new();
        let other = CacheMode::new();
        for text in [
            other.mark(Placeholder::Posts),
            other.mark(Placeholder::Figures),
            "\u{2}posts\u{3}".to_owned(),
            "hole-posts.".to_owned(),
            format!("hole-{:032x}-posts.", 0),
        ] {
            let page = kept(&text, keep);
            assert_eq!(page.text(), (text.clone().into_bytes(), Vec::new()));
        }
    }

    /// R57: cards have no placeholders except view counts, so filling terminates.
    #[test]
    fn cards_have_no_further_holes() {
        let keep = CacheMode::new();
        let post = PostId::new(Timestamp::from_millis(0));
        let marks = [
            Placeholder::Posts,
            Placeholder::Figures,
            Placeholder::Views(post),
        ]
        .map(|placeholder| keep.mark(placeholder));
        let now = Timestamp::from_millis(0);
        let card = CachedPage::card(ContentVersion::new(now), &marks.concat(), keep, now);
        assert_eq!(card.text().1, [(0, Placeholder::Views(post))]);
    }

    /// R55: three different posts are chosen from many, all if there are few, and each with equal
    /// chance.
    #[test]
    fn three_different_posts_are_chosen() {
        let ids: Vec<_> = (0..7)
            .map(|_| PostId::new(Timestamp::from_millis(0)))
            .collect();
        let mut page = kept("", CacheMode::new());
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
