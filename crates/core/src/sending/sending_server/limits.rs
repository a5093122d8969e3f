//! Limits that are written as text: per recipient domain, and per day of a warm-up.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use super::DAY;
use crate::platform::error::FieldError;
use crate::platform::time::Timestamp;

/// Maximum number of domains, and of days.
const DOMAIN_LIMITS_MAX: usize = 100;

/// Letters per unit of time, evenly spaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// Number of letters.
    pub letters: i64,
    /// `s`, `m` or `h`.
    unit: char,
}

impl Rate {
    /// `letters` per second, minute or hour: `unit` is `s`, `m` or `h`.
    pub(super) const fn new(letters: i64, unit: char) -> Self {
        Self { letters, unit }
    }

    /// Time between two letters, plus 2 %. A turn may be used late by up to 2 % of a second without
    /// any second exceeding the limit.
    #[must_use]
    pub fn interval(self) -> Duration {
        let micros: u64 = match self.unit {
            's' => 1_000_000,
            'm' => 60_000_000,
            _ => 3_600_000_000,
        };
        let letters = u64::try_from(self.letters).unwrap_or(1).max(1);
        Duration::from_micros((micros * 102).div_ceil(letters * 100))
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.letters, self.unit)
    }
}

impl FromStr for Rate {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (letters, unit) = text.split_once('/').ok_or(())?;
        let letters = letters.parse().map_err(|_| ())?;
        let unit = match unit {
            "s" => 's',
            "m" => 'm',
            "h" => 'h',
            _ => return Err(()),
        };
        if (1..=1_000_000).contains(&letters) {
            Ok(Self { letters, unit })
        } else {
            Err(())
        }
    }
}

/// Limits for the recipients of one domain on a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DomainLimit {
    /// The domain, as A-labels.
    pub domain: String,
    /// Letters per unit of time; `None` for no limit.
    pub rate: Option<Rate>,
    /// Connections at the same time; `None` for no limit.
    pub connections: Option<i64>,
}

impl fmt::Display for DomainLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.domain)?;
        if let Some(rate) = self.rate {
            write!(f, " {rate}")?;
        }
        if let Some(connections) = self.connections {
            write!(f, " {connections}")?;
        }
        Ok(())
    }
}

/// Limits per recipient domain, one per line: the domain, then a rate (`20/s`, `600/m`, `1000/h`),
/// a number of connections (`5`), or both.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DomainLimits(Vec<DomainLimit>);

impl std::ops::Deref for DomainLimits {
    type Target = [DomainLimit];

    fn deref(&self) -> &[DomainLimit] {
        &self.0
    }
}

impl fmt::Display for DomainLimits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, limit) in self.0.iter().enumerate() {
            if n > 0 {
                f.write_str("\n")?;
            }
            limit.fmt(f)?;
        }
        Ok(())
    }
}

impl FromStr for DomainLimits {
    type Err = FieldError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = |line: &str| FieldError::new("domains", "domain_limit").with("line", line);
        let mut limits: Vec<DomainLimit> = Vec::new();
        for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
            let mut words = line.split_whitespace();
            let domain = words.next().unwrap_or_default();
            let domain = idna::domain_to_ascii(domain.trim_start_matches('@'))
                .ok()
                .filter(|domain| domain.contains('.') && domain.len() <= 253)
                .ok_or_else(|| wrong(line))?;
            let mut limit = DomainLimit {
                domain,
                rate: None,
                connections: None,
            };
            for word in words {
                if let (Ok(rate), None) = (word.parse(), limit.rate) {
                    limit.rate = Some(rate);
                } else if let (Ok(connections @ 1..=1_000), None) =
                    (word.parse(), limit.connections)
                {
                    limit.connections = Some(connections);
                } else {
                    return Err(wrong(line));
                }
            }
            let twice = limits.iter().any(|other| other.domain == limit.domain);
            if twice || (limit.rate, limit.connections) == (None, None) {
                return Err(wrong(line));
            }
            limits.push(limit);
        }
        if limits.len() > DOMAIN_LIMITS_MAX {
            return Err(FieldError::new("domains", "too_many").with("max", DOMAIN_LIMITS_MAX));
        }
        Ok(Self(limits))
    }
}

