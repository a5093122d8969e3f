//! The words of the site: `docs/glossary.md` against the sentences and the templates.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// A message of a locale file.
struct Sentence {
    lang: &'static str,
    file: String,
    /// Line of the file on which it begins.
    line: usize,
    key: String,
    /// Its lines, without the key.
    text: Vec<String>,
}

/// A column "not" of the glossary.
struct Forbidden {
    lang: &'static str,
    /// Words in a row; `*` at the end of one stands for any ending.
    words: Vec<String>,
    /// Prefixes of keys it is limited to; all keys if empty.
    only: Vec<String>,
    /// Prefixes of keys that may use it.
    except: Vec<String>,
    instead: String,
}

const LANGS: [(&str, usize, usize); 2] = [("en", 1, 4), ("ru", 2, 5)];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_owned()
}

fn glossary() -> String {
    fs::read_to_string(root().join("../../docs/glossary.md")).unwrap()
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.push(path);
        }
    }
    found.sort();
    found
}

fn sentences() -> Vec<Sentence> {
    let mut found: Vec<Sentence> = Vec::new();
    for (lang, _, _) in LANGS {
        for file in files(&root().join("locales").join(lang)) {
            let name = file.file_name().unwrap().to_string_lossy();
            for (n, line) in fs::read_to_string(&file).unwrap().lines().enumerate() {
                let begins = line.starts_with(|c: char| c.is_ascii_lowercase());
                if let Some((key, text)) = line.split_once(" =").filter(|_| begins) {
                    found.push(Sentence {
                        lang,
                        file: format!("{lang}/{name}"),
                        line: n + 1,
                        key: key.to_owned(),
                        text: vec![text.to_owned()],
                    });
                } else if !line.starts_with('#') && !line.is_empty() {
                    found.last_mut().unwrap().text.push(line.to_owned());
                }
            }
        }
    }
    found
}

impl Sentence {
    fn at(&self, line: usize) -> String {
        format!("{}:{}: {}", self.file, self.line + line, self.key)
    }

    fn whole(&self) -> String {
        self.text.join("\n")
    }

    /// The variants of its selectors on a variable.
    fn variants(&self, variable: &str) -> Vec<BTreeSet<String>> {
        let mut found = Vec::new();
        let whole = self.whole();
        for part in whole.split(&format!("{{ ${variable} ->")).skip(1) {
            let mut names = BTreeSet::new();
            for line in part.lines().skip(1) {
                let line = line.trim().trim_start_matches('*');
                if line.starts_with('}') {
                    break;
                }
                if let Some((name, _)) = line.strip_prefix('[').and_then(|l| l.split_once(']')) {
                    names.insert(name.to_owned());
                }
            }
            found.push(names);
        }
        found
    }
}

/// The table cells of the glossary's rows.
fn forbidden() -> Vec<Forbidden> {
    let mut found = Vec::new();
    for line in glossary().lines().filter(|line| line.starts_with("| ")) {
        let cells: Vec<_> = line.split('|').map(str::trim).collect();
        if cells.len() != 7 || cells[1] == "English" {
            continue;
        }
        for (lang, word, not) in LANGS {
            let mut rest = cells[not];
            while !rest.is_empty() {
                let end = rest.find([',', '[']).unwrap_or(rest.len());
                let words = &rest[..end];
                rest = &rest[end..];
                let (mut only, mut except) = (Vec::new(), Vec::new());
                if let Some(scope) = rest.strip_prefix('[') {
                    let (scope, behind) = scope.split_once(']').unwrap();
                    let (list, keys) = match scope.strip_prefix("not ") {
                        Some(keys) => (&mut except, keys),
                        None => (&mut only, scope),
                    };
                    list.extend(keys.split(' ').map(str::to_owned));
                    rest = behind;
                }
                found.push(Forbidden {
                    lang,
                    words: words.split_whitespace().map(str::to_lowercase).collect(),
                    only,
                    except,
                    instead: cells[word].to_owned(),
                });
                rest = rest.trim_start_matches(',').trim_start();
            }
        }
    }
    found
}

impl Forbidden {
    fn concerns(&self, key: &str) -> bool {
        let begins = |list: &[String]| list.iter().any(|prefix| key.starts_with(prefix.as_str()));
        (self.only.is_empty() || begins(&self.only)) && !begins(&self.except)
    }

    fn is_in(&self, words: &[String]) -> bool {
        words.windows(self.words.len()).any(|row| {
            row.iter()
                .zip(&self.words)
                .all(|(word, pattern)| match pattern.strip_suffix('*') {
                    Some(stem) => word.starts_with(stem),
                    None => word == pattern,
                })
        })
    }
}

/// The text without placeables, in which names of variables and messages stand.
fn plain(line: &str) -> String {
    let mut text = String::new();
    let mut depth = 0;
    for c in line.chars() {
        match c {
            '{' => depth += 1,
            '}' => depth = 0.max(depth - 1),
            _ if depth == 0 => text.push(c),
            _ => {}
        }
        if c == '{' || c == '}' {
            text.push('\u{1}');
        }
    }
    text
}

