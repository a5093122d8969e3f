//! Every kind of visitor crawls the whole site and submits each form with hostile input.

use std::collections::{BTreeMap, BTreeSet};

use skychimp_core::platform::control::is_control;
use skychimp_core::testing::fingerprint;
use skychimp_web::routes;

use crate::browser::{Answer, Browser};
use crate::control::{marks_and_controls, references};
use crate::html::{self, Form};
use crate::world::{Things, Who, World};

/// Contained in everything the victim owns, and nowhere else.
const MARK: &str = "Zanzibar";

/// Hostile values, tried in every field.
const EVIL: [&str; 14] = [
    "",
    "-1",
    "99999999999999999999999999",
    "\0",
    "\u{202e}\u{feff}\r\nBcc: x@example.org",
    "' OR '1'='1",
    "\"><script>alert(1)</script>",
    "../../../../etc/passwd",
    "2027-13-45T99:99",
    "-262144-01-01T00:00",
    "9999-12-31T23:59",
    "{% for i in range(99999999) %}{{ i }}{% endfor %}",
    "%",
    "00000000-0000-0000-0000-000000000000",
];

/// A visitor crawling the site.
struct Crawler<'a> {
    who: Who,
    browser: Browser,
    victim: &'a Things,
    /// Addresses seen per kind; a few of each are enough.
    kinds: BTreeMap<String, usize>,
    seen: BTreeSet<String>,
    forms: BTreeMap<String, Form>,
    asked: usize,
}

/// Characters that are invisible or change the direction of others.
const FORMATTING: &str =
    "\u{ad}\u{61c}\u{180e}\u{200b}\u{200e}\u{202e}\u{2066}\u{2069}\u{feff}\u{fff9}";

/// An address without ids and other values.
fn kind(address: &str) -> String {
    let (path, query) = address.split_once('?').unwrap_or((address, ""));
    let path: Vec<_> = path
        .split('/')
        .map(|part| match part {
            id if id.len() == 36 && id.matches('-').count() == 4 => ":id",
            number if !number.is_empty() && number.chars().all(|c| c.is_ascii_digit()) => ":n",
            other => other,
        })
        .collect();
    let keys: BTreeSet<_> = query
        .split('&')
        .map(|pair| pair.split('=').next().unwrap())
        .collect();
    format!(
        "{}?{}",
        path.join("/"),
        keys.into_iter().collect::<Vec<_>>().join("&")
    )
}

fn is_id(value: &str) -> bool {
    kind(&format!("/{value}")) == "/:id?"
}

