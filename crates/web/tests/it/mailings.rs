use axum::http::StatusCode;
use skychimp_core::accounts::user::Role;
use skychimp_core::platform::db::Db;
use skychimp_core::platform::ids::{MailingId, UserId};
use skychimp_core::platform::time::Timestamp;
use skychimp_core::sending::mailing::{FromIdentity, Mailing, MailingDraft, MailingStatus};
use skychimp_core::sending::run::Run;
use skychimp_core::sending::service::ServiceIdentity;
use skychimp_core::testing::{list, mailing, message, suppress};
use skychimp_web::Settings;

use crate::browser::{Browser, Site};

fn id_of(address: &str) -> MailingId {
    address.rsplit('/').next().unwrap().parse().unwrap()
}

async fn stored(db: &Db, owner: UserId, id: MailingId) -> Mailing {
    let mut tx = db.read().await.unwrap();
    Mailing::get(&mut tx, owner, id).await.unwrap().unwrap()
}

async fn create(browser: &mut Browser, fields: &[(&str, &str)]) -> String {
    browser.get("/mailings/new").await;
    let done = browser.post("/mailings", fields).await;
    assert_eq!(done.status, StatusCode::SEE_OTHER, "{}", done.body);
    done.location().to_owned()
}

/// Creates the run of a started mailing and its deliveries.
async fn expand(db: &Db, now: Timestamp) {
    let from = ServiceIdentity::from(FromIdentity {
        name: String::new(),
        email: "news@example.org".to_owned(),
    });
    let mut tx = db.write().await.unwrap();
    Run::start_due(&mut tx, None, &from, None, now)
        .await
        .unwrap();
    Run::expand_next(&mut tx, None, 1_000, now).await.unwrap();
    tx.commit().await.unwrap();
}

/// R7, R15, R22: a draft is saved, its page shows a checklist, and its button starts it once.
#[tokio::test]
async fn draft_becomes_a_running_mailing() {
    let site = Site::new().await;
    let owner = site.user("ann", Role::User).await;
    let now = site.clock.now();
    let people = list(&site.db, owner, "Customers", 0, 1_241, now)
        .await
        .unwrap();
    suppress(&site.db, owner, 3, "unsubscribed", now)
        .await
        .unwrap();
    let letter = message(&site.db, owner, "News", "Dear {{ name }}", now)
        .await
        .unwrap();
    let mut ann = site.login("ann").await;
    let page = ann.get("/mailings").await;
    assert!(page.body.contains("No mailings yet"));
    let (people, letter) = (people.to_string(), letter.to_string());
    let address = create(
        &mut ann,
        &[
            ("title", "Spring"),
            ("lists", &people),
            ("message", &letter),
            ("zone", "Europe/Moscow"),
            ("every", "once"),
            ("action", "draft"),
        ],
    )
    .await;
    let page = ann.get(&address).await;
    for part in [
        "Before you start",
        "Send to 1,240 recipients",
        "Unsubscribed",
        "Customers",
        "News",
    ] {
        assert!(page.body.contains(part), "{part}: {}", page.body);
    }
    for _ in 0..2 {
        let done = ann.post(&format!("{address}/start"), &[]).await;
        assert_eq!(done.location(), address);
    }
    assert_eq!(
        stored(&site.db, owner, id_of(&address)).await.status,
        MailingStatus::Running
    );
    expand(&site.db, now).await;
    let page = ann.get(&address).await;
    for part in ["data-live-src", "1,240", "Pause", "Cancel mailing"] {
        assert!(page.body.contains(part), "{part}: {}", page.body);
    }
    let found = ann.get("/mailings?q=SPR&status=running").await;
    assert!(found.body.contains(&address));
    let none = ann.get("/mailings?status=paused").await;
    assert!(none.body.contains("Nothing found"));
}

/// R22: "Save and start" does both; if something is missing, the page says what, and nothing
/// starts.
#[tokio::test]
async fn save_and_start_says_what_is_missing() {
    let site = Site::new().await;
    let owner = site.user("ann", Role::User).await;
    let mut ann = site.login("ann").await;
    let fields = [("title", "Spring"), ("zone", "UTC"), ("action", "start")];
    let address = create(&mut ann, &fields).await;
    assert_eq!(
        stored(&site.db, owner, id_of(&address)).await.status,
        MailingStatus::Created
    );
    let page = ann.get(&address).await;
    for part in [
        "not started",
        "Choose a list or recipients",
        "Fill in this field",
    ] {
        assert!(page.body.contains(part), "{part}: {}", page.body);
    }
}

