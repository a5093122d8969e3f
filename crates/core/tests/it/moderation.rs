use serde_json::json;
use skychimp_core::accounts::audit::{Audit, AuditFilter, AuditKind};
use skychimp_core::accounts::session::{NewSession, Session, SessionToken};
use skychimp_core::accounts::user::{Role, User};
use skychimp_core::messages::message::{Message, MessageDraft};
use skychimp_core::oversight::moderation::{
    Administrator, ModeratedMailingFilter, Moderator, UserFilter, UserState,
};
use skychimp_core::platform::error::Error;
use skychimp_core::platform::ids::{MailingId, UserId};
use skychimp_core::platform::time::Timestamp;
use skychimp_core::sending::mailing::{Mailing, MailingDraft, MailingState};
use skychimp_core::sending::outbox::{NewOutboxLetter, OutboxLetter, OutboxState};
use skychimp_core::testing::{TestDb, execute, list, mailing, sending_run, user};

use crate::mailings::start;
use crate::support::at;

/// Sets one field of a filter.
type Change<T> = Box<dyn Fn(&mut T)>;

struct World {
    db: TestDb,
    ann: UserId,
    boss: Moderator,
    boss_id: UserId,
    root: UserId,
    now: Timestamp,
}

impl World {
    async fn new() -> Self {
        let db = TestDb::new().await.unwrap();
        let ann = user(&db, "ann", Role::User).await.unwrap();
        let boss_id = user(&db, "boss", Role::Manager).await.unwrap();
        let root = user(&db, "root", Role::Admin).await.unwrap();
        let boss = moderator(&db, boss_id).await.unwrap();
        let now = at("2027-01-10T12:00:00Z");
        Self {
            db,
            ann,
            boss,
            boss_id,
            root,
            now,
        }
    }

    async fn user(&self, id: UserId) -> User {
        let mut tx = self.db.read().await.unwrap();
        User::get(&mut tx, id).await.unwrap().unwrap()
    }

    async fn mailing(&self) -> MailingId {
        let people = list(&self.db, self.ann, "All", 0, 3, self.now)
            .await
            .unwrap();
        mailing(
            &self.db,
            self.ann,
            &[people],
            MailingDraft::default(),
            self.now,
        )
        .await
        .unwrap()
    }

    async fn block(&self, id: UserId, reason: &str) -> Result<Option<(User, bool)>, Error> {
        let mut tx = self.db.write().await?;
        let done = self.boss.block(&mut tx, id, reason, "", self.now).await?;
        tx.commit().await?;
        Ok(done)
    }

    async fn disable(&self, id: MailingId) {
        let mut tx = self.db.write().await.unwrap();
        let (_, owner, changed) = self
            .boss
            .disable(&mut tx, id, "spam", self.now)
            .await
            .unwrap()
            .unwrap();
        assert_eq!((owner.id, changed), (self.ann, true));
        tx.commit().await.unwrap();
    }

    async fn ids(&self, filter: ModeratedMailingFilter<'_>, limit: i64) -> Vec<MailingId> {
        let mut tx = self.db.read().await.unwrap();
        let found = self.boss.mailings(&mut tx, filter, limit).await.unwrap();
        found.iter().map(|seen| seen.summary.mailing.id).collect()
    }

    async fn users(&self, filter: UserFilter<'_>) -> Vec<UserId> {
        let mut tx = self.db.read().await.unwrap();
        let found = self.boss.users(&mut tx, filter, 10).await.unwrap();
        found.iter().map(|seen| seen.user.id).collect()
    }

    async fn audit(&self) -> Vec<Audit> {
        let mut tx = self.db.read().await.unwrap();
        Audit::page(&mut tx, &AuditFilter::default(), 100)
            .await
            .unwrap()
    }
}

async fn moderator(db: &TestDb, id: UserId) -> Option<Moderator> {
    let mut tx = db.read().await.unwrap();
    Moderator::of(&User::get(&mut tx, id).await.unwrap().unwrap())
}

fn code(result: Result<impl std::fmt::Debug, Error>) -> &'static str {
    match result {
        Err(Error::Invalid(errors)) => errors[0].code,
        Err(Error::State(state)) => state,
        other => panic!("{other:?}"),
    }
}

