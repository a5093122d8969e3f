use serde_json::json;
use skychimp_core::accounts::audit::{Actor, Audit, AuditFilter, AuditKind, NewAudit, Subject};
use skychimp_core::accounts::user::{Role, User};
use skychimp_core::platform::ids::UserId;
use skychimp_core::platform::time::Timestamp;
use skychimp_core::testing::{TestDb, execute, user};

use crate::support::at;

struct World {
    db: TestDb,
    boss: User,
    ann: User,
}

impl World {
    async fn new() -> Self {
        let db = TestDb::new().await.unwrap();
        let boss = user(&db, "Boss", Role::Manager).await.unwrap();
        let ann = user(&db, "ann", Role::User).await.unwrap();
        let mut tx = db.read().await.unwrap();
        let boss = User::get(&mut tx, boss).await.unwrap().unwrap();
        let ann = User::get(&mut tx, ann).await.unwrap().unwrap();
        drop(tx);
        Self { db, boss, ann }
    }

    async fn record(&self, actor: Actor<'_>, kind: AuditKind, reason: &str, now: Timestamp) {
        let mut tx = self.db.write().await.unwrap();
        let new = NewAudit {
            actor,
            kind,
            subject: Subject::user(self.ann.id, &self.ann.email),
            reason,
            details: json!({"n": 1}),
        };
        Audit::record(&mut tx, &new, now).await.unwrap();
        tx.commit().await.unwrap();
    }

    async fn find(&self, filter: AuditFilter<'_>) -> Vec<Audit> {
        let mut tx = self.db.read().await.unwrap();
        Audit::page(&mut tx, &filter, 100).await.unwrap()
    }
}

/// R36: the log can be searched by actor, kind, subject, time and words, and is paged newest first.
#[tokio::test]
async fn log_is_searched_and_paged() {
    let world = World::new().await;
    let noon = at("2027-01-01T12:00:00Z");
    let boss = Actor::from(&world.boss);
    world
        .record(boss, AuditKind::UserBlocked, "Рассылает спам 100%", noon)
        .await;
    let later = at("2027-01-02T12:00:00Z");
    world
        .record(Actor::COMMAND, AuditKind::UserUnblocked, "", later)
        .await;

    let all = world.find(AuditFilter::default()).await;
    assert_eq!(all.len(), 2);
    assert_eq!((all[0].kind, all[0].at), (AuditKind::UserUnblocked, later));
    assert_eq!((all[0].actor_id, all[0].actor.as_str()), (None, "command"));
    assert_eq!(all[1].actor_id, Some(world.boss.id));
    assert_eq!(all[1].subject, world.ann.email);
    assert_eq!(all[1].details, json!({"n": 1}));

    let one = |filter| async {
        let found = world.find(filter).await;
        assert!(found.len() < 2);
        found.first().map(|entry| entry.kind)
    };
    let base = AuditFilter::default;
    let blocked = Some(AuditKind::UserBlocked);
    let unblocked = Some(AuditKind::UserUnblocked);
    assert_eq!(
        one(AuditFilter {
            search: "СПАМ 100%",
            ..base()
        })
        .await,
        blocked
    );
    assert_eq!(
        one(AuditFilter {
            search: "_",
            ..base()
        })
        .await,
        None
    );
    assert_eq!(
        one(AuditFilter {
            actor: "BOSS@",
            ..base()
        })
        .await,
        blocked
    );
    assert_eq!(
        one(AuditFilter {
            kind: unblocked,
            ..base()
        })
        .await,
        unblocked
    );
    assert_eq!(
        one(AuditFilter {
            from: Some(later),
            ..base()
        })
        .await,
        unblocked
    );
    assert_eq!(
        one(AuditFilter {
            to: Some(later),
            ..base()
        })
        .await,
        blocked
    );
    assert_eq!(
        one(AuditFilter {
            after: Some(all[0].id),
            ..base()
        })
        .await,
        blocked
    );
    let about = |id: UserId| AuditFilter {
        about: Some(id.0),
        ..base()
    };
    assert_eq!(world.find(about(world.ann.id)).await.len(), 2);
    assert_eq!(world.find(about(world.boss.id)).await.len(), 0);
}

/// R36: the database refuses to change or remove entries of the log.
#[tokio::test]
async fn log_is_append_only() {
    let world = World::new().await;
    let boss = Actor::from(&world.boss);
    let noon = at("2027-01-01T12:00:00Z");
    world
        .record(boss, AuditKind::UserBlocked, "spam", noon)
        .await;
    for sql in [
        "DELETE FROM audit_log WHERE actor_id = $1",
        "UPDATE audit_log SET reason = 'none' WHERE actor_id = $1",
        "UPDATE audit_log SET at = 1 WHERE actor_id = $1",
        "UPDATE audit_log SET actor = 'somebody' WHERE actor_id = $1",
        "UPDATE audit_log SET actor_id = NULL WHERE actor_id = $1",
        "UPDATE audit_log SET details = '{}' WHERE actor_id = $1",
    ] {
        let error = execute(&world.db, sql, world.boss.id).await.unwrap_err();
        assert!(
            format!("{error:?}").contains("append-only"),
            "{sql}: {error:?}"
        );
    }
    assert_eq!(world.find(AuditFilter::default()).await[0].reason, "spam");
}

/// R36: entries outlive their accounts, whose names are cleared and no longer found.
#[tokio::test]
async fn deleted_account_is_forgotten_and_its_entries_stay() {
    let world = World::new().await;
    let boss = Actor::from(&world.boss);
    let noon = at("2027-01-01T12:00:00Z");
    world
        .record(boss, AuditKind::UserBlocked, "spam", noon)
        .await;
    let mut tx = world.db.write().await.unwrap();
    Audit::forget(&mut tx, world.ann.id).await.unwrap();
    tx.commit().await.unwrap();
    execute(&world.db, "DELETE FROM users WHERE id = $1", world.ann.id)
        .await
        .unwrap();
    let found = world.find(AuditFilter::default()).await;
    assert_eq!(found[0].subject, "");
    assert_eq!(found[0].subject_id, Some(world.ann.id.0));
    assert_eq!(found[0].actor, world.boss.email);
    let by_name = AuditFilter {
        search: "ann@",
        ..AuditFilter::default()
    };
    assert!(world.find(by_name).await.is_empty());
}
