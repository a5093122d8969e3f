//! Reconciles a run with what the mail server accepted.
//!
//! Three things are asserted, whatever went wrong on the way. **L**: every planned letter is
//! delivered, over or still queued, and none counted as sent is missing. **D**: nobody got more
//! copies than the log allows, one for a sent attempt and at most one for each attempt in doubt.
//! **W**: each attempt has a row with a consistent outcome, class and code. The counters of the run
//! match its rows.

use std::collections::HashMap;
use std::hash::BuildHasher;

use super::run::numbers;
use crate::platform::db::Db;
use crate::platform::error::Error;
use crate::platform::ids::{RunId, UserId};
use crate::sending::attempt::{Attempt, AttemptFilter, AttemptOutcome, AttemptsOf, LogOrder};
use crate::sending::delivery::{Delivery, DeliveryFilter, DeliveryState};

/// More rows than any test has.
const ALL: usize = 2_000_000;

/// The totals of a reconciled run.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Ledger {
    /// Deliveries.
    pub planned: usize,
    /// Sent deliveries.
    pub sent: usize,
    /// Letters that the server accepted.
    pub copies: usize,
    /// Rows in the log.
    pub attempts: usize,
    /// Attempts in doubt.
    pub in_doubt: usize,
    /// Recipients that got more than one copy.
    pub doubled: usize,
}

/// Reconciles a run with the number of letters that the server accepted for each address.
///
/// # Panics
/// When L, D or W does not hold.
pub async fn settle<S: BuildHasher>(
    db: &Db,
    owner: UserId,
    run: RunId,
    mut copies: HashMap<String, usize, S>,
) -> Result<Ledger, Error> {
    let (columns, rows) = numbers(db, owner, run).await?;
    assert_eq!(columns, rows, "the numbers of the run and its deliveries");
    let mut tx = db.read().await?;
    let all = DeliveryFilter::default();
    let deliveries = Delivery::page(&mut tx, owner, run, &all, None, ALL).await?;
    let all = AttemptFilter::all(AttemptsOf::Run(run));
    let attempts = Attempt::page(&mut tx, owner, &all, LogOrder::Oldest, None, ALL).await?;
    drop(tx);

    let mut logs: HashMap<_, Vec<&Attempt>> = HashMap::new();
    for attempt in &attempts {
        logs.entry(attempt.delivery_id).or_default().push(attempt);
    }
    let mut found = Ledger {
        planned: deliveries.len(),
        attempts: attempts.len(),
        ..Ledger::default()
    };
    for delivery in &deliveries {
        let email = &delivery.email;
        let log = logs.remove(&delivery.id).unwrap_or_default();
        let copies = copies.remove(email).unwrap_or(0);
        check_log(delivery, &log);
        let count = |outcome| log.iter().filter(|a| a.outcome == outcome).count();
        let (sent, in_doubt) = (count(AttemptOutcome::Sent), count(AttemptOutcome::InDoubt));
        assert!(copies >= sent, "L: {email} counts as sent and got nothing");
        assert!(
            copies <= sent + in_doubt,
            "D: {email} got {copies} copies, the log says: {log:#?}"
        );
        found.sent += sent;
        found.copies += copies;
        found.in_doubt += in_doubt;
        found.doubled += usize::from(copies > 1);
    }
    assert!(logs.is_empty(), "W: attempts at no delivery: {logs:?}");
    assert!(
        copies.is_empty(),
        "letters to strangers: {:?}",
        copies.keys()
    );
    Ok(found)
}

/// W: checks the rows of one delivery.
fn check_log(delivery: &Delivery, log: &[&Attempt]) {
    let email = &delivery.email;
    let numbers: Vec<_> = log.iter().map(|attempt| attempt.number).collect();
    assert_eq!(
        numbers,
        (1..=delivery.attempts).collect::<Vec<_>>(),
        "W: a row for each attempt at {email}"
    );
    let sent = log
        .iter()
        .filter(|a| a.outcome == AttemptOutcome::Sent)
        .count();
    assert_eq!(
        sent,
        usize::from(delivery.state == DeliveryState::Sent),
        "W: {email} is {:?}, the log says: {log:#?}",
        delivery.state
    );
    for attempt in log {
        let code = attempt.code.map(|code| code / 100);
        let fits = match (attempt.outcome, attempt.class.as_str()) {
            (AttemptOutcome::Sent, class) => {
                class == "accepted" && attempt.phase == "dot" && code == Some(2)
            }
            (AttemptOutcome::Failed, "permanent") => code == Some(5),
            (AttemptOutcome::Deferred, "temporary" | "limit" | "closing") => code == Some(4),
            (AttemptOutcome::Deferred, class) => {
                ["connection", "timeout", "protocol", "tls"].contains(&class)
            }
            (AttemptOutcome::Failed, class) => class.starts_with("local_") && code.is_none(),
            (AttemptOutcome::InDoubt, _) => attempt.phase == "dot",
        };
        let told = match attempt.code {
            Some(code) => attempt.reply.starts_with(&code.to_string()),
            None => !attempt.reply.is_empty(),
        };
        assert!(fits && told, "W: {attempt:#?}");
    }
}
