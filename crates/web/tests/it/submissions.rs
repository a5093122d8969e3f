//! Forms that create something, submitted more than once.

use std::time::Duration;

use axum::http::StatusCode;
use skychimp_core::accounts::user::Role;
use skychimp_core::messages::message::Message;
use skychimp_core::platform::ids::UserId;
use skychimp_core::recipients::list::List;
use skychimp_core::sending::mailing::{Mailing, MailingDraft, MailingFilter, MailingStatus};
use skychimp_core::testing::{list, mailing, message, sending_run};

use crate::browser::{Answer, Browser, Site};
use crate::html;

/// The form id in the form with this action on a page.
async fn form_id(browser: &mut Browser, page: &str, action: &str) -> String {
    let body = browser.get(page).await.body;
    let form = html::read(&body).forms.into_iter().find(|form| {
        form.action == action && form.fields.iter().any(|(name, _)| name == "form_id")
    });
    let fields = form
        .unwrap_or_else(|| panic!("{page}: no {action}: {body}"))
        .fields;
    fields
        .into_iter()
        .find(|(name, _)| name == "form_id")
        .unwrap()
        .1
}

fn everything<'a>(id: &'a str, title: &'a str, action: &'a str) -> Vec<(&'a str, &'a str)> {
    vec![
        ("form_id", id),
        ("title", title),
        ("zone", "UTC"),
        ("version", "0"),
        ("new_subject", "Hello"),
        ("new_text", "Dear {{ name }}"),
        ("new_list", "Friends"),
        ("new_people", "Bob <bob@example.com>\r\neve@example.com"),
        ("action", action),
    ]
}

/// The owner's mailings by title and status, and the numbers of messages and lists.
async fn made(site: &Site, owner: UserId) -> (Vec<(String, MailingStatus)>, usize, usize) {
    let mut tx = site.db.read().await.unwrap();
    let filter = MailingFilter {
        search: "",
        ..MailingFilter::default()
    };
    let found = Mailing::page(&mut tx, owner, filter, 100).await.unwrap();
    let mailings = found
        .into_iter()
        .map(|row| (row.mailing.title, row.mailing.status));
    let messages = Message::page(&mut tx, owner, "", None, 100).await.unwrap();
    let lists = List::all(&mut tx, owner, 100).await.unwrap();
    (mailings.collect(), messages.len(), lists.len())
}

fn assert_goes(answer: &Answer, to: &str) {
    assert_eq!(answer.status, StatusCode::SEE_OTHER, "{}", answer.body);
    assert_eq!(answer.location(), to);
}

/// R22: submitting "Save and start" again leads to the same mailing; nothing is created or started
/// twice, not even after it was cancelled.
#[tokio::test]
async fn save_and_start_twice_is_once() {
    let site = Site::new().await;
    let owner = site.user("ann", Role::User).await;
    let mut ann = site.login("ann").await;
    let id = form_id(&mut ann, "/mailings/new", "/mailings").await;
    let fields = everything(&id, "Spring", "start");
    let first = ann.post("/mailings", &fields).await;
    let address = first.location().to_owned();
    assert!(address.starts_with("/mailings/"), "{}", first.body);
    let once = (vec![("Spring".to_owned(), MailingStatus::Running)], 1, 1);
    assert_eq!(made(&site, owner).await, once);
    // a new login has another CSRF token, but the old page
    let mut later = site.login("ann").await;
    for browser in [&mut ann, &mut later] {
        assert_goes(&browser.post("/mailings", &fields).await, &address);
        assert_eq!(made(&site, owner).await, once);
    }
    assert!(
        ann.get(&address)
            .await
            .body
            .contains("Nothing was saved twice")
    );
    ann.post(&format!("{address}/cancel"), &[]).await;
    assert_goes(&ann.post("/mailings", &fields).await, &address);
    assert_eq!(made(&site, owner).await.0[0].1, MailingStatus::Cancelled);
}

/// R22: of several concurrent submissions one creates the mailing, and all lead to it.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn arrivals_at_once_make_one_mailing() {
    let site = Site::new().await;
    let owner = site.user("ann", Role::User).await;
    let mut ann = site.login("ann").await;
    for round in 0..4 {
        let title = format!("Round {round}");
        let id = form_id(&mut ann, "/mailings/new", "/mailings").await;
        let clicks = (0..6).map(|_| {
            let (mut ann, id, title) = (ann.clone(), id.clone(), title.clone());
            tokio::spawn(async move {
                ann.post("/mailings", &everything(&id, &title, "start"))
                    .await
            })
        });
        let mut places = Vec::new();
        for click in clicks.collect::<Vec<_>>() {
            let answer = click.await.unwrap();
            assert_eq!(answer.status, StatusCode::SEE_OTHER, "{}", answer.body);
            places.push(answer.location().to_owned());
        }
        places.dedup();
        assert_eq!(places.len(), 1, "{places:?}");
        let (mailings, messages, _) = made(&site, owner).await;
        assert_eq!((mailings.len(), messages), (round + 1, round + 1));
        assert!(
            mailings
                .iter()
                .all(|(_, status)| *status == MailingStatus::Running)
        );
    }
}