fn words(text: &str) -> Vec<String> {
    text.split(|c: char| !c.is_alphanumeric() && !"-’\u{1}".contains(c))
        .filter(|word| !word.is_empty())
        .map(str::to_lowercase)
        .collect()
}

fn nothing(problems: &[String]) {
    assert!(problems.is_empty(), "\n{}", problems.join("\n"));
}

/// One word per thing: no sentence and no template uses a word that the glossary replaces.
#[test]
fn sentences_use_the_words_of_the_glossary() {
    let forbidden = forbidden();
    assert!(forbidden.len() > 100, "{}", forbidden.len());
    let mut problems = Vec::new();
    for sentence in sentences() {
        for (n, line) in sentence.text.iter().enumerate() {
            let words = words(&plain(line));
            for rule in &forbidden {
                if rule.lang == sentence.lang && rule.concerns(&sentence.key) && rule.is_in(&words)
                {
                    let (not, say) = (rule.words.join(" "), &rule.instead);
                    problems.push(format!("{}: “{not}”, say “{say}”", sentence.at(n)));
                }
            }
        }
    }
    nothing(&problems);
}

/// Templates have no sentences of their own: all are in the locale files, so all are held against
/// the glossary.
#[test]
fn templates_have_no_sentences() {
    let names = "Skychimp English Русский PostgreSQL SQLite";
    let mut problems = Vec::new();
    for file in files(&root().join("templates")) {
        let mut source = fs::read_to_string(&file).unwrap();
        let html = file.extension().is_some_and(|ending| ending == "html");
        for (begin, end) in [
            ("{#", "#}"),
            ("{{", "}}"),
            ("{%", "%}"),
            ("<style", "</style>"),
            ("<", ">"),
        ] {
            source = without(&source, begin, end);
        }
        for (n, line) in source.lines().enumerate().filter(|_| html) {
            let mut words = words(&line.replace("&lt;", "").replace("&gt;", ""));
            let named = |word: &&String| names.to_lowercase().split(' ').any(|name| name == *word);
            // one is the rest of an attribute with a ">" in it
            words.retain(|word| word.chars().all(char::is_alphabetic));
            if words.iter().filter(|word| !named(word)).count() > 1 && !line.contains("=\"") {
                problems.push(format!("{}:{}: {line}", file.display(), n + 1));
            }
        }
    }
    nothing(&problems);
}

/// The text without what is between these marks; lines keep their numbers.
fn without(text: &str, begin: &str, end: &str) -> String {
    let mut left = String::new();
    let mut rest = text;
    while let Some((before, inside)) = rest.split_once(begin) {
        left.push_str(before);
        let (inside, behind) = inside.split_once(end).unwrap_or((inside, ""));
        left.extend(inside.chars().filter(|c| *c == '\n'));
        left.push(' ');
        rest = behind;
    }
    left + rest
}

/// Values of these variables are texts; all others are numbers.
const TEXTS: &str = "address ago at by code day detail domains email entry floor free group header hour line \
    mailings name owner peer reason reply server size subject text time title until variable version what when \
    why zone";

/// A Russian number is followed by a noun only in a sentence that selects its form, and selectors
/// have the forms of a Russian number: one, few, many, or one and other for oblique cases.
#[test]
fn counted_phrases_have_all_plurals() {
    let texts: BTreeSet<_> = TEXTS.split_whitespace().collect();
    let unselected = "из в до и за на с по или".split(' ').collect::<Vec<_>>();
    let mut problems = Vec::new();
    for sentence in sentences() {
        let whole = sentence.whole();
        let variables: BTreeSet<_> = whole
            .split('$')
            .skip(1)
            .map(|part| part.split([' ', '}']).next().unwrap().to_owned())
            .filter(|name| !texts.contains(name.as_str()))
            .collect();
        for name in variables {
            let variants = sentence.variants(&name);
            for forms in &variants {
                let plural: BTreeSet<_> = forms
                    .iter()
                    .filter(|f| f.parse::<i64>().is_err())
                    .map(String::as_str)
                    .collect();
                let known: &[&[&str]] = match sentence.lang {
                    "ru" => &[
                        &["one", "few", "many"],
                        &["one", "few", "other"],
                        &["one", "other"],
                        &["other"],
                    ],
                    _ => &[&["one", "other"], &["other"]],
                };
                if !known
                    .iter()
                    .any(|known| plural == known.iter().copied().collect())
                    && !forms.contains("unsubscribed")
                {
                    problems.push(format!(
                        "{}: the forms of ${name} are {forms:?}",
                        sentence.at(0)
                    ));
                }
            }
            let mark = format!("{{ ${name} }}");
            for (n, line) in sentence.text.iter().enumerate() {
                for behind in line
                    .split(&mark)
                    .skip(1)
                    .filter_map(|text| text.strip_prefix(' '))
                {
                    let next = words(&plain(behind)).first().cloned().unwrap_or_default();
                    let noun = match sentence.lang {
                        "ru" => !unselected.contains(&next.as_str()),
                        _ => next.ends_with('s') && !["is", "was", "has"].contains(&next.as_str()),
                    };
                    if behind.starts_with(char::is_alphabetic) && noun && variants.is_empty() {
                        problems.push(format!(
                            "{}: {next} behind ${name} has no plural",
                            sentence.at(n)
                        ));
                    }
                }
            }
        }
    }
    nothing(&problems);
}