/// R15: message and list can be created in the mailing form, and the mailing starts immediately.
#[tokio::test]
async fn everything_is_made_on_one_form() {
    let site = Site::new().await;
    let owner = site.user("ann", Role::User).await;
    let mut ann = site.login("ann").await;
    let address = create(
        &mut ann,
        &[
            ("title", "Spring"),
            ("zone", "UTC"),
            ("new_subject", "Hello"),
            ("new_text", "Dear {{ name }}"),
            ("new_list", "Friends"),
            ("new_people", "Bob <bob@example.com>\r\neve@example.com"),
            ("action", "start"),
        ],
    )
    .await;
    assert_eq!(
        stored(&site.db, owner, id_of(&address)).await.status,
        MailingStatus::Running
    );
    expand(&site.db, site.clock.now()).await;
    let mut tx = site.db.read().await.unwrap();
    let run = Run::latest(&mut tx, owner, id_of(&address))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(run.planned, 2);
}

/// R7: a form with errors keeps what was typed.
#[tokio::test]
async fn wrong_fields_come_back() {
    let site = Site::new().await;
    site.user("ann", Role::User).await;
    let mut ann = site.login("ann").await;
    ann.get("/mailings/new").await;
    let fields = [
        ("title", ""),
        ("zone", "Mars/Olympus"),
        ("from_email", "nobody"),
        ("every", "week"),
    ];
    let page = ann.post("/mailings", &fields).await;
    assert_eq!(page.status, StatusCode::UNPROCESSABLE_ENTITY);
    for part in [
        "title-error",
        "zone-error",
        "from_email-error",
        "Mars/Olympus",
        "nobody",
    ] {
        assert!(page.body.contains(part), "{part}");
    }
}

/// R10: the next five dates and the audience are shown while the form is being filled in.
#[tokio::test]
async fn plan_is_shown_before_saving() {
    let site = Site::new().await;
    let owner = site.user("ann", Role::User).await;
    let people = list(&site.db, owner, "Customers", 0, 7, site.clock.now())
        .await
        .unwrap();
    let people = people.to_string();
    let mut ann = site.login("ann").await;
    ann.get("/mailings/new").await;
    let fields = [
        ("lists", people.as_str()),
        ("begin", "at"),
        ("start", "2027-01-31T10:00"),
        ("every", "month"),
        ("zone", "Europe/Moscow"),
    ];
    let plan = ann
        .post("/mailings/plan", &fields)
        .await
        .body
        .replace('\u{a0}', " ");
    for part in [
        "31 Jan 2027, 10:00",
        "28 Feb 2027, 10:00",
        "31 Mar 2027, 10:00",
        "30 Apr 2027, 10:00",
        "31 May 2027, 10:00",
        "7 recipients",
    ] {
        assert!(plan.contains(part), "{part}: {plan}");
    }
}

