//! The Start button: what is chosen decides, many letters are asked about, and Start can be taken
//! back.

use std::time::Duration;

use axum::http::StatusCode;
use skychimp_core::accounts::start_settings::StartSettings;
use skychimp_core::accounts::user::Role;
use skychimp_core::platform::db::Db;
use skychimp_core::platform::ids::{MailingId, UserId};
use skychimp_core::platform::time::Timestamp;
use skychimp_core::sending::mailing::{FromIdentity, Mailing, MailingDraft, MailingStatus};
use skychimp_core::sending::run::Run;
use skychimp_core::sending::service::ServiceIdentity;
use skychimp_core::testing::{list, mailing, message};

use crate::browser::{Answer, Browser, Site};
use crate::html;

const TAKE_BACK: Duration = Duration::from_secs(10);

/// A site with a user who has the settings of a new account, a list and a message.
struct Desk {
    site: Site,
    owner: UserId,
    ann: Browser,
    people: String,
    letter: String,
}

impl Desk {
    async fn new(people: i64) -> Self {
        let site = Site::new().await;
        let owner = site.user("ann", Role::User).await;
        settings(&site.db, owner, StartSettings::default()).await;
        let now = site.clock.now();
        let people = list(&site.db, owner, "Customers", 0, people, now).await;
        let letter = message(&site.db, owner, "News", "Dear {{ name }}", now).await;
        let ann = site.login("ann").await;
        Self {
            people: people.unwrap().to_string(),
            letter: letter.unwrap().to_string(),
            site,
            owner,
            ann,
        }
    }

    /// Sends the form of a new mailing.
    async fn send(&mut self, more: &[(&str, &str)]) -> Answer {
        self.ann.get("/mailings/new").await;
        let (people, letter) = (self.people.clone(), self.letter.clone());
        let mut fields = more.to_vec();
        for (name, value) in [
            ("title", "Spring"),
            ("zone", "UTC"),
            ("lists", &*people),
            ("message", &*letter),
            ("action", "start"),
        ] {
            if more.iter().all(|(other, _)| *other != name) {
                fields.push((name, value));
            }
        }
        self.ann.post("/mailings", &fields).await
    }

    async fn stored(&self, address: &str) -> Mailing {
        let id: MailingId = address.rsplit('/').next().unwrap().parse().unwrap();
        let mut tx = self.site.db.read().await.unwrap();
        let found = Mailing::get(&mut tx, self.owner, id).await.unwrap();
        found.unwrap()
    }

    async fn mailings(&self) -> usize {
        let mut tx = self.site.db.read().await.unwrap();
        let counts = Mailing::counts(&mut tx, self.owner).await.unwrap();
        usize::try_from(counts.iter().map(|(_, count)| count).sum::<i64>()).unwrap()
    }

    /// What the engine does: whether it makes a run.
    async fn makes_a_run(&self, now: Timestamp) -> bool {
        let service = ServiceIdentity::from(FromIdentity {
            name: String::new(),
            email: "news@example.org".to_owned(),
        });
        let mut tx = self.site.db.write().await.unwrap();
        let held = Mailing::held_back(&mut tx).await.unwrap();
        for held in held.iter().filter(|held| held.take_back_until <= now) {
            assert!(held.release(&mut tx).await.unwrap());
        }
        let due = Run::start_due(&mut tx, None, &service, None, now)
            .await
            .unwrap();
        tx.commit().await.unwrap();
        due.is_some_and(|due| due.run.is_some())
    }
}

async fn settings(db: &Db, owner: UserId, settings: StartSettings) {
    let mut tx = db.write().await.unwrap();
    settings.save(&mut tx, owner).await.unwrap();
    tx.commit().await.unwrap();
}

/// The fields of the form that asks, with its address.
fn question(answer: &Answer) -> (String, Vec<(String, String)>) {
    let forms = html::read(&answer.body).forms.into_iter();
    let form = forms
        .filter(|form| form.fields.iter().any(|(name, _)| name == "confirmed"))
        .find(|form| form.post && form.action != "/mailings/plan");
    let form = form.unwrap_or_else(|| panic!("no question: {}", answer.body));
    (form.action, form.fields)
}

