mod budget;
mod hostile;
mod problems;

use mail_parser::{MessageParser, MimeHeaders as _};
use serde_json::json;
use uuid::Uuid;

use super::*;
use crate::platform::address::EmailAddress;
use crate::platform::time::Timestamp;
use crate::recipients::recipient::RecipientFields;

const URL: &str = "https://mail.example.org/u/AQAB-_z";

fn content(subject: &str, html: &str, text: &str) -> MessageContent {
    MessageContent {
        subject: subject.to_owned(),
        preview_text: String::new(),
        html: Some(html.to_owned()),
        text: Some(text.to_owned()),
    }
}

fn frozen(html: &str) -> FrozenMessage {
    FrozenMessage::new(&content("Hi", html, ""), Language::En)
        .unwrap_or_else(|e| panic!("{html}: {e:?}"))
}

fn rendered(
    content: &MessageContent,
    language: Language,
    name: &str,
    attributes: serde_json::Value,
) -> RenderedMessage {
    let serde_json::Value::Object(attributes) = attributes else {
        panic!("an object");
    };
    let person = TemplateRecipient {
        email: "ann@example.org",
        fields: &RecipientFields::from_name(name),
        attributes: &attributes,
    };
    let frozen = FrozenMessage::new(content, language).unwrap();
    LetterTemplate::compile(&frozen)
        .unwrap()
        .render(&person, URL)
        .unwrap()
}

fn address(text: &str) -> EmailAddress {
    EmailAddress::parse(text).unwrap()
}

/// A letter of a mailing with these names in its headers.
fn letter(rendered: &RenderedMessage, from: &str, to: &str, reply_to: &str) -> Vec<u8> {
    let run = RunId(Uuid::from_u128(1));
    let mailing = MailingId(Uuid::from_u128(2));
    let owner = UserId(Uuid::from_u128(3));
    let (shop, ann) = (address("news@пример.рф"), address("ann@example.org"));
    let headers = LetterHeaders {
        from: Mailbox {
            name: from,
            address: &shop,
        },
        to: Mailbox {
            name: to,
            address: &ann,
        },
        reply_to: Some(Mailbox {
            name: reply_to,
            address: &shop,
        }),
        date: "2027-01-31T07:00:00Z".parse().unwrap(),
        message_id: &message_id(run, 17, "mail.example.org"),
        list: Some(ListHeaders {
            unsubscribe_url: URL,
            list_id: &list_id(mailing, "mail.example.org"),
            feedback_id: &feedback_id(mailing, owner),
        }),
    };
    let letter = compose(rendered, &headers).unwrap();
    assert_eq!(
        letter,
        compose(rendered, &headers).unwrap(),
        "the same on every retry"
    );
    assert_format(&letter);
    letter
}

/// Checks F1, F2, F4, F10 and F11 on the bytes of a letter of a mailing.
fn assert_format(letter: &[u8]) {
    let text = std::str::from_utf8(letter).unwrap();
    assert!(text.is_ascii() && !text.contains('\0'));
    assert!(text.ends_with("\r\n"));
    let lines: Vec<&str> = text.split("\r\n").collect();
    assert!(
        lines.iter().all(|line| !line.contains(['\r', '\n'])),
        "bare CR or LF"
    );
    // only a single word may exceed the limit
    let folded = |line: &str| line.len() <= 78 || (line.len() <= 998 && !line.trim().contains(' '));
    assert!(lines.iter().all(|line| folded(line)), "{lines:?}");
    let end = lines.iter().position(|line| line.is_empty()).unwrap();
    let mut names: Vec<&str> = lines[..end]
        .iter()
        .filter(|line| !line.starts_with([' ', '\t']))
        .map(|line| line.split_once(':').unwrap().0)
        .collect();
    names.retain(|name| *name != "Content-Transfer-Encoding");
    assert_eq!(
        names,
        [
            "Date",
            "From",
            "To",
            "Reply-To",
            "Subject",
            "Message-ID",
            "MIME-Version",
            "Auto-Submitted",
            "Precedence",
            "List-Id",
            "List-Unsubscribe",
            "List-Unsubscribe-Post",
            "Feedback-ID",
            "Content-Type"
        ]
    );
    for line in [
        "Auto-Submitted: auto-generated",
        "Precedence: bulk",
        "MIME-Version: 1.0",
        "List-Unsubscribe-Post: List-Unsubscribe=One-Click",
    ] {
        assert!(lines[..end].contains(&line), "{line}");
    }
    assert!(
        lines[..end].iter().all(|line| !line.trim().is_empty()),
        "a folded line that is blank"
    );
}

