//! Reads links and forms from a page. Supports just the HTML that our own pages use.

/// A form as a browser would send it.
#[derive(Debug, Clone, Default)]
pub struct Form {
    /// Whether its method is POST.
    pub post: bool,
    /// The target URL; for links without the query.
    pub action: String,
    /// Whether it uploads files.
    pub files: bool,
    /// Names and values of all its fields, selected or not.
    pub fields: Vec<(String, String)>,
}

/// Links and forms of a page.
#[derive(Debug, Default)]
pub struct Found {
    /// URLs of links, frames and partial pages on this site.
    pub links: Vec<String>,
    /// Its forms; a button with another target counts as a form.
    pub forms: Vec<Form>,
}

struct Tag<'a> {
    name: &'a str,
    attributes: Vec<(&'a str, String)>,
    /// The text up to the next tag.
    text: &'a str,
}

impl Tag<'_> {
    fn get(&self, name: &str) -> Option<&str> {
        let found = self.attributes.iter().find(|(key, _)| *key == name);
        found.map(|(_, value)| value.as_str())
    }
}

/// Parses a page.
pub fn read(page: &str) -> Found {
    let mut found = Found::default();
    let mut form: Option<Form> = None;
    let mut others: Vec<(String, bool)> = Vec::new();
    let mut select = String::new();
    for tag in tags(page) {
        for name in ["href", "src", "hx-get", "data-live-src"] {
            let link = tag.get(name).filter(|link| link.starts_with('/'));
            // an event stream does not end soon
            if let Some(link) = link.filter(|_| name != "data-live-src") {
                found.links.push(link.to_owned());
            }
        }
        match tag.name {
            // answers of dialogs are handled by scripts
            "form" if tag.get("method") != Some("dialog") => {
                form = Some(Form {
                    post: tag.get("method") == Some("post"),
                    action: tag.get("action").unwrap_or_default().to_owned(),
                    files: tag.get("enctype") == Some("multipart/form-data"),
                    fields: Vec::new(),
                });
            }
            "/form" => {
                let Some(whole) = form.take() else { continue };
                for (action, post) in others.drain(..) {
                    found.forms.push(Form {
                        post,
                        action,
                        ..whole.clone()
                    });
                }
                found.forms.push(whole);
            }
            _ => {}
        }
        let Some(form) = &mut form else { continue };
        if let Some(action) = tag.get("formaction") {
            others.push((action.to_owned(), form.post));
        }
        if let Some(action) = tag.get("hx-post") {
            others.push((action.to_owned(), true));
        }
        let name = tag.get("name").unwrap_or_default().to_owned();
        let value = tag.get("value").unwrap_or_default().to_owned();
        match tag.name {
            "select" => select = name,
            "option" => form.fields.push((select.clone(), value)),
            "textarea" => form.fields.push((name, plain(tag.text))),
            "input" | "button" if !name.is_empty() => form.fields.push((name, value)),
            _ => {}
        }
    }
    found
}

fn tags(page: &str) -> Vec<Tag<'_>> {
    let mut tags = Vec::new();
    let mut rest = page;
    while let Some((_, after)) = rest.split_once('<') {
        let end = after.find([' ', '>', '\n', '/']).unwrap_or(after.len());
        // the name of a closing tag begins with a slash
        let end = if end == 0 {
            after.find('>').unwrap_or(after.len())
        } else {
            end
        };
        let (name, mut inside) = after.split_at(end);
        let mut attributes = Vec::new();
        loop {
            inside = inside.trim_start_matches([' ', '\n', '\t', '/']);
            let Some(end) = inside.find(['=', '>', ' ', '\n']) else {
                inside = "";
                break;
            };
            let (key, after) = inside.split_at(end);
            if let Some(value) = after.strip_prefix("=\"") {
                let (value, after) = value.split_once('"').unwrap_or((value, ""));
                attributes.push((key, plain(value)));
                inside = after;
            } else {
                if !key.is_empty() {
                    attributes.push((key, String::new()));
                }
                if let Some(after) = after.strip_prefix('>') {
                    inside = after;
                    break;
                }
                inside = &after[1..];
            }
        }
        let text = inside.split('<').next().unwrap_or_default();
        tags.push(Tag {
            name,
            attributes,
            text,
        });
        rest = inside;
    }
    tags
}

/// Decodes character references.
fn plain(text: &str) -> String {
    let mut text = text.to_owned();
    for (reference, character) in [
        ("&lt;", "<"),
        ("&gt;", ">"),
        ("&quot;", "\""),
        ("&#34;", "\""),
        ("&#39;", "'"),
        ("&#60;", "<"),
        ("&#62;", ">"),
        ("&#38;", "&"),
        ("&amp;", "&"),
    ] {
        text = text.replace(reference, character);
    }
    text
}

/// This parser finds forms and links.
#[test]
fn forms_and_links_are_read() {
    let found = read(
        "<p><a class=x href=\"/a?b=1&amp;c=2\">A</a></p>\n<form method=\"post\" action=\"/do\">\n\
         <input type=\"hidden\" name=\"csrf\" value=\"t\"><input name=\"on\" value=\"1\" checked><textarea name=\"text\">\n&lt;b&gt;</textarea>\
         <select name=\"one\"><option value=\"x\">X</option><option value=\"y\" selected>Y</option></select>\
         <button formaction=\"/other\">go</button></form>",
    );
    assert_eq!(found.links, ["/a?b=1&c=2"]);
    assert_eq!(found.forms.len(), 2);
    let form = &found.forms[1];
    assert_eq!((form.action.as_str(), form.post), ("/do", true));
    let names: Vec<_> = form
        .fields
        .iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    assert_eq!(names, ["csrf=t", "on=1", "text=\n<b>", "one=x", "one=y"]);
    assert_eq!(found.forms[0].action, "/other");
}

/// The visible text of a page: without tags, words separated by single spaces.
pub fn text(page: &str) -> String {
    let body = page.split_once("<main").map_or(page, |(_, body)| body);
    let mut text = String::new();
    for part in body.split('<').skip(1) {
        text.push(' ');
        text.push_str(part.split_once('>').map_or("", |(_, text)| text));
    }
    let text = text
        .replace("&quot;", "\"")
        .replace("&#39;", "'")
        .replace("&lt;", "<")
        .replace("&gt;", ">");
    text.replace('\u{a0}', " ")
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ")
}
