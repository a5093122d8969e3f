//! What became of a run, for people: a sentence, figures that close, and what to do about what failed.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use skychimp_core::sending::attempt::{AttemptOutcome, ReplyGroup};
use skychimp_core::sending::delivery::DeliveryState;
use skychimp_core::sending::report::{Cause, Domain, Report, Said, Times};
use skychimp_core::sending::run::Totals;

use crate::kit::format;
use crate::kit::i18n::{Lang, Text};
use crate::kit::page::{Page, Whole};

/// Lines of a table that are shown before the rest is asked for.
const SHOWN: usize = 10;

/// A report as its page needs it.
pub(crate) struct ReportView {
    pub report: Report,
    /// Letters that failed, by why.
    pub failed: Vec<Group>,
    /// Letters that wait for another attempt, by why.
    pub waiting: Vec<Group>,
    /// Letters that ended otherwise after an attempt, by why.
    pub given_up: Vec<Group>,
}

/// Letters with one cause.
pub(crate) struct Group {
    pub cause: Cause,
    pub letters: i64,
    /// What the servers said, the largest group first.
    pub replies: Vec<ReplyGroup>,
}

/// What became of letters, in a line of a table.
pub(crate) struct Line<'a> {
    pub domain: &'a Domain,
    /// It stands for several.
    pub others: Option<i64>,
}

impl ReportView {
    pub(crate) fn new(report: Report) -> Self {
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

    /// What happened when: a plot.
    pub(crate) fn plot(&self, page: &Page) -> String {
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

    /// There is more than one moment to show.
    pub(crate) fn has_plot(&self) -> bool {
        self.report.timeline.points.len() > 1
    }

    /// How long a point is.
    pub(crate) fn slot(&self, page: &Page) -> String {
        page.span(self.report.timeline.slot_ms)
    }

    /// The time until the last letter was accepted, as a share, for a bar.
    pub(crate) fn share(&self, page: &Page, millis: impl Whole) -> String {
        let all = self.report.times.map_or(0, |times| times.all);
        page.share(millis, all.max(1))
    }

    pub(crate) fn times(&self) -> Option<Times> {
        self.report.times
    }

    /// After how long how many letters were accepted: the name of the share, milliseconds.
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

    /// Letters that were tried and not accepted: what is told about them, how their people are found, the groups.
    pub(crate) fn whys(&self) -> [(&'static str, &'static str, &[Group]); 3] {
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

    /// The domains that are shown at once.
    pub(crate) fn first_domains(&self) -> Vec<Line<'_>> {
        self.lines().take(SHOWN).collect()
    }

    /// All others.
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

/// Groups of replies with one cause are one, the largest first.
fn by_cause<'a>(replies: impl Iterator<Item = &'a ReplyGroup>) -> Vec<Group> {
    let mut causes: BTreeMap<Cause, Vec<ReplyGroup>> = BTreeMap::new();
    for reply in replies {
        let said = Said {
            class: &reply.class,
            phase: &reply.phase,
            code: reply.code,
            reply: &reply.reply,
            ..Said::default()
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

/// What became of letters in one sentence. `took`: milliseconds until the last one was accepted; `failed`: why letters failed, the
/// most frequent cause first.
pub(crate) fn sentence(
    lang: Lang,
    totals: &Totals,
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

fn accepted(lang: Lang, totals: &Totals, took: Option<i64>) -> String {
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
            let within = lang
                .t("report-within")
                .with("time", format::span(lang, took));
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
        _ => "report-failed-often",
    };
    let why = lang.dynamic("cause-why-", cause.as_str()).to_string();
    lang.t(key).with("count", count).with("why", why)
}

impl ReportView {
    /// Why letters failed, the most frequent cause first.
    pub(crate) fn causes(&self) -> Vec<(Cause, i64)> {
        let groups = self.failed.iter();
        groups.map(|group| (group.cause, group.letters)).collect()
    }
}
