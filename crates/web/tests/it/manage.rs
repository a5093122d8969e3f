use axum::http::StatusCode;
use skychimp_core::accounts::audit::{Audit, AuditFilter, AuditKind};
use skychimp_core::accounts::user::{Role, User};
use skychimp_core::platform::ids::MailingId;
use skychimp_core::sending::mailing::Mailing;
use skychimp_core::testing::{execute, fingerprint};

use crate::world::{Things, Who, World};

async fn user(world: &World, who: Who) -> User {
    let mut tx = world.site.db.read().await.unwrap();
    User::get(&mut tx, world.ids[&who]).await.unwrap().unwrap()
}

async fn mailing(world: &World, things: &Things, id: MailingId) -> Mailing {
    let mut tx = world.site.db.read().await.unwrap();
    Mailing::get(&mut tx, things.owner, id)
        .await
        .unwrap()
        .unwrap()
}

async fn log(world: &World) -> Vec<Audit> {
    let mut tx = world.site.db.read().await.unwrap();
    Audit::page(&mut tx, &AuditFilter::default(), 50)
        .await
        .unwrap()
}

/// R36, R37: a manager can find any mailing and read its page, letter, runs and log, without the
/// owner's controls. The letter loads nothing from elsewhere until the page's button asks for it.
#[tokio::test]
async fn manager_reads_any_mailing() {
    let mut world = World::new().await;
    let things = world.things(Who::Owner, "Spring").await;
    let (draft, sending) = (things.draft, things.sending.mailing);
    let run = things.sending.id;
    let html = "/* test */ UPDATE runs SET html = '<p>Token {{ email }}</p>' WHERE owner_id = $1";
    execute(&world.site.db, html, things.owner).await.unwrap();
    let manager = world.browser(Who::Manager).await;
    let list = manager.get("/manage/mailings?q=OWNER%40example").await;
    for id in [draft, sending] {
        assert!(
            list.body.contains(&format!("/manage/mailings/{id}")),
            "{}",
            list.body
        );
    }
    assert!(
        manager
            .get("/manage/mailings?q=nothing")
            .await
            .body
            .contains("Nothing found")
    );
    let running = manager
        .get("/manage/mailings?state=running&from=2020-01-01&to=2099-01-01")
        .await;
    assert!(
        running.body.contains(&sending.to_string()) && !running.body.contains(&draft.to_string())
    );

    let base = format!("/manage/mailings/{sending}");
    let page = manager.get(&base).await;
    assert_eq!(page.status, StatusCode::OK);
    assert!(page.body.contains("owner@example.org"));
    for address in [
        base.clone(),
        format!("/manage/mailings/{draft}"),
        format!("{base}/runs"),
        format!("{base}/runs/{run}"),
        format!("{base}/log"),
    ] {
        let page = manager.get(&address).await;
        assert_eq!(page.status, StatusCode::OK, "{address}");
        for control in [
            "/start\"",
            "/pause\"",
            "/resume\"",
            "/cancel\"",
            "/edit\"",
            "/copy\"",
            "/delete\"",
            "href=\"/mailings/",
            "href=\"/messages/",
        ] {
            assert!(!page.body.contains(control), "{control} on {address}");
        }
    }
    let letter = manager.get(&format!("{base}/letter")).await;
    assert!(
        letter
            .header("content-security-policy")
            .starts_with("sandbox allow-")
    );
    assert!(
        letter.body.contains("Token maria@example.org"),
        "{}",
        letter.body
    );
    let pictures = format!("{base}/letter?pictures=");
    let (_, rest) = page.body.split_once(&pictures).unwrap();
    let shown = rest.split('"').next().unwrap();
    for (token, loads) in [("", false), ("1", false), (shown, true)] {
        let frame = manager.get(&format!("{pictures}{token}")).await;
        let policy = frame.header("content-security-policy");
        assert!(policy.starts_with("sandbox allow-") && policy.contains("default-src 'none'"));
        assert!(!policy.contains("allow-scripts"), "{policy}");
        assert_eq!(policy.contains("https:"), loads, "{token}: {policy}");
    }
    let policy = letter.header("content-security-policy");
    assert!(!policy.contains("http") && policy.contains("img-src data:"));
    let letter = manager
        .get(&format!("/manage/mailings/{draft}/letter"))
        .await;
    assert!(letter.body.contains("Dear "), "{}", letter.body);
    let csv = manager.get(&format!("{base}/log.csv")).await;
    assert!(csv.body.starts_with("at,recipient,"));
}

