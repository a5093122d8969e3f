//! The sandbox accepts letters and passes them on.

use std::sync::Arc;

use parking_lot::Mutex;
use skychimp_smtp::sandbox::{Sandbox, SandboxEnvelope};
use skychimp_smtp::{Connection, Outcome, Server, Tls};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::{big_letter, letter, outcomes, send_all};

/// Letters arrive unchanged, serial and pipelined.
#[tokio::test]
async fn sandbox_hands_letters_over() {
    let found = Arc::new(Mutex::new(Vec::new()));
    let store = Arc::clone(&found);
    let sandbox = Sandbox::start(([127, 0, 0, 1], 0).into(), move |envelope, data| {
        store.lock().push((envelope, data));
    })
    .await
    .unwrap();
    let mut server = Server::new("127.0.0.1", sandbox.address().port());
    server.tls = Tls::None;
    let mut connection = Connection::connect(&server).await.unwrap();
    assert!(connection.capabilities().pipelining && connection.capabilities().smtputf8);
    let mut letters: Vec<_> = (0..20).map(letter).collect();
    letters.push(big_letter(20, 5_000_000));
    let reports = send_all(&mut connection, &letters).await;
    assert_eq!(outcomes(&reports), [Outcome::Sent; 21]);
    let found = found.lock();
    for ((envelope, data), letter) in found.iter().zip(&letters) {
        assert_eq!(
            *envelope,
            SandboxEnvelope {
                from: letter.from.clone(),
                to: vec![letter.to.clone()]
            }
        );
        assert!(*data == letter.data);
    }
}

/// The sandbox refuses commands out of order and bare line feeds.
#[tokio::test]
async fn sandbox_is_strict() {
    let sandbox = Sandbox::start(([127, 0, 0, 1], 0).into(), |_, _| panic!("a letter"))
        .await
        .unwrap();
    let mut stream = tokio::net::TcpStream::connect(sandbox.address())
        .await
        .unwrap();
    stream
        .write_all(
            b"MAIL FROM:<a@b>\r\nEHLO x\r\nRCPT TO:<a@b>\r\nDATA\r\nMAIL FROM:<a@b> SIZE=99999999\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\na\nb\r\n.\r\nwhat\r\nQUIT\r\n",
        )
        .await
        .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let codes: Vec<_> = answer
        .lines()
        .filter(|line| line.as_bytes()[3] == b' ')
        .map(|line| &line[..3])
        .collect();
    assert_eq!(
        codes,
        [
            "220", "503", "250", "503", "503", "552", "250", "250", "354", "550", "502", "221"
        ]
    );
}
