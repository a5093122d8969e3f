use super::*;
use crate::blog::media::PictureFile;
use crate::platform::ids::MediaId;
use crate::platform::time::Timestamp;

fn file(width: i64) -> PictureFile {
    PictureFile {
        name: format!("0123456789abcdef01234567-{width}.jpg"),
        width,
        height: width / 2,
        bytes: 1,
    }
}

fn known() -> BTreeMap<String, Picture> {
    let picture = Picture {
        id: MediaId::new(Timestamp::from_millis(0)),
        name: "sea.jpg".to_owned(),
        files: vec![file(480), file(960), file(1600)],
    };
    let names: Vec<_> = picture.files.iter().map(|f| f.name.clone()).collect();
    names
        .into_iter()
        .map(|name| (name, picture.clone()))
        .collect()
}

/// R47: nothing in a body can run scripts, load third-party content or break out of its place.
#[test]
fn hostile_markdown_is_harmless() {
    let attacks = [
        "<script>alert(1)</script>",
        "<img src=x onerror=alert(1)>",
        "[click](javascript:alert(1))",
        "[click](JaVaScRiPt:alert(1))",
        "[click](data:text/html;base64,PHNjcmlwdD4=)",
        "![x](javascript:alert(1))",
        "![\" onerror=\"alert(1)](/media/0123456789abcdef01234567-480.jpg)",
        "![x](/media/0123456789abcdef01234567-480.jpg '\"><script>alert(1)</script>')",
        "<div style=\"position:fixed\">all over</div>",
        "<iframe src=\"https://evil.example\"></iframe>",
        "<a href=\"x\" onclick=\"alert(1)\">x</a>",
        "<form action=\"/logout\"><button>x</button></form>",
        "```\"><script>\nalert(1)\n```",
        "<svg><style><img src=x onerror=alert(1)></style></svg>",
        "[^<script>]: x\n\n[^<script>]",
    ];
    for attack in attacks {
        let html = render(attack, &known()).unwrap().html;
        let open: Vec<&str> = html.split('<').skip(1).collect();
        for tag in open {
            let tag = tag.split('>').next().unwrap().to_lowercase();
            for bad in ["script", "style", "iframe", "form", "svg", "div", "button"] {
                assert!(!tag.starts_with(bad), "{attack}: {html}");
            }
            assert!(
                !tag.contains("javascript:") && !tag.contains("data:"),
                "{attack}: {html}"
            );
            assert!(
                !tag.replace("&quot;", "").contains(" onerror=\""),
                "{attack}: {html}"
            );
        }
        assert!(!html.contains("onclick="), "{attack}: {html}");
    }
}

/// R47: everything the editor's toolbar offers is rendered.
#[test]
fn markdown_is_rendered() {
    let body = "# One\n\n## Two\n\nA **bold** _word_ and `code`, ~~gone~~, https://example.org.\n\n- [x] done\n- item\n\n\
                | a | b |\n|---|--:|\n| 1 | 2 |\n\n> said\n\nNote[^1]\n\n[^1]: below\n";
    let rendered = render(body, &BTreeMap::new()).unwrap();
    for part in [
        "<h2>One</h2>",
        "<h3>Two</h3>",
        "<strong>bold</strong>",
        "<em>word</em>",
        "<code>code</code>",
        "<del>gone</del>",
        "href=\"https://example.org\"",
        "type=\"checkbox\"",
        "<table>",
        "align=\"right\"",
        "<blockquote>",
        "class=\"footnote-ref\"",
        "id=\"fn-1\"",
    ] {
        assert!(
            rendered.html.contains(part),
            "{part} is missing in {}",
            rendered.html
        );
    }
    assert!(!rendered.html.contains("<h1"));
    assert!(
        rendered.text.contains("One\nTwo\nA bold word and code"),
        "{}",
        rendered.text
    );
    assert!(
        rendered.excerpt.starts_with("A bold word and code, gone"),
        "{}",
        rendered.excerpt
    );
    assert_eq!(rendered.minutes, 1);
    assert_eq!(
        render(&"слово ".repeat(400), &BTreeMap::new())
            .unwrap()
            .minutes,
        3
    );
}

/// R48: our pictures are rendered with all widths and their alt text; pictures on other sites
/// become links.
#[test]
fn pictures_have_widths_and_alt_text() {
    let body = "![The sea](/media/0123456789abcdef01234567-1600.jpg \"In May\")\n\n![logo](https://example.org/logo.png)\n\n\
                ![gone](/media/ffffffffffffffffffffffff-480.jpg)";
    assert_eq!(
        pictures(body).unwrap(),
        [
            "0123456789abcdef01234567-1600.jpg",
            "ffffffffffffffffffffffff-480.jpg"
        ]
    );
    let html = render(body, &known()).unwrap().html;
    assert!(
        html.contains(
            "<figure><img src=\"/media/0123456789abcdef01234567-960.jpg\" alt=\"The sea\""
        ),
        "{html}"
    );
    assert!(
        html.contains("0123456789abcdef01234567-480.jpg 480w"),
        "{html}"
    );
    assert!(html.contains("width=\"1600\" height=\"800\""), "{html}");
    assert!(html.contains("<figcaption>In May</figcaption>"), "{html}");
    assert!(
        html.contains("<a href=\"https://example.org/logo.png\" rel=\"noopener\">logo</a>"),
        "{html}"
    );
    assert!(!html.contains("ffffffff"), "{html}");
}