impl Crawler<'_> {
    /// For any request: no server error, and nothing of other users unless the visitor's role may
    /// see it.
    fn check(&mut self, what: &str, answer: &Answer) {
        self.asked += 1;
        let who = self.who.name();
        assert!(
            answer.status.as_u16() < 500,
            "{who}: {what}: {}",
            answer.status
        );
        if answer.header("content-type").starts_with("text/") {
            let shown: String = answer.body.chars().filter(|c| is_control(*c)).collect();
            // a CSV ends its lines with both
            let odd = shown.trim_matches('\r').trim_start_matches('\u{feff}');
            assert!(odd.is_empty(), "{who}: {what} shows {odd:?}");
        }
        let moderates = matches!(self.who, Who::Manager | Who::Admin);
        if !moderates {
            assert!(
                !answer.body.contains(MARK),
                "{who}: {what} shows what is another's:\n{}",
                answer.body
            );
        }
    }

    /// Follows links and collects forms.
    async fn walk(&mut self) {
        let mut waiting = vec!["/".to_owned()];
        while let Some(address) = waiting.pop() {
            if !self.seen.insert(address.clone()) {
                continue;
            }
            let count = self.kinds.entry(kind(&address)).or_default();
            *count += 1;
            if *count > 3 {
                continue;
            }
            let answer = self.browser.get(&address).await;
            self.check(&address, &answer);
            if answer.status.is_redirection() {
                waiting.push(answer.location().to_owned());
            }
            if !answer.header("content-type").starts_with("text/html") {
                continue;
            }
            let found = html::read(&answer.body);
            waiting.extend(
                found
                    .links
                    .into_iter()
                    .filter(|link| !link.starts_with("/assets/")),
            );
            for mut form in found.forms {
                if form.action.is_empty() {
                    form.action.clone_from(&address);
                }
                let csrf = form.fields.iter().any(|(name, _)| name == "csrf")
                    || form.action.contains("csrf=");
                assert!(
                    !form.post || csrf,
                    "{address}: the form {} carries no token",
                    form.action
                );
                let key = format!("{} {}", form.post, kind(&form.action));
                self.forms.entry(key).or_insert(form);
            }
        }
    }

    /// Submits a form.
    async fn send(&mut self, form: &Form, fields: &[(String, String)]) -> Answer {
        let what = format!("{} {fields:?}", form.action);
        let fields: Vec<_> = fields
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        let answer = if form.post {
            self.browser.post_raw(&form.action, &[], &fields).await
        } else {
            let query = url::form_urlencoded::Serializer::new(String::new())
                .extend_pairs(&fields)
                .finish();
            let path = form.action.split('?').next().unwrap();
            self.browser.get(&format!("{path}?{query}")).await
        };
        self.check(&what.chars().take(300).collect::<String>(), &answer);
        answer
    }

    /// Submits a form in all wrong ways.
    async fn attack(&mut self, form: &Form, deep: bool) {
        if form.files {
            return self.attack_upload(form).await;
        }
        let token = self.browser.token.clone();
        let own = |name: &str, value: &str| match name {
            "csrf" => token.clone(),
            _ => value.to_owned(),
        };
        let honest: Vec<_> = form
            .fields
            .iter()
            .map(|(name, value)| (name.clone(), own(name, value)))
            .collect();
        let without: Vec<_> = honest
            .iter()
            .filter(|(name, _)| name != "csrf")
            .cloned()
            .collect();
        let with =
            |csrf: &str| [vec![("csrf".to_owned(), csrf.to_owned())], without.clone()].concat();
        if form.post {
            for forged in [
                without.clone(),
                with(""),
                with(&"A".repeat(86)),
                with(&token[1..]),
            ] {
                let refused = self.send(form, &forged).await;
                assert_eq!(refused.status, 403, "{} takes a forged form", form.action);
            }
            self.send(form, &[("csrf".to_owned(), token.clone())]).await;
        }
        // URLs have a maximum length
        let long = "Ж".repeat(if form.post { 20_000 } else { 200 });
        let controls = format!("Spring {}{FORMATTING}", marks_and_controls());
        let references = references();
        let whole = if form.post { usize::MAX } else { 100 };
        let texts = [controls, references].map(|text| text.chars().take(whole).collect());
        let texts = texts.each_ref().map(String::as_str);
        let values = texts.into_iter().chain(EVIL).chain([long.as_str()]);
        for evil in values.clone() {
            let all = honest.iter().map(|(name, value)| match name.as_str() {
                "csrf" => (name.clone(), value.clone()),
                _ => (name.clone(), evil.to_owned()),
            });
            self.send(form, &all.collect::<Vec<_>>()).await;
        }
        let names: BTreeSet<_> = without.iter().map(|(name, _)| name.clone()).collect();
        for name in names.iter().filter(|_| deep) {
            let missing: Vec<_> = honest
                .iter()
                .filter(|(other, _)| other != name)
                .cloned()
                .collect();
            self.send(form, &missing).await;
            for evil in values.clone().take(5) {
                let mut one = missing.clone();
                one.push((name.clone(), evil.to_owned()));
                self.send(form, &one).await;
            }
        }
        self.attack_with_foreign_ids(form, &honest).await;
    }

    /// Replaces ids by those of the victim's things.
    async fn attack_with_foreign_ids(&mut self, form: &Form, honest: &[(String, String)]) {
        const TAKES_ID: [&str; 12] = [
            "id",
            "list",
            "lists",
            "message",
            "message_id",
            "recipient",
            "recipients",
            "run",
            "owner",
            "to",
            "after",
            "about",
        ];
        let takes = |name: &str, value: &str| is_id(value) || TAKES_ID.contains(&name);
        for foreign in self.victim.ids() {
            let swapped = honest.iter().map(|(name, value)| {
                let value = if takes(name, value) { &foreign } else { value };
                (name.clone(), value.clone())
            });
            let mut fields: Vec<_> = swapped.collect();
            self.send(form, &fields).await;
            // also in id fields that the page does not show now
            for name in TAKES_ID {
                if honest.iter().all(|(other, _)| other != name) {
                    fields.push((name.to_owned(), foreign.clone()));
                }
            }
            self.send(form, &fields).await;
        }
    }

    /// Uploads invalid files.
    async fn attack_upload(&mut self, form: &Form) {
        let kind = ("content-type", "multipart/form-data; boundary=x");
        let part = "--x\r\nContent-Disposition: form-data; name=\"file\"; filename=\"../../evil\0.csv\"\r\n\r\n";
        for body in [
            String::new(),
            "--x--".to_owned(),
            part.to_owned(),
            format!("{part}\0\u{1}\u{2}\r\n--x--\r\n"),
            format!("{part}email\n{}\r\n--x--\r\n", "\"".repeat(10_000)),
            format!("{part}{}\r\n--x--\r\n", ",".repeat(100_000)),
        ] {
            let path = form.action.split('?').next().unwrap();
            let forged = self.browser.send("POST", path, &[kind], body.clone()).await;
            assert_eq!(forged.status, 403, "{path}");
            let address = format!("{path}?csrf={}", self.browser.token);
            let answer = self.browser.send("POST", &address, &[kind], body).await;
            self.check(path, &answer);
        }
    }

    /// Requests every route with invalid ids and with those of the victim.
    async fn attack_paths(&mut self, all: &[&'static str]) {
        let long = "x".repeat(2_000);
        for path in all {
            let foreign = self.victim.fill(path);
            for address in [
                foreign.clone(),
                format!(
                    "{foreign}?after=x&before=x&q=%00&lang=xx&run={}",
                    self.victim.list
                ),
            ] {
                // streams do not end soon, so do not read their body
                let answer = self
                    .browser
                    .status("GET", &address, &[], String::new())
                    .await;
                self.check(&address, &answer);
            }
            for value in [
                "x",
                "-1",
                "%00",
                "..%2f..",
                "%ff",
                "00000000-0000-0000-0000-000000000000",
                &long,
            ] {
                let parts = path
                    .split('/')
                    .map(|part| if part.starts_with('{') { value } else { part });
                let address = parts.collect::<Vec<_>>().join("/");
                let answer = self.browser.get(&address).await;
                self.check(&address, &answer);
            }
        }
    }
}

