//! The skeletons of all pages, as snapshots in `snapshots/pages`: a file per route and visitor.

use std::collections::BTreeSet;
use std::path::Path;

use http_body_util::BodyExt as _;
use skychimp_core::testing::{mixed_run, report};
use skychimp_web::routes;

use crate::browser::{Browser, Site};
use crate::matrix::table;
use crate::second_factor::Ann;
use crate::skeleton::{self, redacted};
use crate::world::{Things, Who, World};

/// The snapshots in the folder, and which of them were compared.
#[derive(Default)]
struct PageSnapshots {
    compared: BTreeSet<String>,
}

impl PageSnapshots {
    /// Gets a page and compares its skeleton.
    async fn page(&mut self, name: &str, browser: &mut Browser, address: &str) {
        let skeleton = skeleton(browser, address).await.unwrap();
        self.compare(name, &skeleton);
    }

    /// Does the same for what is around the `main` of a page.
    async fn frame(&mut self, name: &str, browser: &mut Browser, address: &str) {
        let page = browser.get(address).await.body;
        self.compare(&format!("frame@{name}"), &skeleton::frame(&page));
    }

    fn compare(&mut self, name: &str, skeleton: &str) {
        let mut settings = insta::Settings::clone_current();
        settings.set_prepend_module_to_snapshot(false);
        settings.set_snapshot_path("snapshots/pages");
        settings.set_omit_expression(true);
        settings.bind(|| insta::assert_snapshot!(name, skeleton));
        assert!(
            self.compared.insert(name.to_owned()),
            "two pages are named {name}"
        );
    }

    /// Fails if there is a snapshot that no page was compared with.
    fn expect_no_orphans(&self) {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/snapshots/pages");
        for entry in std::fs::read_dir(folder).unwrap() {
            let file = entry.unwrap().file_name().into_string().unwrap();
            let known = file
                .strip_suffix(".snap")
                .is_none_or(|name| self.compared.contains(name));
            assert!(known, "no page has the snapshot {file}: delete it");
        }
    }
}

/// The skeleton of a page; of a redirect, where it leads. Downloads and streams have none.
async fn skeleton(browser: &mut Browser, address: &str) -> Option<String> {
    let (answer, body) = browser.ask("GET", address, &[], String::new()).await;
    if answer.status.is_redirection() {
        return Some(format!("leads to {}\n", redacted(answer.location())));
    }
    // do not read streams: they do not end soon
    if !answer.header("content-type").starts_with("text/html") {
        return None;
    }
    let body = body.collect().await.unwrap().to_bytes();
    let page = skeleton::page(std::str::from_utf8(&body).unwrap());
    Some(match answer.status.as_u16() {
        200 => page,
        status => format!("{status}\n{page}"),
    })
}

/// A route as the name of a file: `/mailings/{id}/log` → `mailings-id-log`.
fn file_name(path: &str) -> String {
    let name: String = path.trim_start_matches('/').replace('/', "-");
    match name.replace(['{', '}'], "").as_str() {
        "" => "home".to_owned(),
        name => name.to_owned(),
    }
}

/// R1, R15, R36: readers and scripts find the same headings, forms, fields, buttons and links on
/// every page: as a stranger where strangers are let in, and as the first role that is. A page
/// without a snapshot fails, and so does a snapshot without a page.
#[tokio::test(flavor = "multi_thread")]
async fn skeleton_of_every_page_is_stable() {
    let mut world = World::new().await;
    let mut things = world.things(Who::Owner, "Owner").await;
    let now = world.site.clock.now();
    things.sending = mixed_run(&world.site.db, things.owner, "person", now)
        .await
        .unwrap();
    report(&world.site.db, &things.sending, now).await.unwrap();
    let mut snapshots = PageSnapshots::default();
    let table = table();
    for route in routes().iter().filter(|route| route.method == "GET") {
        let line = &table[&format!("GET {}", route.path)];
        let form = things.fill_form(line.form);
        let address = format!("{}?{form}", things.fill(route.path));
        let address = address.trim_end_matches('?');
        let gets_in = |who: &Who| matches!(line.cell(*who), "in" | "410");
        let user = [Who::Owner, Who::Manager, Who::Content, Who::Admin];
        let visitors = [Who::Anonymous].into_iter().filter(gets_in);
        let mut before = None;
        for who in visitors.chain(user.into_iter().find(gets_in)) {
            let found = skeleton(world.browser(who).await, address).await;
            // most public pages are the same for users
            if let Some(page) = found.as_ref().filter(|_| found != before) {
                snapshots.compare(&format!("{}@{}", file_name(route.path), who.name()), page);
            }
            before = found;
        }
    }
    other_states(&mut world, &things, &mut snapshots).await;
    links_of_letters(&mut world, &mut snapshots).await;
    second_factor(&mut snapshots).await;
    let fresh = Site::new().await;
    snapshots
        .page("setup@first", &mut fresh.stranger(), "/setup")
        .await;
    snapshots.expect_no_orphans();
}

