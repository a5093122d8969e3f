//! The envelope of the upcoming letter is sent behind the current content: the hazards of full
//! pipelining.

use std::time::Duration;

use skychimp_smtp::testing::{Action, ServerScript, Step};
use skychimp_smtp::{Class, Connection, Outcome, Phase, Server, Tls};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::{SENT, big_letter, connect, letter, outcomes, send_all, summary};

/// One round trip per letter: all commands of a letter arrive before the reply to the previous
/// content.
#[tokio::test]
async fn one_round_trip_per_letter() {
    let server = ServerScript::new()
        .on(|at| match at.step {
            // delays the dot's reply: commands that waited for it would arrive after it
            Step::EndOfData => Action::delay(Duration::from_millis(20)),
            _ => Action::Default,
        })
        .start()
        .await;
    let mut connection = connect(&server).await;
    let letters: Vec<_> = (0..10).map(letter).collect();
    let reports = send_all(&mut connection, &letters).await;
    assert_eq!(outcomes(&reports), [Outcome::Sent; 10]);
    assert_eq!(server.recipients().len(), 10);
    for (accepted, letter) in server.accepted().iter().zip(&letters) {
        assert_eq!(accepted.data, letter.data);
    }
    // MAIL and RCPT of every letter and every dot but the last had input behind them
    assert_eq!(server.sent_ahead(), 2 * 10 + 9);
}

/// Hazard 1, S8: if a reply is missing, no acceptance is attributed to the wrong letter.
#[tokio::test]
async fn missing_reply_puts_the_letter_in_doubt() {
    let server = ServerScript::new()
        .on(|at| match (at.step, at.nth) {
            (Step::EndOfData, 2) => Action::Skip,
            _ => Action::Default,
        })
        .start()
        .await;
    let mut connection = connect(&server).await;
    let letters: Vec<_> = (0..4).map(letter).collect();
    let reports = send_all(&mut connection, &letters).await;
    assert_eq!(
        outcomes(&reports),
        [
            Outcome::Sent,
            Outcome::InDoubt,
            Outcome::NotTried,
            Outcome::NotTried
        ]
    );
    assert_eq!(reports[1].class, Class::Protocol);
    assert_eq!(server.count(Step::Content), 2);
}

/// Hazard 1: a missing reply within the group closes the connection.
#[tokio::test]
async fn missing_reply_in_the_group_closes() {
    for step in [Step::Mail, Step::Rcpt] {
        let server = ServerScript::new()
            .on(move |at| {
                if at.step == step && at.nth == 2 {
                    Action::Skip
                } else {
                    Action::Default
                }
            })
            .start()
            .await;
        let mut connection = connect(&server).await;
        let letters: Vec<_> = (0..3).map(letter).collect();
        let reports = send_all(&mut connection, &letters).await;
        // it is unknown which reply is missing, so the previous letter is in doubt too
        assert_eq!(
            outcomes(&reports),
            [Outcome::InDoubt, Outcome::NotTried, Outcome::NotTried],
            "{step:?}"
        );
        assert_eq!(server.accepted().len(), 1);
    }
}

/// Hazard 1: an extra reply closes the connection before more content is sent.
#[tokio::test]
async fn extra_reply_closes() {
    for step in [Step::Mail, Step::Rcpt, Step::EndOfData] {
        let server = ServerScript::new()
            .on(move |at| {
                if at.step == step && at.nth == 2 {
                    Action::Extra("250 2.0.0 once more".into())
                } else {
                    Action::Default
                }
            })
            .start()
            .await;
        let mut connection = connect(&server).await;
        let letters: Vec<_> = (0..4).map(letter).collect();
        let reports = send_all(&mut connection, &letters).await;
        let sent = outcomes(&reports)
            .iter()
            .filter(|outcome| **outcome == Outcome::Sent)
            .count();
        assert_eq!(sent, server.accepted().len(), "{step:?}: {reports:#?}");
        assert!(!connection.is_usable());
        assert!(
            !outcomes(&reports).contains(&Outcome::InDoubt)
                && !outcomes(&reports).contains(&Outcome::Failed),
            "{reports:#?}"
        );
    }
}

