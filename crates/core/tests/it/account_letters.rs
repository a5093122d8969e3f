//! Which letter goes to whom when an account is registered or changed, and what the letters do.

use skychimp_core::accounts::audit::Actor;
use skychimp_core::accounts::password::HashedPassword;
use skychimp_core::accounts::registration::{NewRegistration, Registration};
use skychimp_core::accounts::second_factor::{SecondFactor, SecondFactorKey, Setup};
use skychimp_core::accounts::session::{NewSession, Session, SessionToken};
use skychimp_core::accounts::token::{EmailToken, Token, TokenPurpose};
use skychimp_core::accounts::user::{Role, User};
use skychimp_core::oversight::moderation::{Administrator, Moderator};
use skychimp_core::platform::address::EmailAddress;
use skychimp_core::platform::db::{Db, Tx};
use skychimp_core::platform::error::Error;
use skychimp_core::platform::ids::UserId;
use skychimp_core::platform::secret::SecretKey;
use skychimp_core::platform::time::Timestamp;
use skychimp_core::sending::outbox::OutboxLetter;
use skychimp_core::testing::{PlainLetters, TestDb, outbox, user};
use totp_rs::Totp;

use crate::support::at;

fn now() -> Timestamp {
    at("2027-01-01T12:00:00Z")
}

/// Kind and address of every letter, oldest first.
async fn sent(db: &Db) -> Vec<(String, String)> {
    let letters = outbox(db).await.unwrap();
    letters
        .into_iter()
        .map(|letter| (letter.kind, letter.email))
        .collect()
}

fn is(kind: &str, email: &str) -> (String, String) {
    (kind.to_owned(), email.to_owned())
}

async fn last(db: &Db) -> OutboxLetter {
    outbox(db).await.unwrap().pop().unwrap()
}

/// Uses up the link of the last letter.
async fn follow(db: &Db, tx: &mut Tx, purpose: TokenPurpose) -> EmailToken {
    let token = Token::from_text(&last(db).await.text).unwrap();
    EmailToken::redeem(tx, &token, purpose, now())
        .await
        .unwrap()
        .unwrap()
}

fn password(text: &str) -> HashedPassword {
    HashedPassword::new(text).unwrap()
}

fn eve() -> NewRegistration<'static> {
    NewRegistration {
        name: "Eve",
        email: "eve@example.org",
        zone: "Nowhere/At_All",
        language: "ru",
    }
}

async fn register(db: &Db, new: &NewRegistration<'_>) -> Result<(), Error> {
    let mut tx = db.write().await?;
    let password = password("correct horse eve");
    User::register(&mut tx, new, &password, &PlainLetters, now()).await?;
    tx.commit().await
}

async fn account(db: &Db, email: &str) -> Option<User> {
    let mut tx = db.read().await.unwrap();
    User::by_email(&mut tx, email).await.unwrap()
}

async fn get(db: &Db, id: UserId) -> User {
    let mut tx = db.read().await.unwrap();
    User::get(&mut tx, id).await.unwrap().unwrap()
}

/// R30, R31: a free address gets a link that verifies it. A taken one, verified or not, gets a
/// letter that says so and keeps its account as it is.
#[tokio::test]
async fn registration_writes_to_the_holder_of_the_address() {
    let db = TestDb::new().await.unwrap();
    register(&db, &eve()).await.unwrap();
    assert_eq!(sent(&db).await, [is("verify", "eve@example.org")]);
    let made = account(&db, "eve@example.org").await.unwrap();
    assert_eq!((made.verified_at, made.role), (None, Role::User));
    assert_eq!(
        (made.zone.as_str(), made.language.as_deref()),
        ("UTC", Some("ru"))
    );
    // nothing that a stranger typed
    assert_eq!(last(&db).await.name, "");

    let again = NewRegistration {
        name: "Mallory",
        email: "EVE@example.org",
        ..eve()
    };
    register(&db, &again).await.unwrap();
    assert_eq!(sent(&db).await[1..], [is("known", "eve@example.org")]);
    assert_eq!(account(&db, "eve@example.org").await.unwrap(), made);
    // the letter opens the account to its holder
    let mut tx = db.write().await.unwrap();
    let grant = follow(&db, &mut tx, TokenPurpose::Reset).await;
    assert_eq!(grant.user_id, made.id);
}

/// R30: a wrong registration is refused before anything is looked up, with all its faults.
#[tokio::test]
async fn registration_is_checked_first() {
    let nobody = NewRegistration {
        name: " ",
        email: "eve@elsewhere.example",
        ..eve()
    };
    let some: Registration = "example.org".parse().unwrap();
    let Err(Error::Invalid(wrong)) = some.check(&nobody, "short") else {
        panic!("it was accepted");
    };
    let wrong: Vec<_> = wrong.iter().map(|e| (e.field.as_str(), e.code)).collect();
    assert_eq!(
        wrong[..2],
        [("name", "required"), ("email", "domain_not_allowed")]
    );
    assert_eq!(wrong[2].0, "password");
    some.check(&eve(), "correct horse battery").unwrap();
}