/// Quotation marks, apostrophes, dashes and spaces are those of the language, and English has no
/// contractions.
#[test]
fn sentences_are_set_as_the_language_is() {
    let mut problems = Vec::new();
    let units = "с мин ч дн. мс МБ млн байт s min h d ms MB MiB МиБ million bytes";
    let contractions = [
        "n’t",
        "’re ",
        "’ve ",
        "’ll ",
        "’m ",
        "it’s",
        "that’s",
        "there’s",
        "what’s",
        "let’s",
        "here’s",
    ];
    for sentence in sentences() {
        for (n, line) in sentence.text.iter().enumerate() {
            let text = plain(line);
            let mut say = |what: &str| problems.push(format!("{}: {what}: {line}", sentence.at(n)));
            let sample = sentence.key == "messages-sample";
            if !sample && text.contains(['"', '\'']) {
                say("a straight quotation mark or apostrophe");
            }
            if text.contains("...") || text.trim().contains("  ") {
                say("three dots or two spaces");
            }
            let russian = sentence.lang == "ru";
            if text.contains(if russian {
                ['“', '”']
            } else {
                ['«', '»']
            }) {
                say("quotation marks of the other language");
            }
            if russian && (text.contains(" – ") || text.contains(" — ")) {
                say("a dash without a no-break space before it");
            }
            if !russian
                && contractions
                    .iter()
                    .any(|end| format!("{text} ").to_lowercase().contains(end))
            {
                say("a contraction");
            }
            for unit in units.split(' ') {
                let spaced = format!("}} {unit}");
                let found = line.match_indices(&spaced);
                let mut numbers = found.filter(|(at, _)| {
                    let variable = line[..*at]
                        .rsplit('{')
                        .next()
                        .is_some_and(|name| name.starts_with(" $"));
                    variable && !line[at + spaced.len()..].starts_with(char::is_alphabetic)
                });
                // "с 10:00" is a preposition
                if numbers.next().is_some() && !line.contains("} с {") {
                    say("a number and its unit without a no-break space");
                }
            }
        }
    }
    nothing(&problems);
}

/// A button that a text names is called so on the page: quoted words are a reference to a message,
/// or an example of the glossary.
#[test]
fn quoted_buttons_are_references() {
    let glossary = glossary();
    let examples: BTreeSet<_> = glossary
        .split("## Quoted, and no button")
        .nth(1)
        .and_then(|rest| rest.split("## ").next())
        .unwrap()
        .split('`')
        .skip(1)
        .step_by(2)
        .collect();
    let sentences = sentences();
    let known: BTreeMap<_, _> = sentences
        .iter()
        .map(|s| ((s.lang, s.key.clone()), s.whole()))
        .collect();
    let mut problems = Vec::new();
    let mut named = 0;
    for sentence in &sentences {
        for (n, line) in sentence.text.iter().enumerate() {
            for part in line.split(['«', '“']).skip(1) {
                let Some((quoted, _)) = part.split_once(['»', '”']) else {
                    problems.push(format!("{}: a quotation without end", sentence.at(n)));
                    continue;
                };
                let inner = quoted.trim_matches(['{', '}', ' ']);
                let placeable = quoted.starts_with("{ ") && quoted.ends_with(" }");
                let reference = known.get(&(sentence.lang, inner.to_owned()));
                if placeable && !inner.starts_with('$') {
                    named += 1;
                    if reference.is_none_or(|text| text.contains('$')) {
                        problems.push(format!("{}: no button {inner}", sentence.at(n)));
                    }
                } else if !placeable && !examples.contains(quoted) {
                    problems.push(format!(
                        "{}: “{quoted}” is no reference and no example",
                        sentence.at(n)
                    ));
                }
            }
        }
    }
    assert!(named > 8, "{named}");
    nothing(&problems);
}

/// Letters that the engine writes without the site's sentences name buttons as the pages do.
#[test]
fn letters_of_the_engine_name_buttons() {
    let known: BTreeSet<_> = sentences()
        .iter()
        .map(|s| s.whole().trim().to_owned())
        .collect();
    let mut named = 0;
    for file in ["sending_server/alert.rs", "mailing/too_slow.rs"] {
        let file = root().join("../core/src/sending").join(file);
        let source = fs::read_to_string(&file).unwrap();
        for part in source.split(['«', '“']).skip(1) {
            let quoted = part.split(['»', '”']).next().unwrap();
            if !quoted.starts_with('{') {
                named += 1;
                assert!(
                    known.contains(quoted),
                    "{}: no button {quoted}",
                    file.display()
                );
            }
        }
    }
    assert_eq!(named, 4);
}
