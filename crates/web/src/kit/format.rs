//! Formats numbers, sizes and times for people.

use jiff::Zoned;
use jiff::tz::TimeZone;
use skychimp_core::platform::time::Timestamp;

use crate::kit::i18n::Lang;

const MONTHS_EN: [&str; 12] = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
];
const MONTHS_RU: [&str; 12] = [
    "января",
    "февраля",
    "марта",
    "апреля",
    "мая",
    "июня",
    "июля",
    "августа",
    "сентября",
    "октября",
    "ноября",
    "декабря",
];

/// A number with thousands separators: `1,240`, in Russian with a no-break space.
#[must_use]
pub fn number(n: i64, lang: Lang) -> String {
    let digits = n.unsigned_abs().to_string();
    let separator = match lang {
        Lang::En => ',',
        Lang::Ru => '\u{a0}',
    };
    let mut text = String::with_capacity(digits.len() + 8);
    if n < 0 {
        text.push('−');
    }
    // Counters are grouped from 1 000 on, also in Russian, whose typography often leaves four
    // digits together.
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(separator);
        }
        text.push(digit);
    }
    text
}

/// Tenths as a number with one decimal: `2.5`.
#[must_use]
pub fn tenths(n: i64, lang: Lang) -> String {
    let point = if lang == Lang::Ru { ',' } else { '.' };
    format!("{}{point}{}", n / 10, n % 10)
}

/// A percentage with at most one decimal: `98.7%`, `100%`. `–` if there is no whole.
#[must_use]
pub fn percent(part: i64, whole: i64, lang: Lang) -> String {
    if whole <= 0 {
        return "–".to_owned();
    }
    // Truncate, do not round: 99.96 % is not "100 %".
    let tenths = i128::from(part.max(0)) * 1_000 / i128::from(whole);
    let (whole, tenth) = (tenths / 10, tenths % 10);
    match (tenth, lang) {
        (0, Lang::En) => format!("{whole}%"),
        (0, Lang::Ru) => format!("{whole}\u{a0}%"),
        (_, Lang::En) => format!("{whole}.{tenth}%"),
        (_, Lang::Ru) => format!("{whole},{tenth}\u{a0}%"),
    }
}

/// A percentage for an attribute of a drawing: `12.5%`. `0%` if there is no whole.
#[must_use]
pub fn share(part: i64, whole: i64) -> String {
    if whole <= 0 || part <= 0 {
        return "0%".to_owned();
    }
    let hundredths = (i128::from(part) * 10_000 / i128::from(whole)).min(10_000);
    format!("{}.{:02}%", hundredths / 100, hundredths % 100)
}

/// A size in decimal units: `14 kB`.
#[must_use]
pub fn size(bytes: u64, lang: Lang) -> String {
    let units = match lang {
        Lang::En => ["B", "kB", "MB", "GB"],
        Lang::Ru => ["Б", "КБ", "МБ", "ГБ"],
    };
    let mut tenths = u128::from(bytes) * 10;
    let mut unit = 0;
    while tenths >= 10_000 && unit < 3 {
        tenths /= 1_000;
        unit += 1;
    }
    let (whole, tenth) = (tenths / 10, tenths % 10);
    let point = if lang == Lang::Ru { ',' } else { '.' };
    if unit == 0 || tenth == 0 || whole >= 100 {
        format!("{whole}\u{a0}{}", units[unit])
    } else {
        format!("{whole}{point}{tenth}\u{a0}{}", units[unit])
    }
}

/// A duration in its two largest units: `3 min 12 s`; never `0 s`.
pub(crate) fn span(lang: Lang, millis: i64) -> String {
    let part = millis.max(0) / 100;
    if part == 0 {
        return lang.t("span-instant").to_string();
    }
    if part < 100 && part % 10 > 0 {
        let text = tenths(part, lang);
        return lang
            .t("span-part-of-seconds")
            .with("text", text)
            .to_string();
    }
    let seconds = millis.max(0) / 1_000;
    let units: [(&'static str, i64); 4] = [
        ("span-days", seconds / 86_400),
        ("duration-hours", seconds / 3_600 % 24),
        ("duration-minutes", seconds / 60 % 60),
        ("duration-seconds", seconds % 60),
    ];
    let first = units.iter().position(|(_, n)| *n > 0).unwrap_or(3);
    let parts = units[first..].iter().take(2).filter(|(_, n)| *n > 0);
    let text: Vec<_> = parts
        .map(|(key, n)| lang.t(*key).with("count", *n).to_string())
        .collect();
    text.join("\u{a0}")
}

/// A day and month: `12 Mar`, `12 марта`.
#[must_use]
pub fn day(date: jiff::civil::Date, lang: Lang) -> String {
    let month = usize::from(date.month().unsigned_abs()).saturating_sub(1);
    let names = match lang {
        Lang::En => MONTHS_EN,
        Lang::Ru => MONTHS_RU,
    };
    format!("{}\u{a0}{}", date.day(), names[month.min(11)])
}

/// A weekday: `Mon`, `пн`.
#[must_use]
pub fn weekday(date: jiff::civil::Date, lang: Lang) -> &'static str {
    let names = match lang {
        Lang::En => ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"],
        Lang::Ru => ["пн", "вт", "ср", "чт", "пт", "сб", "вс"],
    };
    let n = date.weekday().to_monday_zero_offset().unsigned_abs();
    names[usize::from(n) % names.len()]
}