impl TryFrom<String> for DomainLimits {
    type Error = String;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse().map_err(|error: FieldError| error.to_string())
    }
}

impl serde::Serialize for DomainLimits {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().map(ToString::to_string))
    }
}

/// How many letters a new server gets on each of its first days, so that receivers learn to trust
/// it: `50 100 200 …`.
#[derive(Debug, Clone, PartialEq, Eq, Default, serde::Serialize)]
#[serde(transparent)]
pub struct WarmUp(Vec<i64>);

impl WarmUp {
    /// Whether there is no warm-up.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many days it takes.
    #[must_use]
    pub fn days(&self) -> usize {
        self.0.len()
    }

    /// Day of the warm-up at `now`, from 0.
    pub(super) fn day(from: Timestamp, now: Timestamp) -> usize {
        let day = now.since(from).as_millis() / DAY.as_millis();
        usize::try_from(day).unwrap_or(usize::MAX)
    }

    /// Letters on the day at `now`; `None` when the warm-up is over.
    pub(super) fn at(&self, from: Timestamp, now: Timestamp) -> Option<i64> {
        self.0.get(Self::day(from, now)).copied()
    }
}

impl fmt::Display for WarmUp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, letters) in self.0.iter().enumerate() {
            if n > 0 {
                f.write_str(" ")?;
            }
            letters.fmt(f)?;
        }
        Ok(())
    }
}

impl FromStr for WarmUp {
    type Err = FieldError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let days: Result<Vec<i64>, _> = text
            .split([' ', ',', ';', '\t', '\r', '\n'])
            .filter(|word| !word.is_empty())
            .map(str::parse)
            .collect();
        let days = days
            .ok()
            .filter(|days| {
                days.iter()
                    .all(|letters| (1..=1_000_000_000).contains(letters))
            })
            .ok_or_else(|| FieldError::new("warm_up", "warm_up_days"))?;
        if days.len() > DOMAIN_LIMITS_MAX {
            return Err(FieldError::new("warm_up", "too_many").with("max", DOMAIN_LIMITS_MAX));
        }
        Ok(Self(days))
    }
}

impl TryFrom<String> for WarmUp {
    type Error = String;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse().map_err(|error: FieldError| error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// S10: domain limits are parsed and printed unchanged, and wrong lines are rejected.
    #[test]
    fn domain_limits_survive_their_text() {
        let limits: DomainLimits = " Gmail.com 20/s 5\n\n@почта.рф 3\nmail.ru 600/m"
            .parse()
            .unwrap();
        assert_eq!(
            limits.to_string(),
            "gmail.com 20/s 5\nxn--80a1acny.xn--p1ai 3\nmail.ru 600/m"
        );
        assert_eq!(limits.to_string().parse(), Ok(limits.clone()));
        assert_eq!(limits[0].connections, Some(5));
        assert_eq!(
            limits[2].rate.unwrap().interval(),
            Duration::from_millis(102)
        );
        for wrong in [
            "gmail.com",
            "gmail 20/s",
            "gmail.com 0/s",
            "gmail.com 20/d",
            "gmail.com 5 5",
            "gmail.com 1/s 2/s",
            "gmail.com 5\nGMAIL.com 6",
        ] {
            let error = wrong.parse::<DomainLimits>().unwrap_err();
            assert_eq!(
                (error.field.as_str(), error.code),
                ("domains", "domain_limit")
            );
        }
    }

    /// S10: a warm-up gives each day its number of letters and ends after the last day.
    #[test]
    fn warm_up_counts_days() {
        let plan: WarmUp = "50, 100\n200;400".parse().unwrap();
        assert_eq!(plan.to_string(), "50 100 200 400");
        let from = Timestamp::from_millis(1_800_000_000_000);
        let hours = |n| from + Duration::from_hours(n);
        assert_eq!(plan.at(from, from), Some(50));
        assert_eq!(plan.at(from, hours(23)), Some(50));
        assert_eq!(plan.at(from, hours(24)), Some(100));
        assert_eq!(plan.at(from, hours(95)), Some(400));
        assert_eq!(plan.at(from, hours(96)), None);
        assert!("50 many".parse::<WarmUp>().is_err());
        assert!("0".parse::<WarmUp>().is_err());
        assert!("".parse::<WarmUp>().unwrap().is_empty());
    }
}
