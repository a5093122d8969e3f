//! The report of a run for people: a summary sentence, totals that add up, and advice on failures.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use skychimp_core::sending::attempt::{AttemptOutcome, ReplyGroup};
use skychimp_core::sending::delivery::DeliveryState;
use skychimp_core::sending::report::{
    AcceptanceTimes, Cause, DomainOutcome, ReplyContext, RunReport,
};
use skychimp_core::sending::run::RunTotals;

use crate::kit::format;
use crate::kit::i18n::{Lang, Text};
use crate::kit::page::{AsInteger, PageContext};

/// Rows of a table shown before the rest is expanded.
const SHOWN: usize = 10;

/// A report in the form its page needs.
pub(crate) struct ReportView {
    pub report: RunReport,
    /// Failed letters, by cause.
    pub failed: Vec<Group>,
    /// Letters waiting for another attempt, by cause.
    pub waiting: Vec<Group>,
    /// Letters that ended in another state after an attempt, by cause.
    pub given_up: Vec<Group>,
}

/// Letters with one cause.
pub(crate) struct Group {
    pub cause: Cause,
    pub letters: i64,
    /// Server replies, largest group first.
    pub replies: Vec<ReplyGroup>,
}

/// Results for one recipient domain, as a table row.
pub(crate) struct Line<'a> {
    pub domain: &'a DomainOutcome,
    /// Number of domains, if the row combines several.
    pub others: Option<i64>,
}

impl ReportView {
    pub(crate) fn new(report: RunReport) -> Self {
        let of = |wanted: fn(DeliveryState) -> bool| {
            by_cause(report.replies.iter().filter(|reply| wanted(reply.state)))
        };
        Self {
            failed: of(|state| state == DeliveryState::Failed),
            waiting: of(|state| !state.is_over()),
            given_up: of(|state| state.is_over() && state != DeliveryState::Failed),
            report,
        }
    }

    /// The timeline as plot data, in JSON.
    pub(crate) fn plot(&self, page: &PageContext) -> String {
        let points: Vec<_> = self.report.timeline.filled().collect();
        let series = [
            (AttemptOutcome::Sent, "good"),
            (AttemptOutcome::Failed, "bad"),
            (AttemptOutcome::Deferred, "wait"),
            (AttemptOutcome::InDoubt, "rest"),
        ];
        let series: Vec<Value> = series
            .into_iter()
            .filter(|(outcome, _)| self.report.attempts(*outcome) > 0)
            .map(|(outcome, tone)| {
                let values: Vec<i64> = points.iter().map(|point| point.count(outcome)).collect();
                let name = page.dynamic("outcome-", outcome.as_str()).to_string();
                json!({ "name": name, "tone": tone, "values": values })
            })
            .collect();
        let x: Vec<i64> = points.iter().map(|point| point.at / 1_000).collect();
        json!({ "kind": "bars", "x": x, "series": series }).to_string()
    }

    /// Whether the timeline has more than one point.
    pub(crate) fn has_plot(&self) -> bool {
        self.report.timeline.points.len() > 1
    }

    /// Duration of one point, as text.
    pub(crate) fn slot(&self, page: &PageContext) -> String {
        page.span(self.report.timeline.slot_ms)
    }

    /// A time as a percentage of the time until the last letter was accepted, for a bar.
    pub(crate) fn share(&self, page: &PageContext, millis: impl AsInteger) -> String {
        let all = self.report.times.map_or(0, |times| times.all);
        page.share(millis, all.max(1))
    }

    pub(crate) fn times(&self) -> Option<AcceptanceTimes> {
        self.report.times
    }

    /// Times in milliseconds after which shares of the letters were accepted, each with its name.
    pub(crate) fn times_rows(&self) -> Option<[(&'static str, i64); 4]> {
        self.report.times.map(|times| {
            [
                ("half", times.half),
                ("most", times.most),
                ("nearly-all", times.nearly_all),
                ("all", times.all),
            ]
        })
    }

    /// Letters that were tried and not accepted: name of the section, state to filter recipients
    /// by, groups.
    pub(crate) fn failure_groups(&self) -> [(&'static str, &'static str, &[Group]); 3] {
        [
            ("failed", "failed", &self.failed),
            ("waiting", "deferred", &self.waiting),
            ("given-up", "", &self.given_up),
        ]
    }

    pub(crate) fn most_tries(&self) -> i64 {
        let letters = self.report.tries.iter().map(|tries| tries.letters);
        letters.max().unwrap_or(0)
    }

    pub(crate) fn in_doubt(&self) -> i64 {
        self.report.attempts(AttemptOutcome::InDoubt)
    }

    /// The domains shown at first.
    pub(crate) fn first_domains(&self) -> Vec<Line<'_>> {
        self.lines().take(SHOWN).collect()
    }

    /// The remaining domains.
    pub(crate) fn more_domains(&self) -> Vec<Line<'_>> {
        self.lines().skip(SHOWN).collect()
    }

    fn lines(&self) -> impl Iterator<Item = Line<'_>> {
        let named = self.report.domains.iter().map(|domain| Line {
            domain,
            others: None,
        });
        let others = self.report.others.iter().map(|others| Line {
            domain: &others.letters,
            others: Some(others.domains),
        });
        named.chain(others)
    }
}

