//! TLS and AUTH.

use skychimp_smtp::testing::{Action, ServerScript, Step};
use skychimp_smtp::{Class, Connection, Credentials, Login, Outcome, Phase, Tls, TrustAnchors};

use crate::{connect, letter, outcomes, send_all};

/// S7: letters are sent over STARTTLS and over implicit TLS, with a verified certificate.
#[tokio::test]
async fn letters_go_over_tls() {
    for script in [
        ServerScript::new().starttls(),
        ServerScript::new().implicit_tls(),
    ] {
        let server = script.start().await;
        let mut connection = connect(&server).await;
        assert!(connection.is_encrypted());
        let letters: Vec<_> = (0..5)
            .map(letter)
            .chain([crate::big_letter(5, 1_000_000)])
            .collect();
        let reports = send_all(&mut connection, &letters).await;
        assert_eq!(outcomes(&reports), [Outcome::Sent; 6]);
        for (accepted, letter) in server.accepted().iter().zip(&letters) {
            assert!(accepted.data == letter.data);
        }
        connection.quit().await;
    }
}

/// S6, fault 16: replies injected before the handshake are dropped, and the old capabilities are
/// forgotten.
#[tokio::test]
async fn injected_octets_before_tls_are_dropped() {
    let server = ServerScript::new()
        .starttls()
        .extensions_after_tls(&["SIZE 1000"])
        .on(|at| match at.step {
            Step::StartTls => Action::reply("220 2.0.0 go\r\n250-evil\r\n250 PIPELINING"),
            _ => Action::Default,
        })
        .start()
        .await;
    let mut connection = connect(&server).await;
    assert!(connection.is_encrypted());
    assert!(!connection.capabilities().pipelining);
    assert_eq!(connection.capabilities().size, Some(1000));
    assert_eq!(server.count(Step::Ehlo), 2);
    let before = server.sent_ahead();
    let reports = send_all(&mut connection, &[letter(1), letter(2)]).await;
    assert_eq!(outcomes(&reports), [Outcome::Sent; 2]);
    assert_eq!(
        server.sent_ahead(),
        before,
        "serial after the capability is gone"
    );
}

/// S7, fault 16: if required TLS is not possible, the error gives the reason and nothing is sent.
#[tokio::test]
async fn required_tls_is_required() {
    let plain = ServerScript::new().start().await;
    let mut settings = plain.server();
    settings.tls = Tls::Required;
    let error = Connection::connect(&settings).await.unwrap_err();
    assert_eq!((error.class, error.phase), (Class::Tls, Phase::StartTls));

    let refusing = ServerScript::new()
        .starttls()
        .on(|at| match at.step {
            Step::StartTls => Action::reply("454 4.7.0 TLS not available"),
            _ => Action::Default,
        })
        .start()
        .await;
    let error = Connection::connect(&refusing.server()).await.unwrap_err();
    assert_eq!((error.class, error.code), (Class::Tls, Some(454)));

    let expired = ServerScript::new()
        .starttls()
        .expired_certificate()
        .start()
        .await;
    let error = Connection::connect(&expired.server()).await.unwrap_err();
    assert_eq!((error.class, error.phase), (Class::Tls, Phase::Tls));
    assert!(error.reply.contains("expired"), "{}", error.reply);

    let unknown = ServerScript::new().implicit_tls().start().await;
    let mut settings = unknown.server();
    settings.roots = TrustAnchors::Pem(expired.certificate().unwrap().into());
    let error = Connection::connect(&settings).await.unwrap_err();
    assert_eq!((error.class, error.phase), (Class::Tls, Phase::Tls));
}

/// Opportunistic TLS accepts any certificate and falls back to clear text if it fails.
#[tokio::test]
async fn opportunistic_tls_is_better_than_nothing() {
    let server = ServerScript::new()
        .starttls()
        .expired_certificate()
        .start()
        .await;
    let mut settings = server.server();
    settings.tls = Tls::Opportunistic;
    let connection = Connection::connect(&settings).await.unwrap();
    assert!(connection.is_encrypted());

    let broken = ServerScript::new()
        .starttls()
        .on(|at| match at.step {
            Step::StartTls => Action::ReplyAndClose("220 2.0.0 go\r\nno handshake".into()),
            _ => Action::Default,
        })
        .start()
        .await;
    let mut settings = broken.server();
    settings.tls = Tls::Opportunistic;
    let connection = Connection::connect(&settings).await.unwrap();
    assert!(!connection.is_encrypted());
}

