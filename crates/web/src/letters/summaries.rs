//! The letter after several runs that ended together, as after an outage or an update: one line per
//! run, with a link to its report.

use askama::Template;
use skychimp_core::platform::error::Error;
use skychimp_core::sending::report::{Summary, SummaryLetter};

use super::summary::{summary, written};
use super::{LetterContent, language};
use crate::kit::i18n::{Lang, Text};

/// Runs in one letter; of more, the first ones are listed.
const RUNS_MAX: usize = 100;

#[derive(Template)]
#[template(path = "letters/summaries.html")]
struct HtmlPart<'a> {
    lang: Lang,
    content: &'a LetterContent,
    told: &'a RunList,
}

#[derive(Template)]
#[template(path = "letters/summaries.txt")]
struct TextPart<'a> {
    lang: Lang,
    content: &'a LetterContent,
    told: &'a RunList,
}

/// What this letter shows in addition to [`LetterContent`].
struct RunList {
    lines: Vec<RunLine>,
    /// How many more runs there are.
    more: Option<Text>,
    /// URL where the owner turns these letters off.
    profile: String,
}

/// One run.
struct RunLine {
    title: String,
    result: Text,
    link: String,
}

/// Renders the letter about one or more runs in the owner's language.
pub fn summaries(told: &[Summary], base_url: &str) -> Result<SummaryLetter, Error> {
    let first = match told {
        [] => return Err(Error::Internal("there is nothing to tell".to_owned())),
        [only] => return summary(only, base_url),
        [first, ..] => first,
    };
    let lang = language(&first.user);
    let site = base_url.trim_end_matches('/');
    let sum = |of: fn(&Summary) -> i64| told.iter().map(of).sum::<i64>();
    let (sent, planned) = (
        sum(|one| one.report.totals.sent),
        sum(|one| one.report.totals.planned),
    );
    let count = i64::try_from(told.len()).unwrap_or(i64::MAX);
    let content = LetterContent {
        subject: lang
            .t("letter-summaries-subject")
            .with("count", count)
            .with("sent", sent)
            .with("planned", planned)
            .to_string(),
        greeting: lang.t("letter-hello-name").with("name", &first.user.name),
        text: lang
            .t("letter-summaries-text")
            .with("count", count)
            .to_string(),
        button: lang.t("letter-summaries-button"),
        link: format!("{site}/reports"),
        note: lang.t("letter-summary-note"),
        site: site.to_owned(),
        site_name: first.site_name.clone(),
    };
    let more = count - i64::try_from(RUNS_MAX).unwrap_or(i64::MAX);
    let list = RunList {
        lines: told
            .iter()
            .take(RUNS_MAX)
            .map(|one| line(lang, site, one))
            .collect(),
        more: (more > 0).then(|| lang.t("letter-summaries-more").with("count", more)),
        profile: format!("{site}/account"),
    };
    let (content, told) = (&content, &list);
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

fn line(lang: Lang, site: &str, one: &Summary) -> RunLine {
    let totals = one.report.totals;
    let key = if totals.failed > 0 {
        "letter-summaries-failed"
    } else {
        "letter-summaries-run"
    };
    RunLine {
        title: one.mailing.title.clone(),
        result: lang
            .t(key)
            .with("sent", totals.sent)
            .with("planned", totals.planned)
            .with("failed", totals.failed),
        link: format!("{site}/mailings/{}/runs/{}", one.mailing.id, one.run.id),
    }
}
