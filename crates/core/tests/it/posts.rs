use std::time::Duration;

use skychimp_core::accounts::user::{Role, User};
use skychimp_core::blog::post::{
    Editor, Post, PostDraft, PostFilter, PostLookup, PostState, UnsavedDraft, VersionCause,
};
use skychimp_core::platform::db::{Db, Tx};
use skychimp_core::platform::error::Error;
use skychimp_core::platform::ids::{ContentVersion, PostId};
use skychimp_core::platform::time::Timestamp;
use skychimp_core::testing::{TestDb, user};

use crate::support::at;

const NOW: &str = "2027-01-01T12:00:00Z";
const LATER: &str = "2027-01-02T09:00:00Z";

pub async fn editor(db: &Db, name: &str) -> Editor {
    let id = user(db, name, Role::ContentManager).await.unwrap();
    let mut tx = db.read().await.unwrap();
    Editor::of(&User::get(&mut tx, id).await.unwrap().unwrap()).unwrap()
}

pub fn draft(title: &str) -> PostDraft {
    PostDraft {
        title: title.to_owned(),
        author: "Anna".to_owned(),
        language: "ru".to_owned(),
        body: format!("The text of {title}."),
        ..PostDraft::default()
    }
}

/// Creates a post that is published at `from`.
async fn published(tx: &mut Tx, editor: Editor, draft: &PostDraft, from: Timestamp) -> PostId {
    let id = Post::create(tx, editor, draft, from).await.unwrap();
    Post::publish(tx, editor, id, 1, None, from)
        .await
        .unwrap()
        .unwrap();
    id
}

async fn titles(tx: &mut Tx, filter: &PostFilter, now: &str) -> Vec<String> {
    let cards = Post::published_page(tx, filter, 1, 100, at(now))
        .await
        .unwrap();
    let count = Post::count_published(tx, filter, at(now)).await.unwrap();
    assert_eq!(usize::try_from(count).unwrap(), cards.len());
    cards.into_iter().map(|card| card.title).collect()
}

/// R45: only content managers and administrators can be editors.
#[tokio::test]
async fn editors_have_a_role() {
    let db = TestDb::new().await.unwrap();
    for (role, writes) in [
        (Role::User, false),
        (Role::Manager, false),
        (Role::ContentManager, true),
        (Role::Admin, true),
    ] {
        let id = user(&db, role.as_str().trim_end_matches('_'), role)
            .await
            .unwrap();
        let mut tx = db.read().await.unwrap();
        let user = User::get(&mut tx, id).await.unwrap().unwrap();
        assert_eq!(Editor::of(&user).is_some(), writes, "{role:?}");
    }
}

/// R50, R51: a post goes from draft to published and back; the publication date is that of the
/// first time.
#[tokio::test]
async fn states_follow_their_transitions() {
    let db = TestDb::new().await.unwrap();
    let ann = editor(&db, "ann").await;
    let mut tx = db.write().await.unwrap();
    let id = Post::create(&mut tx, ann, &draft("News"), at(NOW))
        .await
        .unwrap();
    let state = async |tx: &mut Tx, now: &str| {
        let post = Post::get(tx, ann, id).await.unwrap().unwrap();
        (post.state(at(now)), post.published_at)
    };
    assert_eq!(state(&mut tx, NOW).await, (PostState::Draft, None));
    let none = Post::unpublish(&mut tx, ann, id, 1, at(NOW)).await;
    assert!(matches!(none, Err(Error::State("draft"))));

    // scheduled, then visible when due without further action
    let version = Post::publish(&mut tx, ann, id, 1, Some(at(LATER)), at(NOW))
        .await
        .unwrap();
    assert_eq!(version, Some(2));
    assert_eq!(
        state(&mut tx, NOW).await,
        (PostState::Scheduled, Some(at(LATER)))
    );
    assert_eq!(
        state(&mut tx, LATER).await,
        (PostState::Published, Some(at(LATER)))
    );
    assert_eq!(
        Post::next_publication(&mut tx, at(NOW)).await.unwrap(),
        Some(at(LATER))
    );
    assert_eq!(
        Post::next_publication(&mut tx, at(LATER)).await.unwrap(),
        None
    );

    // the schedule is dropped, then it is published immediately
    Post::unpublish(&mut tx, ann, id, 2, at(NOW)).await.unwrap();
    assert_eq!(state(&mut tx, LATER).await, (PostState::Draft, None));
    Post::publish(&mut tx, ann, id, 3, None, at(NOW))
        .await
        .unwrap();
    let twice = Post::publish(&mut tx, ann, id, 4, None, at(LATER)).await;
    assert!(matches!(twice, Err(Error::State("published"))));

    // unpublished and published again: the date stays
    Post::unpublish(&mut tx, ann, id, 4, at(LATER))
        .await
        .unwrap();
    assert_eq!(
        state(&mut tx, LATER).await,
        (PostState::Unpublished, Some(at(NOW)))
    );
    Post::publish(&mut tx, ann, id, 5, None, at(LATER))
        .await
        .unwrap();
    assert_eq!(
        state(&mut tx, LATER).await,
        (PostState::Published, Some(at(NOW)))
    );

    let old = Post::unpublish(&mut tx, ann, id, 2, at(LATER)).await;
    assert!(matches!(old, Err(Error::Conflict)));
    let acts: Vec<_> = Post::versions(&mut tx, ann, id)
        .await
        .unwrap()
        .into_iter()
        .map(|v| (v.version, v.act))
        .collect();
    assert_eq!(
        acts,
        [
            (6, VersionCause::Published),
            (5, VersionCause::Unpublished),
            (4, VersionCause::Published),
            (3, VersionCause::Unpublished),
            (2, VersionCause::Scheduled),
            (1, VersionCause::Created),
        ]
    );
}

