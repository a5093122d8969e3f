//! One letter after another, serial and pipelined.

use std::time::Duration;

use skychimp_smtp::testing::{Action, ServerScript, Step};
use skychimp_smtp::{Class, Connection, Outcome, Phase};

use crate::{SENT, big_letter, connect, letter, letter_to, outcomes, send, send_all, summary};

/// R13, F6: the report contains the server's reply, and the letter arrives unchanged.
#[tokio::test]
async fn letter_arrives_as_given() {
    let server = ServerScript::new().start().await;
    let mut connection = connect(&server).await;
    let report = send(&mut connection, &letter(1)).await;
    assert_eq!(summary(&report), SENT);
    assert_eq!(report.reply, "250 2.0.0 accepted");
    assert_eq!(report.enhanced.as_deref(), Some("2.0.0"));
    assert_eq!(report.server, server.address().to_string());
    let accepted = server.accepted();
    assert_eq!(accepted.len(), 1);
    assert_eq!(accepted[0].from, "s@example.org");
    assert_eq!(accepted[0].to, ["r1@example.org"]);
    assert_eq!(accepted[0].data, letter(1).data);
    connection.quit().await;
    server.wait_for(Step::Quit, 1).await;
}

/// Hazard 7: without PIPELINING no command is sent before the reply to the previous one.
#[tokio::test]
async fn serial_without_pipelining() {
    for script in [
        ServerScript::new().without_pipelining(),
        ServerScript::new().on(|at| match at.step {
            Step::Ehlo => Action::reply("502 5.5.1 what?"),
            _ => Action::Default,
        }),
        // Cisco PIX masks keywords it does not know
        ServerScript::new().extensions(&["XXXXXXXXXX", "SIZE 1000000"]),
    ] {
        let server = script.start().await;
        let mut connection = connect(&server).await;
        let letters: Vec<_> = (0..5).map(letter).collect();
        let reports = send_all(&mut connection, &letters).await;
        assert_eq!(outcomes(&reports), [Outcome::Sent; 5]);
        assert_eq!(server.sent_ahead(), 0);
        assert_eq!(server.accepted().len(), 5);
    }
}

/// S8: HELO follows an EHLO that the server does not know.
#[tokio::test]
async fn helo_follows_a_refused_ehlo() {
    let server = ServerScript::new()
        .on(|at| match at.step {
            Step::Ehlo => Action::reply("500 what?"),
            _ => Action::Default,
        })
        .start()
        .await;
    let connection = connect(&server).await;
    assert_eq!(
        *connection.capabilities(),
        skychimp_smtp::Capabilities::default()
    );
    let dialogue = server.dialogue(1);
    assert_eq!(
        dialogue[1..],
        [
            "C: EHLO [127.0.0.1]",
            "S: 500 what?",
            "C: HELO [127.0.0.1]",
            "S: 250 scripted.localhost"
        ]
    );
}

/// S4, R26: refusals are distinguished and do not affect other letters, serial or pipelined.
#[tokio::test]
async fn one_bad_recipient_never_touches_the_others() {
    for pipelining in [true, false] {
        for announce in [true, false] {
            let mut script = ServerScript::new().on(|at| match (at.step, &*at.address) {
                (Step::Rcpt, "r1@example.org") => Action::reply("550 5.1.1 no such user"),
                (Step::Rcpt, "r2@example.org") => Action::reply("450 4.2.0 greylisted"),
                (Step::EndOfData, "r3@example.org") => Action::reply("554 5.7.1 looks like spam"),
                (Step::EndOfData, "r4@example.org") => Action::reply("451 4.3.0 try later"),
                (Step::Data, "r5@example.org") => Action::reply("451 4.3.0 not now"),
                _ => Action::Default,
            });
            if !pipelining {
                script = script.without_pipelining();
            }
            let server = script.start().await;
            let mut connection = connect(&server).await;
            let mut found = Vec::new();
            let letters: Vec<_> = (0..8).map(letter).collect();
            for (n, letter) in letters.iter().enumerate() {
                let upcoming = letters.get(n + 1).filter(|_| announce);
                let report = connection.send(letter, upcoming, &mut |_| true).await;
                found.push(summary(&report));
            }
            let failed = |phase, code| (Outcome::Failed, Class::Permanent, phase, Some(code));
            let deferred = |phase, code| (Outcome::Deferred, Class::Temporary, phase, Some(code));
            assert_eq!(
                found,
                [
                    SENT,
                    failed(Phase::Rcpt, 550),
                    deferred(Phase::Rcpt, 450),
                    failed(Phase::EndOfData, 554),
                    deferred(Phase::EndOfData, 451),
                    deferred(Phase::Data, 451),
                    SENT,
                    SENT
                ]
            );
            assert_eq!(server.connections(), 1);
            assert_eq!(
                server.recipients(),
                ["r0@example.org", "r6@example.org", "r7@example.org"]
            );
        }
    }
}