/// A date: `12 Mar 2027`, `12 марта 2027`.
#[must_use]
pub fn date(moment: Timestamp, zone: &TimeZone, lang: Lang) -> String {
    let at = zoned(moment, zone);
    let month = usize::try_from(at.month() - 1).unwrap_or(0) % 12;
    let month = match lang {
        Lang::En => MONTHS_EN[month],
        Lang::Ru => MONTHS_RU[month],
    };
    format!("{}\u{a0}{month}\u{a0}{}", at.day(), at.year())
}

/// A time to the minute: `12 Mar 2027, 10:05`.
#[must_use]
pub fn time(moment: Timestamp, zone: &TimeZone, lang: Lang) -> String {
    let at = zoned(moment, zone);
    format!(
        "{}, {:02}:{:02}",
        date(moment, zone, lang),
        at.hour(),
        at.minute()
    )
}

/// A time to the second: `12 Mar 2027, 10:05:09`.
#[must_use]
pub fn time_exact(moment: Timestamp, zone: &TimeZone, lang: Lang) -> String {
    format!(
        "{}:{:02}",
        time(moment, zone, lang),
        zoned(moment, zone).second()
    )
}

/// A value for `<input type="datetime-local">`: `2027-03-12T10:05`.
#[must_use]
pub fn datetime_local(moment: Timestamp, zone: &TimeZone) -> String {
    zoned(moment, zone).strftime("%Y-%m-%dT%H:%M").to_string()
}

/// How long ago, in the largest unit that fits: `3 s ago`, `5 min ago`; the date after a week.
#[must_use]
pub fn ago(moment: Timestamp, now: Timestamp, zone: &TimeZone, lang: Lang) -> String {
    let seconds = i64::try_from(now.since(moment).as_secs()).unwrap_or(i64::MAX);
    let (key, count) = match seconds {
        0 => return lang.t("ago-now").to_string(),
        1..60 => ("ago-seconds", seconds),
        60..3_600 => ("ago-minutes", seconds / 60),
        3_600..86_400 => ("ago-hours", seconds / 3_600),
        86_400..604_800 => ("ago-days", seconds / 86_400),
        _ => return date(moment, zone, lang),
    };
    lang.t(key).with("count", count).to_string()
}

fn zoned(moment: Timestamp, zone: &TimeZone) -> Zoned {
    jiff::Timestamp::to_zoned(moment.timestamp(), zone.clone())
}

/// IANA time zone names, for a list of suggestions.
pub(crate) fn zones() -> Vec<String> {
    let mut zones: Vec<String> = jiff::tz::db()
        .available()
        .map(|zone| zone.as_str().to_owned())
        .filter(|zone| zone.contains('/') || zone == "UTC")
        .filter(|zone| !zone.starts_with("Etc/") && !zone.starts_with("SystemV/"))
        .collect();
    zones.sort_unstable();
    zones
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Numbers and times follow the conventions of the language.
    #[test]
    fn values_are_written_as_the_language_does() {
        let zone = TimeZone::get("Europe/Moscow").unwrap();
        let moment: Timestamp = "2027-03-12T07:05:09Z".parse().unwrap();
        assert_eq!(number(1_234_567, Lang::En), "1,234,567");
        assert_eq!(number(-1_240, Lang::Ru), "−1\u{a0}240");
        assert_eq!(number(999, Lang::Ru), "999");
        assert_eq!(percent(9_996, 10_000, Lang::En), "99.9%");
        assert_eq!(percent(1, 3, Lang::Ru), "33,3\u{a0}%");
        assert_eq!(percent(0, 0, Lang::En), "–");
        assert_eq!(size(14_300, Lang::En), "14.3\u{a0}kB");
        assert_eq!(size(900, Lang::Ru), "900\u{a0}Б");
        assert_eq!(
            time(moment, &zone, Lang::Ru),
            "12\u{a0}марта\u{a0}2027, 10:05"
        );
        assert_eq!(
            time_exact(moment, &zone, Lang::En),
            "12\u{a0}Mar\u{a0}2027, 10:05:09"
        );
        assert_eq!(datetime_local(moment, &zone), "2027-03-12T10:05");
    }
}