/// R10, R22: a date that is chosen but missing, half, or past is an error at the field. The choice
/// and everything typed are kept, and nothing is saved.
#[tokio::test]
async fn chosen_date_must_be_given() {
    let mut desk = Desk::new(2).await;
    for every in ["once", "day", "week", "month"] {
        for start in ["", "2027-03", "2027-03-01T", "T10:00", "2020-01-31T10:00"] {
            let sent = [("begin", "at"), ("start", start), ("every", every)];
            let answer = desk.send(&sent).await;
            assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY, "{start}");
            let body = &answer.body;
            let at = body.find("id=\"start\"").unwrap();
            let tag = &body[body[..at].rfind('<').unwrap()..];
            let tag = &tag[..tag.find('>').unwrap()];
            for part in ["is-invalid", "aria-invalid=\"true\""] {
                assert!(tag.contains(part), "{part}: {tag}");
            }
            assert!(tag.contains(&format!("value=\"{start}\"")), "{tag}");
            assert!(body.contains("value=\"at\" id=\"begin-at\" checked"));
            assert!(body.contains("value=\"Spring\""));
            assert!(!body.contains("Send to 2 recipients"), "{start}");
        }
    }
    assert_eq!(desk.mailings().await, 0);
    let planned = [("begin", "at"), ("start", "2027-03-01T10:00")];
    let answer = desk.send(&planned).await;
    assert_eq!(answer.status, StatusCode::SEE_OTHER, "{}", answer.body);
    // what was typed behind the other choice means nothing
    let now = [("begin", "now"), ("start", "2027-03-01T10:00")];
    let answer = desk.send(&now).await;
    let stored = desk.stored(answer.location()).await;
    assert_eq!(stored.start_at, Some(desk.site.clock.now()));
}

/// R10, R22: an edit that does not say when a planned mailing begins leaves its date, and a date
/// that has passed meanwhile is asked about before anything leaves.
#[tokio::test]
async fn dates_are_not_lost_or_passed_over() {
    let mut desk = Desk::new(2).await;
    let sent = [("begin", "at"), ("start", "2027-03-01T10:00")];
    let address = desk.send(&sent).await.location().to_owned();
    let planned = desk.stored(&address).await;
    desk.ann.post(&format!("{address}/take-back"), &[]).await;
    let draft = desk.stored(&address).await;
    assert_eq!(draft.status, MailingStatus::Created);
    assert_eq!(draft.start_at, planned.start_at);
    let version = draft.version.to_string();
    let edit = [("title", "Summer"), ("zone", "UTC"), ("version", &*version)];
    let people = desk.people.clone();
    let letter = desk.letter.clone();
    let edit = [&edit[..], &[("lists", &*people), ("message", &*letter)]].concat();
    let done = desk.ann.post(&address, &edit).await;
    assert_eq!(done.status, StatusCode::SEE_OTHER, "{}", done.body);
    let edited = desk.stored(&address).await;
    assert_eq!(
        (&*edited.title, edited.start_at),
        ("Summer", planned.start_at)
    );

    desk.site.clock.set(planned.start_at.unwrap() + TAKE_BACK);
    desk.ann = desk.site.login("ann").await;
    let asked = desk.ann.post(&format!("{address}/start"), &[]).await;
    assert_eq!(asked.status, StatusCode::OK, "{}", asked.body);
    assert!(asked.body.contains("has passed"));
    assert_eq!(desk.stored(&address).await.status, MailingStatus::Created);
    let (action, fields) = question(&asked);
    let fields: Vec<_> = fields.iter().map(|(n, v)| (&**n, &**v)).collect();
    let done = desk.ann.post_raw(&action, &[], &fields).await;
    assert_eq!(done.location(), address, "{}", done.body);
    assert_eq!(desk.stored(&address).await.status, MailingStatus::Running);
    // a copy does not begin by itself either
    let copy = desk.ann.post(&format!("{address}/copy"), &[]).await;
    let form = desk.ann.get(copy.location()).await.body;
    assert!(form.contains("value=\"at\" id=\"begin-at\" checked"));
}