fn show(letter: &[u8]) -> String {
    String::from_utf8(letter.to_vec())
        .unwrap()
        .replace("\r\n", "\n")
}

/// R3, F1–F5, F10, F11: an English HTML letter as it is sent.
#[test]
fn html_letter_in_english() {
    let mut content = content(
        "{{ first_name | default('Friend') }}, your order = ready",
        "<html>\n<head><style>p { color: red } @media print { p { color: black } }</style></head>\n<body>\n<p>Dear {{ name }},</p>\n<table>\n{% for o in attributes.orders %}<tr><td>{{ o.title }}</td><td>{{ o.sum }}</td></tr>\n{% endfor %}</table>\n{% if attributes.orders | length > 1 and 1 < 2 %}<p>Thank you!</p>{% endif %}\n</body>\n</html>\n",
        "",
    );
    content.preview_text = "For {{ name }} & friends".to_owned();
    let attributes =
        json!({"orders": [{"title": "Tea <green>", "sum": 5}, {"title": "Café", "sum": 7.5}]});
    let rendered = rendered(&content, Language::En, "Ann Smith", attributes);
    insta::assert_snapshot!(show(&letter(&rendered, "The Shop, Inc.", "Ann Smith", "")));
}

/// R3: a Russian letter; long headers are folded between encoded words (F3).
#[test]
fn html_letter_in_russian() {
    let content = content(
        "{{ first_name }}, ваш заказ уже собран и ждёт вас в пункте выдачи в городе {{ attributes.city }}",
        "<p>Здравствуйте, {{ first_name }}!</p>",
        "",
    );
    let rendered = rendered(
        &content,
        Language::Ru,
        "Иванова Анна Петровна",
        json!({"city": "Тверь"}),
    );
    let letter = letter(
        &rendered,
        "Магазин «Чай и мёд»",
        "Иванова Анна Петровна",
        "Отдел заботы",
    );
    insta::assert_snapshot!(show(&letter));
    let read = MessageParser::default().parse(&letter).unwrap();
    assert_eq!(read.subject().unwrap(), rendered.subject);
    assert_eq!(
        read.from().unwrap().first().unwrap().name(),
        Some("Магазин «Чай и мёд»")
    );
    assert_eq!(
        read.from().unwrap().first().unwrap().address(),
        Some("news@xn--e1afmkfd.xn--p1ai")
    );
    assert_eq!(
        read.to().unwrap().first().unwrap().name(),
        Some("Иванова Анна Петровна")
    );
}

/// A message without HTML gives a plain text letter.
#[test]
fn text_letter() {
    let content = content("Hi", " ", "Dear {{ name }},\nnice to see you.");
    let rendered = rendered(&content, Language::En, "O'Neil & Sons", json!({}));
    assert_eq!(rendered.html, None);
    insta::assert_snapshot!(show(&letter(&rendered, "", "", "")));
}

/// R30: letters of the service itself have no list headers.
#[test]
fn service_letter_has_no_list_headers() {
    let rendered = RenderedMessage {
        subject: "Confirm your address".to_owned(),
        html: None,
        text: "Open https://example.org/confirm".to_owned(),
    };
    let ann = address("анна@пример.рф");
    let headers = LetterHeaders {
        from: Mailbox {
            name: "Skychimp",
            address: &ann,
        },
        to: Mailbox {
            name: "",
            address: &ann,
        },
        reply_to: None,
        date: Timestamp::from_millis(0),
        message_id: "x@example.org",
        list: None,
    };
    let letter = String::from_utf8(compose(&rendered, &headers).unwrap()).unwrap();
    assert_eq!(
        letter.split("\r\n\r\n").next().unwrap(),
        "Date: Thu, 01 Jan 1970 00:00:00 +0000\r\nFrom: Skychimp <анна@xn--e1afmkfd.xn--p1ai>\r\nTo: анна@xn--e1afmkfd.xn--p1ai\r\nSubject: Confirm your address\r\nMessage-ID: <x@example.org>\r\nMIME-Version: 1.0\r\nAuto-Submitted: auto-generated\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable"
    );
}

