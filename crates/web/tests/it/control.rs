//! Control characters in user input: no page, feed or letter shows one, and none has a special
//! meaning.

use std::fmt::Write as _;

use axum::http::StatusCode;
use quick_xml::Reader;
use quick_xml::events::Event;
use skychimp_core::accounts::user::{Role, User};
use skychimp_core::blog::post::{Editor, Post, PostDraft};
use skychimp_core::platform::control;
use skychimp_core::platform::ids::PostId;
use skychimp_core::testing::store_as_before;

use crate::browser::{Browser, Site};

/// All public places that show something of a post.
const PLACES: [&str; 7] = [
    "/",
    "/blog",
    "/blog/spring",
    "/blog/tag/spring",
    "/blog/atom.xml",
    "/blog/rss.xml",
    "/sitemap.xml",
];

/// Old placeholder marks, and all control characters that a database accepts.
pub fn marks_and_controls() -> String {
    let controls: String = (1..0xa0_u32)
        .chain([0xfffe, 0xffff])
        .filter_map(char::from_u32)
        .collect();
    format!("\u{2}posts\u{3} \u{2}figures\u{3} {controls} end")
}

/// The same as character references.
pub fn references() -> String {
    let mut text = "&#2;posts&#3; &#x2;figures&#x3; ".to_owned();
    for code in (0..0xa0_u32).chain([0xfffe, 0xffff]) {
        write!(text, "a&#{code};b&#x{code:x};c&#0{code};d ").unwrap();
    }
    text
}

async fn editor(site: &Site) -> Editor {
    let id = site.user("carl", Role::ContentManager).await;
    let mut tx = site.db.read().await.unwrap();
    Editor::of(&User::get(&mut tx, id).await.unwrap().unwrap()).unwrap()
}

async fn publish(site: &Site, draft: PostDraft) -> PostId {
    let now = site.clock.now();
    let editor = editor(site).await;
    let mut tx = site.db.write().await.unwrap();
    let draft = PostDraft {
        slug: "spring".to_owned(),
        language: "en".to_owned(),
        ..draft
    };
    let id = Post::create(&mut tx, editor, &draft, now).await.unwrap();
    Post::publish(&mut tx, editor, id, 1, None, now)
        .await
        .unwrap();
    tx.commit().await.unwrap();
    id
}

/// Panics unless the text is well-formed XML 1.0.
fn assert_well_formed(place: &str, xml: &str) {
    let mut reader = Reader::from_str(xml);
    let mut depth = 0;
    loop {
        match reader
            .read_event()
            .unwrap_or_else(|error| panic!("{place}: {error}: {xml}"))
        {
            Event::Start(_) => depth += 1,
            Event::End(_) => depth -= 1,
            Event::GeneralRef(name) => {
                let known = ["amp", "lt", "gt", "quot", "apos"];
                let code = name.resolve_char_ref().unwrap();
                let named: &str = &name;
                let right = code.map_or(known.contains(&named), |c| !control::is_control(c));
                assert!(right, "{place}: &{named};");
            }
            Event::Eof => break,
            _ => {}
        }
    }
    assert_eq!(depth, 0, "{place}");
}

/// Every reader gets every place twice: rendered and from the cache.
async fn assert_shown(site: &Site, readers: &mut [Browser]) {
    for reader in readers {
        for place in PLACES.into_iter().chain(PLACES) {
            let page = reader.get(place).await;
            assert_eq!(page.status, StatusCode::OK, "{place}");
            let odd: Vec<char> = page
                .body
                .chars()
                .filter(|c| control::is_control(*c))
                .collect();
            assert!(odd.is_empty(), "{place}: {odd:?}");
            assert_eq!(
                control::strip_control_in_html(&page.body),
                page.body,
                "{place}"
            );
            for escaped in ["\\u000", "\\u001", "\\u007f", "\\u008", "\\u009"] {
                assert!(!page.body.contains(escaped), "{place}: {escaped}");
            }
            let figures = usize::from(place == "/");
            assert_eq!(
                page.body.matches("<dl class=\"figures\">").count(),
                figures,
                "{place}"
            );
            if Some("xml") == place.rsplit('.').next() {
                assert_well_formed(place, &page.body);
            }
        }
    }
    let mut writer = site.login("carl").await;
    let list = writer.get("/posts").await;
    assert!(list.body.contains("Spring"));
}