/// R22: sending at once to more people than the user chose asks once, with the number; the form is
/// not saved before. What was agreed to is that number.
#[tokio::test]
async fn many_letters_are_asked_about() {
    let mut desk = Desk::new(101).await;
    let asked = desk.send(&[("begin", "now")]).await;
    assert_eq!(asked.status, StatusCode::OK, "{}", asked.body);
    assert!(asked.body.contains("Send 101 letters now?"));
    assert!(asked.body.contains("value=\"Spring\""));
    assert_eq!(desk.mailings().await, 0);
    let (action, fields) = question(&asked);
    assert_eq!(action, "/mailings");
    let value = |name: &str| fields.iter().find(|(n, _)| n == name).unwrap().1.clone();
    assert_eq!(value("confirmed"), "101");
    let id = value("form_id");
    let begin = ("begin", "now");
    for other in ["", "100", "102", "x"] {
        let sent = [begin, ("form_id", &*id), ("confirmed", other)];
        let again = desk.send(&sent).await;
        assert!(again.body.contains("Send 101 letters now?"), "{other}");
        assert!(again.body.contains(&id));
    }
    let sent = [begin, ("form_id", &*id), ("confirmed", "101")];
    let done = desk.send(&sent).await;
    assert_eq!(done.status, StatusCode::SEE_OTHER, "{}", done.body);
    let address = done.location().to_owned();
    assert_eq!(desk.stored(&address).await.status, MailingStatus::Running);
    // the page before the question, sent again
    for sent in [&sent[..], &sent[..2]] {
        assert_eq!(desk.send(sent).await.location(), address);
    }
    assert_eq!(desk.mailings().await, 1);

    // a saved one asks on a page of its own; a later one, or a smaller one, is not asked about
    let draft = desk
        .send(&[("action", "draft")])
        .await
        .location()
        .to_owned();
    let page = desk.ann.get(&draft).await;
    assert!(page.body.contains("Send to 101 recipients"));
    let asked = desk.ann.post(&format!("{draft}/start"), &[]).await;
    assert!(asked.body.contains("Send 101 letters now?"));
    let (action, fields) = question(&asked);
    assert_eq!(action, format!("{draft}/start"));
    let fields: Vec<_> = fields.iter().map(|(n, v)| (&**n, &**v)).collect();
    let done = desk.ann.post_raw(&action, &[], &fields).await;
    assert_eq!(done.location(), draft);
    let later = [("begin", "at"), ("start", "2027-03-01T10:00")];
    assert_eq!(desk.send(&later).await.status, StatusCode::SEE_OTHER);
    let chosen = StartSettings {
        ask_over: 101,
        ..StartSettings::default()
    };
    settings(&desk.site.db, desk.owner, chosen).await;
    assert_eq!(desk.send(&[]).await.status, StatusCode::SEE_OTHER);
}

/// R22: before the time is over no run is made, and the mailing can be made a draft again. A resent
/// Start does not start it a second time.
#[tokio::test]
async fn start_can_be_taken_back() {
    let mut desk = Desk::new(2).await;
    let now = desk.site.clock.now();
    let address = desk.send(&[]).await.location().to_owned();
    let page = desk.ann.get(&address).await.body;
    for part in [
        "Take back",
        "data-countdown=\"10\"",
        "No letter has left yet",
    ] {
        assert!(page.contains(part), "{part}: {page}");
    }
    let early = now + TAKE_BACK - Duration::from_millis(1);
    assert!(!desk.makes_a_run(early).await);
    let take_back = format!("{address}/take-back");
    for _ in 0..2 {
        let done = desk.ann.post(&take_back, &[]).await;
        assert_eq!(done.location(), address);
        let stored = desk.stored(&address).await;
        assert_eq!(stored.status, MailingStatus::Created);
        let times = (stored.start_at, stored.next_due_at, stored.started_at);
        assert_eq!(times, (None, None, None));
    }
    assert!(!desk.makes_a_run(now + TAKE_BACK).await);

    let page = desk.ann.get(&address).await.body;
    let forms = html::read(&page).forms.into_iter();
    let form = forms
        .filter(|form| form.post)
        .find(|form| form.action.ends_with("/start"));
    let fields = form.unwrap().fields;
    let fields: Vec<_> = fields.iter().map(|(n, v)| (&**n, &**v)).collect();
    let start = format!("{address}/start");
    desk.ann.post_raw(&start, &[], &fields).await;
    assert_eq!(desk.stored(&address).await.status, MailingStatus::Running);
    desk.ann.post(&take_back, &[]).await;
    let resent = desk.ann.post_raw(&start, &[], &fields).await;
    assert_eq!(resent.location(), address);
    assert_eq!(desk.stored(&address).await.status, MailingStatus::Created);

    desk.ann.post(&start, &[]).await;
    assert!(desk.makes_a_run(now + TAKE_BACK).await);
    let late = desk.ann.post(&take_back, &[]).await;
    assert_eq!(late.location(), address);
    let page = desk.ann.get(&address).await.body;
    assert!(page.contains("too late"), "{page}");
    assert_eq!(desk.stored(&address).await.status, MailingStatus::Running);
}