/// R31: a verified address ends its other links; the first account needs no letter.
#[tokio::test]
async fn verification_ends_its_links() {
    let db = TestDb::new().await.unwrap();
    let mut tx = db.write().await.unwrap();
    let password = password("correct horse eve");
    let first = User::register_first(&mut tx, &eve(), &password, now()).await;
    let first = first.unwrap().unwrap();
    let second = User::register_first(&mut tx, &eve(), &password, now()).await;
    assert_eq!(second.unwrap(), None);
    tx.commit().await.unwrap();
    let admin = get(&db, first).await;
    assert_eq!((admin.role, admin.verified_at), (Role::Admin, Some(now())));
    assert_eq!(sent(&db).await, []);

    let bob = NewRegistration {
        email: "bob@example.org",
        ..eve()
    };
    register(&db, &bob).await.unwrap();
    let old = Token::from_text(&last(&db).await.text).unwrap();
    let user = account(&db, "bob@example.org").await.unwrap();
    let mut tx = db.write().await.unwrap();
    user.send_verification(&mut tx, &PlainLetters, now())
        .await
        .unwrap();
    tx.commit().await.unwrap();
    assert_eq!(sent(&db).await[1..], [is("verify", "bob@example.org")]);
    let mut tx = db.write().await.unwrap();
    let grant = follow(&db, &mut tx, TokenPurpose::Verify).await;
    assert!(User::verify_email(&mut tx, &grant, now()).await.unwrap());
    let other = EmailToken::find(&mut tx, &old, TokenPurpose::Verify, now()).await;
    assert_eq!(other.unwrap(), None);
}

/// R30: a free address is asked to confirm the change; the holder of a taken one is told that it
/// has an account, and the account that asked is not changed.
#[tokio::test]
async fn change_of_address_asks_the_new_one() {
    let db = TestDb::new().await.unwrap();
    let ann = user(&db, "ann", Role::User).await.unwrap();
    user(&db, "bob", Role::User).await.unwrap();
    let ann = get(&db, ann).await;
    for (asked, letter) in [
        ("new@example.org", is("confirm-email", "new@example.org")),
        ("Bob@example.org", is("known", "bob@example.org")),
        // one's own, spelled differently
        ("ANN@example.org", is("confirm-email", "ANN@example.org")),
    ] {
        let address = EmailAddress::parse(asked).unwrap();
        let mut tx = db.write().await.unwrap();
        User::request_email_change(&mut tx, &ann, &address, &PlainLetters, now())
            .await
            .unwrap();
        tx.commit().await.unwrap();
        assert_eq!(sent(&db).await.pop(), Some(letter), "{asked}");
        assert_eq!(get(&db, ann.id).await, ann, "{asked}");
    }
}

async fn changed(db: &Db, user: &User, to: &str) -> bool {
    let address = EmailAddress::parse(to).unwrap();
    let mut tx = db.write().await.unwrap();
    User::request_email_change(&mut tx, user, &address, &PlainLetters, now())
        .await
        .unwrap();
    tx.commit().await.unwrap();
    let mut tx = db.write().await.unwrap();
    let grant = follow(db, &mut tx, TokenPurpose::ChangeEmail).await;
    let done = User::confirm_email_change(&mut tx, &grant, &PlainLetters, now()).await;
    tx.commit().await.unwrap();
    done.unwrap()
}

/// R30: the old address gets a link that undoes the change. Undoing ends everything that another
/// person may have set up, and the restored address gets a link for a new password.
#[tokio::test]
async fn change_of_address_can_be_undone_from_the_old_one() {
    let db = TestDb::new().await.unwrap();
    let ann = user(&db, "ann", Role::User).await.unwrap();
    let ann = get(&db, ann).await;
    assert!(changed(&db, &ann, "eve@example.org").await);
    assert_eq!(get(&db, ann.id).await.email, "eve@example.org");
    let letter = last(&db).await;
    assert_eq!(
        (letter.kind.as_str(), letter.email.as_str()),
        ("email-changed", "ann@example.org")
    );
    assert_eq!(letter.name, "");

    let session = SessionToken::random();
    let mut tx = db.write().await.unwrap();
    let new = NewSession {
        user: ann.id,
        address: "127.0.0.1",
        agent: "test",
        remember: true,
    };
    Session::create(&mut tx, &session, &new, now())
        .await
        .unwrap();
    let grant = follow(&db, &mut tx, TokenPurpose::UndoEmail).await;
    let done = User::undo_email_change(&mut tx, &grant, &PlainLetters, now()).await;
    assert!(done.unwrap());
    assert!(
        Session::user(&mut tx, &session, now())
            .await
            .unwrap()
            .is_none()
    );
    let hash = User::password_of(&mut tx, ann.id).await.unwrap();
    assert!(hash.is_none_or(|hash| !hash.matches("correct horse ann")));
    tx.commit().await.unwrap();
    assert_eq!(get(&db, ann.id).await.email, "ann@example.org");
    assert_eq!(sent(&db).await.pop(), Some(is("reset", "ann@example.org")));
}

