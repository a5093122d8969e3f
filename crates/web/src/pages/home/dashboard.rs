//! The last weeks of a user and the next ones, as the overview shows them.

use jiff::ToSpan as _;
use jiff::civil::{Date, Weekday};
use serde_json::json;
use skychimp_core::dashboard::{Attention, BACK, Dashboard, Upcoming};
use skychimp_core::db::Tx;
use skychimp_core::ids::UserId;
use skychimp_core::time::Moment;

use crate::error::WebError;
use crate::i18n::Text;
use crate::page::Page;

/// Weeks of the calendar.
const WEEKS: usize = 5;
/// Entries of a day that are shown.
const ENTRIES: usize = 3;

/// See the module.
pub(super) struct DashboardView {
    pub dashboard: Dashboard,
    /// Letters by day, the oldest day first.
    pub days: Vec<Day>,
    /// From this week on, a week after the other, from Monday on.
    pub weeks: Vec<Vec<Cell>>,
}

/// A day that is over, or today.
pub(super) struct Day {
    pub date: Date,
    pub sent: i64,
    pub failed: i64,
}

/// A day of the calendar.
pub(super) struct Cell {
    pub date: Date,
    pub today: bool,
    pub past: bool,
    pub entries: Vec<Upcoming>,
    /// Entries that are not shown.
    pub more: usize,
}

fn day_of(page: &Page, moment: Moment) -> Date {
    moment.timestamp().to_zoned(page.zone.clone()).date()
}

impl DashboardView {
    pub(super) async fn of(tx: &mut Tx, page: &Page, owner: UserId) -> Result<Self, WebError> {
        let dashboard = Dashboard::of(tx, owner, page.now).await?;
        Ok(Self {
            days: days(page, &dashboard),
            weeks: weeks(page, &dashboard.upcoming),
            dashboard,
        })
    }

    pub(super) fn sent(&self) -> i64 {
        self.days.iter().map(|day| day.sent).sum()
    }

    pub(super) fn failed(&self) -> i64 {
        self.days.iter().map(|day| day.failed).sum()
    }

    /// Letters by day.
    pub(super) fn plot(&self, page: &Page) -> String {
        let x: Vec<i64> = self.days.iter().map(|day| seconds(day.date)).collect();
        let of = |key: &'static str, tone: &str, value: fn(&Day) -> i64| {
            let values: Vec<i64> = self.days.iter().map(value).collect();
            json!({ "name": page.t(key).to_string(), "tone": tone, "values": values })
        };
        let series = [
            of("run-total-sent", "good", |day| day.sent),
            of("run-total-failed", "bad", |day| day.failed),
        ];
        json!({ "kind": "bars", "days": true, "x": x, "series": series }).to_string()
    }

    /// Recipients added by week.
    pub(super) fn growth_plot(&self, page: &Page) -> String {
        let growth = &self.dashboard.growth;
        let x: Vec<i64> = growth
            .iter()
            .map(|(week, _)| seconds(day_of(page, *week)))
            .collect();
        let values: Vec<i64> = growth.iter().map(|(_, count)| *count).collect();
        let series =
            json!([{ "name": page.t("dash-added").to_string(), "tone": "main", "values": values }]);
        json!({ "kind": "bars", "days": true, "x": x, "series": series }).to_string()
    }
}

/// What a line of attention says.
pub(super) fn say(page: &Page, line: &Attention) -> Text {
    page.dynamic("dash-attention-", &line.what)
        .with("count", line.count)
}

/// Where it leads.
pub(super) fn href(line: &Attention) -> String {
    match line.run_id {
        Some(run) => format!("/mailings/{}/runs/{run}", line.mailing_id),
        None => format!("/mailings/{}", line.mailing_id),
    }
}

/// The beginning of a day, for plots that show days.
fn seconds(date: Date) -> i64 {
    let midnight = date.to_zoned(jiff::tz::TimeZone::UTC);
    midnight.map_or(0, |at| at.timestamp().as_second())
}

fn days(page: &Page, dashboard: &Dashboard) -> Vec<Day> {
    let today = day_of(page, page.now);
    let count = i64::try_from(BACK.as_secs() / 86_400).unwrap_or(30);
    let first = today.saturating_sub((count - 1).days());
    let mut days: Vec<Day> = first
        .series(1.days())
        .take_while(|date| *date <= today)
        .map(|date| Day {
            date,
            sent: 0,
            failed: 0,
        })
        .collect();
    for run in &dashboard.runs {
        let date = day_of(page, run.began);
        if let Some(day) = days.iter_mut().find(|day| day.date == date) {
            day.sent += run.sent;
            day.failed += run.failed;
        }
    }
    days
}

fn weeks(page: &Page, upcoming: &[Upcoming]) -> Vec<Vec<Cell>> {
    let today = day_of(page, page.now);
    let back = i64::from(today.weekday().since(Weekday::Monday));
    let monday = today.saturating_sub(back.days());
    let dates: Vec<Date> = monday.series(1.days()).take(WEEKS * 7).collect();
    let cell = |date: &Date| {
        let of_day = upcoming.iter().filter(|one| day_of(page, one.at) == *date);
        let all: Vec<Upcoming> = of_day.cloned().collect();
        Cell {
            date: *date,
            today: *date == today,
            past: *date < today,
            more: all.len().saturating_sub(ENTRIES),
            entries: all.into_iter().take(ENTRIES).collect(),
        }
    };
    dates
        .chunks(7)
        .map(|week| week.iter().map(cell).collect())
        .collect()
}
