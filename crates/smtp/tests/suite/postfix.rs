//! Tests against the real Postfix started by `tests/services.sh`; skipped without it.

use std::time::{Duration, Instant};

use skychimp_smtp::{
    Class, Connection, Credentials, Letter, Outcome, Phase, Pool, Server, Tls, TrustAnchors,
};

use crate::{big_letter, letter, letter_to, outcomes, send_all, summary};

/// The address of a peer, from the environment. Without it a test ends early and passes, but with
/// `TESTS_REQUIRE_ALL=1` it fails.
fn peer_at(variable: &str) -> Option<String> {
    let address = std::env::var(variable).ok();
    let required = std::env::var("TESTS_REQUIRE_ALL").is_ok_and(|value| value == "1");
    assert!(
        address.is_some() || !required,
        "{variable} is missing, and TESTS_REQUIRE_ALL=1"
    );
    address
}

/// The server in an environment variable, with its certificate authority.
fn postfix(variable: &str, tls: Tls) -> Option<Server> {
    let address = peer_at(variable)?;
    let (_, port) = address.rsplit_once(':').unwrap();
    let mut server = Server::new("localhost", port.parse().unwrap());
    server.tls = tls;
    let authority = std::env::var("TEST_POSTFIX_CA").unwrap();
    server.roots = TrustAnchors::Pem(std::fs::read_to_string(authority).unwrap());
    Some(server)
}

/// Number of letters containing this word that Postfix has delivered.
fn delivered(word: &str) -> usize {
    let folder = std::env::var("TEST_POSTFIX_MAILDIR").unwrap();
    let Ok(entries) = std::fs::read_dir(folder) else {
        return 0;
    };
    entries
        .filter_map(|entry| std::fs::read(entry.unwrap().path()).ok())
        .filter(|data| memchr::memmem::find(data, word.as_bytes()).is_some())
        .count()
}

async fn wait_for_delivered(word: &str, letters: usize) {
    let until = Instant::now() + Duration::from_mins(1);
    while delivered(word) < letters && Instant::now() < until {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(delivered(word), letters);
}

fn marked(word: &str, letter: Letter) -> Letter {
    let head = format!("X-Mark: {word}\r\n");
    Letter {
        data: [head.as_bytes(), &letter.data].concat().into(),
        ..letter
    }
}

/// S6, S7, hazards: with full pipelining, in clear text and with STARTTLS, every letter arrives
/// once.
#[tokio::test(flavor = "multi_thread")]
async fn postfix_takes_every_letter_once() {
    for (tls, word) in [(Tls::None, "mark-clear"), (Tls::Required, "mark-tls")] {
        let Some(mut server) = postfix("TEST_POSTFIX", tls) else {
            return;
        };
        // the suite runs twice against one Postfix
        let word = format!("{word}-{}-", std::process::id());
        server.connections = 4;
        let pool = Pool::new(server);
        let tasks: Vec<_> = (0..4)
            .map(|worker| {
                let (pool, word) = (pool.clone(), word.clone());
                tokio::spawn(async move {
                    let letters: Vec<_> = (0..50)
                        .map(|n| marked(&word, letter(worker * 100 + n)))
                        .chain([marked(&word, big_letter(worker * 100 + 50, 500_000))])
                        .collect();
                    let mut lease = pool.acquire().await.unwrap();
                    for (n, letter) in letters.iter().enumerate() {
                        let report = lease.send(letter, letters.get(n + 1), &mut |_| true).await;
                        assert_eq!(report.outcome, Outcome::Sent, "{report:?}");
                    }
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
        pool.close().await;
        wait_for_delivered(&word, 204).await;
    }
}

/// S4, R26: Postfix's refusal of one recipient does not affect the others.
#[tokio::test(flavor = "multi_thread")]
async fn postfix_refusals_are_told_apart() {
    let Some(server) = postfix("TEST_POSTFIX", Tls::Opportunistic) else {
        return;
    };
    let mut connection = Connection::connect(&server).await.unwrap();
    let letters = [
        letter(1),
        letter_to(2, "refused@example.org"),
        letter(3),
        letter_to(4, "later@example.org"),
        letter_to(5, "почта@example.org"),
        letter(6),
    ];
    let reports = send_all(&mut connection, &letters).await;
    assert_eq!(
        outcomes(&reports),
        [
            Outcome::Sent,
            Outcome::Failed,
            Outcome::Sent,
            Outcome::Deferred,
            Outcome::Sent,
            Outcome::Sent
        ],
        "{reports:#?}"
    );
    assert_eq!(
        summary(&reports[1]),
        (Outcome::Failed, Class::Permanent, Phase::Rcpt, Some(550))
    );
    assert_eq!(reports[1].enhanced.as_deref(), Some("5.1.1"));
    assert_eq!(
        summary(&reports[3]),
        (Outcome::Deferred, Class::Temporary, Phase::Rcpt, Some(450))
    );
    assert!(
        reports[0].reply.contains("queued as"),
        "{}",
        reports[0].reply
    );
}

/// S7: submission works with a login; a wrong password is an error of the connection.
#[tokio::test(flavor = "multi_thread")]
async fn postfix_takes_credentials() {
    let Some(mut server) = postfix("TEST_POSTFIX_SUBMISSION", Tls::Required) else {
        return;
    };
    let credentials = |password: &str| {
        Some(Credentials {
            user: "skychimp".into(),
            password: password.into(),
        })
    };
    server.credentials = credentials("wrong");
    let error = Connection::connect(&server).await.unwrap_err();
    assert_eq!(
        (error.class, error.phase),
        (Class::Auth, Phase::Auth),
        "{error}"
    );
    server.credentials = credentials("correct horse");
    let mut connection = Connection::connect(&server).await.unwrap();
    let reports = send_all(&mut connection, &[letter(1), letter(2)]).await;
    assert_eq!(outcomes(&reports), [Outcome::Sent; 2]);
}
