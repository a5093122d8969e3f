//! Screenshots of the product, taken by `make screenshots`.

use crate::kit::assets;
use crate::kit::i18n::Lang;

/// A screenshot in both themes.
pub(super) struct Shot {
    pub(super) class: &'static str,
    pub(super) light: Files,
    pub(super) dark: Files,
    pub(super) sizes: &'static str,
    pub(super) width: u32,
    pub(super) height: u32,
}

/// A picture in several widths.
pub(super) struct Files {
    pub(super) src: String,
    pub(super) srcset: String,
}

/// Widths of desktop screenshots, in pixels. The second is for browsers without `srcset`.
const DESK: [u32; 3] = [640, 960, 1280];
/// Widths of phone screenshots, in pixels.
const PHONE: [u32; 2] = [390, 780];

impl Shot {
    /// A desktop screenshot.
    pub(super) fn desk(name: &str, lang: Lang) -> Self {
        Self {
            class: "shot-desk",
            light: files(&format!("{name}-desk-light-{}", lang.as_str()), &DESK),
            dark: files(&format!("{name}-desk-dark-{}", lang.as_str()), &DESK),
            sizes: "(min-width: 62rem) 36rem, 100vw",
            width: 1280,
            height: 860,
        }
    }

    /// A phone screenshot.
    pub(super) fn phone(name: &str, lang: Lang) -> Self {
        Self {
            class: "shot-phone",
            light: files(&format!("{name}-phone-light-{}", lang.as_str()), &PHONE),
            dark: files(&format!("{name}-phone-dark-{}", lang.as_str()), &PHONE),
            sizes: "16rem",
            width: 390,
            height: 780,
        }
    }
}

fn files(name: &str, widths: &[u32]) -> Files {
    let file = |width: u32| assets::url(&format!("{name}-{width}.webp"));
    let set: Vec<_> = widths
        .iter()
        .map(|width| format!("{} {width}w", file(*width)))
        .collect();
    Files {
        src: file(widths[1]),
        srcset: set.join(", "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// R56: every picture used on the home page is embedded in the binary.
    #[test]
    fn pictures_are_there() {
        for lang in [Lang::En, Lang::Ru] {
            for shot in [
                Shot::desk("mailing", lang),
                Shot::desk("message", lang),
                Shot::phone("mailing", lang),
            ] {
                for files in [shot.light, shot.dark] {
                    for part in files.srcset.split(", ") {
                        let (address, _) = part.split_once(' ').unwrap();
                        let name = address.strip_prefix("/assets/").unwrap();
                        assert!(assets::exists(name), "{name}");
                    }
                }
            }
        }
    }
}
