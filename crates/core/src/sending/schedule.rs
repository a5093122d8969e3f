//! When a mailing is due (R9, R10).
//!
//! A [`Schedule`] is an *anchor* (the wall time of the start in the mailing's zone) and a period. The k-th due moment is
//! the anchor plus k periods *on the calendar*, read in the zone; it never depends on the moment before it, so the 31st
//! comes back after February and half past two comes back after the night without one.
//!
//! - A day that a month does not have becomes the month's last day.
//! - A wall time that does not exist (clocks go forward) becomes the first moment after the gap.
//! - A wall time that exists twice (clocks go back) is due once, the first time. Only the start itself may be the
//!   second one, when it was given with that offset.
//! - The start is always the first moment. The end is no due moment and nothing after it is.
//!
//! *Invariants*: moments of a schedule strictly increase; everything here is pure and depends on nothing but its
//! arguments: the time zones are those built into the program, not the machine's.

use std::sync::LazyLock;

use jiff::Span;
use jiff::civil::DateTime;
use jiff::tz::{AmbiguousOffset, TimeZone, TimeZoneDatabase};

use crate::platform::time::Moment;

/// The zones built into the program.
static ZONES: LazyLock<TimeZoneDatabase> = LazyLock::new(TimeZoneDatabase::bundled);

/// How often a mailing goes out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Every {
    /// One time only.
    Once,
    /// On each day.
    Day,
    /// On the same day of each week.
    Week,
    /// On the same day of each month.
    Month,
}

impl Every {
    /// All, in the order of forms.
    pub const ALL: [Self; 4] = [Self::Once, Self::Day, Self::Week, Self::Month];

    /// The word of the database, commands and the API.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Once => "once",
            Self::Day => "day",
            Self::Week => "week",
            Self::Month => "month",
        }
    }

    /// The span of `n` periods.
    fn times(self, n: i64) -> Option<Span> {
        match self {
            Self::Once => None,
            Self::Day => Span::new().try_days(n).ok(),
            Self::Week => Span::new().try_weeks(n).ok(),
            Self::Month => Span::new().try_months(n).ok(),
        }
    }
}

impl std::fmt::Display for Every {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

impl std::str::FromStr for Every {
    type Err = ScheduleError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|every| every.as_str() == text)
            .ok_or(ScheduleError::Every)
    }
}

/// Why there is no such schedule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ScheduleError {
    /// The start is neither RFC 3339 nor a wall time.
    #[error("the start is no date and time, like 2027-01-31T10:00 or 2027-01-31T10:00:00+03:00")]
    Start,
    /// The end is neither RFC 3339 nor a wall time.
    #[error("the end is no date and time, like 2027-01-31T10:00 or 2027-01-31T10:00:00+03:00")]
    End,
    /// The end is not later than the start.
    #[error("the end is not after the start")]
    EndBeforeStart,
    /// No zone of that name.
    #[error("there is no time zone of that name")]
    Zone,
    /// None of `once`, `day`, `week`, `month`.
    #[error("a mailing repeats once, day, week or month")]
    Every,
}

impl ScheduleError {
    /// The form field that is wrong.
    #[must_use]
    pub const fn field(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::End | Self::EndBeforeStart => "end",
            Self::Zone => "zone",
            Self::Every => "every",
        }
    }

    /// The language-neutral code.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Start | Self::End => "date_time",
            Self::EndBeforeStart => "end_before_start",
            Self::Zone => "unknown_zone",
            Self::Every => "unknown_choice",
        }
    }
}

impl From<ScheduleError> for crate::platform::error::FieldError {
    fn from(error: ScheduleError) -> Self {
        Self::new(error.field(), error.code())
    }
}

/// Finds a zone by its IANA name, in any case.
pub fn zone(name: &str) -> Result<TimeZone, ScheduleError> {
    ZONES.get(name).map_err(|_| ScheduleError::Zone)
}

/// The names of all zones, sorted.
#[must_use]
pub fn zone_names() -> Vec<String> {
    let mut names: Vec<_> = ZONES.available().map(|name| name.to_string()).collect();
    names.sort_unstable();
    names
}

/// The due moments of a mailing, as a pure function of what its owner chose.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schedule {
    start: Moment,
    anchor: DateTime,
    zone: TimeZone,
    every: Every,
    end: Option<Moment>,
}

