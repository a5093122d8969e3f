//! Maps replies to outcomes: pure functions without I/O.

use crate::letter::Refusal;
use crate::reply::Reply;
use crate::report::{Class, Outcome, Phase};
use crate::wire::WireError;

/// An [`AttemptReport`](crate::AttemptReport) without the server's name and the duration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Verdict {
    pub outcome: Outcome,
    pub class: Class,
    pub phase: Phase,
    pub code: Option<u16>,
    pub enhanced: Option<String>,
    pub reply: String,
}

/// What to do after a refused transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum After {
    Nothing,
    /// RSET before the next MAIL.
    Reset,
    /// The server expects content although no recipient was accepted.
    LoneDot,
    Close,
}

impl WireError {
    pub fn class(&self) -> Class {
        match self {
            Self::Closed | Self::Io(_) | Self::GivenUp => Class::Connection,
            Self::Tls(_) => Class::Tls,
            Self::Timeout(_) | Self::Stalled(_) => Class::Timeout,
            Self::Reply(_) => Class::Protocol,
        }
    }
}

impl Verdict {
    fn new(outcome: Outcome, class: Class, phase: Phase, reply: impl Into<String>) -> Self {
        Self {
            outcome,
            class,
            phase,
            code: None,
            enhanced: None,
            reply: reply.into(),
        }
    }

    pub fn not_tried(class: Class, phase: Phase, reply: &str) -> Self {
        Self::new(Outcome::NotTried, class, phase, reply)
    }

    /// The server is ready for the content, and none of it is sent.
    pub fn withheld() -> Self {
        Self::not_tried(
            Class::Withheld,
            Phase::Data,
            "the letter was held back before any of it left",
        )
    }

    /// For a withdrawn letter: only a reply about it counts as an attempt.
    pub fn if_said(mut self) -> Self {
        if self.code.is_none() || self.class == Class::Protocol {
            self.outcome = Outcome::NotTried;
        }
        self
    }

    pub fn protocol(outcome: Outcome, phase: Phase, reply: &str) -> Self {
        Self::new(outcome, Class::Protocol, phase, reply)
    }

    pub fn local(refusal: Refusal) -> Self {
        Self {
            enhanced: Some(refusal.enhanced.to_owned()),
            ..Self::new(Outcome::Failed, refusal.class, Phase::Local, refusal.reason)
        }
    }

    pub fn by_reply(outcome: Outcome, phase: Phase, reply: &Reply) -> Self {
        let class = match class_of(reply) {
            // a 250 that does not answer the command
            Class::Accepted if outcome != Outcome::Sent => Class::Protocol,
            class => class,
        };
        Self {
            code: Some(reply.code),
            enhanced: reply.enhanced().map(str::to_owned),
            ..Self::new(outcome, class, phase, reply.text())
        }
    }

    pub fn by_break(outcome: Outcome, phase: Phase, broken: &WireError) -> Self {
        Self::new(outcome, broken.class(), phase, broken.to_string())
    }
}

fn class_of(reply: &Reply) -> Class {
    // X.1.Y and X.2.Y are about one address or mailbox, not about the server
    let personal = reply.enhanced().is_some_and(|code| {
        let subject = code.split('.').nth(1);
        matches!(subject, Some("1" | "2"))
    });
    match reply.code {
        421 => Class::Closing,
        530 | 534 | 535 | 538 => Class::Auth,
        452 | 454 if !personal => Class::Limit,
        400..=499 => Class::Temporary,
        500..=599 => Class::Permanent,
        250..=259 => Class::Accepted,
        _ => Class::Protocol,
    }
}

/// The verdict of a 4yz or 5yz reply.
fn refusal(phase: Phase, reply: &Reply) -> Verdict {
    let outcome = match class_of(reply) {
        // our credentials are refused, not the recipient
        Class::Auth => Outcome::NotTried,
        Class::Permanent => Outcome::Failed,
        _ => Outcome::Deferred,
    };
    Verdict::by_reply(outcome, phase, reply)
}