/// R51: one visibility rule for list, article, neighbours, related posts, feed, tags, sitemap and
/// random posts: what is not published, or not yet, appears nowhere.
#[tokio::test]
async fn only_published_posts_are_found() {
    let db = TestDb::new().await.unwrap();
    let ann = editor(&db, "ann").await;
    let mut tx = db.write().await.unwrap();
    let tagged = |title: &str, tag: &str| PostDraft {
        tags: vec!["Все".to_owned(), tag.to_owned()],
        ..draft(title)
    };
    published(&mut tx, ann, &tagged("Shown", "one"), at(NOW)).await;
    let gone = published(&mut tx, ann, &tagged("Gone", "two"), at(NOW)).await;
    Post::unpublish(&mut tx, ann, gone, 2, at(NOW))
        .await
        .unwrap();
    Post::create(&mut tx, ann, &tagged("Draft", "three"), at(NOW))
        .await
        .unwrap();
    let planned = Post::create(&mut tx, ann, &tagged("Planned", "four"), at(NOW))
        .await
        .unwrap();
    Post::publish(&mut tx, ann, planned, 1, Some(at(LATER)), at(NOW))
        .await
        .unwrap();

    for (now, expected) in [(NOW, vec!["Shown"]), (LATER, vec!["Planned", "Shown"])] {
        assert_eq!(titles(&mut tx, &PostFilter::default(), now).await, expected);
        let feed = Post::feed(&mut tx, 10, 1_000_000, at(now)).await.unwrap();
        assert_eq!(
            feed.iter()
                .map(|a| a.card.title.as_str())
                .collect::<Vec<_>>(),
            expected
        );
        assert_eq!(
            Post::slugs(&mut tx, 10, at(now)).await.unwrap().len(),
            expected.len()
        );
        assert_eq!(
            Post::random_published(&mut tx, 9, 1, at(now))
                .await
                .unwrap()
                .len(),
            expected.len()
        );
        let tags = Post::published_tags(&mut tx, 10, at(now)).await.unwrap();
        let all = tags.iter().find(|count| count.tag.slug == "vse").unwrap();
        assert_eq!(usize::try_from(all.posts).unwrap(), expected.len());
        assert_eq!(tags.len(), 1 + expected.len());
        for slug in ["shown", "gone", "draft", "planned"] {
            let found = Post::by_slug(&mut tx, slug, at(now)).await.unwrap();
            let wanted = expected.iter().any(|title| title.to_lowercase() == slug);
            assert_eq!(found.is_some(), wanted, "{slug}");
        }
        let shown = feed.iter().find(|a| a.card.title == "Shown").unwrap();
        let (earlier, later) = Post::neighbours(&mut tx, &shown.card, at(now))
            .await
            .unwrap();
        assert_eq!(earlier, None);
        assert_eq!(later.is_some(), expected.len() == 2);
        let related = Post::related(&mut tx, &shown.card, 5, at(now))
            .await
            .unwrap();
        assert_eq!(related.len(), expected.len() - 1);
    }
}

