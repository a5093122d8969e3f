//! A server that misbehaves at random must not upset the accounting.

use std::collections::HashMap;
use std::time::Duration;

use skychimp_smtp::testing::{Action, ScriptPoint, ServerScript, Step};
use skychimp_smtp::{Connection, Outcome};

use crate::letter;

/// What the server with this seed does here; mostly it behaves well.
fn mischief(seed: u64, at: &ScriptPoint) -> Action {
    // splitmix64: the same seed gives the same server
    let mut x = seed
        .wrapping_mul(0x9e37_79b9_7f4a_7c15)
        .wrapping_add((at.step as u64) << 32)
        .wrapping_add(at.nth as u64);
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^= x >> 31;
    if matches!(at.step, Step::Content | Step::Ehlo | Step::Helo) || !x.is_multiple_of(8) {
        return Action::Default;
    }
    match (x / 8) % 9 {
        0 => Action::reply("450 4.2.0 later"),
        1 => Action::reply("550 5.1.1 never"),
        2 => Action::reply("452 4.3.1 full"),
        3 => Action::ReplyAndClose("421 4.3.2 going down".into()),
        4 => Action::Close,
        5 => Action::Raw(b"\xff\xfegarbage\r\n".to_vec()),
        6 => Action::delay(Duration::from_millis(2)),
        7 if matches!(at.step, Step::Mail | Step::Rcpt) => Action::Extra("250 2.0.0 again".into()),
        _ => Action::reply("250-2.0.0 many\r\n250-2.0.0 lines\r\n250 2.0.0 here"),
    }
}

/// L, D, R26, R28: whatever the server does, a letter reported as sent was accepted once, and an
/// accepted letter is reported as sent or in doubt.
#[tokio::test(flavor = "multi_thread")]
async fn ledger_closes_whatever_the_server_does() {
    let mut seen: HashMap<Outcome, usize> = HashMap::new();
    for seed in 0..150 {
        let mut script = ServerScript::new().on(move |at| mischief(seed, at));
        if seed % 3 == 0 {
            script = script.without_pipelining();
        }
        let server = script.start().await;
        let mut verdicts: Vec<Outcome> = Vec::new();
        let letters: Vec<_> = (0..20).map(letter).collect();
        let mut connection: Option<Connection> = None;
        for _ in 0..200 {
            let Some(present) = letters.get(verdicts.len()) else {
                break;
            };
            let mut open = match connection.take().filter(Connection::is_usable) {
                Some(open) => open,
                None => match Connection::connect(&server.server()).await {
                    Ok(open) => open,
                    Err(_) => continue,
                },
            };
            let upcoming = letters.get(verdicts.len() + 1);
            let report = open.send(present, upcoming, &mut |_| true).await;
            if report.outcome != Outcome::NotTried {
                verdicts.push(report.outcome);
            }
            *seen.entry(report.outcome).or_default() += 1;
            connection = Some(open);
        }
        assert_eq!(verdicts.len(), letters.len(), "seed {seed}");
        let accepted = server.accepted();
        for (letter, outcome) in letters.iter().zip(&verdicts) {
            let copies: Vec<_> = accepted
                .iter()
                .filter(|accepted| accepted.to.contains(&letter.to))
                .collect();
            let fits = match outcome {
                Outcome::Sent => copies.len() == 1,
                Outcome::InDoubt => copies.len() <= 1,
                _ => copies.is_empty(),
            };
            assert!(
                fits && copies.iter().all(|copy| copy.data == letter.data),
                "seed {seed}, letter {}: {outcome}, {} copies\n{:#?}",
                letter.id,
                copies.len(),
                (1..=server.connections())
                    .map(|n| server.dialogue(n))
                    .collect::<Vec<_>>()
            );
        }
    }
    for outcome in Outcome::ALL {
        assert!(seen.contains_key(outcome), "{outcome} never came: {seen:?}");
    }
}