/// R36: only managers and administrators moderate, and only while they can log in.
#[tokio::test]
async fn only_managers_and_administrators_moderate() {
    let world = World::new().await;
    let content = user(&world.db, "content", Role::ContentManager)
        .await
        .unwrap();
    assert!(moderator(&world.db, world.ann).await.is_none());
    assert!(moderator(&world.db, content).await.is_none());
    assert!(moderator(&world.db, world.boss_id).await.is_some());
    let root = moderator(&world.db, world.root).await.unwrap();
    assert!(root.administrator().is_some() && world.boss.administrator().is_none());
    for sql in [
        "UPDATE users SET verified_at = NULL WHERE id = $1",
        "UPDATE users SET verified_at = 1, blocked_at = 1 WHERE id = $1",
    ] {
        execute(&world.db, sql, world.boss_id).await.unwrap();
        assert!(moderator(&world.db, world.boss_id).await.is_none(), "{sql}");
    }
}

/// R39: a block needs a reason, ends sessions and stops test letters. It leaves the verification
/// alone, is logged, and can be lifted.
#[tokio::test]
async fn block_ends_sessions_and_is_logged() {
    let world = World::new().await;
    let token = SessionToken::random();
    let mut tx = world.db.write().await.unwrap();
    let new = NewSession {
        user: world.ann,
        address: "127.0.0.1",
        agent: "test",
        remember: false,
    };
    Session::create(&mut tx, &token, &new, world.now)
        .await
        .unwrap();
    let letter = NewOutboxLetter {
        owner: Some(world.ann),
        kind: "test",
        email: "x@example.org",
        name: "",
        from_name: "",
        from_email: "",
        reply_to: "",
        subject: "s",
        html: "",
        text: "t",
        site: "",
        unsubscribe: "",
    };
    let letter = OutboxLetter::enqueue(&mut tx, &letter, world.now)
        .await
        .unwrap();
    tx.commit().await.unwrap();

    assert_eq!(code(world.block(world.ann, "  ").await), "required");
    let long = "я".repeat(1_001);
    assert_eq!(code(world.block(world.ann, &long).await), "too_long");
    assert_eq!(
        code(world.block(world.ann, "a\0b").await),
        "control_characters"
    );
    let (user, changed) = world.block(world.ann, " spam ").await.unwrap().unwrap();
    assert_eq!((user.id, changed), (world.ann, true));
    let (_, again) = world.block(world.ann, "more").await.unwrap().unwrap();
    assert!(!again);

    let ann = world.user(world.ann).await;
    assert_eq!(ann.blocked_at, Some(world.now));
    assert!(ann.verified_at.is_some());
    let mut tx = world.db.read().await.unwrap();
    assert!(
        Session::user(&mut tx, &token, world.now)
            .await
            .unwrap()
            .is_none()
    );
    let letter = OutboxLetter::get(&mut tx, world.ann, letter).await.unwrap();
    assert_eq!(letter.unwrap().state, OutboxState::Failed);
    drop(tx);

    let mut tx = world.db.write().await.unwrap();
    let (_, changed) = world
        .boss
        .unblock(&mut tx, world.ann, "sorry", world.now)
        .await
        .unwrap()
        .unwrap();
    assert!(changed);
    tx.commit().await.unwrap();
    assert_eq!(world.user(world.ann).await.blocked_at, None);
    // the old session stays ended
    let mut tx = world.db.read().await.unwrap();
    assert!(
        Session::user(&mut tx, &token, world.now)
            .await
            .unwrap()
            .is_none()
    );
    drop(tx);

    let log = world.audit().await;
    assert_eq!(log.len(), 2);
    assert_eq!(
        (log[0].kind, log[0].reason.as_str()),
        (AuditKind::UserUnblocked, "sorry")
    );
    assert_eq!(
        (log[1].kind, log[1].reason.as_str()),
        (AuditKind::UserBlocked, "spam")
    );
    assert_eq!(log[1].actor, "boss@example.org");
    assert_eq!(log[1].subject, "ann@example.org");
}

/// R39: nobody can block themselves or an administrator; an unknown user is not found.
#[tokio::test]
async fn managers_and_administrators_are_safe_from_blocks() {
    let world = World::new().await;
    assert_eq!(
        code(world.block(world.boss_id, "x").await),
        "cannot_block_self"
    );
    assert_eq!(
        code(world.block(world.root, "x").await),
        "cannot_block_admin"
    );
    let nobody = UserId::new(world.now);
    assert!(world.block(nobody, "x").await.unwrap().is_none());
    assert!(world.audit().await.is_empty());
    let other = user(&world.db, "second", Role::Manager).await.unwrap();
    assert!(world.block(other, "x").await.unwrap().unwrap().1);
}