/// Judges the replies to MAIL, RCPT and DATA, of which some may be missing. `Ok`: the content may
/// be sent.
///
/// `warm`: the connection has carried letters. If it then ends at MAIL, the letter was not tried.
pub(crate) fn judge_envelope(
    replies: &[Reply],
    broken: Option<WireError>,
    warm: bool,
) -> Result<(), (Verdict, After)> {
    let untouched = |phase| {
        if phase == Phase::Mail && warm {
            Outcome::NotTried
        } else {
            Outcome::Deferred
        }
    };
    let mut refused: Option<Verdict> = None;
    for (n, phase) in [Phase::Mail, Phase::Rcpt, Phase::Data]
        .into_iter()
        .enumerate()
    {
        let Some(reply) = replies.get(n) else {
            // the connection ended, or no more commands were sent after a refusal
            let Some(broken) = broken else { break };
            let verdict = refused.unwrap_or_else(|| {
                let outcome = match (&broken, broken.class()) {
                    (WireError::GivenUp, _) => Outcome::NotTried,
                    (_, Class::Connection | Class::Tls) => untouched(phase),
                    _ => Outcome::Deferred,
                };
                Verdict::by_break(outcome, phase, &broken)
            });
            return Err((verdict, After::Close));
        };
        let expected = match phase {
            Phase::Data => reply.code == 354,
            _ => (250..=259).contains(&reply.code),
        };
        if expected {
            continue;
        }
        if reply.code == 421 {
            let verdict =
                refused.unwrap_or_else(|| Verdict::by_reply(untouched(phase), phase, reply));
            return Err((verdict, After::Close));
        }
        if !reply.is_transient() && !reply.is_permanent() {
            // 250 to DATA or 354 to RCPT: the replies do not match the commands
            return Err((
                Verdict::by_reply(Outcome::Deferred, phase, reply),
                After::Close,
            ));
        }
        refused.get_or_insert_with(|| refusal(phase, reply));
    }
    let Some(verdict) = refused else {
        return Ok(());
    };
    let taken = |n: usize| replies.get(n).is_some_and(Reply::is_positive);
    let after = if verdict.class == Class::Auth {
        After::Close
    } else if replies.get(2).is_some_and(|data| data.code == 354) {
        // a lone dot would send an empty letter to an accepted recipient
        if taken(1) {
            After::Close
        } else {
            After::LoneDot
        }
    } else if taken(0) || taken(1) {
        After::Reset
    } else {
        After::Nothing
    };
    Err((verdict, after))
}

