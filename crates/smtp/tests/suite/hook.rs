//! The hook before the content, and probing without sending.

use skychimp_smtp::testing::{Action, ServerScript, Step};
use skychimp_smtp::{Class, Outcome, Phase};

use crate::{SENT, connect, letter, send, summary};

/// The hook is called once per letter, just before its content, and not for refused letters.
#[tokio::test]
async fn hook_comes_just_before_the_content() {
    let server = ServerScript::new()
        .on(|at| match (at.step, &*at.address) {
            (Step::Rcpt, "r2@example.org") => Action::reply("550 no"),
            _ => Action::Default,
        })
        .start()
        .await;
    let mut connection = connect(&server).await;
    let letters = [letter(1), letter(2), letter(3)];
    let mut called = Vec::new();
    for (n, letter) in letters.iter().enumerate() {
        connection
            .send(letter, letters.get(n + 1), &mut |id| {
                called.push((id, server.count(Step::Content)));
                true
            })
            .await;
    }
    assert_eq!(called, [(1, 0), (3, 1)]);
}

/// Scenario 21: a letter withheld after its 354 sends nothing: no content, no dot, no command.
#[tokio::test]
async fn letter_that_is_held_back_never_leaves() {
    for script in [
        ServerScript::new(),
        ServerScript::new().without_pipelining(),
    ] {
        let server = script.start().await;
        let mut connection = connect(&server).await;
        let report = connection.send(&letter(1), None, &mut |_| false).await;
        assert_eq!(
            summary(&report),
            (Outcome::NotTried, Class::Withheld, Phase::Data, None)
        );
        assert!(!connection.is_usable());
        connection.quit().await;
        server.wait_until_idle().await;
        assert_eq!(
            (server.count(Step::Data), server.count(Step::Content)),
            (1, 0)
        );
        assert_eq!(server.accepted(), []);
    }
}

/// R5: a server can be asked whether it would accept a letter, without sending one.
#[tokio::test]
async fn probe_sends_nothing() {
    let server = ServerScript::new()
        .on(|at| match (at.step, &*at.address) {
            (Step::Mail, "stranger@example.org") => Action::reply("553 5.7.1 not your address"),
            (Step::Rcpt, "far@example.com") => Action::reply("554 5.7.1 relay access denied"),
            _ => Action::Default,
        })
        .start()
        .await;
    let mut connection = connect(&server).await;
    let mut probe = async |from: &str, to: &str| {
        let refused = connection.probe(from, to).await.err();
        refused.map(|report| (report.outcome, report.phase, report.code))
    };
    assert_eq!(probe("s@example.org", "near@example.org").await, None);
    assert_eq!(
        probe("s@example.org", "far@example.com").await,
        Some((Outcome::Failed, Phase::Rcpt, Some(554)))
    );
    assert_eq!(
        probe("stranger@example.org", "near@example.org").await,
        Some((Outcome::Failed, Phase::Mail, Some(553)))
    );
    // the connection remains usable
    let report = send(&mut connection, &letter(1)).await;
    assert_eq!(summary(&report), SENT);
    assert_eq!(
        (
            server.count(Step::Data),
            server.count(Step::Rset),
            server.connections()
        ),
        (1, 2, 1)
    );
}
