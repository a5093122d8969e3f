//! Servers with a different dialect, or garbage: scenarios 13, 15.

use skychimp_smtp::testing::{Action, ServerScript, Step};

use crate::support::World;

/// Hazard 7, scenario 13: on a connection without PIPELINING no command is sent before the reply to
/// the previous one.
#[tokio::test(flavor = "multi_thread")]
async fn serial_where_pipelining_is_not_offered() {
    let helo_only = |at: &skychimp_smtp::testing::ScriptPoint| match at.step {
        Step::Ehlo => Action::reply("502 5.5.1 what?"),
        _ => Action::Default,
    };
    for script in [
        ServerScript::new().without_pipelining(),
        ServerScript::new().on(helo_only),
        // EHLO keywords as masked by a Cisco PIX
        ServerScript::new().extensions(&["XXXXXXXXXXA", "SIZE 10240000"]),
        ServerScript::new()
            .starttls()
            .extensions_after_tls(&["SIZE 10240000"]),
    ] {
        let what = format!("{script:?}");
        let world = World::new().await;
        let server = script.start().await;
        let run = world.run(100).await;
        let engine = world.engine(&server);
        let over = world.wait_over(&run).await;
        assert_eq!(over.sent, 100);
        engine.stop().await;
        let ledger = world.settle(&run, &server).await;
        assert_eq!((ledger.copies, ledger.attempts), (100, 100));
        assert_eq!(server.sent_ahead(), 0, "{what}");
    }
}

/// R26, scenario 15: garbage instead of replies never counts as "sent".
#[tokio::test(flavor = "multi_thread")]
async fn garbage_is_never_sent() {
    let world = World::new().await;
    let server = ServerScript::new()
        .on(|at| match (at.step, at.nth) {
            (Step::Connect, 1) => Action::Raw(b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec()),
            (Step::Connect, 2) => Action::Raw(vec![b'2'; 40_000]),
            (Step::EndOfData, n) if n % 14 == 3 => {
                Action::Raw(b"\x00\xff\xfe250 lies\r\n".to_vec())
            }
            (Step::EndOfData, n) if n % 14 == 10 => Action::Raw(b"250-yes\r\n550 no\r\n".to_vec()),
            (Step::Rcpt, n) if n % 22 == 5 => Action::Raw(b"2500 ok\r\n".to_vec()),
            (Step::Rcpt, n) if n % 22 == 16 => Action::Raw(b"250\r\n250 twice\r\n".to_vec()),
            (Step::Data, n) if n % 31 == 7 => Action::reply("250 2.0.0 and not 354"),
            _ => Action::Default,
        })
        .start()
        .await;
    let run = world.run(100).await;
    let engine = world.engine(&server);
    let over = world.wait_over(&run).await;
    assert_eq!((over.sent, over.failed), (100, 0));
    engine.stop().await;
    let ledger = world.settle(&run, &server).await;
    assert_eq!(ledger.sent, 100);
    assert!(ledger.attempts > 100 && ledger.in_doubt > 0, "{ledger:?}");
}
