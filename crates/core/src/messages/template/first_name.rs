//! Guesses the first name in a full name.

/// Endings of Russian patronymics.
const PATRONYMICS: [&str; 10] = [
    "ович", "евич", "ьич", "укич", "омич", "ьмич", "итич", "овна", "евна", "ична",
];
/// Endings of Russian family names that first names do not have.
const FAMILY_NAMES: [&str; 14] = [
    "ов",
    "ова",
    "ев",
    "ева",
    "ёв",
    "ёва",
    "ский",
    "ская",
    "цкий",
    "цкая",
    "енко",
    "швили",
    "кин",
    "кина",
];
/// First names that end like a family name.
const FIRST_NAMES: [&str; 3] = ["яков", "иаков", "лев"];

/// The name to greet somebody with.
///
/// - «Иванов Иван Петрович», «Иван Петрович Иванов», «Иван Петрович» → `Иван`: the word before the
///   patronymic.
/// - «Кузнецова Ирина» → `Ирина`: the second of two words if only the first looks like a family
///   name.
/// - `Smith, Ann` → `Ann`: what follows the comma.
/// - `Ann Smith`, `Ann` → `Ann`: otherwise the first word.
///
/// This is a guess. To be certain, store the name to use in an attribute.
#[must_use]
pub fn first_name(full: &str) -> &str {
    let full = match full.split_once(',') {
        Some((_, given)) if !given.trim().is_empty() => given,
        _ => full.trim_end().trim_end_matches(','),
    };
    let words: Vec<&str> = full.split_whitespace().take(6).collect();
    if let Some(at) = words
        .iter()
        .skip(1)
        .position(|word| ends(word, &PATRONYMICS))
    {
        return words[at];
    }
    match words[..] {
        [] => "",
        [one, two] if is_family_name(one) && !is_family_name(two) => two,
        [first, ..] => first,
    }
}

fn is_family_name(word: &str) -> bool {
    ends(word, &FAMILY_NAMES) && !FIRST_NAMES.contains(&word.to_lowercase().as_str())
}

/// Whether a word has one of these endings after a stem of at least two characters.
fn ends(word: &str, endings: &[&str]) -> bool {
    let word = word.to_lowercase();
    endings.iter().any(|ending| {
        word.strip_suffix(ending)
            .is_some_and(|stem| stem.chars().count() >= 2)
    })
}

#[cfg(test)]
mod tests {
    use super::first_name;

    #[test]
    fn greets_by_the_first_name() {
        for (full, first) in [
            ("Иванов Иван Петрович", "Иван"),
            ("Иван Петрович Иванов", "Иван"),
            ("Иван Петрович", "Иван"),
            ("ИВАНОВА АННА ИЛЬИНИЧНА", "АННА"),
            ("Кузнецова Ирина", "Ирина"),
            ("Ирина Кузнецова", "Ирина"),
            ("Марина Иванова", "Марина"),
            ("Яков Ким", "Яков"),
            ("Ева Браун", "Ева"),
            ("Лев Толстой", "Лев"),
            ("Пушкин Александр", "Александр"),
            ("Ульянов Владимир Ильич", "Владимир"),
            ("Ann Smith", "Ann"),
            ("  Ann  ", "Ann"),
            ("Smith, Ann Mary", "Ann"),
            ("Smith,", "Smith"),
            ("", ""),
            (" \t ", ""),
        ] {
            assert_eq!(first_name(full), first, "{full:?}");
        }
    }
}
