//! When a mailing is due (R9, R10).
//!
//! A [`Schedule`] is an *anchor* (the wall time of the start in the mailing's zone) and a period.
//! The k-th due time is the anchor plus k periods *on the calendar*, interpreted in the zone. It
//! never depends on the due time before it, so the 31st comes back after February, and half past
//! two comes back after the night without one.
//!
//! - A day that a month does not have becomes the month's last day.
//! - A wall time that does not exist (clocks go forward) becomes the first moment after the gap.
//! - A wall time that exists twice (clocks go back) is due once, the first time. Only the start may
//!   be the second one, if it was given with that offset.
//! - The start is always the first due time. The end is not a due time, and nothing is due after
//!   it.
//!
//! *Invariants*: the due times of a schedule strictly increase. Everything here is a pure function
//! of its arguments: time zones are those built into the program, not the machine's.

use std::sync::LazyLock;

use jiff::Span;
use jiff::civil::DateTime;
use jiff::tz::{AmbiguousOffset, TimeZone, TimeZoneDatabase};

use crate::platform::time::Timestamp;

/// Time zones built into the program.
static ZONES: LazyLock<TimeZoneDatabase> = LazyLock::new(TimeZoneDatabase::bundled);

/// How often a mailing is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Frequency {
    /// Once.
    Once,
    /// Every day.
    Day,
    /// On the same day of every week.
    Week,
    /// On the same day of every month.
    Month,
}

impl Frequency {
    /// All values, in the order of forms.
    pub const ALL: [Self; 4] = [Self::Once, Self::Day, Self::Week, Self::Month];

    /// The name in the database, commands and the API.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Once => "once",
            Self::Day => "day",
            Self::Week => "week",
            Self::Month => "month",
        }
    }

    /// The span of `n` periods; `None` for [`Frequency::Once`].
    fn times(self, n: i64) -> Option<Span> {
        match self {
            Self::Once => None,
            Self::Day => Span::new().try_days(n).ok(),
            Self::Week => Span::new().try_weeks(n).ok(),
            Self::Month => Span::new().try_months(n).ok(),
        }
    }
}

impl std::fmt::Display for Frequency {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

impl std::str::FromStr for Frequency {
    type Err = ScheduleError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|every| every.as_str() == text)
            .ok_or(ScheduleError::Every)
    }
}

/// Why a schedule is not valid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ScheduleError {
    /// The start is neither RFC 3339 nor a wall time.
    #[error("the start is no date and time, like 2027-01-31T10:00 or 2027-01-31T10:00:00+03:00")]
    Start,
    /// The end is neither RFC 3339 nor a wall time.
    #[error("the end is no date and time, like 2027-01-31T10:00 or 2027-01-31T10:00:00+03:00")]
    End,
    /// The end is not after the start.
    #[error("the end is not after the start")]
    EndBeforeStart,
    /// There is no zone of that name.
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

    /// Language-neutral code, as in [`crate::platform::error::FieldError`].
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

/// Finds a zone by its IANA name, regardless of case.
pub fn zone(name: &str) -> Result<TimeZone, ScheduleError> {
    ZONES.get(name).map_err(|_| ScheduleError::Zone)
}

/// Names of all zones, sorted.
#[must_use]
pub fn zone_names() -> Vec<String> {
    let mut names: Vec<_> = ZONES.available().map(|name| name.to_string()).collect();
    names.sort_unstable();
    names
}

/// The due times of a mailing, as a pure function of its owner's choices.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schedule {
    start: Timestamp,
    anchor: DateTime,
    zone: TimeZone,
    every: Frequency,
    end: Option<Timestamp>,
}