/// Fault 8, hazard 5: if all recipients are refused but DATA is accepted, a lone dot follows, whose
/// 250 is not a delivery.
#[tokio::test]
async fn lone_dot_is_nobodys_delivery() {
    let server = ServerScript::new()
        .on(|at| match (at.step, &*at.address) {
            (Step::Rcpt, "r1@example.org") => Action::reply("550 5.1.1 no such user"),
            (Step::Data, "") => Action::reply("354 go on"),
            (Step::EndOfData, "") => Action::reply("250 2.0.0 nothing queued"),
            _ => Action::Default,
        })
        .start()
        .await;
    let mut connection = connect(&server).await;
    let reports = send_all(&mut connection, &[letter(1), letter(2)]).await;
    assert_eq!(outcomes(&reports), [Outcome::Failed, Outcome::Sent]);
    assert_eq!(reports[0].code, Some(550));
    let dialogue = server.dialogue(1);
    assert!(
        dialogue.contains(&"C: <0 octets>".to_owned()),
        "{dialogue:?}"
    );
    assert!(dialogue.contains(&"C: RSET".to_owned()), "{dialogue:?}");
}

/// Hazard 6: after a refused DATA no content is sent, and RSET precedes the next MAIL.
#[tokio::test]
async fn refused_data_is_followed_by_reset() {
    let server = ServerScript::new()
        .on(|at| match (at.step, at.nth) {
            (Step::Data, 1) => Action::reply("554 5.5.0 no"),
            _ => Action::Default,
        })
        .start()
        .await;
    let mut connection = connect(&server).await;
    let reports = send_all(&mut connection, &[letter(1), letter(2)]).await;
    assert_eq!(outcomes(&reports), [Outcome::Failed, Outcome::Sent]);
    assert_eq!(server.count(Step::Content), 1);
    assert_eq!(server.count(Step::Rset), 1);
}

/// S9: a refused RSET costs the connection, not the letter.
#[tokio::test]
async fn refused_reset_costs_no_delivery() {
    let server = ServerScript::new()
        .on(|at| match (at.step, at.nth) {
            (Step::Rcpt, 1) => Action::reply("450 4.2.0 later"),
            (Step::Rset, _) => Action::reply("500 what?"),
            _ => Action::Default,
        })
        .start()
        .await;
    let mut connection = connect(&server).await;
    send(&mut connection, &letter(1)).await;
    let report = send(&mut connection, &letter(2)).await;
    assert_eq!(report.outcome, Outcome::NotTried);
    assert!(!connection.is_usable());
}

/// Fault 2, S2: a connection lost after the dot leaves the letter in doubt; before it, deferred.
#[tokio::test]
async fn lost_after_the_dot_is_in_doubt() {
    for (step, outcome) in [
        (Step::Mail, Outcome::Deferred),
        (Step::Rcpt, Outcome::Deferred),
        (Step::Data, Outcome::Deferred),
        (Step::EndOfData, Outcome::InDoubt),
    ] {
        for pipelining in [true, false] {
            let mut script = ServerScript::new().on(move |at| {
                if at.step == step {
                    Action::Close
                } else {
                    Action::Default
                }
            });
            if !pipelining {
                script = script.without_pipelining();
            }
            let server = script.start().await;
            let mut connection = connect(&server).await;
            let report = send(&mut connection, &letter(1)).await;
            assert_eq!(
                (report.outcome, report.class),
                (outcome, Class::Connection),
                "{step:?}"
            );
            assert!(!connection.is_usable());
            let report = send(&mut connection, &letter(2)).await;
            assert_eq!(report.outcome, Outcome::NotTried);
        }
    }
}

