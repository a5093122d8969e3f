use std::time::Duration;

use skychimp_core::accounts::audit::{Actor, Audit, AuditFilter, AuditKind};
use skychimp_core::platform::cache::CacheClient;
use skychimp_core::platform::error::Error;
use skychimp_core::platform::ids::ServerId;
use skychimp_core::platform::secret::{SecretKey, Unsealable};
use skychimp_core::platform::time::Timestamp;
use skychimp_core::sending::sending_server::{
    HealthChange, HealthState, LEASE_DURATION, MinuteOutcomes, PasswordChange, RateBudget,
    RateLease, RateOutcome, SendingServer, ServerDraft, ServerHealth, TlsMode, UsageToday,
};
use skychimp_core::testing::{CacheServer, TestDb};

use crate::support::at;

const NOW: &str = "2027-03-01T12:00:30Z";

fn secret() -> SecretKey {
    SecretKey::new([7; 32])
}

fn draft(name: &str) -> ServerDraft {
    ServerDraft {
        name: name.to_owned(),
        host: "mail.example.org".to_owned(),
        username: "robot".to_owned(),
        ..ServerDraft::default()
    }
}

async fn create(db: &TestDb, draft: &ServerDraft) -> ServerId {
    let mut tx = db.write().await.unwrap();
    let password = PasswordChange::Set("s3cret");
    let id = SendingServer::create(
        &mut tx,
        draft,
        &password,
        &secret(),
        Actor::COMMAND,
        at(NOW),
    )
    .await
    .unwrap();
    tx.commit().await.unwrap();
    id
}

async fn get(db: &TestDb, id: ServerId) -> SendingServer {
    let mut tx = db.read().await.unwrap();
    SendingServer::get(&mut tx, id).await.unwrap().unwrap()
}

fn codes(error: &Error) -> Vec<(String, &'static str)> {
    let Error::Invalid(errors) = error else {
        panic!("{error:?}")
    };
    errors.iter().map(|e| (e.field.clone(), e.code)).collect()
}

/// R25, S10: a server is read back as it was saved; only the right key opens its password.
#[tokio::test]
async fn server_is_kept_with_its_password_sealed() {
    let db = TestDb::new().await.unwrap();
    let mut new = draft("  Main   relay ");
    new.limits.per_second = Some(20);
    new.domains = "Gmail.com 20/s 5".to_owned();
    new.warm_up = "50,100".to_owned();
    let id = create(&db, &new).await;
    let server = get(&db, id).await;
    assert_eq!(
        (server.name.as_str(), server.has_password),
        ("Main relay", true)
    );
    assert_eq!(server.domains.to_string(), "gmail.com 20/s 5");
    assert_eq!(server.warm_up_from, Some(at(NOW)));
    assert_eq!(server.per_day(at(NOW)), Some((50, true)));
    assert_eq!(
        server.warm_up_day(at(NOW) + Duration::from_hours(24)),
        Some(2)
    );
    assert_eq!(server.per_day(at(NOW) + Duration::from_hours(48)), None);
    let json = serde_json::to_string(&server).unwrap();
    assert!(!json.contains("s3cret") && !format!("{server:?}").contains("s3cret"));
    let mut tx = db.read().await.unwrap();
    let known = SendingServer::password(&mut tx, id, &secret())
        .await
        .unwrap();
    assert_eq!(known, Some(Ok("s3cret".to_owned())));
    let other = SecretKey::new([8; 32]);
    let known = SendingServer::password(&mut tx, id, &other).await.unwrap();
    assert_eq!(known, Some(Err(Unsealable)));
    assert!(
        SendingServer::by_name(&mut tx, "main RELAY")
            .await
            .unwrap()
            .is_some()
    );
}

