//! URLs of lists: filters, days, the next page.

use jiff::civil::Date;
use jiff::tz::TimeZone;
use skychimp_core::platform::time::Timestamp;

/// Maximum number of lists offered in a select box.
pub(crate) const LIST_CHOICES: i64 = 500;

/// URL of a list with its filters. Empty filters are left out.
pub(crate) fn address(path: &str, filters: &[(&str, &str)]) -> String {
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    for (name, value) in filters.iter().filter(|(_, value)| !value.is_empty()) {
        query.append_pair(name, value);
    }
    match query.finish() {
        query if query.is_empty() => path.to_owned(),
        query => format!("{path}?{query}"),
    }
}

/// Start of a day in the visitor's zone, or its end if `over`. `None` for an invalid date.
pub(crate) fn day(text: &str, zone: &TimeZone, over: bool) -> Option<Timestamp> {
    let mut date: Date = text.parse().ok()?;
    if over {
        date = date.tomorrow().ok()?;
    }
    let begin = date.to_zoned(zone.clone()).ok()?;
    Some(begin.timestamp().into())
}

/// Removes rows beyond `most`. If there were any, returns the last remaining row's key, the cursor
/// of the next page.
pub(crate) fn cut<T, K>(rows: &mut Vec<T>, most: i64, key: impl Fn(&T) -> K) -> Option<K> {
    let most = usize::try_from(most).unwrap_or(0);
    let more = rows.len() > most;
    rows.truncate(most);
    rows.last().filter(|_| more).map(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// R36: a day in a filter is a whole day in the visitor's zone.
    #[test]
    fn days_are_the_visitors() {
        let zone = TimeZone::get("Europe/Moscow").unwrap();
        let at = |text, over| day(text, &zone, over).map(|at| at.to_string());
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(at("2027-01-31", false), some("2027-01-30T21:00:00Z"));
        assert_eq!(at("2027-01-31", true), some("2027-01-31T21:00:00Z"));
        assert_eq!(at("yesterday", false), None);
        assert_eq!(at("9999-12-31", true), None);
    }
}