/// R10, R22: if "at a date" is selected, a missing or incomplete date is an error of its field.
/// Selection and input are kept, and nothing is saved or sent. The plan next to the form and its
/// button say the same.
#[tokio::test]
async fn chosen_date_must_be_given() {
    let site = Site::new().await;
    let owner = site.user("ann", Role::User).await;
    let now = site.clock.now();
    let people = list(&site.db, owner, "Customers", 0, 2, now).await.unwrap();
    let letter = message(&site.db, owner, "News", "Hi", now).await.unwrap();
    let kept = MailingDraft {
        start: "2027-03-01T10:00".to_owned(),
        ..MailingDraft::default()
    };
    let id = mailing(&site.db, owner, &[people], kept, now)
        .await
        .unwrap();
    let before = stored(&site.db, owner, id).await;
    let (people, letter) = (people.to_string(), letter.to_string());
    let mut ann = site.login("ann").await;
    ann.get("/mailings/new").await;
    let edit = format!("/mailings/{id}");
    for (field, start, end) in [
        ("start", "", ""),
        ("start", "  ", "2027-02-01T10:00"),
        ("start", "2027-02-01", ""),
        ("start", "2027-02-01T", ""),
        ("start", "T10:00", ""),
        ("start", "tomorrow", ""),
        ("end", "2027-02-01T10:00", "2027-02-03"),
        ("end", "2027-02-01T10:00", "2027-02-01T09:00"),
    ] {
        for (place, action) in [
            ("/mailings", "start"),
            ("/mailings", "draft"),
            (&edit, "start"),
        ] {
            let fields = [
                ("title", "Spring sale"),
                ("lists", people.as_str()),
                ("message", letter.as_str()),
                ("begin", "at"),
                ("start", start),
                ("end", end),
                ("every", "once"),
                ("zone", "UTC"),
                ("version", "1"),
                ("new_subject", "Typed"),
                ("action", action),
            ];
            let page = ann.post(place, &fields).await;
            let case = format!("{place} {action} {start:?} {end:?}");
            assert_eq!(page.status, StatusCode::UNPROCESSABLE_ENTITY, "{case}");
            let (_, input) = page.body.split_once(&format!("id=\"{field}\"")).unwrap();
            let (head, _) = page.body.split_once(&format!("id=\"{field}\"")).unwrap();
            let tag =
                head.rsplit('<').next().unwrap().to_owned() + input.split('>').next().unwrap();
            for part in [
                "is-invalid",
                "aria-invalid=\"true\"",
                &format!("{field}-error"),
            ] {
                assert!(tag.contains(part), "{case}: {part}: {tag}");
            }
            for part in [
                "value=\"at\" id=\"begin-at\" checked",
                "value=\"Spring sale\"",
                "value=\"Typed\"",
                &format!("{field}-error"),
            ] {
                assert!(page.body.contains(part), "{case}: {part}: {}", page.body);
            }
            assert!(!page.body.contains("Send to"), "{case}");
            let plan = ann.post("/mailings/plan", &fields).await;
            assert_eq!(plan.status, StatusCode::OK);
            let said = ["Set the date first", "Correct the schedule first"];
            assert!(
                said.iter().any(|said| plan.body.contains(said)),
                "{case}: {}",
                plan.body
            );
            assert!(
                !plan.body.contains("Send to") && !plan.body.contains("Schedule for"),
                "{case}"
            );
        }
    }
    assert_eq!(stored(&site.db, owner, id).await, before);
    let list = ann.get("/mailings").await.body;
    assert!(!list.contains("Spring sale"));
    assert!(ann.get("/messages").await.body.matches("Typed").count() == 0);
}

/// R10: with the other option selected, a date left in its field is ignored; with no option a date
/// counts; an unknown option is rejected.
#[tokio::test]
async fn choice_decides_about_the_date() {
    let site = Site::new().await;
    let owner = site.user("ann", Role::User).await;
    let mut ann = site.login("ann").await;
    let start = ("start", "2027-03-01T10:00");
    let base = [("title", "Spring"), ("zone", "UTC"), ("end", "")];
    for (begin, start_at) in [
        (vec![("begin", "now"), start], None),
        (vec![("begin", "now"), ("start", "nonsense")], None),
        (vec![("begin", "at"), start], Some("2027-03-01T10:00:00Z")),
        (vec![start], Some("2027-03-01T10:00:00Z")),
        (vec![("start", "")], None),
        (vec![], None),
    ] {
        let fields = [base.to_vec(), begin.clone()].concat();
        let address = create(&mut ann, &fields).await;
        let found = stored(&site.db, owner, id_of(&address)).await.start_at;
        assert_eq!(
            found.map(|at| at.to_string()).as_deref(),
            start_at,
            "{begin:?}"
        );
    }
    for odd in [("begin", "later"), ("every", "fortnight")] {
        let fields = [base.to_vec(), vec![odd]].concat();
        let page = ann.post("/mailings", &fields).await;
        assert_eq!(page.status, StatusCode::UNPROCESSABLE_ENTITY, "{odd:?}");
    }
}

/// R34: when two tabs edit a mailing, the second is told and keeps its input.
#[tokio::test]
async fn second_tab_is_told() {
    let site = Site::new().await;
    let owner = site.user("ann", Role::User).await;
    let id = mailing(
        &site.db,
        owner,
        &[],
        MailingDraft::default(),
        site.clock.now(),
    )
    .await
    .unwrap();
    let address = format!("/mailings/{id}");
    let mut ann = site.login("ann").await;
    ann.get(&format!("{address}/edit")).await;
    let first = [("title", "First tab"), ("zone", "UTC"), ("version", "1")];
    assert_eq!(
        ann.post(&address, &first).await.status,
        StatusCode::SEE_OTHER
    );
    let second = [("title", "Second tab"), ("zone", "UTC"), ("version", "1")];
    let page = ann.post(&address, &second).await;
    assert_eq!(page.status, StatusCode::CONFLICT);
    assert!(page.body.contains("Second tab"));
    assert_eq!(stored(&site.db, owner, id).await.title, "First tab");
}