/// R22: a saved draft can be started with the other button of the same form if it has not changed
/// since.
#[tokio::test]
async fn saved_draft_is_started_by_the_same_form() {
    let site = Site::new().await;
    let owner = site.user("ann", Role::User).await;
    let mut ann = site.login("ann").await;
    let id = form_id(&mut ann, "/mailings/new", "/mailings").await;
    let draft = ann
        .post("/mailings", &everything(&id, "Spring", "draft"))
        .await;
    let address = draft.location().to_owned();
    let edited = [("title", "Other"), ("zone", "UTC"), ("version", "1")];
    let start = everything(&id, "Spring", "start");
    assert_goes(&ann.post("/mailings", &start).await, &address);
    assert_eq!(
        made(&site, owner).await.0,
        [("Spring".to_owned(), MailingStatus::Running)]
    );

    let id = form_id(&mut ann, "/mailings/new", "/mailings").await;
    let draft = ann
        .post("/mailings", &everything(&id, "Summer", "draft"))
        .await;
    let address = draft.location().to_owned();
    assert_goes(&ann.post(&address, &edited).await, &address);
    let start = everything(&id, "Summer", "start");
    assert_goes(&ann.post("/mailings", &start).await, &address);
    assert!(
        made(&site, owner)
            .await
            .0
            .contains(&("Other".to_owned(), MailingStatus::Created))
    );
}