/// R34: an edit keeps the password unless a new one is given, drops it without a user name, and is
/// refused on an old version.
#[tokio::test]
async fn edit_keeps_the_password_and_minds_the_version() {
    let db = TestDb::new().await.unwrap();
    let id = create(&db, &draft("One")).await;
    let mut new = ServerDraft::from(&get(&db, id).await);
    new.priority = 2;
    let edit = async |version, draft: &ServerDraft, password: PasswordChange<'_>| {
        let mut tx = db.write().await.unwrap();
        let done = SendingServer::update(
            &mut tx,
            id,
            version,
            draft,
            &password,
            &secret(),
            Actor::COMMAND,
            at(NOW),
        )
        .await?;
        tx.commit().await?;
        let mut tx = db.read().await.unwrap();
        assert!(done);
        SendingServer::password(&mut tx, id, &secret()).await
    };
    assert_eq!(
        edit(1, &new, PasswordChange::Keep).await.unwrap(),
        Some(Ok("s3cret".into()))
    );
    assert!(matches!(
        edit(1, &new, PasswordChange::Keep).await,
        Err(Error::Conflict)
    ));
    assert_eq!(
        edit(2, &new, PasswordChange::Set("new")).await.unwrap(),
        Some(Ok("new".into()))
    );
    new.username.clear();
    assert_eq!(edit(3, &new, PasswordChange::Keep).await.unwrap(), None);
    new.username = "robot".to_owned();
    let error = edit(4, &new, PasswordChange::Keep).await.unwrap_err();
    assert_eq!(codes(&error), [("password".to_owned(), "required")]);
    assert_eq!(get(&db, id).await.priority, 2);
}

/// R5, S7: all invalid fields are named together.
#[tokio::test]
async fn wrong_fields_are_named() {
    let db = TestDb::new().await.unwrap();
    create(&db, &draft("One")).await;
    let mut tx = db.write().await.unwrap();
    let mut wrong = ServerDraft {
        name: " ".to_owned(),
        host: "not a host".to_owned(),
        port: 0,
        tls: TlsMode::None,
        username: "robot".to_owned(),
        hello: "a\r\nb".to_owned(),
        weight: 0,
        domains: "gmail.com".to_owned(),
        warm_up: "many".to_owned(),
        ..ServerDraft::default()
    };
    wrong.limits.per_day = Some(0);
    let now = at(NOW);
    let error = SendingServer::create(
        &mut tx,
        &wrong,
        &PasswordChange::Keep,
        &secret(),
        Actor::COMMAND,
        now,
    )
    .await
    .unwrap_err();
    let fields: Vec<_> = codes(&error).into_iter().map(|(field, _)| field).collect();
    assert_eq!(
        fields,
        [
            "name", "host", "port", "weight", "per_day", "password", "tls", "hello", "domains",
            "warm_up"
        ]
    );
    let error = SendingServer::create(
        &mut tx,
        &draft("ONE"),
        &PasswordChange::Set("x"),
        &secret(),
        Actor::COMMAND,
        now,
    )
    .await
    .unwrap_err();
    assert_eq!(codes(&error), [("name".to_owned(), "server_exists")]);
}

/// A server can be deleted only when it is disabled and has no letters in flight.
#[tokio::test]
async fn delete_waits_for_letters_in_flight() {
    let db = TestDb::new().await.unwrap();
    let id = create(&db, &draft("One")).await;
    let mut tx = db.write().await.unwrap();
    let now = at(NOW);
    let refused = |result| matches!(result, Err(Error::State(_)));
    assert!(refused(
        SendingServer::delete(&mut tx, id, Actor::COMMAND, now).await
    ));
    assert!(
        SendingServer::set_enabled(&mut tx, id, false, Actor::COMMAND, now)
            .await
            .unwrap()
    );
    let beat = skychimp_core::sending::sending_server::Heartbeat {
        busy_until: Some(now + Duration::from_secs(5)),
        answered_at: None,
        limited_by: "",
        limited_until: None,
    };
    ServerHealth::beat(&mut tx, id, &beat, now).await.unwrap();
    assert!(refused(
        SendingServer::delete(&mut tx, id, Actor::COMMAND, now).await
    ));
    let later = now + Duration::from_secs(5);
    assert!(
        SendingServer::delete(&mut tx, id, Actor::COMMAND, later)
            .await
            .unwrap()
    );
    assert!(
        !SendingServer::delete(&mut tx, id, Actor::COMMAND, later)
            .await
            .unwrap()
    );
    assert!(ServerHealth::all(&mut tx).await.unwrap().is_empty());
    let log = Audit::page(&mut tx, &AuditFilter::default(), 9)
        .await
        .unwrap();
    assert_eq!(
        log.iter().map(|entry| entry.kind).collect::<Vec<_>>(),
        [
            AuditKind::ServerDeleted,
            AuditKind::ServerDisabled,
            AuditKind::ServerCreated
        ]
    );
    assert!(log.iter().all(|entry| entry.subject == "One"));
}

