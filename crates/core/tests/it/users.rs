use std::time::Duration;

use skychimp_core::accounts::password::HashedPassword;
use skychimp_core::accounts::required_factor::{FactorStanding, RequiredFactor};
use skychimp_core::accounts::session::{NewSession, Session, SessionToken};
use skychimp_core::accounts::user::{Role, User};
use skychimp_core::platform::error::Error;
use skychimp_core::testing::{TestDb, passkey, user};

use crate::support::at;

/// R30: an address has one account, however it is spelled.
#[tokio::test]
async fn address_has_one_account() {
    let db = TestDb::new().await.unwrap();
    user(&db, "ann", Role::User).await.unwrap();
    let error = user(&db, "ANN", Role::User).await.unwrap_err();
    assert!(matches!(error, Error::Duplicate), "{error:?}");
    let mut tx = db.read().await.unwrap();
    let found = User::by_email(&mut tx, "Ann@Example.ORG").await.unwrap();
    assert_eq!(found.unwrap().name, "ann");
}

/// R30: a password is stored as a hash that only it matches.
#[tokio::test]
async fn password_matches_its_hash() {
    let db = TestDb::new().await.unwrap();
    let id = user(&db, "ann", Role::User).await.unwrap();
    let mut tx = db.read().await.unwrap();
    let hash = User::password_of(&mut tx, id).await.unwrap().unwrap();
    assert!(hash.matches("correct horse ann"));
    assert!(!hash.matches("correct horse bob"));
    assert!(matches!(
        HashedPassword::new("short"),
        Err(Error::Invalid(_))
    ));
}

/// R31: a session ends when it expires and when its user logs out.
#[tokio::test]
async fn session_ends() {
    let db = TestDb::new().await.unwrap();
    let id = user(&db, "ann", Role::User).await.unwrap();
    let token = SessionToken::random();
    let start = at("2027-01-01T00:00:00Z");
    let mut tx = db.write().await.unwrap();
    let new = NewSession {
        user: id,
        address: "127.0.0.1",
        agent: "test",
        remember: true,
    };
    Session::create(&mut tx, &token, &new, start).await.unwrap();
    let read = SessionToken::from_text(&token.to_text()).unwrap();
    let (found, touch) = Session::user(&mut tx, &read, at("2027-01-01T00:10:00Z"))
        .await
        .unwrap()
        .unwrap();
    assert_eq!((found.id, touch), (id, true));
    assert!(
        Session::user(&mut tx, &token, at("2027-02-01T00:00:00Z"))
            .await
            .unwrap()
            .is_none()
    );
    Session::end(&mut tx, &token).await.unwrap();
    assert!(
        Session::user(&mut tx, &token, start)
            .await
            .unwrap()
            .is_none()
    );
}

/// R30: the time to set up a required second factor counts from when the requirement first applied
/// to the account.
#[tokio::test]
async fn grace_begins_when_the_requirement_first_applies() {
    let db = TestDb::new().await.unwrap();
    let id = user(&db, "boss", Role::Manager).await.unwrap();
    let boss = User::get(&mut db.read().await.unwrap(), id).await;
    let boss = boss.unwrap().unwrap();
    let rule = |roles: &str| RequiredFactor {
        roles: roles.parse().unwrap(),
        grace: Duration::from_hours(48),
    };
    let first = at("2027-01-10T12:00:00Z");
    let end = at("2027-01-12T12:00:00Z");
    for (roles, now, expected) in [
        ("admin", at("2027-01-01T12:00:00Z"), FactorStanding::Met),
        ("manager", first, FactorStanding::DueBy(end)),
        ("none", end, FactorStanding::Met),
        (
            "manager",
            at("2027-01-12T11:59:59Z"),
            FactorStanding::DueBy(end),
        ),
        ("manager", end, FactorStanding::Overdue),
    ] {
        let standing = rule(roles).standing(&db, &boss, now).await.unwrap();
        assert_eq!(standing, expected, "{roles} {now}");
    }
    passkey(&db, id, end).await.unwrap();
    let standing = rule("manager").standing(&db, &boss, end).await.unwrap();
    assert_eq!(standing, FactorStanding::Met);
    let mut tx = db.read().await.unwrap();
    for (roles, passkeys, asked) in [
        ("manager", true, true),
        ("manager", false, false),
        ("admin", true, false),
    ] {
        let asks = rule(roles).asks_at_login(&mut tx, &boss, passkeys).await;
        assert_eq!(asks.unwrap(), asked, "{roles}");
    }
}
