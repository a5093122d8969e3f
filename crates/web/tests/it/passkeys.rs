//! Passkeys, with a test authenticator that makes keys and signs as specified in `WebAuthn` Level 2
//! §6.

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _};
use axum::http::StatusCode;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use skychimp_core::accounts::user::Role;
use skychimp_core::testing::execute;

use crate::browser::{Answer, Browser, Site};
use crate::second_factor::Ann;

const ORIGIN: &str = "http://mail.example.org";
/// User present and verified.
const VERIFIED: u8 = 0b0101;
/// User present, not verified.
const TOUCHED: u8 = 0b0001;

/// A passkey on an authenticator.
struct Key {
    id: Vec<u8>,
    pair: EcdsaKeyPair,
    user: String,
    counter: u32,
    origin: &'static str,
    flags: u8,
}

fn text(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

fn client_data(act: &str, asked: &Value, origin: &str) -> Vec<u8> {
    let challenge = &asked["publicKey"]["challenge"];
    json!({"type": act, "challenge": challenge, "origin": origin, "crossOrigin": false})
        .to_string()
        .into_bytes()
}

impl Key {
    /// Creates a passkey, and the response with its public key.
    fn make(asked: &Value) -> (Self, String) {
        let options = &asked["publicKey"];
        assert_eq!(options["rp"]["id"], "mail.example.org");
        assert_eq!(options["authenticatorSelection"]["residentKey"], "required");
        let key = Self {
            id: rand::random::<[u8; 16]>().to_vec(),
            pair: EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).unwrap(),
            user: options["user"]["id"].as_str().unwrap().to_owned(),
            counter: 0,
            origin: ORIGIN,
            flags: VERIFIED,
        };
        let mut data = key.authenticator_data(VERIFIED | 0b0100_0000);
        data.extend([0; 16]);
        data.extend([0, 16]);
        data.extend(&key.id);
        // a CBOR map: an ES256 elliptic curve key with both coordinates
        let point = key.pair.public_key().as_ref();
        data.extend([0xa5, 1, 2, 3, 0x26, 0x20, 1, 0x21, 0x58, 32]);
        data.extend(&point[1..33]);
        data.extend([0x22, 0x58, 32]);
        data.extend(&point[33..]);
        let length = u8::try_from(data.len()).unwrap();
        let mut attestation = b"\xa3\x63fmt\x64none\x67attStmt\xa0\x68authData\x58".to_vec();
        attestation.push(length);
        attestation.extend(data);
        let client = client_data("webauthn.create", asked, ORIGIN);
        let answer = json!({
            "id": text(&key.id),
            "rawId": text(&key.id),
            "type": "public-key",
            "response": {"attestationObject": text(&attestation), "clientDataJSON": text(&client)},
            "clientExtensionResults": {"credProps": {"rk": true}},
        });
        (key, answer.to_string())
    }

    fn authenticator_data(&self, flags: u8) -> Vec<u8> {
        let site = digest(&SHA256, b"mail.example.org");
        let mut data = site.as_ref().to_vec();
        data.push(flags);
        data.extend(self.counter.to_be_bytes());
        data
    }

    /// Signs a challenge.
    fn answer(&mut self, asked: &Value) -> String {
        self.counter += 1;
        let data = self.authenticator_data(self.flags);
        let client = client_data("webauthn.get", asked, self.origin);
        let signed = [data.as_slice(), digest(&SHA256, &client).as_ref()].concat();
        let signature = self.pair.sign(&SystemRandom::new(), &signed).unwrap();
        json!({
            "id": text(&self.id),
            "rawId": text(&self.id),
            "type": "public-key",
            "response": {
                "authenticatorData": text(&data),
                "clientDataJSON": text(&client),
                "signature": text(signature.as_ref()),
                "userHandle": self.user,
            },
            "clientExtensionResults": {},
        })
        .to_string()
    }
}

fn read(answer: &Answer) -> Value {
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
    serde_json::from_str(&answer.body).unwrap()
}