/// R32, R33, R34, R39: whatever anybody submits to any form or URL, the site responds without a
/// server error, rejects forged forms, and neither shows nor changes other users' things.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_breaks_leaks_or_is_forged() {
    let mut world = World::new().await;
    let victim = world.things(Who::Other, MARK).await;
    world.things(Who::Owner, "Owner").await;
    world.things(Who::Admin, "Admin").await;
    let mut paths: Vec<_> = routes()
        .iter()
        .map(|route| route.path)
        .filter(|path| path.contains('{'))
        .collect();
    paths.dedup();
    let mut attacked = BTreeSet::new();
    for who in Who::ALL {
        if who == Who::Other {
            continue;
        }
        world.browser(who).await;
        let mut crawler = Crawler {
            who,
            browser: world.browsers.remove(&who).unwrap(),
            victim: &victim,
            kinds: BTreeMap::new(),
            seen: BTreeSet::new(),
            forms: BTreeMap::new(),
            asked: 0,
        };
        let before = fingerprint(&world.site.db, victim.owner).await.unwrap();
        crawler.walk().await;
        if !matches!(who, Who::Manager | Who::Admin) {
            crawler.attack_paths(&paths).await;
        }
        for (key, form) in std::mem::take(&mut crawler.forms) {
            // a logged-out visitor cannot attack any more forms
            if form.action != "/logout" {
                let deep = attacked.insert(key);
                crawler.attack(&form, deep).await;
            }
        }
        // whatever was stored, every page is shown
        crawler.seen.clear();
        crawler.kinds.clear();
        crawler.walk().await;
        assert!(
            crawler.asked > 100,
            "{}: only {}",
            who.name(),
            crawler.asked
        );
        let mut after = fingerprint(&world.site.db, victim.owner).await.unwrap();
        if matches!(who, Who::Manager | Who::Admin) {
            // moderators may disable mailings
            after[3..5].clone_from_slice(&before[3..5]);
        }
        assert_eq!(after, before, "{} changed what is another's", who.name());
    }
    for area in [
        "/login",
        "/mailings/:id/start",
        "/messages",
        "/lists/new",
        "/recipients/new",
        "/manage/users/:id/block",
        "/manage/users/:id/role",
    ] {
        assert!(
            attacked.iter().any(|key| key.contains(area)),
            "{area} was not attacked: {attacked:#?}"
        );
    }
}