impl Schedule {
    /// Reads what a form or a command gives.
    ///
    /// `start` and `end` are RFC 3339 with an offset (`2027-01-31T10:00:00+03:00`, any offset), or a wall time in
    /// `zone` (`2027-01-31T10:00`, seconds optional).
    pub fn new(
        start: &str,
        zone_name: &str,
        every: Every,
        end: Option<&str>,
    ) -> Result<Self, ScheduleError> {
        let zone = zone(zone_name)?;
        let (start, anchor) = read(start, &zone).ok_or(ScheduleError::Start)?;
        let end = match end {
            Some(end) => Some(read(end, &zone).ok_or(ScheduleError::End)?.0),
            None => None,
        };
        Self::build(start, anchor, zone, every, end)
    }

    /// A schedule whose start is a known moment; the wall time in the zone follows from it.
    pub fn starting(
        start: Moment,
        zone_name: &str,
        every: Every,
        end: Option<Moment>,
    ) -> Result<Self, ScheduleError> {
        let zone = zone(zone_name)?;
        let anchor = zone.to_datetime(start.timestamp());
        Self::build(start, anchor, zone, every, end)
    }

    /// Puts a stored schedule together again: what [`Schedule::start`], [`Schedule::anchor`], [`Schedule::zone`],
    /// [`Schedule::every`] and [`Schedule::end`] gave.
    pub fn stored(
        start: Moment,
        anchor: &str,
        zone_name: &str,
        every: Every,
        end: Option<Moment>,
    ) -> Result<Self, ScheduleError> {
        let anchor = wall_time(anchor).ok_or(ScheduleError::Start)?;
        Self::build(start, anchor, zone(zone_name)?, every, end)
    }

    fn build(
        start: Moment,
        anchor: DateTime,
        zone: TimeZone,
        every: Every,
        end: Option<Moment>,
    ) -> Result<Self, ScheduleError> {
        if end.is_some_and(|end| end <= start) {
            return Err(ScheduleError::EndBeforeStart);
        }
        Ok(Self {
            start,
            anchor,
            zone,
            every,
            end,
        })
    }

    /// The first moment.
    #[must_use]
    pub const fn start(&self) -> Moment {
        self.start
    }

    /// The wall time that repeats, `2027-01-31T10:00:00`. It differs from the start's own wall time only when the
    /// start was given as a wall time that its day did not have.
    #[must_use]
    pub fn anchor(&self) -> String {
        self.anchor.to_string()
    }

    /// The zone's IANA name.
    #[must_use]
    pub fn zone(&self) -> &str {
        self.zone.iana_name().unwrap_or("UTC")
    }

    /// How often.
    #[must_use]
    pub const fn every(&self) -> Every {
        self.every
    }

    /// From here on nothing is due.
    #[must_use]
    pub const fn end(&self) -> Option<Moment> {
        self.end
    }

    /// A moment as RFC 3339 with the zone's offset: `2027-01-31T10:00:00+03:00`.
    #[must_use]
    pub fn rfc3339(&self, moment: Moment) -> String {
        rfc3339(moment, &self.zone)
    }

    /// The first due moment strictly later than `after`; the start when `after` is `None`.
    #[must_use]
    pub fn next(&self, after: Option<Moment>) -> Option<Moment> {
        let found = match after {
            Some(after) if after >= self.start => self.repeated_after(after)?,
            _ => self.start,
        };
        self.end.is_none_or(|end| found < end).then_some(found)
    }

    /// The next `n` due moments after `after`; from the start on when `after` is `None`.
    #[must_use]
    pub fn upcoming(&self, after: Option<Moment>, n: usize) -> Vec<Moment> {
        self.after(after).take(n).collect()
    }