/// R44: all URLs in feeds are absolute.
#[test]
fn feeds_have_whole_addresses() {
    let html = render(
        "[in](/blog/other) [out](https://example.org/x) `src=\"/x\"`\n\n![s](/media/0123456789abcdef01234567-480.jpg)",
        &known(),
    )
    .unwrap()
    .html;
    let base = Url::parse("https://mail.example.org/").unwrap();
    let html = absolute(&html, &base);
    assert!(
        html.contains("href=\"https://mail.example.org/blog/other\""),
        "{html}"
    );
    assert!(html.contains("href=\"https://example.org/x\""), "{html}");
    assert!(
        html.contains("src=\"https://mail.example.org/media/0123"),
        "{html}"
    );
    assert!(html.contains("<code>src=\"/x\"</code>"), "{html}");
    assert!(!html.contains("srcset"), "{html}");
}

/// R44: an excerpt ends with a whole word.
#[test]
fn excerpts_end_after_a_word() {
    assert_eq!(excerpt("one  two"), "one two");
    let long = excerpt(&"слово, ".repeat(100));
    assert!(
        long.ends_with("слово…") && long.chars().count() <= EXCERPT_CHARS,
        "{long}"
    );
    assert_eq!(excerpt(&"x".repeat(1000)).len(), EXCERPT_CHARS);
}

/// R47: stored HTML is shown without control characters, both raw ones and references to them.
#[test]
fn stored_html_loses_both_kinds_of_control_characters() {
    let shown = clean_stored("<p>a\u{2}b\u{3} &#2;posts&#3; &#x7;</p>".to_owned());
    assert_eq!(shown, "<p>ab posts </p>");
    let shown = clean_stored("<p>&#2;posts&#3;</p>".to_owned());
    assert_eq!(shown, "<p>posts</p>");
    let fine = "<p>A &amp; b &#8212; c</p>";
    assert_eq!(clean_stored(fine.to_owned()), fine);
}

/// What a body is refused for.
fn refused(body: &str) -> Option<&'static str> {
    match render(body, &BTreeMap::new()).and(pictures(body)) {
        Ok(_) => None,
        Err(Error::Invalid(errors)) => Some(errors[0].code),
        Err(error) => panic!("{error:?}"),
    }
}

/// A body of the greatest length cannot hold up the server: deep nesting, many pictures and HTML
/// that is many times longer are refused, whatever they are made of.
#[test]
fn bodies_that_cost_too_much_are_refused() {
    let length = crate::blog::post::BODY_MAX;
    for marker in [
        ">", "> ", "- ", "* ", "+ ", "1. ", "9) ", "> - ", "- > 1. ", "[^a]: ",
    ] {
        let line = marker.repeat(length / marker.len());
        assert_eq!(refused(&line), Some("body_nesting"), "{marker:?}");
        let lines = format!("{}x\n", marker.repeat(50)).repeat(length / (marker.len() * 50 + 2));
        assert_eq!(refused(&lines), Some("body_nesting"), "{marker:?}");
    }
    let steps: Vec<_> = (0..700)
        .map(|depth| format!("{}- a", " ".repeat(2 * depth)))
        .collect();
    assert_eq!(refused(&steps.join("\n")), Some("body_nesting"));
    let emphasis = "*a **a ".repeat(20_000) + &"b** b*".repeat(20_000);
    assert_eq!(refused(&emphasis), Some("body_nesting"));
    let pictures: Vec<String> = (0..1_000).map(|n| format!("![](/media/{n})")).collect();
    assert_eq!(refused(&pictures.join(" ")), Some("body_pictures"));
    let notes = format!("[^1]: x\n\n{}", "[^1]".repeat(length / 4 - 10));
    assert_eq!(refused(&notes), Some("body_html"));
    for signs in ["&", "&amp;", "a&b ", "`&`"] {
        let many = signs.repeat(length / signs.len() - 10);
        assert_eq!(refused(&many), Some("body_ampersands"), "{signs}");
    }
    // what people write
    let quote = format!("{}deep\n", "> ".repeat(20));
    let list = &steps[..20];
    assert_eq!(refused(&quote), None);
    assert_eq!(refused(&list.join("\n")), None);
    assert_eq!(refused(&"word ".repeat(length / 5)), None);
}
