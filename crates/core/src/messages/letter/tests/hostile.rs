use proptest::prelude::*;

use super::*;

/// Arbitrary text, biased towards what could break a header, a line or a part.
fn hostile() -> impl Strategy<Value = String> {
    "([\\x00-\\x20\\x7f\"\\\\<>=?]|\r\nBcc: x@y\\.z\r\n|\r\n\r\n|\\PC|=\\?utf-8\\?Q\\?a\\?=|--=_|[a-z]{60,90}|\u{2028}|я){0,12}"
}

proptest! {
    /// F1–F5, F12: with any text in any field, the letter has exactly its headers and can be
    /// parsed.
    #[test]
    fn hostile_values_stay_values(
        subject in hostile(), name in hostile(), from in hostile(), reply_to in hostile(), value in hostile(), text in hostile(),
    ) {
        let rendered = RenderedMessage {
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

    /// F12, F13: the same holds for values in templates.
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

    /// Any HTML is either rejected or gives a frozen letter that compiles and has its link.
    #[test]
    fn any_html_freezes_or_is_refused(html in "(<style>p\\{color:red\\}</style>|<p>|</p>|<table>|<tr>|<td>|</table>|<!--|-->|\\{% if name %\\}|\\{% endif %\\}|\\{% for x in attributes.l %\\}|\\{% endfor %\\}|\\{\\{ x \\}\\}|\"|'| a=|<|>|<body>|</body>|\\PC){0,25}") {
        if let Ok(frozen) = FrozenMessage::new(&content("Hi", &html, ""), Language::En) {
            let template = LetterTemplate::compile(&frozen).unwrap();
            let person = TemplateRecipient { email: "a@b.org", fields: &RecipientFields::from_name("Ann"), attributes: &serde_json::Map::new() };
            let letter = template.render(&person, URL).unwrap();
            prop_assert!(letter.html.is_none_or(|html| html.contains(URL)));
            prop_assert!(letter.text.contains(URL));
        }
    }
}

/// F2, R47: no letter contains control characters, raw or as references, from its author or from
/// personal values, in the preview or in the bytes sent. References that browsers map to printable
/// characters are kept.
#[test]
fn letters_hold_no_control_characters() {
    let odd: String = (0..0xa0_u32).filter_map(char::from_u32).collect();
    let references = (0..0xa0_u32).fold(String::new(), |text, code| {
        text + &format!("a&#{code};b&#x{code:x};c&#&#{code};{code};")
    });
    let source = format!("{odd}{references}").replace(['{', '}', '<', '>', '%', '#'], " ");
    let references = references.replace("&#123", "").replace("&#x7b", "");
    let html =
        format!("<p title=\"{references}\">{source}{references}</p>{{{{ name }}}} dash&#150;dash");
    let both = MessageContent {
        preview_text: "{{ name }}".to_owned(),
        ..content(
            "Hi {{ name }}",
            &html,
            &format!("{source} {{{{ attributes.v }}}}"),
        )
    };
    let html_only = content("Hi", &html, "");
    for content in [both, html_only] {
        let values = json!({ "v": odd });
        let rendered = rendered(&content, Language::En, &odd, values.clone());
        let page = rendered.html.clone().unwrap();
        for text in [&rendered.subject, &page, &rendered.text] {
            assert!(!text.contains(control::is_control), "{text:?}");
        }
        assert_eq!(control::strip_control_in_html(&page), page);
        assert!(page.contains("dash–dash"), "{page}");
        // without conditions and loops, so written from prepared parts
        let frozen = FrozenMessage::new(&content, Language::En).unwrap();
        let parts = [("html", &frozen.html), ("text", &frozen.text)];
        for (name, part) in parts {
            assert!(!part.contains(control::is_control), "{name}");
        }
        let bytes = letter(&rendered, "Shop", &odd, "");
        let read = MessageParser::default().parse(&bytes).unwrap();
        let texts = [read.body_html(0).unwrap(), read.body_text(0).unwrap()];
        for text in texts {
            let left: Vec<_> = text
                .chars()
                .filter(|c| *c != '\r' && control::is_control(*c))
                .collect();
            assert!(left.is_empty(), "{left:?}");
        }
    }
}