/// R44: the list can be searched by words in any case and by tag, and is paged newest first.
#[tokio::test]
async fn list_is_searched_and_paged() {
    let db = TestDb::new().await.unwrap();
    let ann = editor(&db, "ann").await;
    let mut tx = db.write().await.unwrap();
    for n in 0..5_u64 {
        let new = PostDraft {
            body: format!("Скидка {n}0 % _для_ всех"),
            tags: vec![
                if n == 3 {
                    "E-mail Маркетинг"
                } else {
                    "other"
                }
                .to_owned(),
            ],
            ..draft(&format!("Post {n}"))
        };
        published(&mut tx, ann, &new, at(NOW) + Duration::from_secs(n)).await;
    }
    let found = |search: &str, tag: &str| PostFilter {
        search: search.to_owned(),
        tag: tag.to_owned(),
    };
    assert_eq!(
        titles(&mut tx, &found("СКИДКА 20 %", ""), LATER).await,
        ["Post 2"]
    );
    assert_eq!(
        titles(&mut tx, &found("маркетинг", ""), LATER).await,
        ["Post 3"]
    );
    assert_eq!(
        titles(&mut tx, &found("", "e-mail-marketing"), LATER).await,
        ["Post 3"]
    );
    assert!(titles(&mut tx, &found("%%", ""), LATER).await.is_empty());
    let second = Post::published_page(&mut tx, &PostFilter::default(), 2, 2, at(LATER))
        .await
        .unwrap();
    assert_eq!(
        second.iter().map(|c| c.title.as_str()).collect::<Vec<_>>(),
        ["Post 2", "Post 1"]
    );
    let page = Post::page(
        &mut tx,
        ann,
        "post",
        Some(PostState::Published),
        1,
        10,
        at(LATER),
    )
    .await
    .unwrap();
    assert_eq!(page.len(), 5);
    let page = Post::page(&mut tx, ann, "", Some(PostState::Draft), 1, 10, at(LATER))
        .await
        .unwrap();
    assert!(page.is_empty());
}

/// R46: slugs are unique. The old slug of a published post redirects forever; that of a post never
/// published is free again.
#[tokio::test]
async fn old_addresses_lead_to_the_new_one() {
    let db = TestDb::new().await.unwrap();
    let ann = editor(&db, "ann").await;
    let mut tx = db.write().await.unwrap();
    let slug = async |tx: &mut Tx, id| Post::get(tx, ann, id).await.unwrap().unwrap().slug;
    let typed = |title: &str, slug: &str| PostDraft {
        slug: slug.to_owned(),
        ..draft(title)
    };
    let one = Post::create(&mut tx, ann, &draft("Новости"), at(NOW))
        .await
        .unwrap();
    let two = Post::create(&mut tx, ann, &draft("Новости"), at(NOW))
        .await
        .unwrap();
    assert_eq!(
        (
            slug(&mut tx, one).await.as_str(),
            slug(&mut tx, two).await.as_str()
        ),
        ("novosti", "novosti-2")
    );
    let taken = Post::save(&mut tx, ann, two, 1, &typed("Новости", "Novosti"), at(NOW)).await;
    assert!(matches!(taken, Err(Error::Invalid(wrong)) if wrong[0].code == "slug_taken"));

    // never published, so nobody knows the old slug
    Post::save(&mut tx, ann, one, 1, &typed("Новости", "first"), at(NOW))
        .await
        .unwrap();
    Post::save(&mut tx, ann, two, 1, &typed("Новости", "novosti"), at(NOW))
        .await
        .unwrap();

    Post::publish(&mut tx, ann, two, 2, None, at(NOW))
        .await
        .unwrap();
    Post::save(&mut tx, ann, two, 3, &typed("Новости", "second"), at(NOW))
        .await
        .unwrap();
    let moved = Post::by_slug(&mut tx, "novosti", at(NOW)).await.unwrap();
    assert_eq!(moved, Some(PostLookup::Moved("second".to_owned())));
    let taken = Post::save(&mut tx, ann, one, 2, &typed("Новости", "novosti"), at(NOW)).await;
    assert!(matches!(taken, Err(Error::Invalid(wrong)) if wrong[0].code == "slug_taken"));
    // a post may take back its old slug
    Post::save(&mut tx, ann, two, 4, &typed("Новости", "novosti"), at(NOW))
        .await
        .unwrap();
    assert_eq!(
        Post::by_slug(&mut tx, "second", at(NOW)).await.unwrap(),
        Some(PostLookup::Moved("novosti".to_owned()))
    );
    Post::unpublish(&mut tx, ann, two, 5, at(NOW))
        .await
        .unwrap();
    assert_eq!(
        Post::by_slug(&mut tx, "second", at(NOW)).await.unwrap(),
        None
    );
}