/// R27, scenario 20: a pause is alerted once, and again only after the server worked in between.
#[tokio::test]
async fn pause_is_told_once() {
    let db = TestDb::new().await.unwrap();
    let (id, now) = (ServerId::CONFIGURATION, at(NOW));
    let paused = HealthChange {
        state: HealthState::Paused,
        until: Some(now + Duration::from_mins(5)),
        class: "auth",
        reply: "535 5.7.8 no",
    };
    let works = HealthChange {
        state: HealthState::Closed,
        until: None,
        class: "",
        reply: "",
    };
    let mut tx = db.write().await.unwrap();
    for _ in 0..2 {
        assert!(!ServerHealth::claim_alert(&mut tx, id, now).await.unwrap());
        ServerHealth::change(&mut tx, id, &paused, now)
            .await
            .unwrap();
        assert!(ServerHealth::claim_alert(&mut tx, id, now).await.unwrap());
        ServerHealth::change(&mut tx, id, &paused, now)
            .await
            .unwrap();
        assert!(!ServerHealth::claim_alert(&mut tx, id, now).await.unwrap());
        assert!(
            SendingServer::resume(&mut tx, id, Actor::COMMAND, now)
                .await
                .unwrap()
        );
        let health = ServerHealth::get(&mut tx, id).await.unwrap().unwrap();
        assert_eq!((health.until, health.class.as_str()), (Some(now), "auth"));
        ServerHealth::change(&mut tx, id, &works, now)
            .await
            .unwrap();
    }
    assert!(
        !SendingServer::resume(&mut tx, id, Actor::COMMAND, now)
            .await
            .unwrap()
    );
}

fn granted(taken: RateOutcome) -> RateLease {
    match taken {
        RateOutcome::Granted(grant) => grant,
        RateOutcome::Exhausted { .. } => panic!("{taken:?}"),
    }
}

/// S10: nodes share one sequence of turns: each begins where the previous one ends, and idle time
/// is not made up for.
#[tokio::test]
async fn turns_are_shared_and_spaced() {
    let db = TestDb::new().await.unwrap();
    let id = ServerId::new(at(NOW));
    let interval = Duration::from_secs(100);
    let allowance = RateBudget {
        interval: Some(interval),
        ..RateBudget::default()
    };
    let take = async |domain: &str, want| {
        let mut tx = db.write().await.unwrap();
        let taken = allowance
            .take(&mut tx, id, domain, want, at(NOW))
            .await
            .unwrap();
        tx.commit().await.unwrap();
        granted(taken)
    };
    // PostgreSQL uses the server's clock, which keeps running
    let close = |grant: RateLease, seconds| {
        let off = grant.starts_in.abs_diff(Duration::from_secs(seconds));
        assert!(off < Duration::from_secs(50), "{grant:?}");
    };
    close(take("", 3).await, 0);
    close(take("", 2).await, 300);
    close(take("gmail.com", 1).await, 0);
    close(take("", 1).await, 500);
    assert_eq!(take("", 4).await.count, 4);
}