/// R38, R39: users are listed with their activity, and can be blocked with a reason and unblocked;
/// a blocked user is logged out immediately.
#[tokio::test]
async fn manager_blocks_and_unblocks() {
    let mut world = World::new().await;
    let owner = world.ids[&Who::Owner];
    assert_eq!(
        world
            .browser(Who::Owner)
            .await
            .get("/mailings")
            .await
            .status,
        StatusCode::OK
    );
    let manager = world.browser(Who::Manager).await;
    let list = manager
        .get("/manage/users?q=owner&state=active&role=user")
        .await;
    assert!(
        list.body.contains(&format!("/manage/users/{owner}")),
        "{}",
        list.body
    );
    let base = format!("/manage/users/{owner}");
    assert_eq!(manager.get(&base).await.status, StatusCode::OK);
    let block = format!("{base}/block");
    let wrong = manager.post(&block, &[("reason", " ")]).await;
    assert_eq!(wrong.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(wrong.body.contains("Fill in this field"));
    let done = manager.post(&block, &[("reason", "Рассылает спам")]).await;
    assert_eq!(
        (done.status, done.location()),
        (StatusCode::SEE_OTHER, base.as_str())
    );
    let page = manager.get(&base).await;
    assert!(page.body.contains("The account is blocked.") && page.body.contains("Рассылает спам"));

    let out = world
        .browsers
        .get_mut(&Who::Owner)
        .unwrap()
        .get("/mailings")
        .await;
    assert_eq!(out.location(), "/login?next=%2Fmailings");
    let mut again = world.site.stranger();
    again.get("/login").await;
    let login = [
        ("email", "owner@example.org"),
        ("password", "correct horse owner"),
    ];
    assert_ne!(
        again.post("/login", &login).await.status,
        StatusCode::SEE_OTHER
    );
    assert!(user(&world, Who::Owner).await.verified_at.is_some());

    let manager = world.browser(Who::Manager).await;
    manager.get(&base).await;
    manager.post(&format!("{base}/unblock"), &[]).await;
    assert_eq!(user(&world, Who::Owner).await.blocked_at, None);
    world.site.login("owner").await;
    let kinds: Vec<_> = log(&world).await.iter().map(|entry| entry.kind).collect();
    assert_eq!(kinds, [AuditKind::UserUnblocked, AuditKind::UserBlocked]);
}

/// R39: nobody can block themselves or an administrator; the page shows no such button.
#[tokio::test]
async fn administrators_and_oneself_are_not_blocked() {
    let mut world = World::new().await;
    for (who, code) in [
        (Who::Manager, "You cannot block yourself"),
        (Who::Admin, "Administrators cannot be blocked"),
    ] {
        let id = world.ids[&who];
        let base = format!("/manage/users/{id}");
        let manager = world.browser(Who::Manager).await;
        assert!(
            !manager
                .get(&base)
                .await
                .body
                .contains(&format!("{base}/block"))
        );
        let refused = manager
            .post(&format!("{base}/block"), &[("reason", "x")])
            .await;
        assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY);
        assert!(refused.body.contains(code), "{}", refused.body);
        assert_eq!(user(&world, who).await.blocked_at, None);
    }
}