/// What the table's things do not show: drafts, empty lists, errors, and what is around the pages.
async fn other_states(world: &mut World, things: &Things, snapshots: &mut PageSnapshots) {
    let draft = format!("/mailings/{}", things.draft);
    let owner = world.browser(Who::Owner).await;
    snapshots.page("mailings-id@draft", owner, &draft).await;
    snapshots
        .page("mailings-id-edit@draft", owner, &format!("{draft}/edit"))
        .await;
    snapshots.page("error@owner", owner, "/no-such-page").await;
    let search = "/mailings/people?people=owner";
    snapshots.page("mailings-people@found", owner, search).await;
    let stranger = world.browser(Who::Anonymous).await;
    snapshots
        .page("error@anonymous", stranger, "/no-such-page")
        .await;
    let newcomer = world.browser(Who::Other).await;
    for path in [
        "/",
        "/recipients",
        "/recipients/import",
        "/lists",
        "/suppressions",
        "/messages",
        "/mailings",
        "/mailings/new",
        "/reports",
        "/log",
    ] {
        snapshots
            .page(&format!("{}@empty", file_name(path)), newcomer, path)
            .await;
    }
    for who in Who::ALL {
        let browser = world.browser(who).await;
        // where their login leads
        let home = if who == Who::Content { "/posts" } else { "/" };
        if who != Who::Blocked {
            snapshots.frame(who.name(), browser, home).await;
        }
    }
    let stranger = world.browser(Who::Anonymous).await;
    snapshots.frame("login", stranger, "/login").await;
}

/// Pages behind links that letters carry.
async fn links_of_letters(world: &mut World, snapshots: &mut PageSnapshots) {
    let site = &world.site;
    let mut stranger = site.stranger();
    stranger.get("/register").await;
    let eve = [
        ("name", "Eve"),
        ("email", "eve@example.org"),
        ("password", "correct horse eve"),
        ("zone", "UTC"),
    ];
    stranger.post("/register", &eve).await;
    let link = site.link_to("eve@example.org").await;
    snapshots
        .page("verify-token@valid", &mut stranger, &link)
        .await;
    stranger.get("/forgot").await;
    let owner = [("email", "owner@example.org")];
    stranger.post("/forgot", &owner).await;
    let link = site.link_to("owner@example.org").await;
    snapshots
        .page("reset-token@valid", &mut stranger, &link)
        .await;
    let mut other = site.login("other").await;
    other.get("/account/email").await;
    let new = [
        ("email", "new@example.org"),
        ("current", "correct horse other"),
    ];
    other.post("/account/email", &new).await;
    let link = site.link_to("new@example.org").await;
    snapshots.page("email-token@valid", &mut other, &link).await;
    other.post(&link, &[]).await;
    let link = site.link_to("other@example.org").await;
    snapshots
        .page("email-undo-token@valid", &mut other, &link)
        .await;
}

/// Pages of an account with a second factor.
async fn second_factor(snapshots: &mut PageSnapshots) {
    let mut ann = Ann::new().await;
    snapshots
        .page("account-security@on", &mut ann.browser, "/account/security")
        .await;
    snapshots
        .page("login-code@asked", &mut ann.half_in().await, "/login/code")
        .await;
}