/// F12: an invalid value of ours is an error and never corrected silently.
#[test]
fn wrong_values_of_ours_are_errors() {
    let ann = address("ann@example.org");
    let mailbox = Mailbox {
        name: "",
        address: &ann,
    };
    let list = ListHeaders {
        unsubscribe_url: URL,
        list_id: "a.b",
        feedback_id: "a:b:c:d",
    };
    let rendered = RenderedMessage {
        subject: String::new(),
        html: None,
        text: String::new(),
    };
    let fails = |message_id: &str, list: ListHeaders<'_>| {
        let headers = LetterHeaders {
            from: mailbox,
            to: mailbox,
            reply_to: None,
            date: Timestamp::from_millis(0),
            message_id,
            list: Some(list),
        };
        compose(&rendered, &headers)
            .err()
            .map(|ComposeError::Header(name)| name)
    };
    assert_eq!(fails("a@b", list), None);
    for id in [
        "",
        "a",
        "a@",
        "@b",
        "a@b@c",
        "a b@c",
        "a@b\r\nBcc: x",
        "a@b>",
        "ä@b",
    ] {
        assert_eq!(fails(id, list), Some("Message-ID"), "{id}");
    }
    for url in [
        "",
        "ftp://x",
        "https://x y",
        "https://x\r\nBcc:",
        "https://x>",
        "https://ä",
        "mailto:a@b",
    ] {
        let list = ListHeaders {
            unsubscribe_url: url,
            ..list
        };
        assert_eq!(fails("a@b", list), Some("List-Unsubscribe"), "{url}");
    }
    let long = format!("https://x/{}", "y".repeat(1_000));
    assert_eq!(
        fails(
            "a@b",
            ListHeaders {
                unsubscribe_url: &long,
                ..list
            }
        ),
        Some("List-Unsubscribe")
    );
    assert_eq!(
        fails(
            "a@b",
            ListHeaders {
                list_id: "a>b",
                ..list
            }
        ),
        Some("List-Id")
    );
    assert_eq!(
        fails(
            "a@b",
            ListHeaders {
                feedback_id: "a\nb",
                ..list
            }
        ),
        Some("Feedback-ID")
    );
}

/// R3: every letter has exactly one visible unsubscribe link.
#[test]
fn unsubscribe_link_is_added_where_the_author_placed_none() {
    for (html, text, in_html, in_text) in [
        ("<p>x</p>", "", 1, 1),
        ("<p>x</p>", "x", 1, 1),
        ("<a href='{{ unsubscribe_url }}'>no more</a>", "", 1, 1),
        ("<a href='{{ unsubscribe_url }}'>no more</a>", "x", 1, 1),
        ("<p>x</p>", "stop: {{ unsubscribe_url }}", 1, 1),
        (
            "{% if attributes.vip %}<a href='{{ unsubscribe_url }}'>x</a>{% endif %}",
            "",
            1,
            1,
        ),
        ("<!-- {{ unsubscribe_url }} --><p>x</p>", "", 2, 1),
        ("", "x", 0, 1),
    ] {
        let letter = rendered(&content("Hi", html, text), Language::En, "Ann", json!({}));
        let count = |text: &str| text.matches(URL).count();
        assert_eq!(letter.html.as_deref().map_or(0, count), in_html, "{html}");
        assert_eq!(count(&letter.text), in_text, "{html} {text}");
    }
    let ru = rendered(
        &content("Hi", "<body><p>x</p></body>", ""),
        Language::Ru,
        "",
        json!({}),
    )
    .html
    .unwrap();
    assert!(
        ru.contains("Отписаться от рассылки</a></div>\n</body>"),
        "{ru}"
    );
}

/// R3: a condition or loop around the end of the body does not remove the link.
#[test]
fn the_link_stands_outside_of_conditions_and_loops() {
    for html in [
        "<p>x</p>{% for x in attributes.none %}</body>{% endfor %}",
        "<body><p>x</p>{% if attributes.none %}</body></html>{% else %}<p>y</p></body></html>{% endif %}",
    ] {
        let letter = rendered(&content("Hi", html, ""), Language::En, "Ann", json!({}));
        assert_eq!(letter.html.unwrap().matches(URL).count(), 1, "{html}");
    }
}