/// Fault 3, S5: 421 defers the letter in flight and leaves the next one untouched.
#[tokio::test]
async fn closing_at_the_dot_defers_that_letter_only() {
    let server = ServerScript::new()
        .on(|at| match at.step {
            Step::EndOfData => Action::ReplyAndClose("421 4.3.2 shutting down".into()),
            _ => Action::Default,
        })
        .start()
        .await;
    let mut connection = connect(&server).await;
    let reports = send_all(&mut connection, &[letter(1), letter(2)]).await;
    assert_eq!(
        summary(&reports[0]),
        (
            Outcome::Deferred,
            Class::Closing,
            Phase::EndOfData,
            Some(421)
        )
    );
    assert_eq!(reports[1].outcome, Outcome::NotTried);
    assert!(server.accepted().is_empty());
}

/// Fault 14, hazard 4: a refusal during the content is read and decides.
#[tokio::test]
async fn refusal_during_the_content_is_read() {
    for action in [
        Action::ReplyAndClose("550 5.7.1 virus".into()),
        Action::Reply("550 5.7.1 virus".into()),
    ] {
        let server = ServerScript::new()
            .on(move |at| match at.step {
                Step::Content => action.clone(),
                _ => Action::Default,
            })
            .start()
            .await;
        let mut connection = connect(&server).await;
        let report = send(&mut connection, &big_letter(1, 20_000_000)).await;
        assert_eq!((report.outcome, report.code), (Outcome::Failed, Some(550)));
        assert_eq!(report.reply, "550 5.7.1 virus");
        assert!(server.accepted().is_empty());
    }
}

/// S8: a 250 before the dot was written is not a delivery.
#[tokio::test]
async fn acceptance_before_the_dot_is_not_believed() {
    let server = ServerScript::new()
        .on(|at| match at.step {
            Step::Content => Action::ReplyAndClose("250 2.0.0 fine".into()),
            _ => Action::Default,
        })
        .start()
        .await;
    let mut connection = connect(&server).await;
    let report = send(&mut connection, &big_letter(1, 20_000_000)).await;
    assert_eq!(
        (report.outcome, report.class),
        (Outcome::Deferred, Class::Protocol)
    );
}

/// F6: letters spanning many chunks arrive unchanged while replies and content overlap.
#[tokio::test]
async fn big_letters_arrive_as_given() {
    let server = ServerScript::new().start().await;
    let mut connection = connect(&server).await;
    let letters: Vec<_> = (0..4).map(|n| big_letter(n, 3_000_000)).collect();
    let reports = send_all(&mut connection, &letters).await;
    assert_eq!(outcomes(&reports), [Outcome::Sent; 4]);
    for (accepted, letter) in server.accepted().iter().zip(&letters) {
        assert!(accepted.data == letter.data);
    }
}

/// Fault 12: if the server stops reading, the block timeout expires and the letter is deferred.
#[tokio::test]
async fn stalled_reader_times_out() {
    let server = ServerScript::new()
        .receive_buffer(4096)
        .on(|at| match at.step {
            Step::Content => Action::Stall,
            _ => Action::Default,
        })
        .start()
        .await;
    let mut settings = server.server();
    settings.timeouts.block = Duration::from_millis(200);
    let mut connection = Connection::connect(&settings).await.unwrap();
    let report = send(&mut connection, &big_letter(1, 20_000_000)).await;
    assert_eq!(
        summary(&report),
        (Outcome::Deferred, Class::Timeout, Phase::Content, None)
    );
    assert!(report.duration < Duration::from_secs(5));
}

