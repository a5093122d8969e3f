//! Slugs of posts and tags: Latin letters, digits and hyphens, made from any title.

use unicode_normalization::UnicodeNormalization as _;

/// Longest slug, in bytes.
pub const SLUG_MAX: usize = 100;

/// Makes a slug: «Как писать письма» → `kak-pisat-pisma`. Empty if the text has no letter or digit
/// that can be transliterated.
#[must_use]
pub fn slugify(text: &str) -> String {
    let mut slug = String::new();
    for c in text.to_lowercase().nfc() {
        let mut piece = String::new();
        match latin(c) {
            Some(letters) => piece.push_str(letters),
            // decompose é into e and an accent, and drop the accent
            None => piece.extend(c.nfd().filter(char::is_ascii_alphanumeric)),
        }
        let gap = piece.is_empty() && !silent(c);
        if gap && !slug.is_empty() && !slug.ends_with('-') {
            slug.push('-');
        }
        if slug.len() + piece.len() > SLUG_MAX {
            break;
        }
        slug.push_str(&piece);
    }
    slug.trim_end_matches('-').to_owned()
}

/// The slug for the `n`th post that wants it: `news`, `news-2`, `news-3`.
#[must_use]
pub fn numbered(slug: &str, n: u32) -> String {
    if n <= 1 {
        return slug.to_owned();
    }
    let end = format!("-{n}");
    let room = slug.len().min(SLUG_MAX - end.len());
    format!("{}{end}", slug[..room].trim_end_matches('-'))
}

/// Characters inside words that stand for no sound: ь, ъ, apostrophes.
fn silent(c: char) -> bool {
    matches!(c, 'ь' | 'ъ' | '\'' | '’' | '\u{301}')
}

/// Transliterates Cyrillic and other letters as passports and search engines do.
fn latin(c: char) -> Option<&'static str> {
    Some(match c {
        'а' => "a",
        'б' => "b",
        'в' => "v",
        'г' | 'ґ' => "g",
        'д' => "d",
        'е' | 'ё' | 'э' => "e",
        'є' => "ye",
        'ж' => "zh",
        'з' => "z",
        'и' | 'і' => "i",
        'ї' => "yi",
        'й' | 'ы' => "y",
        'к' => "k",
        'л' | 'ł' => "l",
        'м' => "m",
        'н' => "n",
        'о' | 'ø' => "o",
        'п' => "p",
        'р' => "r",
        'с' => "s",
        'т' => "t",
        'у' | 'ў' => "u",
        'ф' => "f",
        'х' => "kh",
        'ц' => "ts",
        'ч' => "ch",
        'ш' => "sh",
        'щ' => "shch",
        'ю' => "yu",
        'я' => "ya",
        'ß' => "ss",
        'æ' => "ae",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// R46: any title gives a readable slug.
    #[test]
    fn titles_become_addresses() {
        let cases = [
            (
                "Как писать письма, которые читают",
                "kak-pisat-pisma-kotorye-chitayut",
            ),
            ("  Hello,   World! ", "hello-world"),
            ("Объявление № 5: café & Straße", "obyavlenie-5-cafe-strasse"),
            ("Don’t panic", "dont-panic"),
            ("日本語", ""),
            ("../../etc/passwd", "etc-passwd"),
        ];
        for (title, slug) in cases {
            assert_eq!(slugify(title), slug, "{title}");
        }
        assert!(slugify(&"щ".repeat(200)).len() <= SLUG_MAX);
        assert_eq!(numbered("news", 1), "news");
        assert_eq!(numbered("news", 12), "news-12");
        assert_eq!(numbered(&"a".repeat(SLUG_MAX), 2).len(), SLUG_MAX);
    }
}