async fn begin(browser: &mut Browser, name: &str, password: &str) -> Answer {
    let form = [("passkey_name", name), ("passkey_password", password)];
    browser.post("/account/passkeys/begin", &form).await
}

/// Adds a passkey to the account `name`.
async fn added(browser: &mut Browser, name: &str) -> Key {
    browser.get("/account/security").await;
    let password = format!("correct horse {name}");
    let asked = read(&begin(browser, "Phone", &password).await);
    let (key, answer) = Key::make(&asked);
    let form = [("passkey_name", "Phone"), ("credential", answer.as_str())];
    let done = browser.post("/account/passkeys", &form).await;
    assert_eq!(done.status, StatusCode::SEE_OTHER, "{}", done.body);
    key
}

/// Logs in with a passkey; also returns the response, so that it can be replayed.
async fn come_in(browser: &mut Browser, key: &mut Key) -> (Answer, String) {
    browser.get("/login").await;
    let asked = read(&browser.post("/login/passkey/begin", &[]).await);
    let answer = key.answer(&asked);
    let form = [("credential", answer.as_str()), ("next", "/account")];
    (browser.post("/login/passkey", &form).await, answer)
}

/// R31: a passkey logs in without address and password; each response works once; adding one is
/// reported by letter.
#[tokio::test]
async fn passkey_opens_its_account() {
    let site = Site::new().await;
    site.user("ann", Role::User).await;
    site.user("bob", Role::User).await;
    let mut ann = site.login("ann").await;
    let mut key = added(&mut ann, "ann").await;
    let page = ann.get("/account/security").await.body;
    assert!(page.contains("value=\"Phone\""), "{page}");
    let letters = site.letters_to("ann@example.org").await;
    assert_eq!(letters[0].kind, "passkey-added");

    let mut browser = site.stranger();
    let (inside, answer) = come_in(&mut browser, &mut key).await;
    assert_eq!(inside.location(), "/account", "{}", inside.body);
    let page = browser.get("/account").await.body;
    assert!(page.contains("ann@example.org"), "{page}");

    let mut thief = site.stranger();
    thief.get("/login").await;
    read(&thief.post("/login/passkey/begin", &[]).await);
    let form = [("credential", answer.as_str())];
    for _ in 0..2 {
        let again = thief.post("/login/passkey", &form).await;
        assert_eq!(again.status, StatusCode::UNPROCESSABLE_ENTITY);
    }
    assert_eq!(thief.get("/account").await.status, StatusCode::SEE_OTHER);
}

/// R31: an unverified user, a challenge from another site, a copied key, a removed key and a
/// blocked user are all rejected. Removing a key needs the password and is reported by letter.
#[tokio::test]
async fn wrong_passkeys_open_nothing() {
    let site = Site::new().await;
    let id = site.user("ann", Role::User).await;
    let mut ann = site.login("ann").await;
    let mut key = added(&mut ann, "ann").await;
    let status = async |key: &mut Key| come_in(&mut site.stranger(), key).await.0.status;
    let refused = StatusCode::UNPROCESSABLE_ENTITY;
    key.flags = TOUCHED;
    assert_eq!(status(&mut key).await, refused);
    key.flags = VERIFIED;
    key.origin = "http://mail.example.org.evil.example";
    assert_eq!(status(&mut key).await, refused);
    key.origin = ORIGIN;
    assert_eq!(status(&mut key).await, StatusCode::SEE_OTHER);
    key.counter -= 1;
    assert_eq!(status(&mut key).await, refused, "a copy");
    key.counter += 10;
    assert_eq!(status(&mut key).await, StatusCode::SEE_OTHER);
    let block = "UPDATE users SET blocked_at = 1 WHERE id = $1";
    execute(&site.db, block, id).await.unwrap();
    assert_eq!(status(&mut key).await, refused);
    let unblock = "UPDATE users SET blocked_at = NULL WHERE id = $1";
    execute(&site.db, unblock, id).await.unwrap();
    let page = ann.get("/account/security").await.body;
    let (_, rest) = page.split_once("action=\"/account/passkeys/").unwrap();
    let remove = format!("/account/passkeys/{}/remove", &rest[..36]);
    for password in ["", "wrong horse"] {
        let wrong = ann.post(&remove, &[("passkey_current", password)]).await;
        assert_eq!(wrong.status, StatusCode::UNPROCESSABLE_ENTITY);
        assert!(wrong.body.contains("aria-invalid=\"true\""));
        assert_eq!(status(&mut key).await, StatusCode::SEE_OTHER);
    }
    let right = [("passkey_current", "correct horse ann")];
    assert_eq!(
        ann.post(&remove, &right).await.location(),
        "/account/security"
    );
    assert_eq!(status(&mut key).await, refused);
    let letters = site.letters_to("ann@example.org").await;
    assert_eq!(letters.last().unwrap().kind, "passkey-removed");
}