/// Judges the reply to the content; the flag says whether the connection remains usable.
pub(crate) fn judge_content(
    end_of_data_sent: bool,
    result: Result<Reply, WireError>,
) -> (Verdict, bool) {
    let phase = if end_of_data_sent {
        Phase::EndOfData
    } else {
        Phase::Content
    };
    let doubt = match &result {
        _ if end_of_data_sent => Outcome::InDoubt,
        Err(WireError::GivenUp) => Outcome::NotTried,
        _ => Outcome::Deferred,
    };
    match result {
        Err(broken) => (Verdict::by_break(doubt, phase, &broken), false),
        Ok(reply) if reply.is_transient() || reply.is_permanent() => {
            let verdict = refusal(phase, &reply);
            let ends = matches!(verdict.class, Class::Closing | Class::Auth);
            (verdict, end_of_data_sent && !ends)
        }
        Ok(reply) if end_of_data_sent && (250..=259).contains(&reply.code) => {
            (Verdict::by_reply(Outcome::Sent, phase, &reply), true)
        }
        Ok(reply) => (Verdict::by_reply(doubt, phase, &reply), false),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn replies(texts: &[&str]) -> Vec<Reply> {
        texts
            .iter()
            .map(|text| Reply {
                code: text[..3].parse().unwrap(),
                lines: vec![text[3..].trim().to_owned()],
            })
            .collect()
    }

    fn envelope(texts: &[&str]) -> (Outcome, Class, Phase, After) {
        let (verdict, after) = judge_envelope(&replies(texts), None, false).unwrap_err();
        (verdict.outcome, verdict.class, verdict.phase, after)
    }

    /// S4, R26: the first refusal decides; what follows depends on which commands were accepted.
    #[test]
    fn first_refusal_decides() {
        use {After as A, Class as C, Outcome as O, Phase as P};
        assert!(judge_envelope(&replies(&["250", "251", "354"]), None, false).is_ok());
        assert_eq!(
            envelope(&["250", "550", "354"]),
            (O::Failed, C::Permanent, P::Rcpt, A::LoneDot)
        );
        assert_eq!(
            envelope(&["250", "450", "554"]),
            (O::Deferred, C::Temporary, P::Rcpt, A::Reset)
        );
        assert_eq!(
            envelope(&["250", "250", "451"]),
            (O::Deferred, C::Temporary, P::Data, A::Reset)
        );
        assert_eq!(
            envelope(&["451", "503", "503"]),
            (O::Deferred, C::Temporary, P::Mail, A::Nothing)
        );
        assert_eq!(
            envelope(&["550", "250", "354"]),
            (O::Failed, C::Permanent, P::Mail, A::Close)
        );
        assert_eq!(
            envelope(&["250", "550"]),
            (O::Failed, C::Permanent, P::Rcpt, A::Reset)
        );
        assert_eq!(
            envelope(&["250", "452 4.2.2 mailbox full", "354"]),
            (O::Deferred, C::Temporary, P::Rcpt, A::LoneDot)
        );
        assert_eq!(
            envelope(&["452 4.3.1 disk full", "503", "503"]),
            (O::Deferred, C::Limit, P::Mail, A::Nothing)
        );
        assert_eq!(
            envelope(&["530 5.7.0 log in first", "503", "503"]),
            (O::NotTried, C::Auth, P::Mail, A::Close)
        );
    }

    /// S8: replies that do not match their commands close the connection and defer the letter.
    #[test]
    fn misplaced_replies_close_the_connection() {
        for texts in [
            &["250", "354"][..],
            &["354"],
            &["250", "250", "250"],
            &["250", "550", "250"],
            &["220", "250", "354"],
        ] {
            let (outcome, class, _, after) = envelope(texts);
            assert_eq!(
                (outcome, class, after),
                (Outcome::Deferred, Class::Protocol, After::Close),
                "{texts:?}"
            );
        }
    }

    /// S5: if a warm connection ends at MAIL, with or without 421, the letter was not tried.
    #[test]
    fn end_at_mail_of_a_warm_connection_is_no_attempt() {
        let judge = |texts: &[&str], broken: Option<WireError>, warm| {
            let (verdict, after) = judge_envelope(&replies(texts), broken, warm).unwrap_err();
            assert_eq!(after, After::Close);
            verdict.outcome
        };
        assert_eq!(judge(&["421 too many"], None, true), Outcome::NotTried);
        assert_eq!(judge(&["421 too many"], None, false), Outcome::Deferred);
        assert_eq!(judge(&[], Some(WireError::Closed), true), Outcome::NotTried);
        assert_eq!(
            judge(&[], Some(WireError::Closed), false),
            Outcome::Deferred
        );
        assert_eq!(
            judge(&["250"], Some(WireError::Closed), true),
            Outcome::Deferred
        );
        assert_eq!(judge(&["250", "421"], None, true), Outcome::Deferred);
        assert_eq!(
            judge(&["250", "550", "421"], None, true),
            Outcome::Failed,
            "the refusal was said before"
        );
    }

    /// S2: a letter is in doubt only if the dot was sent and its reply was not read.
    #[test]
    fn content_is_in_doubt_only_after_the_dot() {
        use {Class as C, Outcome as O};
        let judge = |end_of_data_sent, result: Result<&str, WireError>| {
            let result = result.map(|text| replies(&[text]).remove(0));
            let (verdict, goes_on) = judge_content(end_of_data_sent, result);
            (verdict.outcome, verdict.class, goes_on)
        };
        assert_eq!(judge(true, Ok("250")), (O::Sent, C::Accepted, true));
        assert_eq!(judge(true, Ok("451")), (O::Deferred, C::Temporary, true));
        assert_eq!(judge(true, Ok("550")), (O::Failed, C::Permanent, true));
        assert_eq!(judge(false, Ok("550")), (O::Failed, C::Permanent, false));
        assert_eq!(judge(true, Ok("421")), (O::Deferred, C::Closing, false));
        assert_eq!(judge(true, Ok("354")), (O::InDoubt, C::Protocol, false));
        assert_eq!(judge(false, Ok("250")), (O::Deferred, C::Protocol, false));
        assert_eq!(
            judge(true, Err(WireError::Closed)),
            (O::InDoubt, C::Connection, false)
        );
        assert_eq!(
            judge(false, Err(WireError::Closed)),
            (O::Deferred, C::Connection, false)
        );
        assert_eq!(judge(true, Err(WireError::GivenUp)).0, O::InDoubt);
        assert_eq!(judge(false, Err(WireError::GivenUp)).0, O::NotTried);
    }

    /// R13: a program that does not wait any longer keeps a refusal that has come; without one the
    /// letter was not tried.
    #[test]
    fn given_up_keeps_what_was_said() {
        let judge = |texts: &[&str]| {
            let result = judge_envelope(&replies(texts), Some(WireError::GivenUp), false);
            let (verdict, after) = result.unwrap_err();
            assert_eq!(after, After::Close);
            verdict.outcome
        };
        assert_eq!(judge(&[]), Outcome::NotTried);
        assert_eq!(judge(&["250", "250"]), Outcome::NotTried);
        assert_eq!(judge(&["250", "550"]), Outcome::Failed);
        assert_eq!(judge(&["250", "450"]), Outcome::Deferred);
    }
}
