//! Letters per day over the last weeks, for the overviews of users and moderators.

use jiff::ToSpan as _;
use jiff::civil::Date;
use serde_json::json;
use skychimp_core::oversight::dashboard::{Alert, LOOKBACK, RecentRuns};
use skychimp_core::platform::time::Timestamp;

use crate::kit::i18n::Text;
use crate::kit::page::PageContext;

/// Letters per day, oldest first.
pub(crate) struct Days(pub Vec<Day>);

/// Results of the runs that began on a day.
pub(crate) struct Day {
    pub date: Date,
    pub sent: i64,
    pub failed: i64,
}

impl Days {
    /// The last days up to today, in the visitor's zone.
    pub(crate) fn of(page: &PageContext, past: &[RecentRuns]) -> Self {
        let today = day_of(page, page.now);
        let count = i64::try_from(LOOKBACK.as_secs() / 86_400).unwrap_or(30);
        let first = today.saturating_sub((count - 1).days());
        let dates = first.series(1.days()).take_while(|date| *date <= today);
        let mut days: Vec<Day> = dates
            .map(|date| Day {
                date,
                sent: 0,
                failed: 0,
            })
            .collect();
        for quarter in past {
            let date = day_of(page, quarter.at);
            if let Some(day) = days.iter_mut().find(|day| day.date == date) {
                day.sent += quarter.sent;
                day.failed += quarter.failed;
            }
        }
        Self(days)
    }

    pub(crate) fn sent(&self) -> i64 {
        self.0.iter().map(|day| day.sent).sum()
    }

    pub(crate) fn failed(&self) -> i64 {
        self.0.iter().map(|day| day.failed).sum()
    }

    /// The data of a plot, as JSON.
    pub(crate) fn plot(&self, page: &PageContext) -> String {
        let x: Vec<i64> = self.0.iter().map(|day| seconds(day.date)).collect();
        let of = |key: &'static str, tone: &str, value: fn(&Day) -> i64| {
            let values: Vec<i64> = self.0.iter().map(value).collect();
            json!({ "name": page.t(key).to_string(), "tone": tone, "values": values })
        };
        let series = [
            of("run-total-sent", "good", |day| day.sent),
            of("run-total-failed", "bad", |day| day.failed),
        ];
        json!({ "kind": "bars", "days": true, "x": x, "series": series }).to_string()
    }
}

/// The date in the visitor's zone.
pub(crate) fn day_of(page: &PageContext, moment: Timestamp) -> Date {
    moment.timestamp().to_zoned(page.zone.clone()).date()
}

/// Start of a day as a Unix time in UTC, for plots of whole days.
pub(crate) fn seconds(date: Date) -> i64 {
    let midnight = date.to_zoned(jiff::tz::TimeZone::UTC);
    midnight.map_or(0, |at| at.timestamp().as_second())
}

/// The text of an attention line.
pub(crate) fn alert_text(page: &PageContext, line: &Alert) -> Text {
    page.dynamic("dash-attention-", &line.what)
        .with("count", line.count)
}

/// URL of an attention line. `base` is empty, or the moderators' prefix.
pub(crate) fn href(base: &str, line: &Alert) -> String {
    match line.run_id {
        Some(run) => format!("{base}/mailings/{}/runs/{run}", line.mailing_id),
        None => format!("{base}/mailings/{}", line.mailing_id),
    }
}