/// Groups replies by cause, largest group first.
fn by_cause<'a>(replies: impl Iterator<Item = &'a ReplyGroup>) -> Vec<Group> {
    let mut causes: BTreeMap<Cause, Vec<ReplyGroup>> = BTreeMap::new();
    for reply in replies {
        let said = ReplyContext {
            class: &reply.class,
            phase: &reply.phase,
            code: reply.code,
            reply: &reply.reply,
            ..ReplyContext::default()
        };
        let cause = said.cause();
        causes.entry(cause).or_default().push(reply.clone());
    }
    let mut groups: Vec<Group> = causes
        .into_iter()
        .map(|(cause, replies)| Group {
            cause,
            letters: replies.iter().map(|reply| reply.count).sum(),
            replies,
        })
        .collect();
    groups.sort_by_key(|group| std::cmp::Reverse(group.letters));
    groups
}

/// Summarises a run in one sentence. `took`: milliseconds until the last letter was accepted.
/// `failed`: causes of failure, the most frequent first.
pub(crate) fn sentence(
    lang: Lang,
    totals: &RunTotals,
    took: Option<i64>,
    failed: &[(Cause, i64)],
) -> String {
    if totals.planned == 0 {
        return lang.t("report-nobody").to_string();
    }
    let mut parts = vec![accepted(lang, totals, took)];
    if totals.failed > 0 {
        parts.push(refused(lang, totals.failed, failed).to_string());
    }
    for (key, count) in [
        ("report-deferred", totals.deferred),
        ("report-left", totals.remaining - totals.deferred),
        ("report-skipped", totals.skipped),
        ("report-expired", totals.expired),
        ("report-cancelled", totals.cancelled),
    ] {
        if count > 0 {
            parts.push(lang.t(key).with("count", count).to_string());
        }
    }
    format!("{}.", parts.join("; "))
}

fn accepted(lang: Lang, totals: &RunTotals, took: Option<i64>) -> String {
    let text = if totals.sent == totals.planned {
        lang.t("report-all-accepted")
    } else if totals.sent == 0 {
        lang.t("report-none-accepted")
    } else {
        lang.t("report-accepted")
    };
    let text = text
        .with("sent", totals.sent)
        .with("planned", totals.planned);
    match took {
        Some(took) if totals.sent > 0 && totals.remaining == 0 => {
            let within = match took {
                ..1_000 => lang.t("report-within-second"),
                _ => lang
                    .t("report-within")
                    .with("time", format::span(lang, took)),
            };
            format!("{text} {within}")
        }
        _ => text.to_string(),
    }
}

fn refused(lang: Lang, count: i64, causes: &[(Cause, i64)]) -> Text {
    let Some((cause, letters)) = causes.first() else {
        return lang.t("report-failed").with("count", count);
    };
    let key = match *letters {
        letters if letters >= count => "report-failed-because",
        letters if letters * 2 > count => "report-failed-most",
        _ if main_cause(causes).is_none() => {
            return lang.t("report-failed-mixed").with("count", count);
        }
        _ => "report-failed-often",
    };
    let why = lang.dynamic("cause-why-", cause.as_str()).to_string();
    lang.t(key).with("count", count).with("why", why)
}

/// The cause that is more frequent than every other one. `causes`: the most frequent first.
pub(crate) fn main_cause(causes: &[(Cause, i64)]) -> Option<Cause> {
    match causes {
        [(_, first), (_, second), ..] if first == second => None,
        _ => causes.first().map(|(cause, _)| *cause),
    }
}

impl ReportView {
    /// Causes of failure, the most frequent first.
    pub(crate) fn causes(&self) -> Vec<(Cause, i64)> {
        let groups = self.failed.iter();
        groups.map(|group| (group.cause, group.letters)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(lang: Lang, failed: &[(Cause, i64)], took: Option<i64>) -> String {
        let count: i64 = failed.iter().map(|(_, letters)| letters).sum();
        let totals = RunTotals {
            planned: 21 + count,
            sent: 21,
            failed: count,
            ..RunTotals::default()
        };
        sentence(lang, &totals, took, failed)
    }

    /// R29: the sentence names a main cause only if there is one, and never says "0 s".
    #[test]
    fn sentence_of_a_report_is_true() {
        let (full, spam, size) = (Cause::MailboxFull, Cause::Policy, Cause::Size);
        assert_eq!(
            said(Lang::Ru, &[(full, 1), (spam, 1), (size, 1)], Some(0)),
            "Отправлено 21 из 24 писем меньше чем за секунду; 3 отклонены по разным причинам."
        );
        assert_eq!(
            said(Lang::En, &[(full, 1), (spam, 1)], Some(2_000)),
            "21 of 23 letters were sent in 2\u{a0}s; 2 failed for different reasons."
        );
        assert_eq!(
            said(Lang::Ru, &[(full, 2), (spam, 1), (size, 1)], None),
            "Отправлено 21 из 25 писем; 4 отклонены, чаще всего потому, что ящик переполнен."
        );
        assert_eq!(
            said(Lang::Ru, &[(full, 1)], None),
            "Отправлено 21 из 22 писем; 1 отклонено: ящик переполнен."
        );
        assert_eq!(main_cause(&[]), None);
        assert_eq!(main_cause(&[(full, 2), (spam, 1)]), Some(full));
        assert_eq!(main_cause(&[(full, 1), (spam, 1)]), None);
        assert_eq!(format::span(Lang::En, 0), "less than 0.1\u{a0}s");
    }
}
