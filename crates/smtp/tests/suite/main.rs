//! Real sessions: the client against the scripted server, the sandbox, Postfix and its `smtp-sink`.
//!
//! Which test covers which rule of `docs/sending-rules.md`:
//!
//! - F2, F12 (no bare CR, LF or NUL, no injected command):
//!   `session::local_refusals_never_reach_the_wire`, `letter.rs`
//! - F6 (dot-stuffing, also on chunk borders): `session::letter_arrives_as_given`,
//!   `session::big_letters_arrive_as_given`, `fuzzing.rs`
//! - F7, F8 (A-labels; SMTPUTF8, 8BITMIME and SIZE only if offered; too large fails locally):
//!   `session::local_refusals_never_reach_the_wire`, `letter.rs`
//! - S1 (a timeout per phase, all configurable): `session::silence_is_a_timeout_of_its_phase`,
//!   `server/url.rs`
//! - S2 (lost before the dot: deferred; after it: in doubt):
//!   `session::lost_after_the_dot_is_in_doubt`, `verdict.rs`
//! - S3 (growing delays up to the end): the engine's `retry.rs`
//! - S4 (4yz concerns this recipient only): `session::one_bad_recipient_never_touches_the_others`
//! - S5 (421 ends the connection; letters not begun are untouched):
//!   `session::closing_at_the_dot_defers_that_letter_only`,
//!   `overlap::limit_of_letters_leaves_the_next_untouched`
//! - S6 (nothing survives STARTTLS): `secure::injected_octets_before_tls_are_dropped`
//! - S7 (TLS modes; PLAIN, LOGIN, XOAUTH2 never in clear text; 535 fails no recipient): `secure`,
//!   `session::missing_credentials_fail_no_recipient`, `postfix::postfix_takes_credentials`
//! - S8 (any garbage, within limits): `session::garbage_is_never_an_acceptance`, `reply.rs`,
//!   `fuzzing.rs`
//! - S9 (RSET and QUIT never cost a delivery): `session::refused_reset_costs_no_delivery`,
//!   `pool::dropped_pool_says_goodbye`
//! - S10 (connections, rate, letters per connection; fewer if the server asks): `pool`
//! - hazard 1 (a reply missing or one too many): `overlap::missing_reply_puts_the_letter_in_doubt`,
//!   `missing_reply_in_the_group_closes`, `extra_reply_closes`
//! - hazard 2 (421 for the next MAIL): `overlap::limit_of_letters_leaves_the_next_untouched`,
//!   `pool::limit_of_letters_is_learned`
//! - hazard 3 (421 or close at the dot): `overlap::end_at_the_dot_leaves_the_next_untouched`
//! - hazard 4 (closed while writing): `session::refusal_during_the_content_is_read`
//! - hazard 5 (RCPT refused, DATA accepted): `session::lone_dot_is_nobodys_delivery`,
//!   `overlap::refused_announcement_ends_with_a_lone_dot`, `no_lone_dot_to_an_accepted_recipient`
//! - hazard 6 (RSET after a refused DATA): `session::refused_data_is_followed_by_reset`,
//!   `overlap::refused_group_is_left_by_reset`
//! - hazard 7 (strictly serial): `session::serial_without_pipelining`,
//!   `pipelining_can_be_switched_off`, `secure::injected_octets_before_tls_are_dropped`
//! - hazard 8 (DATA and EHLO are last): `overlap::content_waits_for_the_354`
//! - hazard 9 (full windows, short groups): `overlap::full_windows_do_not_block`,
//!   `session::endless_chatter_is_bounded`, `letter.rs`
//! - hazard 10 (QUIT behind the last letter): `overlap::last_letter_carries_quit`
//! - hazard 11 (one write, no delay): `overlap::group_leaves_in_one_write`, `connect.rs`
//! - hazard 12 (timeouts per reply): `overlap::timeouts_run_per_reply`

#![expect(clippy::unwrap_used, reason = "tests")]

mod chaos;
mod hook;
mod overlap;
mod pool;
mod postfix;
mod sandbox;
mod secure;
mod session;
mod sink;
mod withdraw;

use bytes::Bytes;
use skychimp_smtp::testing::ScriptedServer;
use skychimp_smtp::{AttemptReport, Class, Connection, Letter, Outcome, Phase};

/// Letter number `n`, to `rN@example.org`, with a distinct text.
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

async fn send(connection: &mut Connection, letter: &Letter) -> AttemptReport {
    connection.send(letter, None, &mut |_| true).await
}

/// Sends all letters over one connection, each announced with the previous one; stops when the
/// connection ends.
async fn send_all(connection: &mut Connection, letters: &[Letter]) -> Vec<AttemptReport> {
    let mut reports = Vec::new();
    for (n, letter) in letters.iter().enumerate() {
        reports.push(
            connection
                .send(letter, letters.get(n + 1), &mut |_| true)
                .await,
        );
    }
    reports
}

type Summary = (Outcome, Class, Phase, Option<u16>);

fn summary(report: &AttemptReport) -> Summary {
    (report.outcome, report.class, report.phase, report.code)
}

fn outcomes(reports: &[AttemptReport]) -> Vec<Outcome> {
    reports.iter().map(|report| report.outcome).collect()
}

const SENT: Summary = (Outcome::Sent, Class::Accepted, Phase::EndOfData, Some(250));