/// Hazard 9: a server that only writes and a client that only writes do not deadlock.
#[tokio::test]
async fn endless_chatter_is_bounded() {
    let server = ServerScript::new()
        .receive_buffer(4096)
        .on(|at| match at.step {
            Step::Content => Action::Raw(b"250-chatter\r\n".repeat(1_000_000)),
            _ => Action::Default,
        })
        .start()
        .await;
    let mut connection = connect(&server).await;
    let report = send(&mut connection, &big_letter(1, 20_000_000)).await;
    assert_eq!(
        (report.outcome, report.class),
        (Outcome::Deferred, Class::Protocol)
    );
}

/// R25, S1: each phase has a timeout, and the report names the phase.
#[tokio::test]
async fn silence_is_a_timeout_of_its_phase() {
    for (step, phase, outcome) in [
        (Step::Mail, Phase::Mail, Outcome::Deferred),
        (Step::Rcpt, Phase::Rcpt, Outcome::Deferred),
        (Step::Data, Phase::Data, Outcome::Deferred),
        (Step::EndOfData, Phase::EndOfData, Outcome::InDoubt),
    ] {
        let server = ServerScript::new()
            .on(move |at| {
                if at.step == step {
                    Action::Stall
                } else {
                    Action::Default
                }
            })
            .start()
            .await;
        let mut settings = server.server();
        let short = Duration::from_millis(50);
        match step {
            Step::Mail => settings.timeouts.mail = short,
            Step::Rcpt => settings.timeouts.rcpt = short,
            Step::Data => settings.timeouts.data = short,
            _ => settings.timeouts.dot = short,
        }
        let mut connection = Connection::connect(&settings).await.unwrap();
        let report = send(&mut connection, &letter(1)).await;
        assert_eq!(summary(&report), (outcome, Class::Timeout, phase, None));
        assert!(report.duration < Duration::from_secs(5));
        assert_eq!(report.reply, "no reply within 0.05 s");
    }
}

/// Fault 10: a slow server is waited for.
#[tokio::test]
async fn slow_server_is_waited_for() {
    let server = ServerScript::new()
        .on(|at| match at.step {
            Step::Rcpt | Step::EndOfData => Action::delay(Duration::from_millis(150)),
            _ => Action::Default,
        })
        .start()
        .await;
    let mut connection = connect(&server).await;
    let reports = send_all(&mut connection, &[letter(1), letter(2)]).await;
    assert_eq!(outcomes(&reports), [Outcome::Sent; 2]);
    assert!(reports[0].duration >= Duration::from_millis(300));
}

/// Fault 15, S8: garbage ends the connection; the letter is deferred or in doubt, never sent.
#[tokio::test]
async fn garbage_is_never_an_acceptance() {
    for garbage in [
        &b"hello\r\n"[..],
        b"250-ok\r\n550 no\r\n",
        b"\xff\xfe\x00\r\n",
        b"25\r\n",
        b"999 ok\r\n",
    ] {
        for (step, outcome) in [
            (Step::Mail, Outcome::Deferred),
            (Step::Rcpt, Outcome::Deferred),
            (Step::Data, Outcome::Deferred),
            (Step::EndOfData, Outcome::InDoubt),
        ] {
            let server = ServerScript::new()
                .on(move |at| {
                    if at.step == step {
                        Action::Raw(garbage.to_vec())
                    } else {
                        Action::Default
                    }
                })
                .start()
                .await;
            let mut connection = connect(&server).await;
            let report = send(&mut connection, &letter(1)).await;
            assert_eq!((report.outcome, report.class), (outcome, Class::Protocol));
            assert!(!connection.is_usable());
            assert!(!report.reply.contains(char::is_control));
        }
    }
}