#[test]
fn preview_text_is_hidden_at_the_top_and_escaped() {
    let mut content = content("Hi", "<html><body class=\"a>b\"><p>x</p></body></html>", "");
    content.preview_text = "1 < 2 & {{ name }}".to_owned();
    let letter = rendered(&content, Language::En, "<Ann>", json!({}));
    let html = letter.html.unwrap();
    assert!(
        html.starts_with("<html><body class=\"a>b\"><div style=\"display:none;"),
        "{html}"
    );
    assert!(
        html.contains(">1 &lt; 2 &amp; &lt;Ann&gt;</div>\n<p>x</p>"),
        "{html}"
    );
    assert!(!letter.text.contains("1 < 2"));
}

/// R12: a run keeps the complete letter, except for the personal values.
#[test]
fn styles_go_into_elements_and_fields_stay() {
    let style = "<style>p{color:red} .c{width:{{ attributes.w }}px} @media (max-width:9px){p{color:blue}}</style>";
    for (html, expected) in [
        (
            "<p>{{ name }}</p>",
            "<p style=\"color: red;\">{{ name }}</p>",
        ),
        ("<p class=\"c\">x</p>", "width: {{ attributes.w }}px"),
        (
            "{% if attributes.a < 3 and 'b' > \"a\" %}<p>x</p>{% endif %}",
            "{% if attributes.a < 3 and 'b' > \"a\" %}<p style=\"color: red;\">x</p>{% endif %}",
        ),
        (
            "<table>{% for o in attributes.l %}<tr><td>{{ o }}</td></tr>{% endfor %}</table>",
            "<table><tbody>{% for o in attributes.l %}<tr><td>{{ o }}</td></tr>{% endfor %}</tbody></table>",
        ),
        (
            "<table>\n {% if 1 %}\n{% for o in attributes.l %}\n<tr><td>x</td></tr>{% endfor %}{% endif %}</table>",
            "<table>\n <tbody>{% if 1 %}\n{% for o in attributes.l %}\n<tr>",
        ),
        (
            "<table><tbody>{% for o in attributes.l %}<tr><td>x</td></tr>{% endfor %}</tbody></table>",
            "<tbody>{% for o in attributes.l %}<tr>",
        ),
        (
            "<a href=\"{{ attributes.u | default(\"x\") }}?a=1&amp;b={{ email }}\">x</a>",
            "<a href=\"{{ attributes.u | default(\"x\") }}?a=1&amp;b={{ email }}\">x</a>",
        ),
        (
            "<p title='{% if 1 %}a{% endif %}'>x</p>",
            "title=\"{% if 1 %}a{% endif %}\"",
        ),
        (
            "<!--[if mso]>{% if 1 %}<b>{{ name }}</b>{% endif %}<![endif]-->",
            "<!--[if mso]>{% if 1 %}<b>{{ name }}</b>{% endif %}<![endif]-->",
        ),
        (
            "<textarea>{{ name }}</textarea>",
            "<textarea>{{ name }}</textarea>",
        ),
        ("<p>a{# gone #}b</p>", ">ab</p>"),
    ] {
        let out = frozen(&format!(
            "<html><head>{style}</head><body>{html}</body></html>"
        ))
        .html;
        assert!(out.contains(expected), "{out}\n{expected}");
        assert!(
            out.contains("@media (max-width:9px)") && !out.contains("skc"),
            "{out}"
        );
    }
}

/// HTML in which a parser would move a field is not changed.
#[test]
fn html_that_cannot_be_inlined_stays() {
    for html in [
        "<p {% if 1 %}class=\"a\"{% endif %}>x</p>",
        "<p class=\"{{ attributes.a }}\" class=\"{{ attributes.b }}\">x</p>",
        "<style>{% if 1 %}p{color:blue}{% endif %}</style><p>x</p>",
    ] {
        let html = format!("<style>p{{color:red}}</style>{html}");
        let out = frozen(&html).html;
        assert!(out.starts_with(&html), "{out}");
        let problems = content("Hi", &html, "").check();
        assert_eq!(problems.len(), 1);
        assert!(problems[0].warning && problems[0].code == "styles_not_inlined");
    }
}