/// S7: AUTH PLAIN and AUTH LOGIN work.
#[tokio::test]
async fn credentials_are_taken() {
    let server = ServerScript::new()
        .starttls()
        .auth("us@er", "p:äss")
        .start()
        .await;
    let mut connection = connect(&server).await;
    let reports = send_all(&mut connection, &[letter(1)]).await;
    assert_eq!(outcomes(&reports), [Outcome::Sent]);
    let dialogue = server.dialogue(1);
    assert!(
        dialogue
            .iter()
            .any(|line| line.starts_with("C: AUTH PLAIN "))
    );

    // the keyword as some old servers write it
    let login = ServerScript::new()
        .auth("user", "secret")
        .on(|at| match at.step {
            Step::Ehlo => Action::reply("250-x\r\n250 AUTH=LOGIN"),
            _ => Action::Default,
        })
        .start()
        .await;
    let mut connection = connect(&login).await;
    let reports = send_all(&mut connection, &[letter(1)]).await;
    assert_eq!(outcomes(&reports), [Outcome::Sent]);
}

/// S7, fault 20: wrong credentials are an error of the connection, in class `auth`.
#[tokio::test]
async fn wrong_credentials_fail_the_connection() {
    let server = ServerScript::new().auth("user", "right").start().await;
    let mut settings = server.server();
    settings.credentials = Some(Credentials {
        user: "user".into(),
        password: "wrong".into(),
    });
    let error = Connection::connect(&settings).await.unwrap_err();
    assert_eq!(
        (error.class, error.phase, error.code),
        (Class::Auth, Phase::Auth, Some(535))
    );
    assert_eq!(error.enhanced.as_deref(), Some("5.7.8"));
    assert!(!error.to_string().contains("wrong\u{0}"));
}

/// S7: credentials are never sent in clear text, except to a loopback address on request.
#[tokio::test]
async fn credentials_never_go_in_clear_text() {
    let server = ServerScript::new().auth("user", "secret").start().await;
    let mut settings = server.server();
    assert!(Connection::connect(&settings).await.is_ok());
    settings.clear_text_auth = false;
    settings.tls = Tls::Opportunistic;
    let error = Connection::connect(&settings).await.unwrap_err();
    assert_eq!((error.class, error.phase), (Class::Tls, Phase::Auth));
    assert!(
        !server
            .dialogue(2)
            .iter()
            .any(|line| line.contains("AUTH PLAIN ") && line.starts_with("C:"))
    );
}

/// S7: AUTH XOAUTH2 sends an access token; a refusal is read to its end and is an error of the
/// connection.
#[tokio::test]
async fn tokens_are_taken() {
    let server = ServerScript::new()
        .starttls()
        .auth_by_token("me@example.org", "ya29.t0ken")
        .start()
        .await;
    let mut connection = connect(&server).await;
    let reports = send_all(&mut connection, &[letter(1)]).await;
    assert_eq!(outcomes(&reports), [Outcome::Sent]);

    let mut settings = server.server();
    settings.credentials.as_mut().unwrap().password = "expired".into();
    let error = Connection::connect(&settings).await.unwrap_err();
    assert_eq!(
        (error.class, error.phase, error.code),
        (Class::Auth, Phase::Auth, Some(535))
    );
    let passwords_only = ServerScript::new().auth("me", "secret").start().await;
    let mut settings = passwords_only.server();
    settings.login = Login::Token;
    let error = Connection::connect(&settings).await.unwrap_err();
    assert_eq!((error.class, error.phase), (Class::Auth, Phase::Auth));
}

/// S7: the token file is read at every login, and again after a 535.
#[tokio::test]
async fn token_file_is_read_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("token");
    std::fs::write(&path, "stale\n").unwrap();
    let renewed = path.clone();
    let server = ServerScript::new()
        .auth_by_token("me@example.org", "fresh")
        .on(move |at| {
            if (at.step, at.nth) == (Step::Auth, 1) {
                // the file is refreshed while the server is checking the old token
                std::fs::write(&renewed, "fresh\n").unwrap();
            }
            Action::Default
        })
        .start()
        .await;
    let mut settings = server.server();
    settings.login = Login::TokenFile(path.clone());
    assert!(Connection::connect(&settings).await.is_ok());
    assert!(Connection::connect(&settings).await.is_ok());
    assert_eq!((server.count(Step::Auth), server.connections()), (3, 2));

    std::fs::write(&path, "revoked").unwrap();
    let error = Connection::connect(&settings).await.unwrap_err();
    assert_eq!((error.class, error.code), (Class::Auth, Some(535)));
    assert_eq!(
        server.count(Step::Auth),
        4,
        "the same token is not tried twice"
    );
    std::fs::remove_file(&path).unwrap();
    let error = Connection::connect(&settings).await.unwrap_err();
    assert_eq!((error.class, error.phase), (Class::Auth, Phase::Auth));
    assert!(error.reply.contains("token"), "{}", error.reply);
}