/// R7, R22: the buttons pause, resume, cancel, copy and delete work.
#[tokio::test]
async fn buttons_of_a_running_mailing_work() {
    let site = Site::new().await;
    let owner = site.user("ann", Role::User).await;
    let now = site.clock.now();
    let people = list(&site.db, owner, "Customers", 0, 7, now).await.unwrap();
    let id = mailing(&site.db, owner, &[people], MailingDraft::default(), now)
        .await
        .unwrap();
    let address = format!("/mailings/{id}");
    let mut ann = site.login("ann").await;
    ann.get(&address).await;
    for (act, status) in [
        ("start", MailingStatus::Running),
        ("pause", MailingStatus::Paused),
        ("resume", MailingStatus::Running),
        ("cancel", MailingStatus::Cancelled),
    ] {
        let done = ann.post(&format!("{address}/{act}"), &[]).await;
        assert_eq!(done.location(), address, "{act}: {}", done.body);
        assert_eq!(stored(&site.db, owner, id).await.status, status, "{act}");
        if act == "start" {
            expand(&site.db, now).await;
        }
    }
    let copy = ann.post(&format!("{address}/copy"), &[]).await;
    assert!(copy.location().ends_with("/edit"));
    let page = ann.get(&format!("{address}/delete")).await;
    for part in ["1 run", "7 deliveries"] {
        assert!(page.body.contains(part), "{part}");
    }
    let done = ann.post(&format!("{address}/delete"), &[]).await;
    assert_eq!(done.location(), "/mailings");
    assert_eq!(ann.get(&address).await.status, StatusCode::NOT_FOUND);
}

/// R32: every URL of another user's mailing is a 404 page and changes nothing.
#[tokio::test]
async fn foreign_mailing_is_not_found() {
    let site = Site::new().await;
    let owner = site.user("ann", Role::User).await;
    site.user("bob", Role::User).await;
    let now = site.clock.now();
    let people = list(&site.db, owner, "Customers", 0, 7, now).await.unwrap();
    let id = mailing(&site.db, owner, &[people], MailingDraft::default(), now)
        .await
        .unwrap();
    let mut ann = site.login("ann").await;
    ann.get("/mailings").await;
    ann.post(&format!("/mailings/{id}/start"), &[]).await;
    expand(&site.db, now).await;
    let mut tx = site.db.read().await.unwrap();
    let run = Run::latest(&mut tx, owner, id).await.unwrap().unwrap().id;
    drop(tx);
    let mut bob = site.login("bob").await;
    for page in ["", "/edit", "/delete", "/runs", "/log", "/log.csv"] {
        let answer = bob.get(&format!("/mailings/{id}{page}")).await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND, "{page}");
    }
    for page in ["", "/replies", "/live"] {
        let answer = bob.get(&format!("/mailings/{id}/runs/{run}{page}")).await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND, "{page}");
    }
    for act in [
        "", "/start", "/pause", "/resume", "/cancel", "/copy", "/delete",
    ] {
        let fields = [("title", "Mine"), ("zone", "UTC"), ("version", "2")];
        let answer = bob.post(&format!("/mailings/{id}{act}"), &fields).await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND, "{act}");
    }
    assert_eq!(
        stored(&site.db, owner, id).await.status,
        MailingStatus::Running
    );
}

