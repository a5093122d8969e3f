//! Tests against Postfix's `smtp-sink`, an independent server.

use skychimp_smtp::testing::Sink;
use skychimp_smtp::{Connection, Outcome, Pool};

use crate::{big_letter, letter, outcomes, send_all};

/// Letters reach a real peer serially (`-p`: no PIPELINING) and with full pipelining.
#[tokio::test(flavor = "multi_thread")]
async fn sink_takes_letters_serially_and_pipelined() {
    for (options, pipelining) in [(&["-p"][..], false), (&[][..], true)] {
        let sink = Sink::start(options).await;
        let mut connection = Connection::connect(&sink.server()).await.unwrap();
        assert_eq!(connection.capabilities().pipelining, pipelining);
        let mut letters: Vec<_> = (0..200).map(letter).collect();
        letters.push(big_letter(200, 2_000_000));
        let reports = send_all(&mut connection, &letters).await;
        assert_eq!(outcomes(&reports), vec![Outcome::Sent; 201]);
        connection.quit().await;
    }
}

/// S4: the sink's 4yz (`-r`) and 5yz (`-f`) replies are distinguished.
#[tokio::test(flavor = "multi_thread")]
async fn sink_that_refuses_is_told_apart() {
    let sink = Sink::start(&["-r", "RCPT"]).await;
    let mut connection = Connection::connect(&sink.server()).await.unwrap();
    let reports = send_all(&mut connection, &[letter(1), letter(2)]).await;
    assert_eq!(outcomes(&reports), [Outcome::Deferred; 2]);
    let sink = Sink::start(&["-f", "."]).await;
    let mut connection = Connection::connect(&sink.server()).await.unwrap();
    let reports = send_all(&mut connection, &[letter(1), letter(2)]).await;
    assert_eq!(outcomes(&reports), [Outcome::Failed; 2], "{reports:?}");
}

/// The pool sends over many connections to one sink.
#[tokio::test(flavor = "multi_thread")]
async fn sink_takes_letters_from_the_pool() {
    let sink = Sink::start(&[]).await;
    let pool = Pool::new(sink.server());
    let tasks: Vec<_> = (0..10)
        .map(|worker| {
            let pool = pool.clone();
            tokio::spawn(async move {
                let letters: Vec<_> = (0..100).map(|n| letter(worker * 100 + n)).collect();
                let mut connection = pool.acquire().await.unwrap();
                for (n, letter) in letters.iter().enumerate() {
                    let report = connection
                        .send(letter, letters.get(n + 1), &mut |_| true)
                        .await;
                    assert_eq!(report.outcome, Outcome::Sent, "{report:?}");
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    pool.close().await;
}