/// R40: the owner can neither start, resume, edit nor copy a mailing that a manager disabled; it
/// continues where it was when the manager enables it.
#[tokio::test]
async fn owner_cannot_lift_what_a_manager_switched_off() {
    let world = World::new().await;
    let World { db, ann, now, .. } = &world;
    let draft = world.mailing().await;
    world.disable(draft).await;
    assert_eq!(code(start(db, *ann, draft, *now).await), "disabled");

    let running = mailing(db, *ann, &[], MailingDraft::default(), *now)
        .await
        .unwrap();
    execute(
        db,
        "UPDATE mailings SET status = 'paused' WHERE owner_id = $1 AND disabled_at IS NULL",
        *ann,
    )
    .await
    .unwrap();
    world.disable(running).await;
    let mut tx = db.write().await.unwrap();
    assert_eq!(
        code(Mailing::resume(&mut tx, *ann, running, "ann", *now).await),
        "disabled"
    );
    let stored = Mailing::get(&mut tx, *ann, running).await.unwrap().unwrap();
    assert_eq!(stored.disabled_reason.as_deref(), Some("spam"));
    let form = Mailing::draft_of(&mut tx, &stored).await.unwrap();
    let edit = Mailing::update(&mut tx, *ann, running, stored.version, &form, "ann", *now).await;
    assert_eq!(code(edit), "disabled");
    assert_eq!(
        code(Mailing::copy(&mut tx, *ann, running, "Copy", "ann", *now).await),
        "disabled"
    );
    // the owner may still cancel it
    assert_eq!(
        Mailing::cancel(&mut tx, *ann, running, "ann", "", *now)
            .await
            .unwrap(),
        Some(true)
    );
    let (_, _, changed) = world
        .boss
        .enable(&mut tx, draft, "", *now)
        .await
        .unwrap()
        .unwrap();
    assert!(changed);
    let history = Mailing::history(&mut tx, *ann, draft, 10).await.unwrap();
    assert_eq!(
        (history[0].what.as_str(), history[1].what.as_str()),
        ("enabled", "disabled")
    );
    assert_eq!(history[1].detail, "spam");
    tx.commit().await.unwrap();
    start(db, *ann, draft, *now).await.unwrap().unwrap();
    let kinds: Vec<_> = world.audit().await.iter().map(|entry| entry.kind).collect();
    assert_eq!(
        kinds,
        [
            AuditKind::MailingEnabled,
            AuditKind::MailingDisabled,
            AuditKind::MailingDisabled
        ]
    );
}

/// R41, R42, R43: the database refuses mailings and messages of accounts that do not send. It also
/// refuses changes in read-only transactions, which are all that pages of others' mailings use.
#[tokio::test]
async fn database_refuses_what_managers_may_not() {
    let world = World::new().await;
    let World { db, now, .. } = &world;
    let content = user(db, "content", Role::ContentManager).await.unwrap();
    let id = world.mailing().await;
    for owner in [world.boss_id, content] {
        let mut tx = db.write().await.unwrap();
        let draft = MessageDraft {
            subject: "Hello".to_owned(),
            text: "Hello".to_owned(),
            ..MessageDraft::default()
        };
        let made = Message::create(&mut tx, owner, &draft, *now).await;
        assert!(matches!(made, Err(Error::Database(_))), "{made:?}");
        drop(tx);
        let mut tx = db.write().await.unwrap();
        let draft = MailingDraft {
            title: "Mine".to_owned(),
            ..MailingDraft::default()
        };
        let made = Mailing::create(&mut tx, owner, &draft, "boss", *now).await;
        assert!(matches!(made, Err(Error::Database(_))), "{made:?}");
    }
    for change in ["update", "cancel", "create"] {
        let mut tx = db.read().await.unwrap();
        let stored = Mailing::get(&mut tx, world.ann, id).await.unwrap().unwrap();
        let form = Mailing::draft_of(&mut tx, &stored).await.unwrap();
        let failed = match change {
            "update" => Mailing::update(&mut tx, world.ann, id, 1, &form, "boss", *now)
                .await
                .is_err(),
            "cancel" => Mailing::cancel(&mut tx, world.ann, id, "boss", "", *now)
                .await
                .is_err(),
            _ => Mailing::create(&mut tx, world.ann, &form, "boss", *now)
                .await
                .is_err(),
        };
        assert!(failed, "{change}");
    }
    let mut tx = db.read().await.unwrap();
    assert_eq!(
        Mailing::get(&mut tx, world.ann, id)
            .await
            .unwrap()
            .unwrap()
            .version,
        1
    );
}