impl Schedule {
    /// Parses what a form or a command gives.
    ///
    /// `start` and `end` are RFC 3339 with any offset (`2027-01-31T10:00:00+03:00`), or a wall time
    /// in the zone (`2027-01-31T10:00`, seconds optional).
    pub fn new(
        start: &str,
        zone_name: &str,
        every: Frequency,
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

    /// A schedule whose start is a known time; the wall time in the zone follows from it.
    pub fn starting(
        start: Timestamp,
        zone_name: &str,
        every: Frequency,
        end: Option<Timestamp>,
    ) -> Result<Self, ScheduleError> {
        let zone = zone(zone_name)?;
        let anchor = zone.to_datetime(start.timestamp());
        Self::build(start, anchor, zone, every, end)
    }

    /// Rebuilds a stored schedule from what [`Schedule::start`], [`Schedule::anchor`],
    /// [`Schedule::zone`], [`Schedule::every`] and [`Schedule::end`] returned.
    pub fn stored(
        start: Timestamp,
        anchor: &str,
        zone_name: &str,
        every: Frequency,
        end: Option<Timestamp>,
    ) -> Result<Self, ScheduleError> {
        let anchor = wall_time(anchor).ok_or(ScheduleError::Start)?;
        Self::build(start, anchor, zone(zone_name)?, every, end)
    }

    fn build(
        start: Timestamp,
        anchor: DateTime,
        zone: TimeZone,
        every: Frequency,
        end: Option<Timestamp>,
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

    /// The first due time.
    #[must_use]
    pub const fn start(&self) -> Timestamp {
        self.start
    }

    /// The wall time that repeats, `2027-01-31T10:00:00`. It differs from the start's wall time
    /// only if the start was given as a wall time that did not exist on its day.
    #[must_use]
    pub fn anchor(&self) -> String {
        self.anchor.to_string()
    }

    /// The zone's IANA name.
    #[must_use]
    pub fn zone(&self) -> &str {
        self.zone.iana_name().unwrap_or("UTC")
    }

    /// How often it repeats.
    #[must_use]
    pub const fn every(&self) -> Frequency {
        self.every
    }

    /// Nothing is due from this time on; `None` for no end.
    #[must_use]
    pub const fn end(&self) -> Option<Timestamp> {
        self.end
    }

    /// A time in RFC 3339 with the zone's offset: `2027-01-31T10:00:00+03:00`.
    #[must_use]
    pub fn rfc3339(&self, moment: Timestamp) -> String {
        rfc3339(moment, &self.zone)
    }

    /// The first due time after `after`; the start when `after` is `None`.
    #[must_use]
    pub fn next(&self, after: Option<Timestamp>) -> Option<Timestamp> {
        let found = match after {
            Some(after) if after >= self.start => self.repeated_after(after)?,
            _ => self.start,
        };
        self.end.is_none_or(|end| found < end).then_some(found)
    }

    /// Up to `n` due times after `after`; from the start on when `after` is `None`.
    #[must_use]
    pub fn upcoming(&self, after: Option<Timestamp>, n: usize) -> Vec<Timestamp> {
        self.after(after).take(n).collect()
    }

    /// All due times from `from` to `until`, both included: those missed during a downtime.
    pub fn missed(
        &self,
        from: Timestamp,
        until: Timestamp,
    ) -> impl Iterator<Item = Timestamp> + '_ {
        let before = Timestamp::from_millis(from.millis().saturating_sub(1));
        self.after(Some(before))
            .take_while(move |moment| *moment <= until)
    }

    /// The latest due time at or before `until`.
    #[must_use]
    pub fn latest(&self, until: Timestamp) -> Option<Timestamp> {
        let until = match self.end {
            Some(end) if end <= until => Timestamp::from_millis(end.millis() - 1),
            _ => until,
        };
        if until < self.start {
            return None;
        }
        // start far enough back that at least one repetition is earlier, then take a few steps
        // forward
        let near = self.nearest(until);
        let found = (near.saturating_sub(3).max(1)..=near + 3)
            .map_while(|n| self.repetition(n))
            .take_while(|moment| *moment <= until)
            .last();
        Some(found.unwrap_or(self.start).max(self.start))
    }

    fn after(&self, after: Option<Timestamp>) -> impl Iterator<Item = Timestamp> + '_ {
        std::iter::successors(self.next(after), |last| self.next(Some(*last)))
    }

