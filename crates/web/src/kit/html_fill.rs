//! Fills a form of one of our pages with values, as if a person had typed them.
//!
//! It reads the HTML that our templates write: attribute values in double quotes, no `<` in text.

use std::collections::HashMap;

use askama::filters::{Escaper as _, Html};
use skychimp_core::platform::ids::UserId;

/// A tag of a page.
#[derive(Debug, Clone)]
struct HtmlTag<'a> {
    /// Where it begins and ends.
    start: usize,
    end: usize,
    name: &'a str,
    attributes: Vec<(&'a str, Option<&'a str>)>,
}

impl<'a> HtmlTag<'a> {
    fn get(&self, name: &str) -> Option<&'a str> {
        self.attributes
            .iter()
            .find(|(key, _)| *key == name)
            .map(|(_, value)| value.unwrap_or_default())
    }

    fn name_of_field(&self) -> Option<String> {
        self.get("name")
            .filter(|name| !name.is_empty())
            .map(unescaped)
    }

    /// A button, a token, or what is not kept.
    fn is_never_filled(&self) -> bool {
        let kind = self.get("type").unwrap_or_default();
        self.name == "button"
            || matches!(kind, "file" | "password" | "submit" | "button")
            || self.get("name") == Some("csrf")
    }

    fn value(&self) -> String {
        unescaped(self.get("value").unwrap_or_default())
    }

    /// The tag with other attributes: those that are `None` go away.
    fn with(&self, changes: &[(&str, Option<&str>)]) -> String {
        let mut out = format!("<{}", self.name);
        for (key, value) in &self.attributes {
            if changes.iter().any(|(changed, _)| changed == key) {
                continue;
            }
            out.push(' ');
            out.push_str(key);
            if let Some(value) = value {
                out.push_str("=\"");
                out.push_str(value);
                out.push('"');
            }
        }
        for (key, value) in changes {
            if let Some(value) = value {
                for part in [" ", key, "=\"", &escaped(value), "\""] {
                    out.push_str(part);
                }
            }
        }
        out.push('>');
        out
    }
}

/// The fields of a form, in order.
pub(crate) type FormFields = Vec<(String, String)>;

/// The values that are still to be put into fields, by name.
struct Typed(HashMap<String, std::collections::VecDeque<String>>);

impl Typed {
    fn new(fields: &FormFields) -> Self {
        let mut typed: HashMap<String, std::collections::VecDeque<String>> = HashMap::new();
        for (name, value) in fields {
            typed
                .entry(name.clone())
                .or_default()
                .push_back(value.clone());
        }
        Self(typed)
    }

    /// The next value of a field, which is used up.
    fn next(&mut self, name: &str) -> Option<String> {
        self.0.get_mut(name)?.pop_front()
    }

    /// Uses up this value of a field. Returns whether it was among them.
    fn take(&mut self, name: &str, value: &str) -> bool {
        let Some(values) = self.0.get_mut(name) else {
            return false;
        };
        let found = values.iter().position(|other| other == value);
        found.is_some_and(|at| values.remove(at).is_some())
    }
}

