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

/// The query string of a list: its filters, and the cursor of a page.
pub(crate) trait ListQuery {
    /// Name of the cursor.
    const CURSOR: &'static str = "after";

    /// The filters; see [`filters!`]. Those with empty values are not set.
    fn filters(&self) -> Vec<(&'static str, String)>;

    /// Whether this is the first page.
    fn is_first(&self) -> bool;

    /// URL of the list at `path` with these filters, from its first page.
    fn href(&self, path: &str) -> String {
        self.href_after(path, "")
    }

    /// URL of the page behind a cursor.
    fn href_after(&self, path: &str, cursor: &str) -> String {
        let filters = self.filters();
        let mut pairs: Vec<(&str, &str)> = filters
            .iter()
            .map(|(name, value)| (*name, value.as_str()))
            .collect();
        pairs.push((Self::CURSOR, cursor));
        address(path, &pairs)
    }

    /// Whether any filter is set.
    fn is_filtered(&self) -> bool {
        self.filters().iter().any(|(_, value)| !value.is_empty())
    }

    /// The links of a page of the list at `path`. `next` is the cursor of the next page.
    fn pages(&self, path: &str, next: Option<&str>) -> Pages {
        Pages {
            first: if self.is_first() {
                String::new()
            } else {
                self.href(path)
            },
            next: next.map_or_else(String::new, |next| self.href_after(path, next)),
        }
    }

    /// Cuts the rows of a page, of which one more than `most` were asked for, and returns the links
    /// of the page. `key` is the cursor behind a row.
    fn cut<T>(
        &self,
        path: &str,
        rows: &mut Vec<T>,
        most: impl TryInto<usize>,
        key: impl Fn(&T) -> String,
    ) -> Pages {
        let most = most.try_into().unwrap_or(usize::MAX);
        let more = rows.len() > most;
        rows.truncate(most);
        let next = rows.last().filter(|_| more).map(key);
        self.pages(path, next.as_deref())
    }
}

/// URLs of the first and the next page of a list; empty when there is none.
#[derive(Debug, Default)]
pub(crate) struct Pages {
    pub(crate) first: String,
    pub(crate) next: String,
}

/// The filters of a [`ListQuery`]: fields whose names are those of the query string.
macro_rules! filters {
    ($query:expr; $($field:ident),+ $(,)?) => {
        vec![$((stringify!($field), $query.$field.clone())),+]
    };
}
pub(crate) use filters;

/// Start of a day in the visitor's zone, or its end if `over`. `None` for an invalid date.
pub(crate) fn day(text: &str, zone: &TimeZone, over: bool) -> Option<Timestamp> {
    let mut date: Date = text.parse().ok()?;
    if over {
        date = date.tomorrow().ok()?;
    }
    let begin = date.to_zoned(zone.clone()).ok()?;
    Some(begin.timestamp().into())
}

/// The first value of a field in an encoded form or query.
pub(crate) fn first_value(encoded: &[u8], name: &str) -> Option<String> {
    url::form_urlencoded::parse(encoded)
        .find(|(field, _)| field == name)
        .map(|(_, value)| value.into_owned())
}

/// Where a form leads that names its destination: only to paths on this site, otherwise to `/`.
pub(crate) fn local(next: &str) -> String {
    let inside = next.starts_with('/')
        && !next.starts_with("//")
        && !next.contains('\\')
        && !next.chars().any(char::is_control);
    if inside {
        next.to_owned()
    } else {
        "/".to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Query {
        q: String,
        state: String,
        after: String,
    }

    impl ListQuery for Query {
        fn filters(&self) -> Vec<(&'static str, String)> {
            filters![self; q, state]
        }

        fn is_first(&self) -> bool {
            self.after.is_empty()
        }
    }

    /// R36: links of a list keep its filters, and lead to a next page only if there is one.
    #[test]
    fn pages_keep_the_filters() {
        let query = |q: &str, after: &str| Query {
            q: q.to_owned(),
            state: String::new(),
            after: after.to_owned(),
        };
        let cut = |query: &Query, rows: usize| {
            let mut rows: Vec<usize> = (0..rows).collect();
            let pages = query.cut("/x", &mut rows, 2, ToString::to_string);
            (rows.len(), pages.first, pages.next)
        };
        let is = |rows, first: &str, next: &str| (rows, first.to_owned(), next.to_owned());
        assert_eq!(cut(&query("", ""), 2), is(2, "", ""));
        assert_eq!(cut(&query("", ""), 3), is(2, "", "/x?after=1"));
        assert_eq!(
            cut(&query("a&b", "7"), 3),
            is(2, "/x?q=a%26b", "/x?q=a%26b&after=1")
        );
        assert!(query("a", "").is_filtered());
        assert!(!query("", "7").is_filtered());
    }

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