/// R31: a passkey replaces the code after the password, but only the user's own, in the login that
/// asked for it.
#[tokio::test]
async fn passkey_is_a_second_factor() {
    let mut ann = Ann::new().await;
    let mut key = added(&mut ann.browser, "ann").await;
    ann.site.user("bob", Role::User).await;
    let mut bob = ann.site.login("bob").await;
    let mut other = added(&mut bob, "bob").await;
    let mut browser = ann.half_in().await;
    let asked = read(&browser.post("/login/code/passkey/begin", &[]).await);
    let foreign = other.answer(&asked);
    let form = [("credential", foreign.as_str())];
    let wrong = browser.post("/login/code/passkey", &form).await;
    assert_eq!(wrong.status, StatusCode::UNPROCESSABLE_ENTITY);
    let late = key.answer(&asked);
    let form = [("credential", late.as_str())];
    let wrong = browser.post("/login/code/passkey", &form).await;
    assert_eq!(
        wrong.status,
        StatusCode::UNPROCESSABLE_ENTITY,
        "the question was answered"
    );
    let asked = read(&browser.post("/login/code/passkey/begin", &[]).await);
    let answer = key.answer(&asked);
    let form = [("credential", answer.as_str()), ("next", "/account")];
    let inside = browser.post("/login/code/passkey", &form).await;
    assert_eq!(inside.location(), "/account", "{}", inside.body);
    assert_eq!(browser.get("/account").await.status, StatusCode::OK);
}

/// R31, R33: adding a passkey requires the password and a verified account; only its owner can
/// rename or remove it.
#[tokio::test]
async fn passkeys_are_their_owners() {
    let site = Site::new().await;
    let id = site.user("ann", Role::User).await;
    site.user("bob", Role::User).await;
    let mut ann = site.login("ann").await;
    let mut bob = site.login("bob").await;
    added(&mut ann, "ann").await;
    for (name, password, sentence) in [
        ("Key", "wrong horse", "not your current password"),
        (" ", "correct horse ann", "Fill in this field"),
    ] {
        let answer = begin(&mut ann, name, password).await;
        assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY);
        assert!(answer.body.contains(sentence), "{}", answer.body);
    }
    let page = ann.get("/account/security").await.body;
    let (_, rest) = page.split_once("action=\"/account/passkeys/").unwrap();
    let path = format!("/account/passkeys/{}", &rest[..36]);
    let name = [("passkey_name", "Key <1>")];
    bob.get("/account/security").await;
    for foreign in [path.clone(), format!("{path}/remove")] {
        assert_eq!(
            bob.post(&foreign, &name).await.status,
            StatusCode::NOT_FOUND
        );
    }
    ann.post(&path, &name).await;
    let page = ann.get("/account/security").await.body;
    assert!(page.contains("Key &#60;1&#62;"), "{page}");
    let unverify = "UPDATE users SET verified_at = NULL WHERE id = $1";
    execute(&site.db, unverify, id).await.unwrap();
    let answer = begin(&mut ann, "Key", "correct horse ann").await;
    assert!(
        answer.body.contains("Verify your address"),
        "{}",
        answer.body
    );
}