/// The page with its form for `path` filled, and a note before it. `None` if it has no such form.
/// Of several, the one that has most of the fields is filled. Values for which it has no field are
/// added to it.
pub(crate) fn fill(
    page: &str,
    path: &str,
    address: &str,
    fields: &FormFields,
    note: &str,
) -> Option<String> {
    let tags = tags(page);
    let forms = forms(&tags, path);
    let score = |(from, to): &(usize, usize)| {
        let names: Vec<_> = tags[*from..*to]
            .iter()
            .filter_map(|tag| Some((tag.name_of_field()?, tag.value())))
            .collect();
        fields
            .iter()
            .map(|(name, value)| {
                let same = names.iter().any(|(n, v)| n == name && v == value);
                let known = names.iter().any(|(n, _)| n == name);
                usize::from(same) + 2 * usize::from(known)
            })
            .sum::<usize>()
    };
    // the first of equal ones
    let (from, to) = forms.into_iter().rev().max_by_key(score)?;
    let mut typed = Typed::new(fields);
    let mut out = page[..tags[from].start].to_owned();
    out.push_str(note);
    out.push_str(&tags[from].with(&[("action", Some(address)), ("data-filled", Some(""))]));
    let mut at = tags[from].end;
    let mut select = String::new();
    let mut copy = |out: &mut String, until: usize, skip_to: usize| {
        out.push_str(&page[at..until]);
        at = skip_to;
    };
    for (index, tag) in tags.iter().enumerate().take(to).skip(from + 1) {
        let filled = match tag.name {
            "select" => {
                select = tag.name_of_field().unwrap_or_default();
                None
            }
            "option" if typed.0.contains_key(&select) => {
                let value = tag.value();
                let chosen = typed.take(&select, &value).then_some("selected");
                Some(tag.with(&[("selected", chosen)]))
            }
            "input" => filled_input(tag, &mut typed),
            "textarea" => {
                let value = tag.name_of_field().and_then(|name| typed.next(&name));
                let close = tags.get(index + 1).map(|tag| tag.start);
                if let (Some(value), Some(close)) = (value, close) {
                    copy(&mut out, tag.end, close);
                    out.push('\n');
                    out.push_str(&escaped(&value));
                }
                None
            }
            _ => None,
        };
        if let Some(filled) = filled {
            copy(&mut out, tag.start, tag.end);
            out.push_str(&filled);
        }
    }
    copy(&mut out, tags[to].start, tags[to].start);
    let never: Vec<_> = tags[from..to]
        .iter()
        .filter(|tag| tag.is_never_filled())
        .filter_map(HtmlTag::name_of_field)
        .collect();
    for (name, value) in fields {
        if !never.contains(name) && typed.take(name, value) {
            out.push_str(&added(name, value));
        }
    }
    out.push_str(&page[at..]);
    Some(out)
}

fn filled_input(tag: &HtmlTag<'_>, typed: &mut Typed) -> Option<String> {
    let name = tag.name_of_field()?;
    match tag.get("type").unwrap_or("text") {
        _ if tag.is_never_filled() => None,
        "checkbox" | "radio" => {
            let chosen = typed.take(&name, &tag.value()).then_some("checked");
            Some(tag.with(&[("checked", chosen)]))
        }
        _ => {
            let value = typed.next(&name)?;
            Some(tag.with(&[("value", Some(&value))]))
        }
    }
}

/// A field that the page does not have. Ids are not for people to see.
fn added(name: &str, value: &str) -> String {
    let (name, shown) = (escaped(name), escaped(value));
    if value.is_empty() || value.parse::<UserId>().is_ok() || value.parse::<i64>().is_ok() {
        return format!("<input type=\"hidden\" name=\"{name}\" value=\"{shown}\">");
    }
    format!(
        "<textarea class=\"form-control mt-2\" name=\"{name}\" aria-label=\"{name}\">\n{shown}</textarea>"
    )
}

/// The forms that are sent to `path`: where each begins and ends among the tags. A form without an
/// action is sent to the page's own address.
fn forms(tags: &[HtmlTag<'_>], path: &str) -> Vec<(usize, usize)> {
    let mut found = Vec::new();
    let mut begin = None;
    for (index, tag) in tags.iter().enumerate() {
        match tag.name {
            "form" if tag.get("method") == Some("post") => {
                let action = unescaped(tag.get("action").unwrap_or(path));
                let same = action.split('?').next() == Some(path);
                begin = same.then_some(index);
            }
            "/form" => found.extend(begin.take().map(|begin| (begin, index))),
            _ => {}
        }
    }
    found
}

fn tags(page: &str) -> Vec<HtmlTag<'_>> {
    let mut tags: Vec<HtmlTag<'_>> = Vec::new();
    let mut at = 0;
    while let Some(found) = page[at..].find('<') {
        let start = at + found;
        let rest = &page[start + 1..];
        if !rest.starts_with(|c: char| c.is_ascii_alphabetic() || c == '/') {
            at = start + 1;
            continue;
        }
        let end = rest
            .char_indices()
            .skip(1)
            .find(|(_, c)| c.is_whitespace() || matches!(c, '>' | '/'));
        let name_end = end.map_or(rest.len(), |(at, _)| at);
        let (attributes, used) = attributes(&rest[name_end..]);
        let end = start + 1 + name_end + used;
        tags.push(HtmlTag {
            start,
            end,
            name: &rest[..name_end],
            attributes,
        });
        at = end;
    }
    tags
}