/// R40: the owner of a disabled mailing sees the reason, and every way to enable it again is
/// refused with a message.
#[tokio::test]
async fn owner_cannot_bring_back_what_was_switched_off() {
    let mut world = World::new().await;
    let things = world.things(Who::Owner, "Spring").await;
    execute(
        &world.site.db,
        "UPDATE mailings SET status = 'paused' WHERE owner_id = $1 AND status = 'running'",
        things.owner,
    )
    .await
    .unwrap();
    let (draft, paused) = (things.draft, things.sending.mailing);
    for id in [draft, paused] {
        let manager = world.browser(Who::Manager).await;
        let base = format!("/manage/mailings/{id}");
        manager.get(&base).await;
        let wrong = manager
            .post(&format!("{base}/disable"), &[("reason", "")])
            .await;
        assert_eq!(wrong.status, StatusCode::UNPROCESSABLE_ENTITY);
        let done = manager
            .post(
                &format!("{base}/disable"),
                &[("reason", "Запрещённый товар")],
            )
            .await;
        assert_eq!(done.location(), base);
        assert!(
            manager
                .get(&base)
                .await
                .body
                .contains("The mailing is switched off.")
        );
    }
    let owner = world.browser(Who::Owner).await;
    for (id, act) in [
        (draft, "start"),
        (paused, "resume"),
        (paused, "copy"),
        (draft, "copy"),
    ] {
        let base = format!("/mailings/{id}");
        let page = owner.get(&base).await;
        assert!(
            page.body.contains("Запрещённый товар") && page.body.contains("Switched off"),
            "{}",
            page.body
        );
        let refused = owner.post(&format!("{base}/{act}"), &[]).await;
        assert_eq!(refused.location(), base, "{act}");
        let said = owner.get(&base).await;
        assert!(
            said.body
                .contains("cannot be started, resumed, edited or copied"),
            "{act}: {}",
            said.body
        );
    }
    assert_eq!(
        owner
            .get(&format!("/mailings/{draft}/edit"))
            .await
            .location(),
        format!("/mailings/{draft}")
    );
    let edit = [
        ("title", "New"),
        ("zone", "UTC"),
        ("version", "2"),
        ("every", "once"),
    ];
    assert_eq!(
        owner
            .post(&format!("/mailings/{draft}"), &edit)
            .await
            .location(),
        format!("/mailings/{draft}")
    );
    let lift = owner
        .post(&format!("/manage/mailings/{draft}/enable"), &[])
        .await;
    assert_eq!(lift.status, StatusCode::NOT_FOUND);
    let stored = mailing(&world, &things, draft).await;
    assert_eq!(
        (stored.title.as_str(), stored.disabled_reason.as_deref()),
        ("Spring", Some("Запрещённый товар"))
    );

    let manager = world.browser(Who::Manager).await;
    let base = format!("/manage/mailings/{draft}");
    manager.get(&base).await;
    manager
        .post(&format!("{base}/enable"), &[("reason", "ok")])
        .await;
    assert_eq!(mailing(&world, &things, draft).await.disabled_at, None);
    let owner = world.browser(Who::Owner).await;
    assert_eq!(
        owner.get(&format!("/mailings/{draft}/edit")).await.status,
        StatusCode::OK
    );
}

/// R41, R42, R43: whatever managers, content managers and administrators post to URLs of other
/// users' mailings, messages, recipients and lists, nothing changes.
#[tokio::test]
async fn nothing_of_others_is_edited_created_or_deleted() {
    let mut world = World::new().await;
    let things = world.things(Who::Owner, "Spring").await;
    let before = fingerprint(&world.site.db, things.owner).await.unwrap();
    for who in [Who::Manager, Who::Content, Who::Admin, Who::Other] {
        for route in skychimp_web::routes() {
            let foreign = route.path.contains('{')
                && ["/mailings", "/messages", "/recipients", "/lists"]
                    .iter()
                    .any(|area| route.path.starts_with(area));
            if !foreign || route.method != "POST" {
                continue;
            }
            let address = things.fill(route.path);
            let browser = world.browser(who).await;
            let fields = [
                ("title", "Taken"),
                ("subject", "Taken"),
                ("text", "Taken"),
                ("name", "Taken"),
                ("version", "1"),
                ("zone", "UTC"),
                ("every", "once"),
                ("email", "taken@example.org"),
            ];
            let answer = browser.post(&address, &fields).await;
            assert_eq!(
                answer.status,
                StatusCode::NOT_FOUND,
                "{} {address}",
                who.name()
            );
        }
    }
    assert_eq!(
        fingerprint(&world.site.db, things.owner).await.unwrap(),
        before
    );
}

