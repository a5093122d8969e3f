//! Addresses of lists: filters, days, the next page.

use jiff::civil::Date;
use jiff::tz::TimeZone;
use skychimp_core::platform::time::Moment;

/// Lists offered in a choice.
pub(crate) const LIST_CHOICES: i64 = 500;

/// The address of a list with its filters; empty ones are left out.
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

/// When a day begins, or when it is over, in the visitor's zone.
pub(crate) fn day(text: &str, zone: &TimeZone, over: bool) -> Option<Moment> {
    let mut date: Date = text.parse().ok()?;
    if over {
        date = date.tomorrow().ok()?;
    }
    let begin = date.to_zoned(zone.clone()).ok()?;
    Some(begin.timestamp().into())
}

/// Takes the line beyond `most` that tells that there is another page; gives the last line's key then.
pub(crate) fn cut<T, K>(rows: &mut Vec<T>, most: i64, key: impl Fn(&T) -> K) -> Option<K> {
    let most = usize::try_from(most).unwrap_or(0);
    let more = rows.len() > most;
    rows.truncate(most);
    rows.last().filter(|_| more).map(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// R36: a day of a filter is a day of the visitor, to its last moment.
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