/// R36, R37: managers find every mailing by words, owner, state and time, page by page.
#[tokio::test]
async fn all_mailings_are_found() {
    let world = World::new().await;
    let bob = user(&world.db, "bob", Role::User).await.unwrap();
    let to = |n: usize| {
        (0..n)
            .map(|i| format!("p{i}@example.org"))
            .collect::<Vec<_>>()
    };
    let one = sending_run(&world.db, world.ann, &to(3), world.now, None)
        .await
        .unwrap();
    let three = world.mailing().await;
    world.disable(three).await;
    let later = at("2027-02-01T00:00:00Z");
    let two = sending_run(&world.db, bob, &to(2), later, None)
        .await
        .unwrap();
    let all = ModeratedMailingFilter::default();
    assert_eq!(world.ids(all, 10).await, [two.mailing, three, one.mailing]);
    assert_eq!(world.ids(all, 1).await, [two.mailing]);
    let cases: [(Change<ModeratedMailingFilter<'_>>, Vec<MailingId>); 8] = [
        (
            Box::new(move |f| f.after = Some(two.mailing)),
            vec![three, one.mailing],
        ),
        (Box::new(|f| f.search = "BOB@"), vec![two.mailing]),
        (Box::new(|f| f.search = "sPRing"), vec![three]),
        (Box::new(move |f| f.owner = Some(bob)), vec![two.mailing]),
        (
            Box::new(|f| f.state = Some(MailingState::Disabled)),
            vec![three],
        ),
        (
            Box::new(|f| f.state = "running".parse().ok()),
            vec![two.mailing, one.mailing],
        ),
        (Box::new(move |f| f.from = Some(later)), vec![two.mailing]),
        (
            Box::new(move |f| f.to = Some(later)),
            vec![three, one.mailing],
        ),
    ];
    for (case, (change, expected)) in cases.into_iter().enumerate() {
        let mut filter = all;
        change(&mut filter);
        assert_eq!(world.ids(filter, 10).await, expected, "case {case}");
    }
    let mut tx = world.db.read().await.unwrap();
    let seen = world.boss.mailings(&mut tx, all, 1).await.unwrap();
    assert_eq!(seen[0].owner_email, "bob@example.org");
    assert_eq!((seen[0].summary.planned, seen[0].summary.runs), (2, 1));
}

/// R38: managers find every account by words, state and role, with its volume.
#[tokio::test]
async fn all_users_are_found() {
    let world = World::new().await;
    let ivan = user(&world.db, "ivan", Role::User).await.unwrap();
    execute(
        &world.db,
        "UPDATE users SET name = 'Иван Петров', verified_at = NULL WHERE id = $1",
        ivan,
    )
    .await
    .unwrap();
    let to = ["p@example.org".to_owned()];
    sending_run(&world.db, world.ann, &to, world.now, None)
        .await
        .unwrap();
    execute(
        &world.db,
        "UPDATE runs SET sent = 1 WHERE owner_id = $1",
        world.ann,
    )
    .await
    .unwrap();
    world.block(world.ann, "spam").await.unwrap();
    let all = UserFilter::default();
    let everybody = [ivan, world.root, world.boss_id, world.ann];
    assert_eq!(world.users(all).await, everybody);
    let root = world.root;
    let cases: [(Change<UserFilter<'_>>, Vec<UserId>); 8] = [
        (Box::new(|f| f.search = "петров"), vec![ivan]),
        (Box::new(|f| f.search = "Иван П"), vec![ivan]),
        (Box::new(|f| f.search = "BOSS"), vec![world.boss_id]),
        (Box::new(|f| f.search = "%"), vec![]),
        (
            Box::new(|f| f.state = Some(UserState::Blocked)),
            vec![world.ann],
        ),
        (
            Box::new(|f| f.state = Some(UserState::Unverified)),
            vec![ivan],
        ),
        (
            Box::new(|f| f.role = Some(Role::Manager)),
            vec![world.boss_id],
        ),
        (
            Box::new(move |f| f.after = Some(root)),
            vec![world.boss_id, world.ann],
        ),
    ];
    for (case, (change, expected)) in cases.into_iter().enumerate() {
        let mut filter = all;
        change(&mut filter);
        assert_eq!(world.users(filter).await, expected, "case {case}");
    }
    let mut tx = world.db.read().await.unwrap();
    let ann = world.boss.user(&mut tx, world.ann).await.unwrap().unwrap();
    assert_eq!((ann.mailings, ann.sent, ann.failed), (1, 1, 0));
    assert_eq!(ann.blocked_reason.as_deref(), Some("spam"));
    let volume = world
        .boss
        .volume(&mut tx, world.ann, world.now)
        .await
        .unwrap();
    assert_eq!((volume.recipients, volume.sent_lately), (1, 1));
}

/// R36: administrators change roles, which is logged; one who can log in always remains.
#[tokio::test]
async fn last_administrator_stays() {
    let world = World::new().await;
    let root = moderator(&world.db, world.root).await.unwrap();
    let root = root.administrator().unwrap();
    let set = async |id, role| {
        let mut tx = world.db.write().await?;
        let done = root.set_role(&mut tx, id, role, "", world.now).await?;
        tx.commit().await?;
        Ok::<_, Error>(done)
    };
    assert_eq!(
        code(set(world.root, Role::User).await),
        "last_administrator"
    );
    assert_eq!(set(world.boss_id, Role::Admin).await.unwrap(), Some(true));
    assert_eq!(set(world.boss_id, Role::Admin).await.unwrap(), Some(false));
    // blocked or unverified ones do not count
    execute(
        &world.db,
        "UPDATE users SET verified_at = NULL WHERE id = $1",
        world.boss_id,
    )
    .await
    .unwrap();
    assert_eq!(
        code(set(world.root, Role::User).await),
        "last_administrator"
    );
    execute(
        &world.db,
        "UPDATE users SET verified_at = 1 WHERE id = $1",
        world.boss_id,
    )
    .await
    .unwrap();
    assert_eq!(set(world.root, Role::User).await.unwrap(), Some(true));
    let log = world.audit().await;
    assert_eq!(log[0].kind, AuditKind::RoleChanged);
    assert_eq!(log[0].details, json!({"from": "admin", "to": "user"}));
    assert_eq!(log.len(), 2);
}

/// R36: when two administrators demote each other concurrently, one remains.
#[tokio::test(flavor = "multi_thread")]
async fn administrators_cannot_depose_each_other_at_once() {
    let world = World::new().await;
    let second = user(&world.db, "second", Role::Admin).await.unwrap();
    let mut both = Vec::new();
    for (by, whom) in [(world.root, second), (second, world.root)] {
        let admin = moderator(&world.db, by).await.unwrap();
        both.push((admin.administrator().unwrap(), whom));
    }
    let depose = async |(admin, whom): &(Administrator, UserId)| {
        let mut tx = world.db.write().await?;
        let done = admin
            .set_role(&mut tx, *whom, Role::User, "", world.now)
            .await?;
        tx.commit().await?;
        Ok::<_, Error>(done)
    };
    let (one, other) = tokio::join!(depose(&both[0]), depose(&both[1]));
    assert!(one.is_ok() != other.is_ok(), "{one:?} {other:?}");
}

/// R36: nobody gets a role in which they could no longer stop their mailings.
#[tokio::test]
async fn role_waits_for_open_mailings() {
    let world = World::new().await;
    let root = moderator(&world.db, world.root).await.unwrap();
    let root = root.administrator().unwrap();
    let id = world.mailing().await;
    start(&world.db, world.ann, id, world.now).await.unwrap();
    let mut tx = world.db.write().await.unwrap();
    let refused = root
        .set_role(&mut tx, world.ann, Role::Manager, "", world.now)
        .await;
    assert_eq!(code(refused), "has_open_mailings");
    Mailing::cancel(&mut tx, world.ann, id, "ann", "", world.now)
        .await
        .unwrap();
    let done = root
        .set_role(&mut tx, world.ann, Role::Manager, "", world.now)
        .await;
    assert_eq!(done.unwrap(), Some(true));
}