/// Visitors of a node with and of one without page cache, and a logged-in user.
async fn readers(site: &Site) -> [Browser; 3] {
    site.user("ann", Role::User).await;
    let (_, without) = site.node(|settings| settings.page_memory = 0);
    [site.stranger(), without, site.login("ann").await]
}

/// R47, R57: a post with every control character in each of its texts, raw and as references: home
/// page, lists, article, feeds and sitemap are complete and show none.
#[tokio::test]
async fn no_control_character_of_a_post_is_shown() {
    let site = Site::new().await;
    let text = format!("{} {}", marks_and_controls(), references());
    let short = marks_and_controls();
    publish(
        &site,
        PostDraft {
            title: format!("Spring {short} &#2;posts&#3;"),
            author: format!("Carl {short}"),
            summary: format!("{short} &#7;"),
            body: format!("# {text}\n\n{text}\n\n`{text}`\n\n    {text}\n\n[{text}](/x \"{text}\") ![{text}](/media/x)\n"),
            tags: vec!["Spring\u{2}\u{3}".to_owned()],
            ..PostDraft::default()
        },
    )
    .await;
    assert_shown(&site, &mut readers(&site).await).await;
    let article = site.stranger().get("/blog/spring").await.body;
    assert!(article.contains("posts figures"), "{article}");
}

/// R47, R57: HTML stored by an older version is shown just as safely, without being saved again.
#[tokio::test]
async fn posts_of_older_versions_are_shown_safely() {
    let site = Site::new().await;
    let id = publish(
        &site,
        PostDraft {
            title: "Spring".to_owned(),
            author: "Carl".to_owned(),
            body: "Text".to_owned(),
            tags: vec!["Spring".to_owned()],
            ..PostDraft::default()
        },
    )
    .await;
    let odd = marks_and_controls();
    let html = format!("<p>{}</p>", odd.replace(['<', '>', '&'], ""));
    store_as_before(&site.db, id, &format!("Spring {odd}"), &html)
        .await
        .unwrap();
    assert_shown(&site, &mut readers(&site).await).await;
}

/// R57: a search text is treated as plain text, whatever characters it contains, and cut to the
/// maximum length.
#[tokio::test]
async fn search_of_a_kept_page_is_text() {
    let site = Site::new().await;
    publish(
        &site,
        PostDraft {
            title: "Spring".to_owned(),
            author: "Carl".to_owned(),
            body: "Text".to_owned(),
            ..PostDraft::default()
        },
    )
    .await;
    let (_, without) = site.node(|settings| settings.page_memory = 0);
    for mut reader in [site.stranger(), without] {
        let mut queries = vec![
            "%02figures%03".to_owned(),
            "%02posts%03".to_owned(),
            "%26%232%3Bposts%26%233%3B".to_owned(),
            "hole-00000000000000000000000000000000-figures.".to_owned(),
            "%EF%BF%BE%EF%BF%BF".to_owned(),
        ];
        queries.extend((1..0x80).map(|code| format!("a%{code:02x}b")));
        queries.extend((0x80..0xa0).map(|code| format!("a%C2%{code:02x}b")));
        for query in queries {
            for place in ["/blog", "/blog/tag/spring"] {
                let page = reader.get(&format!("{place}?q={query}")).await;
                if place == "/blog" {
                    assert_eq!(page.status, StatusCode::OK, "{query}");
                }
                assert!(!page.body.contains(control::is_control), "{query}");
                assert!(!page.body.contains("<dl class=\"figures\">"), "{query}");
            }
        }
        let nul = reader.get("/blog?q=%00").await;
        assert!(nul.status.as_u16() < 500, "{}", nul.status);
        let long = "x".repeat(280);
        let page = reader.get(&format!("/blog?q={long}")).await;
        assert!(page.body.contains(&"x".repeat(100)) && !page.body.contains(&"x".repeat(101)));
    }
}