/// R30: an address that was taken in the meantime is not changed to, and nobody is told.
#[tokio::test]
async fn change_to_a_taken_address_does_nothing() {
    let db = TestDb::new().await.unwrap();
    let ann = user(&db, "ann", Role::User).await.unwrap();
    let ann = get(&db, ann).await;
    let address = EmailAddress::parse("eve@example.org").unwrap();
    let mut tx = db.write().await.unwrap();
    User::request_email_change(&mut tx, &ann, &address, &PlainLetters, now())
        .await
        .unwrap();
    tx.commit().await.unwrap();
    let mut tx = db.write().await.unwrap();
    let grant = follow(&db, &mut tx, TokenPurpose::ChangeEmail).await;
    drop(tx);
    user(&db, "eve", Role::User).await.unwrap();
    let before = sent(&db).await;
    let mut tx = db.write().await.unwrap();
    let done = User::confirm_email_change(&mut tx, &grant, &PlainLetters, now()).await;
    assert!(!done.unwrap());
    tx.commit().await.unwrap();
    assert_eq!(get(&db, ann.id).await.email, "ann@example.org");
    assert_eq!(sent(&db).await, before);
}

async fn forgot(db: &Db, email: &str) {
    let mut tx = db.write().await.unwrap();
    User::request_password_reset(&mut tx, email, &PlainLetters, now())
        .await
        .unwrap();
    tx.commit().await.unwrap();
}

async fn block(db: &Db, id: UserId) {
    let mut tx = db.write().await.unwrap();
    Moderator::command()
        .block(&mut tx, id, "spam", "", now())
        .await
        .unwrap();
    tx.commit().await.unwrap();
}

/// R30: only an account that is not blocked gets a link for a new password. Using it is reported
/// to the account's address; a link of an account blocked since does nothing.
#[tokio::test]
async fn forgotten_password_is_reset_by_letter() {
    let db = TestDb::new().await.unwrap();
    let ann = user(&db, "ann", Role::User).await.unwrap();
    let bob = user(&db, "bob", Role::User).await.unwrap();
    block(&db, bob).await;
    forgot(&db, "nobody@example.org").await;
    forgot(&db, "bob@example.org").await;
    assert_eq!(sent(&db).await, []);
    forgot(&db, "ANN@example.org").await;
    assert_eq!(sent(&db).await, [is("reset", "ann@example.org")]);

    let new = password("another horse ann");
    let mut tx = db.write().await.unwrap();
    let grant = follow(&db, &mut tx, TokenPurpose::Reset).await;
    let done = User::reset_password(&mut tx, &grant, &new, &PlainLetters, now()).await;
    assert_eq!(done.unwrap().unwrap().id, ann);
    tx.commit().await.unwrap();
    assert_eq!(
        sent(&db).await[1..],
        [is("password-changed", "ann@example.org")]
    );
    let mut tx = db.read().await.unwrap();
    let hash = User::password_of(&mut tx, ann).await.unwrap().unwrap();
    assert!(hash.matches("another horse ann"));
    drop(tx);

    block(&db, ann).await;
    let mut tx = db.write().await.unwrap();
    let done = User::reset_password(&mut tx, &grant, &new, &PlainLetters, now()).await;
    assert_eq!(done.unwrap(), None);
    drop(tx);
    assert_eq!(sent(&db).await.len(), 2);
}

/// R30: changes of password and second factor by an administrator are reported to the user.
#[tokio::test]
async fn administrators_changes_are_reported() {
    let db = TestDb::new().await.unwrap();
    let ann = user(&db, "ann", Role::User).await.unwrap();
    let ann = get(&db, ann).await;
    let administrator = Administrator::command();
    let mut tx = db.write().await.unwrap();
    let new = password("another horse ann");
    administrator
        .set_password(&mut tx, &ann, &new, &PlainLetters, now())
        .await
        .unwrap();
    // there is none
    let removed = administrator
        .remove_second_factor(&mut tx, ann.id, "", &PlainLetters, now())
        .await;
    assert!(!removed.unwrap().unwrap().1);
    tx.commit().await.unwrap();
    assert_eq!(sent(&db).await, [is("password-changed", "ann@example.org")]);
    assert_eq!(last(&db).await.name, "ann");
}