#[test]
fn text_is_made_from_html() {
    let text = frozen(
        "<html><head><title>no</title><style>no</style></head><body><div style='display: none'>no<div>no</div>no</div>
        <h1>Big &amp; bold</h1><p>Dear   {{ name }},\n  welcome<br>to <b>us</b>!</p>
        <table width=100><tr><td>{% for o in attributes.l %}</td></tr><tr><td>{{ o.title }}</td><td>{{ o.sum }}</td></tr>{% endfor %}</table>
        <ul><li>one<li>two <a href='https://example.org/?a=1&amp;b={{ email }}'>link</a></ul><ol><li>a</li><li>b</li></ol>
        <a href='https://example.org/'>example.org</a> <a href='mailto:a@b.org'>a@b.org</a> <a href='https://x.org'><img alt='Logo'></a><a href='https://y.org'><img></a>
        <hr><pre>  as\n   is</pre><!-- no {{ name }} --><script>no</script>{% if 1 < 2 %}end{% endif %}</body></html>",
    )
    .text;
    insta::assert_snapshot!(text);
}

fn numbered(n: usize, before: &str, behind: &str) -> String {
    let each: Vec<_> = (0..n).map(|i| format!("{before}{i}{behind}")).collect();
    each.concat()
}

/// Malicious HTML cannot exhaust stack, memory or time.
#[test]
fn monstrous_html_is_left_as_it_is() {
    let style = "<style>p{color:red}</style>";
    let rules = numbered(5_000, ".c", "{color:red}");
    let unclosed = numbered(3_000, "<b id=", ">");
    let hidden = numbered(2_000, "<b id=", "><table><td></b></table>");
    for html in [
        format!("{style}{}", "<div>".repeat(9_000)),
        format!("{style}{}", "<b><div>".repeat(4_000)),
        format!("{style}{}", "<div>".repeat(40_000)),
        format!("{style}<p>{unclosed}{}", "<p>x".repeat(6_000)),
        format!("{style}{hidden}{}", "<p>x".repeat(2_000)),
        format!("<style>{rules}</style>{}", "<p>x</p>".repeat(4_000)),
        format!("{style}{}{}", "<ul>".repeat(2_000), "<li>".repeat(20_000)),
        format!(
            "{style}{}",
            "<br>".repeat(20_000) + &"</div>".repeat(20_000)
        ),
        format!("{style}{}", "<a href=x>x".repeat(20_000)),
        format!("<!--{}", "{{ unsubscribe_url }}".repeat(1_000)),
    ] {
        let frozen = FrozenMessage::new(&content("Hi", &html, ""), Language::En).unwrap();
        assert!(frozen.html.len() < 2_000_000 && frozen.text.len() < 1_000_000);
    }
}

/// A condition that begins in a comment does not leave a broken template.
#[test]
fn text_of_torn_conditions_goes_without_them() {
    let text = frozen("<!-- {% if attributes.a %} --><p>x {{ name }}</p><!-- {% endif %} -->{% if 1 %}y{% endif %}").text;
    assert!(text.starts_with("x {{ name }}"), "{text}");
    let text = frozen("<!-- {% if attributes.a %} --><p>x {{ name }}</p>{% endif %}").text;
    assert!(text.starts_with("x {{ name }}\n"), "{text}");
}

/// F5: the text part comes first, both parts are UTF-8, and the boundary cannot occur in the
/// content.
#[test]
fn parts_are_alternatives_and_text_is_first() {
    let evil = RenderedMessage {
        subject: "x".to_owned(),
        html: Some("--=_0123\r\n--=_\n.\n".repeat(20)),
        text: "--=_\n.\r\n".repeat(20),
    };
    let letter = letter(&evil, "a", "b", "c");
    let text = String::from_utf8(letter.clone()).unwrap();
    let boundary = text
        .split("boundary=\"")
        .nth(1)
        .unwrap()
        .split('"')
        .next()
        .unwrap();
    assert!(boundary.starts_with("=_"));
    assert_eq!(text.matches(boundary).count(), 4);
    let read = MessageParser::default().parse(&letter).unwrap();
    let types: Vec<_> = read
        .parts
        .iter()
        .map(|p| {
            let c = p.content_type().unwrap();
            format!("{}/{}", c.ctype(), c.subtype().unwrap())
        })
        .collect();
    assert_eq!(types, ["multipart/alternative", "text/plain", "text/html"]);
}