/// Hazard 2, fault 4: after a 250 and a 421 for the next MAIL, the letter is sent and the next one
/// untouched.
#[tokio::test]
async fn limit_of_letters_leaves_the_next_untouched() {
    for action in [
        Action::ReplyAndClose("421 4.7.0 too many messages".into()),
        Action::Close,
    ] {
        let server = ServerScript::new()
            .on(move |at| match (at.step, at.nth_here) {
                (Step::Mail, 4) => action.clone(),
                _ => Action::Default,
            })
            .start()
            .await;
        let mut connection = connect(&server).await;
        let letters: Vec<_> = (0..5).map(letter).collect();
        let reports = send_all(&mut connection, &letters).await;
        assert_eq!(
            outcomes(&reports),
            [
                Outcome::Sent,
                Outcome::Sent,
                Outcome::Sent,
                Outcome::NotTried,
                Outcome::NotTried
            ]
        );
        assert_eq!(reports[3].phase, Phase::Mail);
        assert!(connection.was_cut_off());
        assert_eq!(connection.carried(), 3);
    }
}

/// Hazard 3: 421 or a close instead of the reply to the dot affects that letter only.
#[tokio::test]
async fn end_at_the_dot_leaves_the_next_untouched() {
    for (action, outcome) in [
        (
            Action::ReplyAndClose("421 4.3.2 shutting down".into()),
            Outcome::Deferred,
        ),
        (Action::Close, Outcome::InDoubt),
    ] {
        let server = ServerScript::new()
            .on(move |at| match (at.step, at.nth) {
                (Step::EndOfData, 2) => action.clone(),
                _ => Action::Default,
            })
            .start()
            .await;
        let mut connection = connect(&server).await;
        let letters: Vec<_> = (0..3).map(letter).collect();
        let reports = send_all(&mut connection, &letters).await;
        assert_eq!(
            outcomes(&reports),
            [Outcome::Sent, outcome, Outcome::NotTried]
        );
    }
}

/// Hazard 5: if the announced recipient is refused but DATA accepted, a lone dot ends the
/// transaction.
#[tokio::test]
async fn refused_announcement_ends_with_a_lone_dot() {
    let server = ServerScript::new()
        .on(|at| match (at.step, at.nth) {
            (Step::Rcpt, 2) => Action::reply("550 5.1.1 no such user"),
            (Step::Data, 2) => Action::reply("354 go on"),
            _ => Action::Default,
        })
        .start()
        .await;
    let mut connection = connect(&server).await;
    let letters: Vec<_> = (0..4).map(letter).collect();
    let reports = send_all(&mut connection, &letters).await;
    assert_eq!(
        outcomes(&reports),
        [Outcome::Sent, Outcome::Failed, Outcome::Sent, Outcome::Sent]
    );
    assert_eq!(server.connections(), 1);
    assert_eq!(
        server.recipients(),
        ["r0@example.org", "r2@example.org", "r3@example.org"]
    );
}

/// Hazard 5: if MAIL is refused but RCPT and DATA accepted, no lone dot is sent: it would be an
/// empty letter.
#[tokio::test]
async fn no_lone_dot_to_an_accepted_recipient() {
    let server = ServerScript::new()
        .on(|at| match (at.step, at.nth) {
            (Step::Mail, 2) => Action::reply("451 4.3.0 not now"),
            (Step::Rcpt, 2) => Action::reply("250 2.1.5 whatever"),
            (Step::Data, 2) => Action::reply("354 go on"),
            _ => Action::Default,
        })
        .start()
        .await;
    let mut connection = connect(&server).await;
    let letters: Vec<_> = (0..3).map(letter).collect();
    let reports = send_all(&mut connection, &letters).await;
    assert_eq!(
        outcomes(&reports),
        [Outcome::Sent, Outcome::Deferred, Outcome::NotTried]
    );
    assert_eq!(server.accepted().len(), 1);
}