/// R22, R34: different content in a form that has already created its mailing is shown as a draft
/// of another mailing, and saved as that. An old page does not create a deleted mailing again.
#[tokio::test]
async fn other_text_in_the_same_form_is_kept() {
    let site = Site::new().await;
    let owner = site.user("ann", Role::User).await;
    let mut ann = site.login("ann").await;
    let id = form_id(&mut ann, "/mailings/new", "/mailings").await;
    let first = ann
        .post("/mailings", &everything(&id, "Spring", "start"))
        .await;
    let address = first.location().to_owned();
    let other = ann
        .post("/mailings", &everything(&id, "Summer", "start"))
        .await;
    assert_eq!(other.status, StatusCode::UNPROCESSABLE_ENTITY);
    for part in [
        "value=\"Summer\"",
        "already saved with different content",
        "eve@example.com",
    ] {
        assert!(other.body.contains(part), "{part}: {}", other.body);
    }
    assert!(!other.body.contains(&id));
    assert_eq!(made(&site, owner).await.0.len(), 1);
    let form = html::read(&other.body)
        .forms
        .into_iter()
        .find(|form| form.action == "/mailings");
    let fresh = form
        .unwrap()
        .fields
        .into_iter()
        .find(|(name, _)| name == "form_id")
        .unwrap()
        .1;
    let second = ann
        .post("/mailings", &everything(&fresh, "Summer", "draft"))
        .await;
    assert_eq!(second.status, StatusCode::SEE_OTHER);
    assert_eq!(made(&site, owner).await.0.len(), 2);

    ann.post(&format!("{address}/cancel"), &[]).await;
    ann.post(&format!("{address}/delete"), &[]).await;
    let again = ann
        .post("/mailings", &everything(&id, "Spring", "start"))
        .await;
    assert_eq!(again.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(made(&site, owner).await.0.len(), 1);
}

/// R22: a form with errors creates nothing and can be corrected. Forms without an id create
/// something each time.
#[tokio::test]
async fn forms_with_errors_and_without_ids_make_theirs() {
    let site = Site::new().await;
    let owner = site.user("ann", Role::User).await;
    let mut ann = site.login("ann").await;
    let id = form_id(&mut ann, "/mailings/new", "/mailings").await;
    let wrong = ann.post("/mailings", &everything(&id, "", "start")).await;
    assert_eq!(wrong.status, StatusCode::UNPROCESSABLE_ENTITY);
    let right = ann
        .post("/mailings", &everything(&id, "Spring", "start"))
        .await;
    assert_eq!(right.status, StatusCode::SEE_OTHER);
    for id in ["", "nonsense"] {
        for _ in 0..2 {
            let done = ann
                .post("/mailings", &everything(id, "Other", "draft"))
                .await;
            assert_eq!(done.status, StatusCode::SEE_OTHER);
        }
    }
    let plain = [("title", "Other"), ("zone", "UTC")];
    for _ in 0..2 {
        assert_eq!(
            ann.post("/mailings", &plain).await.status,
            StatusCode::SEE_OTHER
        );
    }
    assert_eq!(made(&site, owner).await.0.len(), 7);
}

/// R32: the form id of another user has no meaning; it never leads to their things.
#[tokio::test]
async fn ids_of_other_users_mean_nothing() {
    let site = Site::new().await;
    let owner = site.user("ann", Role::User).await;
    let stranger = site.user("bob", Role::User).await;
    let mut ann = site.login("ann").await;
    let id = form_id(&mut ann, "/mailings/new", "/mailings").await;
    let hers = ann
        .post("/mailings", &everything(&id, "Spring", "draft"))
        .await;
    let before = made(&site, owner).await;
    let mut bob = site.login("bob").await;
    bob.get("/mailings/new").await;
    for title in ["Spring", "Summer"] {
        let answer = bob
            .post("/mailings", &everything(&id, title, "start"))
            .await;
        assert_ne!(answer.location(), hers.location());
        assert!(!answer.body.contains(hers.location()));
    }
    assert_eq!(made(&site, owner).await, before);
    assert_eq!(made(&site, stranger).await.0.len(), 1);
    let made_by_her = hers.location().rsplit('/').next().unwrap();
    let answer = bob
        .post("/mailings", &everything(made_by_her, "Third", "draft"))
        .await;
    assert_ne!(answer.location(), hers.location());
    assert_eq!(made(&site, owner).await, before);
}

/// R22, R34: a form that edits a mailing creates its message and list once, and submitting it again
/// is not a conflict.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn changing_twice_is_once() {
    let site = Site::new().await;
    let owner = site.user("ann", Role::User).await;
    let now = site.clock.now();
    let id = mailing(&site.db, owner, &[], MailingDraft::default(), now)
        .await
        .unwrap();
    let (_, messages, lists) = made(&site, owner).await;
    let address = format!("/mailings/{id}");
    let mut ann = site.login("ann").await;
    let form = form_id(&mut ann, &format!("{address}/edit"), &address).await;
    let mut fields = everything(&form, "Spring", "start");
    fields[3].1 = "1";
    let clicks = (0..4).map(|_| {
        let (mut ann, address, fields) = (ann.clone(), address.clone(), fields.clone());
        let fields: Vec<_> = fields
            .into_iter()
            .map(|(n, v)| (n.to_owned(), v.to_owned()))
            .collect();
        tokio::spawn(async move {
            let fields: Vec<_> = fields.iter().map(|(n, v)| (&**n, &**v)).collect();
            ann.post(&address, &fields).await
        })
    });
    for click in clicks.collect::<Vec<_>>() {
        assert_goes(&click.await.unwrap(), &address);
    }
    let after = made(&site, owner).await;
    assert_eq!(
        after,
        (
            vec![("Spring".to_owned(), MailingStatus::Running)],
            messages + 1,
            lists + 1
        )
    );
    // changes typed into the old page since then are reported as a conflict
    let mut other = fields.clone();
    other[1].1 = "Summer";
    let told = ann.post(&address, &other).await;
    assert_eq!(told.status, StatusCode::CONFLICT);
    assert!(told.body.contains("value=\"Summer\""));
}