/// R36: an administrator changes roles and the audit log records it; the last administrator keeps
/// theirs; managers see no such form.
#[tokio::test]
async fn administrator_gives_roles() {
    let mut world = World::new().await;
    let other = world.ids[&Who::Other];
    let base = format!("/manage/users/{other}");
    let manager = world.browser(Who::Manager).await;
    assert!(
        !manager
            .get(&base)
            .await
            .body
            .contains(&format!("{base}/role"))
    );
    let admin_id = world.ids[&Who::Admin];
    let admin = world.browser(Who::Admin).await;
    admin.get(&base).await;
    let wrong = admin
        .post(&format!("{base}/role"), &[("role", "king")])
        .await;
    assert_eq!(wrong.status, StatusCode::UNPROCESSABLE_ENTITY);
    admin
        .post(
            &format!("{base}/role"),
            &[("role", "content_manager"), ("why", "writes well")],
        )
        .await;
    let own = admin
        .post(
            &format!("/manage/users/{admin_id}/role"),
            &[("role", "user")],
        )
        .await;
    assert_eq!(own.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(own.body.contains("last administrator"));
    let log = admin
        .get("/manage/audit?kind=role_changed&q=writes&actor=admin")
        .await;
    assert!(
        log.body.contains("User → Content manager") && log.body.contains("other@example.org"),
        "{}",
        log.body
    );
    assert!(
        admin
            .get(&format!("/manage/audit?about={admin_id}"))
            .await
            .body
            .contains("Nothing found")
    );
    assert_eq!(user(&world, Who::Other).await.role, Role::ContentManager);
}

/// R36: administrators can see the current settings.
#[tokio::test]
async fn settings_are_shown() {
    let mut world = World::new().await;
    let page = world
        .browser(Who::Admin)
        .await
        .get("/manage/settings")
        .await;
    assert!(page.body.contains("Settings") && page.body.contains("Version"));
}

/// R36: a manager changes a user's limits with a reason, which the audit log shows. Without a
/// reason, or with a wrong value, the form comes back with what was typed.
#[tokio::test]
async fn manager_changes_limits() {
    let mut world = World::new().await;
    let owner = world.ids[&Who::Owner];
    let path = format!("/manage/users/{owner}/limits");
    let manager = world.browser(Who::Manager).await;
    let page = manager
        .post(&path, &[("letters_per_day", "many"), ("recipients", "77")])
        .await;
    assert_eq!(page.status, StatusCode::UNPROCESSABLE_ENTITY);
    for part in ["value=\"many\"", "value=\"77\"", "limits-reason-error"] {
        assert!(page.body.contains(part), "{part}");
    }
    let form = [("letters_per_day", "1000"), ("reason", "a known shop")];
    let done = manager.post(&path, &form).await;
    assert_eq!(done.status, StatusCode::SEE_OTHER);
    let page = manager.get(&format!("/manage/users/{owner}")).await;
    assert!(page.body.contains("value=\"1000\""), "{}", page.body);
    let audit = manager.get("/manage/audit").await;
    assert!(audit.body.contains("a known shop") && audit.body.contains("Limits changed"));
    let log = log(&world).await;
    assert_eq!(log[0].kind, AuditKind::LimitsChanged);
    assert_eq!(log[0].details["to"]["letters_per_day"], 1_000);
}

/// R30, R40: a mailing of a new account waits on the managers' page. Rejected, its owner sees the
/// reason and gets a letter; approved, the account is approved too.
#[tokio::test]
async fn manager_decides_about_new_accounts() {
    let mut world = World::new().await;
    let things = world.things(Who::Owner, "Spring").await;
    let new = "/* test */ UPDATE users SET is_new = TRUE WHERE id = $1";
    execute(&world.site.db, new, things.owner).await.unwrap();
    let id = things.sending.mailing;
    let base = format!("/manage/mailings/{id}");
    let manager = world.browser(Who::Manager).await;
    let page = manager.get("/manage/approvals").await;
    for part in [&format!("{base}/reject"), &format!("{base}/letter"), "Test"] {
        assert!(page.body.contains(part), "{part}");
    }
    let wrong = manager
        .post(&format!("{base}/reject"), &[("reason", " ")])
        .await;
    assert_eq!(wrong.status, StatusCode::UNPROCESSABLE_ENTITY);
    let spam = [("reason", "bought addresses")];
    let done = manager.post(&format!("{base}/reject"), &spam).await;
    assert_eq!(done.location(), "/manage/approvals");
    let page = manager.get("/manage/approvals").await;
    assert!(!page.body.contains(&base));
    let own = world.browser(Who::Owner).await;
    let page = own.get(&format!("/mailings/{id}")).await;
    assert!(page.body.contains("bought addresses"));
    let letters = world.site.letters_to("owner@example.org").await;
    assert!(
        letters
            .iter()
            .any(|letter| letter.kind == "mailing-rejected")
    );
    let manager = world.browser(Who::Manager).await;
    for (step, reason) in [("enable", "a mistake"), ("approve", "fine")] {
        let done = manager
            .post(&format!("{base}/{step}"), &[("reason", reason)])
            .await;
        assert_eq!(done.status, StatusCode::SEE_OTHER);
    }
    let kinds: Vec<_> = log(&world).await.iter().map(|entry| entry.kind).collect();
    assert_eq!(
        kinds[..3],
        [
            AuditKind::MailingApproved,
            AuditKind::MailingEnabled,
            AuditKind::MailingRejected
        ]
    );
    assert_eq!(mailing(&world, &things, id).await.disabled_at, None);
    let manager = world.browser(Who::Manager).await;
    let page = manager
        .get(&format!("/manage/users/{}", things.owner))
        .await;
    assert!(!page.body.contains("/approve\""));
}