/// R34: two editors never overwrite each other; unsaved text is kept per editor.
#[tokio::test]
async fn editors_do_not_overwrite_each_other() {
    let db = TestDb::new().await.unwrap();
    let (ann, bob) = (editor(&db, "ann").await, editor(&db, "bob").await);
    let mut tx = db.write().await.unwrap();
    let id = Post::create(&mut tx, ann, &draft("News"), at(NOW))
        .await
        .unwrap();
    let (mine, his) = (draft("Ann's"), draft("Bob's"));
    assert!(
        UnsavedDraft::save(&mut tx, ann, id, 1, &mine, at(NOW))
            .await
            .unwrap()
    );
    assert!(
        UnsavedDraft::save(&mut tx, bob, id, 1, &his, at(NOW))
            .await
            .unwrap()
    );
    assert_eq!(
        Post::save(&mut tx, bob, id, 1, &his, at(NOW))
            .await
            .unwrap(),
        Some(2)
    );
    let late = Post::save(&mut tx, ann, id, 1, &mine, at(NOW)).await;
    assert!(matches!(late, Err(Error::Conflict)));
    let typed = UnsavedDraft::of(&mut tx, ann, id).await.unwrap().unwrap();
    assert_eq!((typed.version, typed.draft.title.as_str()), (1, "Ann's"));
    assert_eq!(UnsavedDraft::of(&mut tx, bob, id).await.unwrap(), None);
    assert!(
        !UnsavedDraft::save(&mut tx, ann, PostId::new(at(NOW)), 1, &mine, at(NOW))
            .await
            .unwrap()
    );
}

/// R45: every saved version can be viewed and restored, as a new version; the slug stays.
#[tokio::test]
async fn versions_can_be_restored() {
    let db = TestDb::new().await.unwrap();
    let ann = editor(&db, "ann").await;
    let mut tx = db.write().await.unwrap();
    let first = PostDraft {
        tags: vec!["Old".to_owned()],
        ..draft("First")
    };
    let id = Post::create(&mut tx, ann, &first, at(NOW)).await.unwrap();
    Post::publish(&mut tx, ann, id, 1, None, at(NOW))
        .await
        .unwrap();
    let second = PostDraft {
        slug: "second".to_owned(),
        ..draft("Second")
    };
    Post::save(&mut tx, ann, id, 2, &second, at(NOW))
        .await
        .unwrap();
    assert_eq!(
        Post::restore(&mut tx, ann, id, 3, 1, at(NOW))
            .await
            .unwrap(),
        Some(4)
    );
    let post = Post::get(&mut tx, ann, id).await.unwrap().unwrap();
    assert_eq!(
        (post.title.as_str(), post.slug.as_str()),
        ("First", "second")
    );
    assert_eq!(Post::tags(&mut tx, id).await.unwrap()[0].name, "Old");
    assert_eq!(
        Post::version(&mut tx, ann, id, 3)
            .await
            .unwrap()
            .unwrap()
            .title,
        "Second"
    );
    assert_eq!(
        Post::restore(&mut tx, ann, id, 4, 99, at(NOW))
            .await
            .unwrap(),
        None
    );
}

