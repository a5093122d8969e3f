//! The first name out of a full name, as far as it can be told.

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
/// - «Иванов Иван Петрович», «Иван Петрович Иванов», «Иван Петрович» → `Иван`: the word before the patronymic.
/// - «Кузнецова Ирина» → `Ирина`: the other one, when only the first of two words looks like a family name.
/// - `Smith, Ann` → `Ann`: what stands behind the comma.
/// - `Ann Smith`, `Ann` → `Ann`: else the first word.
///
/// It is a guess: who needs certainty keeps an attribute of its own.
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

/// Whether a word ends so and is more than its ending.
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