/// R13, R24: the log is filtered by its query string, and its export has the documented columns.
#[tokio::test]
async fn log_is_filtered_and_exported() {
    let site = Site::new().await;
    let owner = site.user("ann", Role::User).await;
    let now = site.clock.now();
    let id = mailing(&site.db, owner, &[], MailingDraft::default(), now)
        .await
        .unwrap();
    let mut ann = site.login("ann").await;
    let page = ann.get(&format!("/mailings/{id}/log")).await;
    assert!(page.body.contains("No attempts"));
    let query =
        "outcome=failed&state=failed&code=550&q=bob&from=2027-01-01T10:00&to=&after=nonsense";
    let page = ann.get(&format!("/mailings/{id}/log?{query}")).await;
    assert_eq!(page.status, StatusCode::OK);
    assert!(page.body.contains("Nothing found") || page.body.contains("No attempts"));
    let csv = ann.get(&format!("/mailings/{id}/log.csv")).await;
    assert!(csv.header("content-disposition").contains("attachment"));
    assert_eq!(
        csv.body,
        "at,recipient,attempt,outcome,class,code,enhanced_code,reply,server,duration_ms\r\n"
    );
    // as browsers request it
    let gzip = [("accept-encoding", "gzip")];
    let address = format!("/mailings/{id}/log.csv");
    let answer = ann.send("GET", &address, &gzip, Vec::new()).await;
    assert_eq!(answer.header("content-encoding"), "gzip");
    assert!(!answer.body.is_empty());
}

/// The mailing pages are available in Russian.
#[tokio::test]
async fn pages_are_in_russian() {
    let site = Site::new().await;
    let owner = site.user("ann", Role::User).await;
    let now = site.clock.now();
    let people = list(&site.db, owner, "Клиенты", 0, 21, now).await.unwrap();
    let id = mailing(&site.db, owner, &[people], MailingDraft::default(), now)
        .await
        .unwrap();
    let mut ann = site.login("ann").await;
    ann.language = "ru";
    for (address, part) in [
        ("/mailings".to_owned(), "Рассылки"),
        ("/mailings/new".to_owned(), "Новая рассылка"),
        (format!("/mailings/{id}"), "Отправить 21 получателю"),
        (format!("/mailings/{id}/log"), "Журнал"),
    ] {
        let page = ann.get(&address).await;
        assert!(page.body.contains(part), "{part}: {}", page.body);
    }
}

/// R22, R27: a mailing to real recipients cannot be started while its links would lead nowhere; the
/// page names the missing setting. A mailing started before says so too, in both languages, and
/// continues when the setting is made.
#[tokio::test]
async fn dead_links_are_refused_and_told() {
    let reaching = |settings: &mut Settings| {
        settings.service.mail_server = Some("mail.example.org".to_owned());
        settings.service.base_url = None;
    };
    let site = Site::with(reaching).await;
    let owner = site.user("ann", Role::User).await;
    let now = site.clock.now();
    let people = list(&site.db, owner, "Customers", 0, 3, now).await.unwrap();
    let draft = MailingDraft::default();
    let id = mailing(&site.db, owner, &[people], draft, now)
        .await
        .unwrap();
    let address = format!("/mailings/{id}");
    let mut ann = site.login("ann").await;
    ann.get(&address).await;
    let done = ann.post(&format!("{address}/start"), &[]).await;
    assert_eq!(done.location(), address);
    assert_eq!(
        stored(&site.db, owner, id).await.status,
        MailingStatus::Created
    );
    let page = ann.get(&address).await;
    assert!(page.body.contains("base_url"), "{}", page.body);
    let test = [
        ("subject", "Hello"),
        ("text", "Hi"),
        ("to", "ann@example.org"),
    ];
    ann.get("/messages/new").await;
    let tested = ann.post("/messages/test", &test).await;
    assert!(tested.body.contains("base_url"), "{}", tested.body);

    let mut tx = site.db.write().await.unwrap();
    let fine = ServiceIdentity::from(site.app.settings.service.sender.clone());
    Mailing::start(&mut tx, owner, id, &fine, "ann", now)
        .await
        .unwrap();
    tx.commit().await.unwrap();
    let page = ann.get(&address).await;
    for part in ["id=\"held\"", "base_url", "sending goes on by itself"] {
        let body = page.body.to_lowercase();
        assert!(body.contains(&part.to_lowercase()), "{part}: {}", page.body);
    }
    let page = ann.get(&format!("{address}?lang=ru")).await;
    assert!(page.body.contains("Рассылка ждёт"), "{}", page.body);
    expand(&site.db, now).await;
    let told = skychimp_core::sending::service::ServiceFault::BaseUrlUnset.to_string();
    let sql = format!("UPDATE runs SET waiting = '{told}' WHERE owner_id = $1");
    skychimp_core::testing::execute(&site.db, sql.leak(), owner)
        .await
        .unwrap();
    let page = ann.get(&address).await;
    assert!(page.body.contains("Отправка ждёт:"), "{}", page.body);
    assert!(!page.body.contains(&told), "{}", page.body);
    assert!(page.body.contains("base_url"));
}