/// The attributes of a tag, and where it ends.
fn attributes(text: &str) -> (Vec<(&str, Option<&str>)>, usize) {
    let mut found = Vec::new();
    let mut at = 0;
    loop {
        let rest = &text[at..];
        let trimmed = rest.trim_start_matches(|c: char| c.is_whitespace() || c == '/');
        at += rest.len() - trimmed.len();
        if trimmed.is_empty() {
            return (found, at);
        }
        if trimmed.starts_with('>') {
            return (found, at + 1);
        }
        let end = trimmed
            .find(|c: char| c.is_whitespace() || matches!(c, '=' | '>' | '/'))
            .unwrap_or(trimmed.len());
        let (key, after) = trimmed.split_at(end.max(1));
        at += key.len();
        match after
            .strip_prefix("=\"")
            .and_then(|value| value.split_once('"'))
        {
            Some((value, _)) => {
                at += value.len() + 3;
                found.push((key, Some(value)));
            }
            None => found.push((key, None)),
        }
    }
}

fn escaped(text: &str) -> String {
    let mut out = String::new();
    // writing to a string does not fail
    Html.write_escaped_str(&mut out, text).unwrap_or_default();
    out
}

fn unescaped(text: &str) -> String {
    text.replace("&#34;", "\"")
        .replace("&quot;", "\"")
        .replace("&#39;", "'")
        .replace("&#60;", "<")
        .replace("&lt;", "<")
        .replace("&#62;", ">")
        .replace("&gt;", ">")
        .replace("&#38;", "&")
        .replace("&amp;", "&")
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = r#"<p>1 &lt; 2</p><form method="post" action="/other"><input name="a" value="x"></form>
<form method="post" action="/things" novalidate>
<input type="hidden" name="csrf" value="new"><input type="hidden" name="version" value="1">
<input name="a" value="">
<input type="checkbox" name="b" value="1" checked><input type="checkbox" name="b" value="2">
<input type="radio" name="c" value="x" checked><input type="radio" name="c" value="y">
<select name="d"><option value="" selected>-</option><option value="q">Q</option></select>
<textarea name="e" rows="3">
old</textarea><input type="password" name="p"><button name="action" value="start">Go</button></form>end"#;

    fn fields(pairs: &[(&str, &str)]) -> FormFields {
        pairs
            .iter()
            .map(|(n, v)| ((*n).to_owned(), (*v).to_owned()))
            .collect()
    }

    /// R22: a form that is shown again has what was typed, chosen and ticked, and its own token.
    #[test]
    fn form_has_what_was_typed() {
        let typed = fields(&[
            ("csrf", "old"),
            ("version", "7"),
            ("a", "\"><script>& Ж"),
            ("b", "2"),
            ("c", "y"),
            ("d", "q"),
            ("e", "one\r\n</textarea><b>"),
            ("p", "secret"),
            ("more", "typed elsewhere"),
            ("id", "0190b5a0-0000-7000-8000-000000000000"),
            ("action", "start"),
        ]);
        let page = fill(PAGE, "/things", "/things?x=1&y", &typed, "<p>note</p>").unwrap();
        for part in [
            "<p>note</p><form",
            "action=\"/things?x=1&#38;y\"",
            "name=\"csrf\" value=\"new\"",
            "name=\"version\" value=\"7\"",
            "name=\"a\" value=\"&#34;&#62;&#60;script&#62;&#38; Ж\"",
            "name=\"b\" value=\"1\">",
            "name=\"b\" value=\"2\" checked=\"checked\"",
            "name=\"c\" value=\"x\">",
            "name=\"c\" value=\"y\" checked=\"checked\"",
            "<option value=\"\">-",
            "<option value=\"q\" selected=\"selected\">Q",
            "one\r\n&#60;/textarea&#62;&#60;b&#62;</textarea>",
            "<input type=\"password\" name=\"p\">",
            "name=\"more\" aria-label=\"more\">\ntyped elsewhere</textarea>",
            "<input type=\"hidden\" name=\"id\" value=\"0190b5a0",
            "</form>end",
            "1 &lt; 2",
        ] {
            assert!(page.contains(part), "{part}: {page}");
        }
        assert!(!page.contains("secret"));
        assert!(fill(PAGE, "/nothing", "/nothing", &typed, "").is_none());
    }
}
