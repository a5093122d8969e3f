//! The recent and upcoming weeks of a user, on the overview page.

use jiff::ToSpan as _;
use jiff::civil::{Date, Weekday};
use serde_json::json;
use skychimp_core::oversight::dashboard::{Dashboard, Upcoming};
use skychimp_core::platform::db::Tx;
use skychimp_core::platform::ids::UserId;

use crate::kit::error::WebError;
use crate::kit::page::PageContext;
use crate::parts::days::{Days, day_of, seconds};

/// Weeks shown in the calendar.
const WEEKS: usize = 5;
/// Entries shown per day.
const ENTRIES: usize = 3;

/// The data of the dashboard, prepared for the template.
pub(super) struct DashboardView {
    pub dashboard: Dashboard,
    pub days: Days,
    /// Weeks from Monday to Sunday, starting with the current one.
    pub weeks: Vec<Vec<Cell>>,
}

/// A day of the calendar.
pub(super) struct Cell {
    pub date: Date,
    pub today: bool,
    pub past: bool,
    pub entries: Vec<Upcoming>,
    /// Number of entries not shown.
    pub more: usize,
}

impl DashboardView {
    pub(super) async fn of(
        tx: &mut Tx,
        page: &PageContext,
        owner: UserId,
    ) -> Result<Self, WebError> {
        let dashboard = Dashboard::of(tx, owner, page.now).await?;
        Ok(Self {
            days: Days::of(page, &dashboard.past),
            weeks: weeks(page, &dashboard.upcoming),
            dashboard,
        })
    }

    /// Plot data: recipients added per week, as JSON.
    pub(super) fn growth_plot(&self, page: &PageContext) -> String {
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

fn weeks(page: &PageContext, upcoming: &[Upcoming]) -> Vec<Vec<Cell>> {
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