/// The code that an authenticator shows.
fn code(url: &str) -> String {
    let seconds = u64::try_from(now().millis() / 1_000).unwrap();
    let totp = Totp::from_url_unchecked(url).unwrap();
    totp.generate(seconds).to_string()
}

/// A second factor that is not confirmed yet.
async fn pending_factor(tx: &mut Tx, key: &SecondFactorKey, user: &User) -> Setup {
    SecondFactor::begin(tx, key, user.id).await.unwrap();
    let setup = SecondFactor::setup(tx, key, user.id, "test", "ann").await;
    setup.unwrap().unwrap()
}

/// R30, R31: turning the second factor on and off is reported, a wrong code changes nothing, and an
/// account with a second factor is deleted only with its code.
#[tokio::test]
async fn second_factor_is_reported_and_asked_for_before_a_deletion() {
    let db = TestDb::new().await.unwrap();
    let ann = user(&db, "ann", Role::User).await.unwrap();
    let ann = get(&db, ann).await;
    let key = SecondFactorKey::new(&SecretKey::new([7; 32]));
    let mut tx = db.write().await.unwrap();
    let setup = pending_factor(&mut tx, &key, &ann).await;
    let letters = &PlainLetters;
    for (code, on) in [("000000".to_owned(), false), (code(&setup.url), true)] {
        let done = User::turn_second_factor_on(&mut tx, &ann, &key, &code, letters, now()).await;
        assert_eq!(done.unwrap(), on);
    }
    tx.commit().await.unwrap();
    assert_eq!(sent(&db).await, [is("second-factor-on", "ann@example.org")]);

    let mut tx = db.write().await.unwrap();
    let refused = User::delete_own(&mut tx, &ann, &key, "", letters, now()).await;
    let Err(Error::Invalid(wrong)) = refused else {
        panic!("deleted without a code");
    };
    assert_eq!(
        (wrong[0].field.as_str(), wrong[0].code),
        ("code", "wrong_code")
    );
    let off = User::turn_second_factor_off(&mut tx, &ann, &key, "", letters, now()).await;
    assert!(!off.unwrap());
    let recovery = &setup.codes[0];
    let off = User::turn_second_factor_off(&mut tx, &ann, &key, recovery, letters, now()).await;
    assert!(off.unwrap());
    tx.commit().await.unwrap();
    assert_eq!(
        sent(&db).await[1..],
        [is("second-factor-off", "ann@example.org")]
    );

    let mut tx = db.write().await.unwrap();
    User::delete_own(&mut tx, &ann, &key, "", letters, now())
        .await
        .unwrap();
    tx.commit().await.unwrap();
    let letter = last(&db).await;
    assert_eq!(
        (letter.kind.as_str(), letter.email.as_str()),
        ("account-deleted", "ann@example.org")
    );
    // it outlives the account
    assert_eq!((letter.owner_id, letter.name.as_str()), (None, "ann"));
}

/// R30: with the second factor on, its code deletes the account. The last administrator stays.
#[tokio::test]
async fn account_is_deleted_with_its_code() {
    let db = TestDb::new().await.unwrap();
    let ann = user(&db, "ann", Role::Admin).await.unwrap();
    let ann = get(&db, ann).await;
    let key = SecondFactorKey::new(&SecretKey::new([7; 32]));
    let mut tx = db.write().await.unwrap();
    let setup = pending_factor(&mut tx, &key, &ann).await;
    let code = code(&setup.url);
    SecondFactor::confirm(&mut tx, &key, ann.id, &code, now())
        .await
        .unwrap();
    tx.commit().await.unwrap();
    let mut tx = db.write().await.unwrap();
    let own = User::delete_own(&mut tx, &ann, &key, &setup.codes[0], &PlainLetters, now()).await;
    let Err(Error::Invalid(wrong)) = own else {
        panic!("the last administrator is gone");
    };
    assert_eq!(wrong[0].code, "last_administrator");
    drop(tx);
    assert_eq!(sent(&db).await, []);

    user(&db, "bob", Role::Admin).await.unwrap();
    let mut tx = db.write().await.unwrap();
    User::delete_own(&mut tx, &ann, &key, &setup.codes[0], &PlainLetters, now())
        .await
        .unwrap();
    tx.commit().await.unwrap();
    assert!(account(&db, "ann@example.org").await.is_none());
    assert_eq!(sent(&db).await, [is("account-deleted", "ann@example.org")]);
    let mut tx = db.write().await.unwrap();
    let again = User::delete(&mut tx, ann.id, Actor::COMMAND, "", &PlainLetters, now()).await;
    assert_eq!(again.unwrap(), None);
    tx.commit().await.unwrap();
    assert_eq!(sent(&db).await.len(), 1);
}
