//! Generated sample recipients.

use std::fmt::Write as _;

/// First names, each with its Latin spelling for the address.
const RUSSIAN: [(&str, &str); 10] = [
    ("Анна", "anna"),
    ("Борис", "boris"),
    ("Вера", "vera"),
    ("Глеб", "gleb"),
    ("Дарья", "daria"),
    ("Егор", "egor"),
    ("Жанна", "zhanna"),
    ("Зоя", "zoya"),
    ("Илья", "ilya"),
    ("Ксения", "ksenia"),
];
const RUSSIAN_LAST: [(&str, &str); 10] = [
    ("Шевченко", "shevchenko"),
    ("Живаго", "zhivago"),
    ("Черных", "chernykh"),
    ("Седых", "sedykh"),
    ("Долгих", "dolgikh"),
    ("Бондаренко", "bondarenko"),
    ("Гурко", "gurko"),
    ("Дурново", "durnovo"),
    ("Петренко", "petrenko"),
    ("Белых", "belykh"),
];
const ENGLISH: [&str; 10] = [
    "Alice", "Brian", "Clara", "Daniel", "Emma", "Frank", "Grace", "Henry", "Irene", "James",
];
const ENGLISH_LAST: [&str; 10] = [
    "Adams", "Baker", "Clark", "Davies", "Evans", "Foster", "Green", "Harris", "Irving", "Jones",
];
const CITIES: [&str; 4] = ["Казань", "Томск", "Псков", "Тверь"];
const TOWNS: [&str; 4] = ["York", "Leeds", "Bath", "Dover"];
const PLANS: [&str; 3] = ["free", "plus", "pro"];

/// Returns a CSV file with `count` people, every second one Russian. Every ninth has no city.
pub fn csv(count: usize) -> String {
    let mut csv = String::from("email,name,comment,city,plan,orders\n");
    for n in 0..count {
        let (first, last) = (n / 2 % 10, n / 20 % 10);
        let (name, local, place) = if n % 2 == 0 {
            let (first, first_latin) = RUSSIAN[first];
            let (last, last_latin) = RUSSIAN_LAST[last];
            let local = format!("{first_latin}.{last_latin}");
            (format!("{first} {last}"), local, CITIES[n / 3 % 4])
        } else {
            let (first, last) = (ENGLISH[first], ENGLISH_LAST[last]);
            let local = format!("{first}.{last}").to_lowercase();
            (format!("{first} {last}"), local, TOWNS[n / 3 % 4])
        };
        let place = if n % 9 == 0 { "" } else { place };
        let plan = PLANS[n % 3];
        // writing to a String cannot fail
        let _ = writeln!(
            csv,
            "{local}.{n}@example.com,{name},,{place},{plan},{}",
            n % 13
        );
    }
    csv
}
