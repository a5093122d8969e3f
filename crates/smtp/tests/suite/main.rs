//! Real dialogues: the client against the scripted server, the sandbox and Postfix's `smtp-sink`.

#![expect(clippy::unwrap_used, reason = "tests")]

mod chaos;
mod overlap;
mod pool;
mod postfix;
mod sandbox;
mod secure;
mod session;
mod sink;

use bytes::Bytes;
use skychimp_smtp::testing::ScriptedServer;
use skychimp_smtp::{Class, Connection, Letter, Outcome, Phase, Report};

/// Letter number `n`, to `rN@example.org`, with its own text.
fn letter(n: u64) -> Letter {
    letter_to(n, &format!("r{n}@example.org"))
}

fn letter_to(n: u64, to: &str) -> Letter {
    let data = format!(
        "From: s@example.org\r\nTo: {to}\r\nSubject: letter {n}\r\n\r\n.dot\r\n..two\r\ntoken-{n}\r\n"
    );
    Letter {
        id: n,
        from: "s@example.org".into(),
        to: to.into(),
        data: data.into(),
    }
}

fn big_letter(n: u64, octets: usize) -> Letter {
    let mut data = letter(n).data.to_vec();
    while data.len() < octets {
        data.extend_from_slice(
            b".a line that begins with a dot and goes on for a while, 72 octets\r\n",
        );
    }
    Letter {
        data: Bytes::from(data),
        ..letter(n)
    }
}

async fn connect(server: &ScriptedServer) -> Connection {
    Connection::connect(&server.server()).await.unwrap()
}

async fn send(connection: &mut Connection, letter: &Letter) -> Report {
    connection.send(letter, None, &mut |_| {}).await
}

/// Sends all letters over one connection, each announced by the one before; stops when the connection ends.
async fn send_all(connection: &mut Connection, letters: &[Letter]) -> Vec<Report> {
    let mut reports = Vec::new();
    for (n, letter) in letters.iter().enumerate() {
        reports.push(
            connection
                .send(letter, letters.get(n + 1), &mut |_| {})
                .await,
        );
    }
    reports
}

type Summary = (Outcome, Class, Phase, Option<u16>);

fn summary(report: &Report) -> Summary {
    (report.outcome, report.class, report.phase, report.code)
}

fn outcomes(reports: &[Report]) -> Vec<Outcome> {
    reports.iter().map(|report| report.outcome).collect()
}

const SENT: Summary = (Outcome::Sent, Class::Accepted, Phase::Dot, Some(250));