/// R22: copies, and mailings to the recipients behind a number, are created once per displayed
/// button.
#[tokio::test]
async fn buttons_that_make_something_make_it_once() {
    let site = Site::new().await;
    let owner = site.user("ann", Role::User).await;
    let now = site.clock.now();
    let people = list(&site.db, owner, "Customers", 0, 7, now).await.unwrap();
    let id = mailing(&site.db, owner, &[people], MailingDraft::default(), now)
        .await
        .unwrap();
    let letter = message(&site.db, owner, "News", "Dear {{ name }}", now)
        .await
        .unwrap();
    let bob = ["bob@example.org".to_owned()];
    let run = sending_run(&site.db, owner, &bob, now, None).await.unwrap();
    let mut ann = site.login("ann").await;
    let run_page = format!("/mailings/{}/people?run={}", run.mailing, run.id);
    for (page, action) in [
        (format!("/mailings/{id}"), format!("/mailings/{id}/copy")),
        ("/messages".to_owned(), format!("/messages/{letter}/copy")),
        (run_page.clone(), run_page),
    ] {
        let body = ann.get(&page).await.body;
        let forms = html::read(&body).forms;
        let form = forms
            .iter()
            .find(|form| form.post && form.action.split('?').next() == action.split('?').next());
        let form = form.unwrap_or_else(|| panic!("{page}: {body}")).clone();
        let fields: Vec<_> = form.fields.iter().map(|(n, v)| (&**n, &**v)).collect();
        let before = made(&site, owner).await;
        let first = ann.post_raw(&form.action, &[], &fields).await;
        assert_eq!(
            first.status,
            StatusCode::SEE_OTHER,
            "{action}: {}",
            first.body
        );
        let after = made(&site, owner).await;
        assert_eq!(
            after.0.len() + after.1,
            before.0.len() + before.1 + 1,
            "{action}"
        );
        let second = ann.post_raw(&form.action, &[], &fields).await;
        assert_goes(&second, first.location());
        assert_eq!(made(&site, owner).await, after, "{action}");
        // a reloaded page creates another one, and so does a client without a page
        site.clock.advance(Duration::from_secs(1));
        let other = form_id(&mut ann, &page, &form.action).await;
        let third = ann.post(&form.action, &[("form_id", &other)]).await;
        assert_ne!(third.location(), first.location(), "{action}");
        site.clock.advance(Duration::from_secs(1));
        let fourth = ann.post(&form.action, &[]).await;
        assert_ne!(fourth.location(), third.location(), "{action}");
    }
}

/// R8, R22, R34: recipients, lists and messages are created once; different content in the same
/// form is kept.
#[tokio::test]
async fn other_things_are_made_once() {
    let site = Site::new().await;
    let owner = site.user("ann", Role::User).await;
    let mut ann = site.login("ann").await;
    for (page, action, field, value, more) in [
        (
            "/lists/new",
            "/lists/new",
            "name",
            "Friends",
            ("comment", ""),
        ),
        (
            "/messages/new",
            "/messages",
            "subject",
            "Hello",
            ("text", "Dear all"),
        ),
        (
            "/recipients/new",
            "/recipients/new",
            "email",
            "bob@example.com",
            ("name", "Bob"),
        ),
    ] {
        let body = ann.get(page).await.body;
        let form = html::read(&body)
            .forms
            .into_iter()
            .find(|form| form.fields.iter().any(|(name, _)| name == "form_id"));
        let fields = form.unwrap_or_else(|| panic!("{page}: {body}")).fields;
        let id = fields
            .into_iter()
            .find(|(name, _)| name == "form_id")
            .unwrap()
            .1;
        let fields = [("form_id", &*id), (field, value), more];
        let first = ann.post(action, &fields).await;
        assert_eq!(
            first.status,
            StatusCode::SEE_OTHER,
            "{action}: {}",
            first.body
        );
        let after = made(&site, owner).await;
        assert_goes(&ann.post(action, &fields).await, first.location());
        assert_eq!(made(&site, owner).await, after, "{action}");
        let typed = format!("Z{value}");
        let other = [("form_id", &*id), (field, typed.as_str()), more];
        let shown = ann.post(action, &other).await;
        assert_eq!(shown.status, StatusCode::UNPROCESSABLE_ENTITY, "{action}");
        assert!(
            shown.body.contains(&typed) && shown.body.contains("different content"),
            "{action}"
        );
        assert_eq!(made(&site, owner).await, after, "{action}");
    }
    let found = ann.get("/recipients").await.body;
    assert!(found.contains("bob@example.com"));
}