/// R22, R32: taking back, releasing and the engine's look at the same moment have one result; and
/// nobody takes back another user's mailing.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn taken_back_or_sent_but_not_both() {
    let mut desk = Desk::new(2).await;
    desk.site.user("bob", Role::User).await;
    let mut bob = desk.site.login("bob").await;
    for _ in 0..4 {
        let address = desk.send(&[]).await.location().to_owned();
        let take_back = format!("{address}/take-back");
        assert_eq!(
            bob.post(&take_back, &[]).await.status,
            StatusCode::NOT_FOUND
        );
        let mut ann = desk.ann.clone();
        let back = tokio::spawn(async move { ann.post(&take_back, &[]).await.status });
        let now = desk.site.clock.now() + TAKE_BACK;
        let mut tx = desk.site.db.read().await.unwrap();
        let held = Mailing::held_back(&mut tx).await.unwrap();
        drop(tx);
        for held in held {
            let mut tx = desk.site.db.write().await.unwrap();
            held.release(&mut tx).await.unwrap();
            tx.commit().await.unwrap();
        }
        let made = desk.makes_a_run(now).await;
        assert_eq!(back.await.unwrap(), StatusCode::SEE_OTHER);
        // the engine passes over a row that is locked at that moment, and looks again
        let made = made || desk.makes_a_run(now).await;
        let draft = desk.stored(&address).await.status == MailingStatus::Created;
        assert_ne!(made, draft);
    }
}

/// R22: a program that starts a mailing is neither asked nor held back.
#[tokio::test]
async fn commands_do_not_wait() {
    let desk = Desk::new(101).await;
    let now = desk.site.clock.now();
    let people = [desk.people.parse().unwrap()];
    let draft = MailingDraft::default();
    let id = mailing(&desk.site.db, desk.owner, &people, draft, now).await;
    let id = id.unwrap();
    let service = desk.site.app.settings.service.clone();
    let mut tx = desk.site.db.write().await.unwrap();
    let started = Mailing::start(&mut tx, desk.owner, id, &service, "command", now).await;
    started.unwrap().unwrap();
    tx.commit().await.unwrap();
    assert!(desk.makes_a_run(now).await);
}

/// R22: the profile has both choices; anything but a whole number within the limits is an error at
/// the field, and what was typed stays.
#[tokio::test]
async fn both_choices_are_in_the_profile() {
    let mut desk = Desk::new(1).await;
    let page = desk.ann.get("/account").await.body;
    assert!(
        page.contains("name=\"ask_over\" type=\"number\" value=\"100\""),
        "{page}"
    );
    assert!(page.contains("name=\"take_back\" type=\"number\" value=\"10\""));
    let profile = [("name", "Ann"), ("zone", "UTC")];
    for (field, typed) in [("take_back", "121"), ("take_back", ""), ("ask_over", "-1")] {
        let fields = [&profile[..], &[(field, typed)]].concat();
        let answer = desk.ann.post("/account", &fields).await;
        assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY);
        let error = format!("{field}-error");
        assert!(answer.body.contains(&error), "{}", answer.body);
    }
    let fields = [&profile[..], &[("ask_over", "7"), ("take_back", "0")]].concat();
    assert_eq!(
        desk.ann.post("/account", &fields).await.status,
        StatusCode::SEE_OTHER
    );
    // a form without them leaves them
    desk.ann.post("/account", &profile).await;
    let mut tx = desk.site.db.read().await.unwrap();
    let stored = StartSettings::of(&mut tx, desk.owner).await.unwrap();
    assert_eq!((stored.ask_over, stored.take_back), (7, 0));
    drop(tx);
    let address = desk.send(&[]).await.location().to_owned();
    let page = desk.ann.get(&address).await.body;
    assert!(!page.contains("Take back"));
    assert!(desk.makes_a_run(desk.site.clock.now()).await);
}

/// R10, R15: what stands next to the form and on its button counts the list that the form adds; a
/// plan and a form with an error leave nothing of it behind.
#[tokio::test]
async fn plans_count_the_list_that_is_added() {
    let mut desk = Desk::new(2).await;
    let added = [
        ("new_list", "Guests"),
        (
            "new_people",
            "one@example.org, two@example.org\nthree@example.org",
        ),
        ("begin", "now"),
        ("zone", "UTC"),
    ];
    let plan = desk.ann.post("/mailings/plan", &added).await;
    assert!(plan.body.contains("Send to 3 recipients"), "{}", plan.body);
    // a mailing needs a title
    let page = desk.ann.post("/mailings", &added).await;
    assert_eq!(page.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(page.body.contains("Send to 3 recipients"), "{}", page.body);
    let lists = desk.ann.get("/lists").await;
    assert!(!lists.body.contains("Guests"));
}