/// Hazard 6: RSET follows a group that was refused as a whole.
#[tokio::test]
async fn refused_group_is_left_by_reset() {
    for step in [Step::Mail, Step::Rcpt, Step::Data] {
        let server = ServerScript::new()
            .on(move |at| {
                if at.step == step && at.nth == 2 {
                    Action::reply("451 4.3.0 not now")
                } else {
                    Action::Default
                }
            })
            .start()
            .await;
        let mut connection = connect(&server).await;
        let letters: Vec<_> = (0..4).map(letter).collect();
        let reports = send_all(&mut connection, &letters).await;
        assert_eq!(
            outcomes(&reports),
            [
                Outcome::Sent,
                Outcome::Deferred,
                Outcome::Sent,
                Outcome::Sent
            ],
            "{step:?}"
        );
        assert_eq!(server.count(Step::Content), 3, "{step:?}");
    }
}

/// Hazard 8: DATA is the last of its group, and content follows only its 354.
#[tokio::test]
async fn content_waits_for_the_354() {
    let server = ServerScript::new()
        .on(|at| match at.step {
            Step::Data => Action::delay(Duration::from_millis(30)),
            _ => Action::Default,
        })
        .start()
        .await;
    let mut connection = connect(&server).await;
    let letters: Vec<_> = (0..3).map(letter).collect();
    let reports = send_all(&mut connection, &letters).await;
    assert_eq!(outcomes(&reports), [Outcome::Sent; 3]);
    assert_eq!(server.sent_ahead(), 2 * 3 + 2, "nothing behind DATA");
}

/// Hazard 9: full windows in both directions do not deadlock, and replies stay in order.
#[tokio::test]
async fn full_windows_do_not_block() {
    let long = vec!["250-".to_owned() + &"x".repeat(120); 150].join("\r\n") + "\r\n250 done";
    let server = ServerScript::new()
        .receive_buffer(4096)
        .on(move |at| match at.step {
            Step::Mail | Step::Rcpt | Step::EndOfData => Action::reply(long.clone()),
            _ => Action::Default,
        })
        .start()
        .await;
    let mut connection = connect(&server).await;
    let letters: Vec<_> = (0..4).map(|n| big_letter(n, 1_000_000)).collect();
    let reports = send_all(&mut connection, &letters).await;
    assert_eq!(outcomes(&reports), [Outcome::Sent; 4]);
    assert!(reports[0].reply.len() <= skychimp_smtp::reply::MAX_TEXT);
}

/// Hazard 10: the last letter of a connection is followed by QUIT, and nothing is announced behind
/// it.
#[tokio::test]
async fn last_letter_carries_quit() {
    let server = ServerScript::new().start().await;
    let mut settings = server.server();
    settings.messages_per_connection = Some(2);
    let mut connection = Connection::connect(&settings).await.unwrap();
    let letters: Vec<_> = (0..3).map(letter).collect();
    let reports = send_all(&mut connection, &letters).await;
    assert_eq!(
        outcomes(&reports),
        [Outcome::Sent, Outcome::Sent, Outcome::NotTried]
    );
    server.wait_for(Step::Quit, 1).await;
    assert_eq!(server.count(Step::Mail), 2);
}

/// Hazard 12, fault 11: timeouts run per reply, also if the replies of a group come one by one.
#[tokio::test]
async fn timeouts_run_per_reply() {
    let server = ServerScript::new()
        .on(|at| match at.step {
            Step::Mail | Step::Rcpt | Step::Data | Step::EndOfData => {
                Action::delay(Duration::from_millis(400))
            }
            _ => Action::Default,
        })
        .start()
        .await;
    let mut settings = server.server();
    settings.timeouts.mail = Duration::from_secs(1);
    settings.timeouts.rcpt = Duration::from_secs(1);
    settings.timeouts.data = Duration::from_secs(1);
    settings.timeouts.dot = Duration::from_secs(1);
    let mut connection = Connection::connect(&settings).await.unwrap();
    let letters: Vec<_> = (0..2).map(letter).collect();
    let reports = send_all(&mut connection, &letters).await;
    assert_eq!(outcomes(&reports), [Outcome::Sent; 2]);
}

/// A letter is reported as sent soon after its 250, even if the next recipient is slow.
#[tokio::test]
async fn slow_recipient_does_not_hold_the_report_back() {
    let server = ServerScript::new()
        .on(|at| match (at.step, at.nth) {
            (Step::Rcpt, 2) => Action::delay(Duration::from_secs(3)),
            _ => Action::Default,
        })
        .start()
        .await;
    let mut connection = connect(&server).await;
    let (first, second) = (letter(1), letter(2));
    let report = connection.send(&first, Some(&second), &mut |_| true).await;
    assert_eq!(summary(&report), SENT);
    assert!(report.duration < Duration::from_secs(2));
    let report = connection.send(&second, None, &mut |_| true).await;
    assert_eq!(summary(&report), SENT);
}