/// R45: a post cannot be published without what readers need, and cannot lose it or be deleted
/// while it is published.
#[tokio::test]
async fn unfinished_posts_are_not_published() {
    let db = TestDb::new().await.unwrap();
    let ann = editor(&db, "ann").await;
    let mut tx = db.write().await.unwrap();
    let code = |result: Result<Option<i64>, Error>| match result {
        Err(Error::Invalid(wrong)) => (wrong[0].field.clone(), wrong[0].code),
        other => panic!("{other:?}"),
    };
    let empty = PostDraft {
        body: String::new(),
        ..draft("News")
    };
    let id = Post::create(&mut tx, ann, &empty, at(NOW)).await.unwrap();
    let refused = Post::publish(&mut tx, ann, id, 1, None, at(NOW)).await;
    assert_eq!(code(refused), ("body".to_owned(), "required"));
    Post::save(&mut tx, ann, id, 1, &draft("News"), at(NOW))
        .await
        .unwrap();
    let refused = Post::publish(&mut tx, ann, id, 2, Some(at(NOW)), at(NOW)).await;
    assert_eq!(code(refused), ("publish_at".to_owned(), "moment_passed"));
    Post::publish(&mut tx, ann, id, 2, None, at(NOW))
        .await
        .unwrap();
    let refused = Post::save(&mut tx, ann, id, 3, &empty, at(NOW)).await;
    assert_eq!(code(refused), ("body".to_owned(), "required"));
    let untitled = Post::save(&mut tx, ann, id, 3, &draft(" "), at(NOW)).await;
    assert_eq!(code(untitled), ("title".to_owned(), "required"));
    let kept = Post::delete(&mut tx, ann, id, at(NOW)).await;
    assert!(matches!(kept, Err(Error::State("published"))));
    Post::unpublish(&mut tx, ann, id, 3, at(NOW)).await.unwrap();
    assert!(Post::delete(&mut tx, ann, id, at(NOW)).await.unwrap());
    assert!(!Post::delete(&mut tx, ann, id, at(NOW)).await.unwrap());
}

/// R57: every change that readers could see changes the content version; views do not.
#[tokio::test]
async fn changes_are_noted() {
    let db = TestDb::new().await.unwrap();
    let ann = editor(&db, "ann").await;
    let mut tx = db.write().await.unwrap();
    let mut last = ContentVersion::of(&mut tx).await.unwrap();
    let mut moved = async |tx: &mut Tx| {
        let now = ContentVersion::of(tx).await.unwrap();
        std::mem::replace(&mut last, now) != now
    };
    let id = Post::create(&mut tx, ann, &draft("News"), at(NOW))
        .await
        .unwrap();
    assert!(moved(&mut tx).await);
    Post::publish(&mut tx, ann, id, 1, None, at(NOW))
        .await
        .unwrap();
    assert!(moved(&mut tx).await);
    Post::save(&mut tx, ann, id, 2, &draft("New"), at(NOW))
        .await
        .unwrap();
    assert!(moved(&mut tx).await);
    Post::add_views(&mut tx, &[(id, 2), (id, 3)]).await.unwrap();
    assert!(!moved(&mut tx).await);
    let Some(PostLookup::Post(article)) = Post::by_slug(&mut tx, "new", at(NOW)).await.unwrap()
    else {
        panic!("not found");
    };
    assert_eq!(article.card.views, 5);
    Post::unpublish(&mut tx, ann, id, 3, at(NOW)).await.unwrap();
    assert!(moved(&mut tx).await);
}

/// R55: random posts are distinct, all are chosen eventually, and a seed always gives the same.
#[tokio::test]
async fn random_posts_are_different() {
    let db = TestDb::new().await.unwrap();
    let ann = editor(&db, "ann").await;
    let mut tx = db.write().await.unwrap();
    for n in 0..6 {
        published(&mut tx, ann, &draft(&format!("Post {n}")), at(NOW)).await;
    }
    let mut seen = std::collections::BTreeSet::new();
    for seed in 0..50 {
        let three = Post::random_published(&mut tx, 3, seed, at(NOW))
            .await
            .unwrap();
        let ids: std::collections::BTreeSet<_> = three.iter().map(|card| card.id).collect();
        assert_eq!(ids.len(), 3);
        assert_eq!(
            Post::random_published(&mut tx, 3, seed, at(NOW))
                .await
                .unwrap(),
            three
        );
        seen.extend(ids);
    }
    assert_eq!(seen.len(), 6);
}