/// R22, R34: an edit that arrives twice, also at the same time, is saved once and is no conflict.
/// Another edit from the old page is one.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn edits_that_arrive_twice_are_no_conflict() {
    let site = Site::new().await;
    let owner = site.user("ann", Role::User).await;
    let now = site.clock.now();
    let people = list(&site.db, owner, "Customers", 0, 1, now).await.unwrap();
    let letter = message(&site.db, owner, "News", "Dear {{ name }}", now)
        .await
        .unwrap();
    let mut ann = site.login("ann").await;
    let found = ann.get("/recipients").await.body;
    let at = found.find("href=\"/recipients/0").unwrap() + "href=\"".len();
    let person = found[at..].split('"').next().unwrap().to_owned();
    let message = [("subject", "Typed"), ("text", "Dear all"), ("html", "")];
    for (page, typed) in [
        (
            format!("/lists/{people}"),
            &[("name", "Typed"), ("comment", "")][..],
        ),
        (format!("/messages/{letter}"), &message[..]),
        (person, &[("email", "typed@example.org"), ("name", "Typed")]),
    ] {
        let body = ann.get(&page).await.body;
        let form = html::read(&body).forms.into_iter();
        let mut forms = form.filter(|form| form.fields.iter().any(|(name, _)| name == "version"));
        let fields = forms.next().unwrap().fields;
        let value = |name: &str| fields.iter().find(|(n, _)| n == name).unwrap().1.clone();
        let (id, version) = (value("form_id"), value("version"));
        let all = [&[("form_id", &*id), ("version", &*version)], typed].concat();
        let all: Vec<_> = all
            .into_iter()
            .map(|(n, v)| (n.to_owned(), v.to_owned()))
            .collect();
        let clicks = (0..4).map(|_| {
            let (mut ann, page, all) = (ann.clone(), page.clone(), all.clone());
            tokio::spawn(async move {
                let all: Vec<_> = all.iter().map(|(n, v)| (&**n, &**v)).collect();
                ann.post(&page, &all).await
            })
        });
        for click in clicks.collect::<Vec<_>>() {
            let answer = click.await.unwrap();
            assert_eq!(
                answer.status,
                StatusCode::SEE_OTHER,
                "{page}: {}",
                answer.body
            );
        }
        let mut other: Vec<_> = all.iter().map(|(n, v)| (&**n, &**v)).collect();
        other[2].1 = "Other";
        if other[2].0 == "email" {
            other[2].1 = "other@example.org";
        }
        let answer = ann.post(&page, &other).await;
        assert_eq!(answer.status, StatusCode::CONFLICT, "{page}");
        assert!(answer.body.contains(other[2].1));
    }
}

/// R22: letters to colleagues and test letters, uploads and sending servers are asked for once.
#[tokio::test]
async fn letters_uploads_and_servers_are_asked_for_once() {
    let site = Site::new().await;
    site.user("ann", Role::User).await;
    site.user("root", Role::Admin).await;
    let mut ann = site.login("ann").await;
    let asked = form_id(&mut ann, "/account/colleagues", "/account/colleagues").await;
    let colleague = [("form_id", &*asked), ("email", "bob@example.org")];
    for _ in 0..2 {
        let answer = ann.post("/account/colleagues", &colleague).await;
        assert_goes(&answer, "/account/colleagues");
    }
    assert_eq!(site.letters_to("bob@example.org").await.len(), 1);

    let test_id = |body: &str| {
        let (_, rest) = body.split_once("id=\"test_id\" value=\"").unwrap();
        rest.split('"').next().unwrap().to_owned()
    };
    let mut next = test_id(&ann.get("/messages/new").await.body);
    for presses in 1..=2 {
        let text = [
            ("subject", "Hello"),
            ("text", "Dear all"),
            ("to", "ann@example.org"),
        ];
        let press = [&[("test_id", &*next)], &text[..]].concat();
        let mut answer = ann.post("/messages/test", &press).await;
        for _ in 0..2 {
            assert!(answer.body.contains("alert-success"), "{}", answer.body);
            assert_eq!(site.letters_to("ann@example.org").await.len(), presses);
            answer = ann.post("/messages/test", &press).await;
        }
        next = test_id(&answer.body);
    }

    let page = ann.get("/recipients/import").await.body;
    let form = html::read(&page).forms.into_iter().find(|form| form.files);
    let upload = form.unwrap().action;
    assert!(upload.contains("form_id="), "{upload}");
    let kind = [("content-type", "multipart/form-data; boundary=x")];
    let body = "--x\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.csv\"\r\n\r\nemail\nbob@example.com\n\r\n--x--\r\n";
    let first = ann.send("POST", &upload, &kind, body.to_owned()).await;
    assert_eq!(first.status, StatusCode::SEE_OTHER, "{}", first.body);
    let second = ann.send("POST", &upload, &kind, body.to_owned()).await;
    assert_goes(&second, first.location());

    let mut root = site.login("root").await;
    let page = root.get("/manage/servers/new").await.body;
    let forms = html::read(&page).forms.into_iter();
    let mut forms = forms.filter(|form| form.fields.iter().any(|(name, _)| name == "form_id"));
    let fields = forms.next().unwrap().fields;
    let id = &fields.iter().find(|(name, _)| name == "form_id").unwrap().1;
    let server = [
        ("form_id", &**id),
        ("name", "Relay"),
        ("host", "smtp.example.org"),
        ("port", "587"),
        ("tls", "required"),
        ("priority", "1"),
        ("weight", "1"),
        ("connections", "5"),
    ];
    let first = root.post("/manage/servers/new", &server).await;
    assert_eq!(first.status, StatusCode::SEE_OTHER, "{}", first.body);
    let second = root.post("/manage/servers/new", &server).await;
    assert_goes(&second, first.location());
}