/// S10: two nodes that ask concurrently never exceed the daily limit together, and unused turns can
/// be given back.
#[tokio::test(flavor = "multi_thread")]
async fn daily_limit_is_exact_for_nodes_that_ask_at_once() {
    let db = TestDb::new().await.unwrap();
    let id = ServerId::new(at(NOW));
    let allowance = RateBudget {
        per_day: Some((100, false)),
        ..RateBudget::default()
    };
    let ask = async || {
        let mut sum = 0;
        loop {
            let mut tx = db.write().await.unwrap();
            let taken = allowance.take(&mut tx, id, "", 7, at(NOW)).await.unwrap();
            tx.commit().await.unwrap();
            match taken {
                RateOutcome::Granted(grant) => sum += grant.count,
                RateOutcome::Exhausted { by, until } => return (sum, by, until),
            }
        }
    };
    let (one, two) = tokio::join!(ask(), ask());
    assert_eq!(one.0 + two.0, 100);
    assert!(one.0 > 0 && two.0 > 0, "{one:?} {two:?}");
    let back = at("2027-03-02T12:01:00Z") + LEASE_DURATION;
    assert_eq!((one.1, one.2), ("day", back));
    let mut tx = db.write().await.unwrap();
    RateLease::refund(&mut tx, id, at("2027-03-01T12:00:00Z"), 3)
        .await
        .unwrap();
    let again = granted(allowance.take(&mut tx, id, "", 7, at(NOW)).await.unwrap());
    assert_eq!(again.count, 3);
    let later = granted(allowance.take(&mut tx, id, "", 7, back).await.unwrap());
    assert_eq!(later.count, 5, "a node leaves something for the others");
}

/// R2: a server's outcomes are counted for today and for the last minute.
#[tokio::test]
async fn outcomes_are_counted_by_minute() {
    let db = TestDb::new().await.unwrap();
    let id = ServerId::CONFIGURATION;
    let mut tx = db.write().await.unwrap();
    let ten = MinuteOutcomes {
        taken: 12,
        sent: 10,
        deferred: 1,
        failed: 1,
    };
    let minutes = |n| at(NOW) + Duration::from_mins(n);
    for n in [0, 0, 1, 2] {
        ten.add(&mut tx, id, minutes(n)).await.unwrap();
    }
    let found = UsageToday::all(&mut tx, minutes(1) - Duration::from_secs(30), minutes(2))
        .await
        .unwrap();
    let (of, today) = &found[0];
    assert_eq!(
        (*of, today.sent, today.failed, today.last_minute),
        (id, 20, 2, 10)
    );
    assert_eq!(
        MinuteOutcomes::clean_up(&mut tx, Timestamp::from_millis(i64::MAX))
            .await
            .unwrap(),
        3
    );
}

/// S10: with Valkey or Redis, nodes share turns there: each begins where the previous one ends.
#[tokio::test]
async fn turns_are_shared_in_the_cache() {
    let Some(server) = CacheServer::start().unwrap() else {
        return;
    };
    let (one, two) = (
        server.shared([1; 32]).await.unwrap(),
        server.shared([1; 32]).await.unwrap(),
    );
    let id = ServerId::new(at(NOW));
    let allowance = RateBudget {
        interval: Some(Duration::from_secs(100)),
        ..RateBudget::default()
    };
    for (node, domain, want, starts) in [
        (&one, "", 3, 0),
        (&two, "", 2, 300),
        (&two, "gmail.com", 1, 0),
        (&one, "", 1, 500),
    ] {
        let taken = allowance.take_shared(node, id, domain, want).await.unwrap();
        let grant = granted(taken);
        let off = grant.starts_in.abs_diff(Duration::from_secs(starts));
        assert!(
            off < Duration::from_secs(50) && grant.count == want,
            "{grant:?}"
        );
    }
    let counted = RateBudget {
        per_day: Some((9, false)),
        ..allowance
    };
    assert_eq!(counted.take_shared(&one, id, "", 1).await, None);
    assert_eq!(
        allowance.take_shared(&CacheClient::none(), id, "", 1).await,
        None
    );
}