    /// The first repetition after `after`, which must not be before the start.
    fn repeated_after(&self, after: Timestamp) -> Option<Timestamp> {
        let first = self.nearest(after).saturating_sub(3).max(1);
        (first..)
            .map_while(|n| self.repetition(n))
            .find(|moment| *moment > after)
    }

    /// Approximate number of periods between the anchor and a time, off by two at most.
    fn nearest(&self, moment: Timestamp) -> i64 {
        let wall = self.zone.to_datetime(moment.timestamp());
        let months = |dt: DateTime| i64::from(dt.year()) * 12 + i64::from(dt.month());
        let days = || (wall.date() - self.anchor.date()).get_days().into();
        match self.every {
            Frequency::Once => 0,
            Frequency::Day => days(),
            Frequency::Week => days() / 7,
            Frequency::Month => months(wall) - months(self.anchor),
        }
    }

    /// Time of the `n`-th repetition; `None` past the end of the calendar.
    fn repetition(&self, n: i64) -> Option<Timestamp> {
        let wall = self.anchor.checked_add(self.every.times(n)?).ok()?;
        resolve(wall, &self.zone)
    }
}

/// A time in RFC 3339 with the offset it has in a zone.
#[must_use]
pub fn rfc3339(moment: Timestamp, zone: &TimeZone) -> String {
    moment
        .timestamp()
        .to_zoned(zone.clone())
        .strftime("%Y-%m-%dT%H:%M:%S%:z")
        .to_string()
}

/// Parses RFC 3339 with an offset, or a wall time in a zone; `None` when it is neither.
#[must_use]
pub fn moment(text: &str, zone: &TimeZone) -> Option<Timestamp> {
    read(text, zone).map(|(moment, _)| moment)
}

/// Parses RFC 3339 or a wall time in the zone. Returns the time and the wall time it stands for.
fn read(text: &str, zone: &TimeZone) -> Option<(Timestamp, DateTime)> {
    let text = text.trim();
    if let Some(wall) = wall_time(text) {
        return Some((resolve(wall, zone)?, wall));
    }
    let is_rfc3339 = |c: char| c.is_ascii_digit() || "-+:.TtZz ".contains(c);
    if !text.chars().all(is_rfc3339) {
        return None;
    }
    let moment = Timestamp::from(text.parse::<jiff::Timestamp>().ok()?);
    in_range(moment).then(|| (moment, zone.to_datetime(moment.timestamp())))
}

/// Parses `2027-01-31T10:00`, with or without seconds, with `T` or a space.
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

/// Whether a time is in the range of [`wall_time`], give or take a day.
fn in_range(moment: Timestamp) -> bool {
    (1970..=2999).contains(&moment.timestamp().to_zoned(TimeZone::UTC).year())
}

/// The time of a wall time: the first one if there are two, the first one after the gap if there is
/// none.
fn resolve(wall: DateTime, zone: &TimeZone) -> Option<Timestamp> {
    let found = zone.to_ambiguous_timestamp(wall);
    let timestamp = match found.offset() {
        AmbiguousOffset::Unambiguous { offset } => offset.to_timestamp(wall).ok()?,
        AmbiguousOffset::Fold { before, .. } => before.to_timestamp(wall).ok()?,
        AmbiguousOffset::Gap { before, after } => {
            // read with the new offset, the wall time is before the change; with the old one, after
            // it
            let earlier = after.to_timestamp(wall).ok()?;
            let later = before.to_timestamp(wall).ok()?;
            zone.following(earlier)
                .map(|change| change.timestamp())
                .take_while(|at| *at <= later)
                .find(|at| zone.to_offset(*at) == after)
                .unwrap_or(later)
        }
    };
    Some(Timestamp::from(timestamp))
}

#[cfg(test)]
mod tests;