    /// All due moments from `from` to `until`, both included: after downtime those that were missed.
    pub fn missed(&self, from: Moment, until: Moment) -> impl Iterator<Item = Moment> + '_ {
        let before = Moment::from_millis(from.millis().saturating_sub(1));
        self.after(Some(before))
            .take_while(move |moment| *moment <= until)
    }

    /// The latest due moment not later than `until`.
    #[must_use]
    pub fn latest(&self, until: Moment) -> Option<Moment> {
        let until = match self.end {
            Some(end) if end <= until => Moment::from_millis(end.millis() - 1),
            _ => until,
        };
        if until < self.start {
            return None;
        }
        // begins far enough back that at least one repetition lies before, then a few steps forward
        let near = self.nearest(until);
        let found = (near.saturating_sub(3).max(1)..=near + 3)
            .map_while(|n| self.repetition(n))
            .take_while(|moment| *moment <= until)
            .last();
        Some(found.unwrap_or(self.start).max(self.start))
    }

    fn after(&self, after: Option<Moment>) -> impl Iterator<Item = Moment> + '_ {
        std::iter::successors(self.next(after), |last| self.next(Some(*last)))
    }

    /// The first repetition later than `after`, which is not before the start.
    fn repeated_after(&self, after: Moment) -> Option<Moment> {
        let first = self.nearest(after).saturating_sub(3).max(1);
        (first..)
            .map_while(|n| self.repetition(n))
            .find(|moment| *moment > after)
    }

    /// About how many periods lie between the anchor and a moment; never off by more than two.
    fn nearest(&self, moment: Moment) -> i64 {
        let wall = self.zone.to_datetime(moment.timestamp());
        let months = |dt: DateTime| i64::from(dt.year()) * 12 + i64::from(dt.month());
        let days = || (wall.date() - self.anchor.date()).get_days().into();
        match self.every {
            Every::Once => 0,
            Every::Day => days(),
            Every::Week => days() / 7,
            Every::Month => months(wall) - months(self.anchor),
        }
    }

    /// The moment of the `n`-th repetition; `None` past the end of the calendar.
    fn repetition(&self, n: i64) -> Option<Moment> {
        let wall = self.anchor.checked_add(self.every.times(n)?).ok()?;
        resolve(wall, &self.zone)
    }
}

/// A moment as RFC 3339 with the offset it has in a zone.
#[must_use]
pub fn rfc3339(moment: Moment, zone: &TimeZone) -> String {
    moment
        .timestamp()
        .to_zoned(zone.clone())
        .strftime("%Y-%m-%dT%H:%M:%S%:z")
        .to_string()
}

/// The moment that a text means in a zone: RFC 3339 with an offset, or a wall time.
#[must_use]
pub fn moment(text: &str, zone: &TimeZone) -> Option<Moment> {
    read(text, zone).map(|(moment, _)| moment)
}

/// A moment in text: RFC 3339, or a wall time in the zone; and the wall time it stands for.
fn read(text: &str, zone: &TimeZone) -> Option<(Moment, DateTime)> {
    let text = text.trim();
    if let Some(wall) = wall_time(text) {
        return Some((resolve(wall, zone)?, wall));
    }
    let is_rfc3339 = |c: char| c.is_ascii_digit() || "-+:.TtZz ".contains(c);
    if !text.chars().all(is_rfc3339) {
        return None;
    }
    let moment = Moment::from(text.parse::<jiff::Timestamp>().ok()?);
    in_range(moment).then(|| (moment, zone.to_datetime(moment.timestamp())))
}

/// `2027-01-31T10:00`, with seconds or without, with `T` or a space.
fn wall_time(text: &str) -> Option<DateTime> {
    let shape = |(i, c): (usize, char)| match i {
        4 | 7 => c == '-',
        10 => c == 'T' || c == ' ',
        13 | 16 => c == ':',
        19 => c == '.',
        _ => c.is_ascii_digit(),
    };
    if !(16..=23).contains(&text.len()) || !text.chars().enumerate().all(shape) {
        return None;
    }
    let wall: DateTime = text.parse().ok()?;
    (1970..=2999).contains(&wall.year()).then_some(wall)
}

/// Within what [`wall_time`] can say, give or take a day.
fn in_range(moment: Moment) -> bool {
    (1970..=2999).contains(&moment.timestamp().to_zoned(TimeZone::UTC).year())
}

/// The moment of a wall time: the first one if there are two, the first one after it if there is none.
fn resolve(wall: DateTime, zone: &TimeZone) -> Option<Moment> {
    let found = zone.to_ambiguous_timestamp(wall);
    let timestamp = match found.offset() {
        AmbiguousOffset::Unambiguous { offset } => offset.to_timestamp(wall).ok()?,
        AmbiguousOffset::Fold { before, .. } => before.to_timestamp(wall).ok()?,
        AmbiguousOffset::Gap { before, after } => {
            // the wall time read with the new offset lies before the change, with the old one behind it
            let earlier = after.to_timestamp(wall).ok()?;
            let later = before.to_timestamp(wall).ok()?;
            zone.following(earlier)
                .map(|change| change.timestamp())
                .take_while(|at| *at <= later)
                .find(|at| zone.to_offset(*at) == after)
                .unwrap_or(later)
        }
    };
    Some(Moment::from(timestamp))
}

#[cfg(test)]
mod tests;