/// F2, F7, F8, F12: a letter refused locally sends nothing, and the connection stays usable.
#[tokio::test]
async fn local_refusals_never_reach_the_wire() {
    let server = ServerScript::new()
        .extensions(&["PIPELINING", "SIZE 1000"])
        .start()
        .await;
    let mut connection = connect(&server).await;
    let mut bad = vec![
        letter_to(1, "a\r\nRCPT TO:<x@y>@example.org"),
        letter_to(2, "почта@example.org"),
        big_letter(3, 2000),
        letter(4),
    ];
    bad[3].data = "Subject: x\r\n\r\na\n.\nMAIL FROM:<x@y>\r\n".into();
    bad.push(letter(5));
    let reports = send_all(&mut connection, &bad).await;
    let found: Vec<_> = reports
        .iter()
        .map(|r| {
            (
                r.outcome,
                r.class,
                r.enhanced.as_deref().unwrap_or_default(),
            )
        })
        .collect();
    assert_eq!(
        found,
        [
            (Outcome::Failed, Class::LocalAddress, "5.1.3"),
            (Outcome::Failed, Class::LocalAddress, "5.6.7"),
            (Outcome::Failed, Class::LocalSize, "5.3.4"),
            (Outcome::Failed, Class::LocalContent, "5.6.0"),
            (Outcome::Sent, Class::Accepted, "2.0.0"),
        ]
    );
    assert_eq!(server.recipients(), ["r5@example.org"]);
    assert_eq!(server.count(Step::Mail), 1);
}

/// S7: a server that suddenly requires credentials fails no recipient.
#[tokio::test]
async fn missing_credentials_fail_no_recipient() {
    let server = ServerScript::new()
        .on(|at| match at.step {
            Step::Mail => Action::reply("530 5.7.0 authentication required"),
            _ => Action::Default,
        })
        .start()
        .await;
    let mut connection = connect(&server).await;
    let report = send(&mut connection, &letter(1)).await;
    assert_eq!(
        summary(&report),
        (Outcome::NotTried, Class::Auth, Phase::Mail, Some(530))
    );
    assert!(!connection.is_usable());
}

/// R25: connection errors are distinguished by class and phase.
#[tokio::test]
async fn connect_errors_are_told_apart() {
    let refused = ServerScript::new().start().await;
    let mut settings = refused.server();
    refused.stop();
    while tokio::net::TcpStream::connect(refused.address())
        .await
        .is_ok()
    {
        tokio::task::yield_now().await;
    }
    let error = Connection::connect(&settings).await.unwrap_err();
    assert_eq!(
        (error.class, error.phase),
        (Class::Connection, Phase::Connect)
    );
    assert_eq!(error.server, refused.address().to_string());
    settings.host = "no-such-host.invalid".into();
    let error = Connection::connect(&settings).await.unwrap_err();
    assert_eq!((error.class, error.phase), (Class::Dns, Phase::Resolve));

    for (action, class, code) in [
        (
            Action::reply("554 5.7.1 go away"),
            Class::Permanent,
            Some(554),
        ),
        (Action::reply("421 4.7.0 busy"), Class::Closing, Some(421)),
        (Action::Close, Class::Connection, None),
        (
            Action::Raw(b"SSH-2.0-x\r\n".to_vec()),
            Class::Protocol,
            None,
        ),
        (Action::Stall, Class::Timeout, None),
    ] {
        let server = ServerScript::new()
            .on(move |_| action.clone())
            .start()
            .await;
        let mut settings = server.server();
        if class == Class::Timeout {
            settings.timeouts.greeting = Duration::from_millis(100);
        }
        let error = Connection::connect(&settings).await.unwrap_err();
        assert_eq!(
            (error.class, error.phase, error.code),
            (class, Phase::Greeting, code)
        );
    }
}

/// Hazard 7: pipelining can be switched off for a server that offers it but fails at it.
#[tokio::test]
async fn pipelining_can_be_switched_off() {
    let server = ServerScript::new().start().await;
    let mut settings = server.server();
    settings.pipelining = false;
    let mut connection = Connection::connect(&settings).await.unwrap();
    let letters: Vec<_> = (0..3).map(letter).collect();
    let reports = send_all(&mut connection, &letters).await;
    assert_eq!(outcomes(&reports), [Outcome::Sent; 3]);
    assert_eq!(server.sent_ahead(), 0);
}
