use proptest::prelude::*;

use super::*;

/// Any text, and more often than chance such as would break a header, a line or a part.
fn hostile() -> impl Strategy<Value = String> {
    "([\\x00-\\x20\\x7f\"\\\\<>=?]|\r\nBcc: x@y\\.z\r\n|\r\n\r\n|\\PC|=\\?utf-8\\?Q\\?a\\?=|--=_|[a-z]{60,90}|\u{2028}|я){0,12}"
}

proptest! {
    /// F1–F5, F12: whatever stands in any field, the letter has its headers and no others, and reads back.
    #[test]
    fn hostile_values_stay_values(
        subject in hostile(), name in hostile(), from in hostile(), reply_to in hostile(), value in hostile(), text in hostile(),
    ) {
        let rendered = Rendered {
            subject: subject.clone(),
            html: Some(format!("<p>{text}</p>")),
            text: value.clone(),
        };
        let bytes = letter(&rendered, &from, &name, &reply_to);
        let read = MessageParser::default().parse(&bytes).unwrap();
        prop_assert_eq!(read.subject().unwrap_or_default(), template::one_line(&subject));
        let shown = |a: Option<&mail_parser::Address<'_>>| a.and_then(|a| a.first()).and_then(|a| a.name()).unwrap_or_default().to_owned();
        prop_assert_eq!(shown(read.from()), template::one_line(&from));
        prop_assert_eq!(shown(read.to()), template::one_line(&name));
        prop_assert_eq!(shown(read.reply_to()), template::one_line(&reply_to));
        prop_assert_eq!(read.to().unwrap().first().unwrap().address(), Some("ann@example.org"));
        prop_assert!(read.bcc().is_none());
        prop_assert_eq!(read.parts.len(), 3);
    }

    /// F12, F13: the same through templates.
    #[test]
    fn hostile_people_get_proper_letters(name in hostile(), value in hostile()) {
        let content = content("Hi {{ name }} {{ attributes.v }}", "<p>{{ name }}</p><a href=\"{{ attributes.v }}\">x</a>", "");
        let rendered = rendered(&content, Language::En, &name, json!({ "v": value }));
        let html = rendered.html.clone().unwrap();
        prop_assert_eq!(html.matches('<').count(), 8);
        let bytes = letter(&rendered, "Shop", &name, "");
        let read = MessageParser::default().parse(&bytes).unwrap();
        prop_assert_eq!(read.subject().unwrap(), rendered.subject);
        prop_assert!(read.body_html(0).unwrap().contains(URL));
        prop_assert!(read.body_text(0).unwrap().contains(URL));
    }

    /// Whatever the author wrote: refused, or a frozen letter that compiles and has its link.
    #[test]
    fn any_html_freezes_or_is_refused(html in "(<style>p\\{color:red\\}</style>|<p>|</p>|<table>|<tr>|<td>|</table>|<!--|-->|\\{% if name %\\}|\\{% endif %\\}|\\{% for x in attributes.l %\\}|\\{% endfor %\\}|\\{\\{ x \\}\\}|\"|'| a=|<|>|<body>|</body>|\\PC){0,25}") {
        if let Ok(frozen) = Frozen::new(&content("Hi", &html, ""), Language::En) {
            let template = LetterTemplate::compile(&frozen).unwrap();
            let person = Person { email: "a@b.org", name: "Ann", attributes: &serde_json::Map::new() };
            let letter = template.render(&person, URL).unwrap();
            prop_assert!(letter.html.is_none_or(|html| html.contains(URL)));
            prop_assert!(letter.text.contains(URL));
        }
    }
}
