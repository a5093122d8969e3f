//! Withdrawing an announced letter: its replies are read and no content is sent.

use std::time::Duration;

use skychimp_smtp::testing::{Action, ScriptedServer, ServerScript, Step};
use skychimp_smtp::{AttemptReport, Class, Connection, Outcome, Phase};

use crate::{SENT, connect, letter, send, summary};

/// A server that does `action` when letter 2 reaches `step`.
async fn server(step: Step, action: Action) -> ScriptedServer {
    ServerScript::new()
        .on(move |at| {
            if (at.step, at.nth) == (step, 2) {
                action.clone()
            } else {
                Action::Default
            }
        })
        .start()
        .await
}

/// Sends letter 1, announces letter 2 and withdraws it.
async fn withdraw(server: &ScriptedServer) -> (Connection, AttemptReport) {
    let mut connection = connect(server).await;
    let first = connection
        .send(&letter(1), Some(&letter(2)), &mut |_| true)
        .await;
    assert_eq!(summary(&first), SENT);
    assert_eq!(connection.announced(), Some(2));
    let report = connection.withdraw().await.unwrap();
    assert_eq!(connection.announced(), None);
    (connection, report)
}

/// R13, R26: the refusal of a withdrawn letter is its outcome, and the connection remains usable.
#[tokio::test]
async fn refusal_of_a_letter_that_is_given_up_is_its_outcome() {
    for (step, phase) in [
        (Step::Mail, Phase::Mail),
        (Step::Rcpt, Phase::Rcpt),
        (Step::Data, Phase::Data),
    ] {
        for (reply, outcome, class) in [
            ("550 5.1.1 no", Outcome::Failed, Class::Permanent),
            ("450 4.2.0 later", Outcome::Deferred, Class::Temporary),
        ] {
            let server = server(step, Action::reply(reply)).await;
            let (mut connection, report) = withdraw(&server).await;
            let code = reply[..3].parse().ok();
            assert_eq!(summary(&report), (outcome, class, phase, code), "{step:?}");
            assert_eq!(report.reply, reply);
            assert_eq!(summary(&send(&mut connection, &letter(3)).await), SENT);
            assert_eq!(server.connections(), 1);
            assert_eq!(server.recipients(), ["r1@example.org", "r3@example.org"]);
        }
    }
}

/// R22, scenario 21: after an accepted envelope nothing more is sent: no content, no dot, no
/// command.
#[tokio::test]
async fn accepted_letter_that_is_given_up_never_leaves() {
    let server = ServerScript::new().start().await;
    let (connection, report) = withdraw(&server).await;
    assert_eq!(
        summary(&report),
        (Outcome::NotTried, Class::Withheld, Phase::Data, None)
    );
    assert!(!connection.is_usable());
    connection.quit().await;
    server.wait_until_idle().await;
    assert_eq!(server.dialogue(1).last().unwrap(), "S: 354 go on");
    assert_eq!(server.recipients(), ["r1@example.org"]);
}

/// Hazard 5: with a refused recipient and an open DATA, the refusal counts and no lone dot is sent.
#[tokio::test]
async fn open_data_is_left_by_closing() {
    let server = ServerScript::new()
        .on(|at| match (at.step, at.nth) {
            (Step::Rcpt, 2) => Action::reply("550 5.1.1 no such user"),
            (Step::Data, 2) => Action::reply("354 go on"),
            _ => Action::Default,
        })
        .start()
        .await;
    let (connection, report) = withdraw(&server).await;
    assert_eq!(
        summary(&report),
        (Outcome::Failed, Class::Permanent, Phase::Rcpt, Some(550))
    );
    assert!(!connection.is_usable());
    drop(connection);
    server.wait_until_idle().await;
    assert_eq!(server.count(Step::EndOfData), 1);
}

/// S5, hazard 2: the end of the connection is not a reply; a 421 to RCPT is one.
#[tokio::test]
async fn end_of_the_connection_is_no_answer() {
    let closing = || Action::ReplyAndClose("421 4.3.2 shutting down".into());
    for (step, action, outcome, phase) in [
        (Step::Mail, closing(), Outcome::NotTried, Phase::Mail),
        (Step::Mail, Action::Close, Outcome::NotTried, Phase::Mail),
        (Step::Rcpt, closing(), Outcome::Deferred, Phase::Rcpt),
        (Step::Rcpt, Action::Close, Outcome::NotTried, Phase::Rcpt),
        (Step::Data, Action::Close, Outcome::NotTried, Phase::Data),
    ] {
        let server = server(step, action.clone()).await;
        let (connection, report) = withdraw(&server).await;
        let found = (report.outcome, report.phase);
        assert_eq!(found, (outcome, phase), "{step:?} {action:?}");
        assert!(!connection.is_usable());
        assert_eq!(connection.was_cut_off(), step == Step::Mail);
    }
}

/// Hazard 12: slow replies are awaited, but not those after a refusal.
#[tokio::test]
async fn slow_replies_are_waited_for() {
    let later = Action::Delay(
        Duration::from_millis(1_500),
        Box::new(Action::reply("550 5.1.1 no")),
    );
    let slow = server(Step::Rcpt, later).await;
    let (_, report) = withdraw(&slow).await;
    assert_eq!(
        summary(&report),
        (Outcome::Failed, Class::Permanent, Phase::Rcpt, Some(550))
    );
    let silent = ServerScript::new()
        .on(|at| match (at.step, at.nth) {
            (Step::Rcpt, 2) => Action::reply("550 5.1.1 no"),
            (Step::Data, 2) => Action::Stall,
            _ => Action::Default,
        })
        .start()
        .await;
    let (connection, report) = withdraw(&silent).await;
    assert_eq!(report.outcome, Outcome::Failed);
    assert!(!connection.is_usable());
}

/// Hazard 1: replies that do not match their commands are attributed to no letter.
#[tokio::test]
async fn misplaced_replies_are_nobodys() {
    let server = server(Step::Data, Action::reply("250 what?")).await;
    let (connection, report) = withdraw(&server).await;
    assert_eq!(
        (report.outcome, report.class),
        (Outcome::NotTried, Class::Protocol)
    );
    assert!(!connection.is_usable());
}

/// Without an announcement there is nothing to withdraw.
#[tokio::test]
async fn nothing_is_given_up_where_nothing_was_announced() {
    let server = ServerScript::new().without_pipelining().start().await;
    let mut connection = connect(&server).await;
    let first = connection
        .send(&letter(1), Some(&letter(2)), &mut |_| true)
        .await;
    assert_eq!(summary(&first), SENT);
    assert_eq!(connection.withdraw().await, None);
    assert_eq!(summary(&send(&mut connection, &letter(2)).await), SENT);
}
