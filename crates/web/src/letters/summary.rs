//! The letter after a run: a summary of its report, with a link to it.

use askama::Template;
use jiff::tz::TimeZone;
use skychimp_core::platform::error::Error;
use skychimp_core::sending::report::{Summary, SummaryLetter};

use super::{LetterContent, language};
use crate::kit::format;
use crate::kit::i18n::{Lang, Text};
use crate::parts::report_view::{ReportView, main_cause, sentence};

#[derive(Template)]
#[template(path = "letters/summary.html")]
struct HtmlPart<'a> {
    lang: Lang,
    content: &'a LetterContent,
    told: &'a SummaryFacts,
}

#[derive(Template)]
#[template(path = "letters/summary.txt")]
struct TextPart<'a> {
    lang: Lang,
    content: &'a LetterContent,
    told: &'a SummaryFacts,
}

/// What this letter shows in addition to [`LetterContent`].
struct SummaryFacts {
    /// Totals of the run, which add up to the planned number: label, number, link to these
    /// recipients.
    figures: Vec<(Text, Text, String)>,
    cause: Option<WorstCause>,
    /// Due time of the mailing's next run.
    next: Option<Text>,
    /// URL where the owner turns these letters off.
    profile: String,
}

/// The most frequent cause of failure.
struct WorstCause {
    heading: Text,
    title: Text,
    text: Text,
    advice: Text,
    letters: Text,
    people: String,
}

/// Renders the summary in the owner's language and time zone.
pub fn summary(summary: &Summary, base_url: &str) -> Result<SummaryLetter, Error> {
    let lang = language(&summary.user);
    let site = base_url.trim_end_matches('/');
    let mailing = format!("{site}/mailings/{}", summary.mailing.id);
    let totals = summary.report.totals;
    let view = ReportView::new(summary.report.clone());
    let took = view.times().map(|times| times.all);
    let content = LetterContent {
        subject: lang
            .t("letter-summary-subject")
            .with("title", &summary.mailing.title)
            .with("sent", totals.sent)
            .with("planned", totals.planned)
            .to_string(),
        greeting: lang.t("letter-hello-name").with("name", &summary.user.name),
        text: sentence(lang, &totals, took, &view.causes()),
        button: lang.t("letter-summary-button"),
        link: format!("{mailing}/runs/{}", summary.run.id),
        note: lang.t("letter-summary-note"),
        site: site.to_owned(),
        site_name: summary.site_name.clone(),
    };
    let people = format!("{mailing}/people?run={}", summary.run.id);
    let told = SummaryFacts {
        figures: figures(lang, summary, &people),
        cause: worst(lang, &view, &people),
        next: next(lang, summary),
        profile: format!("{site}/account"),
    };
    let (content, told) = (&content, &told);
    let html = HtmlPart {
        lang,
        content,
        told,
    };
    let text = TextPart {
        lang,
        content,
        told,
    };
    written(content, &html, &text)
}

/// A letter of these two parts.
pub(super) fn written(
    content: &LetterContent,
    html: &impl Template,
    text: &impl Template,
) -> Result<SummaryLetter, Error> {
    let unwritten = |error: askama::Error| Error::Internal(error.to_string());
    Ok(SummaryLetter {
        subject: content.subject.clone(),
        html: html.render().map_err(unwritten)?,
        text: text.render().map_err(unwritten)?,
    })
}

fn figures(lang: Lang, summary: &Summary, people: &str) -> Vec<(Text, Text, String)> {
    let totals = summary.report.totals;
    let all = [
        ("run-total-planned", totals.planned, ""),
        ("run-total-sent", totals.sent, "sent"),
        ("run-total-failed", totals.failed, "failed"),
        ("delivery-skipped", totals.skipped, "skipped"),
        ("delivery-expired", totals.expired, "expired"),
        ("delivery-cancelled", totals.cancelled, "cancelled"),
    ];
    all.into_iter()
        .filter(|(key, count, _)| *count > 0 || key.starts_with("run-total"))
        .map(|(key, count, state)| {
            let who = match state {
                "" => people.to_owned(),
                state => format!("{people}&state={state}"),
            };
            (lang.t(key), lang.t("number").with("n", count), who)
        })
        .collect()
}

fn worst(lang: Lang, view: &ReportView, people: &str) -> Option<WorstCause> {
    let group = view.failed.first()?;
    let cause = group.cause.as_str();
    let people = match &group.replies[..] {
        [only] => {
            let reply: String =
                url::form_urlencoded::byte_serialize(only.group.as_bytes()).collect();
            format!("{people}&state=failed&reply={reply}")
        }
        _ => format!("{people}&state=failed"),
    };
    let heading = match main_cause(&view.causes()) {
        Some(_) => "letter-summary-cause",
        None => "letter-summary-one-cause",
    };
    Some(WorstCause {
        heading: lang.t(heading),
        title: lang.dynamic("cause-", cause),
        text: lang.dynamic("cause-text-", cause),
        advice: lang.dynamic("cause-do-", cause),
        letters: lang.t("count-letters").with("count", group.letters),
        people,
    })
}

fn next(lang: Lang, summary: &Summary) -> Option<Text> {
    let zone = TimeZone::get(&summary.user.zone).unwrap_or(TimeZone::UTC);
    let at = format::time(summary.mailing.next_due_at?, &zone, lang);
    Some(lang.t("letter-summary-next").with("at", at))
}