/// After an announcement only the announced letter is sent; any other is not tried.
#[tokio::test]
async fn another_letter_than_announced_is_not_sent() {
    let server = ServerScript::new().start().await;
    let mut connection = connect(&server).await;
    let (first, second, other) = (letter(1), letter(2), letter(3));
    connection.send(&first, Some(&second), &mut |_| true).await;
    assert_eq!(connection.announced(), Some(2));
    let report = connection.send(&other, None, &mut |_| true).await;
    assert_eq!(report.outcome, Outcome::NotTried);
    assert!(!connection.is_usable());
    drop(connection);
    assert_eq!(server.recipients(), ["r1@example.org"]);
}

/// Dropping an announced letter does not deliver an empty one.
#[tokio::test]
async fn dropped_announcement_delivers_nothing() {
    let server = ServerScript::new().start().await;
    let mut connection = connect(&server).await;
    let (first, second) = (letter(1), letter(2));
    connection.send(&first, Some(&second), &mut |_| true).await;
    connection.quit().await;
    let mut connection = connect(&server).await;
    connection.send(&second, None, &mut |_| true).await;
    assert_eq!(server.recipients(), ["r1@example.org", "r2@example.org"]);
    assert!(
        server
            .accepted()
            .iter()
            .all(|accepted| !accepted.data.is_empty())
    );
}

/// Scenario 21: an announced letter is withheld by closing; the one before it is sent.
#[tokio::test]
async fn announced_letter_can_be_held_back() {
    let server = ServerScript::new().start().await;
    let mut connection = connect(&server).await;
    let letters = [letter(1), letter(2)];
    let first = connection
        .send(&letters[0], Some(&letters[1]), &mut |_| true)
        .await;
    assert_eq!(summary(&first), SENT);
    let second = connection.send(&letters[1], None, &mut |_| false).await;
    assert_eq!(
        summary(&second),
        (Outcome::NotTried, Class::Withheld, Phase::Data, None)
    );
    connection.quit().await;
    server.wait_until_idle().await;
    assert_eq!(server.recipients(), ["r1@example.org"]);
    assert_eq!(
        (server.count(Step::Data), server.count(Step::Content)),
        (2, 1)
    );
}

/// Hazard 11: content, dot, MAIL, RCPT and DATA are sent in one write.
#[tokio::test]
async fn group_leaves_in_one_write() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut settings = Server::new("127.0.0.1", listener.local_addr().unwrap().port());
    settings.tls = Tls::None;
    let server = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut reads = Vec::new();
        let mut buffer = vec![0; 64 * 1024];
        for reply in [
            "220 hi\r\n",
            "250-hi\r\n250 PIPELINING\r\n",
            "250 a\r\n250 b\r\n354 c\r\n",
            "250 sent\r\n250 a\r\n250 b\r\n354 c\r\n",
            "250 sent\r\n",
        ] {
            stream.write_all(reply.as_bytes()).await.unwrap();
            let length = stream.read(&mut buffer).await.unwrap();
            reads.push(String::from_utf8_lossy(&buffer[..length]).into_owned());
        }
        reads
    };
    let client = async {
        let mut connection = Connection::connect(&settings).await.unwrap();
        let reports = send_all(&mut connection, &[big_letter(1, 20_000), letter(2)]).await;
        assert_eq!(outcomes(&reports), [Outcome::Sent; 2]);
    };
    let (reads, ()) = tokio::join!(server, client);
    assert!(reads[1].starts_with("MAIL ") && reads[1].ends_with("DATA\r\n"));
    assert!(reads[2].len() > 20_000 && reads[2].starts_with("From: "));
    assert!(reads[2].contains("\r\n.\r\nMAIL FROM:") && reads[2].ends_with("DATA\r\n"));
    assert!(reads[3].ends_with("token-2\r\n.\r\n"));
}
