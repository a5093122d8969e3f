use std::collections::BTreeMap;
use std::fmt::Write as _;

use skychimp_web::routes;

use crate::browser::Answer;
use crate::world::{Who, World};

/// The table of rights: a line per route, a column per visitor.
const TABLE: &str = include_str!("matrix.txt");

/// The outcome of a request: `in`, `login`, or an error status.
fn outcome(answer: &Answer) -> String {
    match answer.status.as_u16() {
        303 if answer.location().starts_with("/login?") => "login".to_owned(),
        // invalid fields or an old version: the request reached the handler
        200..=399 | 409 | 422 => "in".to_owned(),
        other => other.to_string(),
    }
}

/// A line of the table.
pub struct Line<'a> {
    cells: Vec<&'a str>,
    /// The form that is posted, or the query.
    pub form: &'a str,
}

impl Line<'_> {
    /// What a visitor gets.
    pub fn cell(&self, who: Who) -> &str {
        let mut visitors = Who::ALL.iter().zip(&self.cells);
        visitors.find(|(other, _)| **other == who).unwrap().1
    }
}

/// The lines by method and path.
pub fn table() -> BTreeMap<String, Line<'static>> {
    let mut lines = BTreeMap::new();
    for text in TABLE
        .lines()
        .filter(|l| !l.is_empty() && !l.starts_with('#'))
    {
        let text = text.split('#').next().unwrap();
        let (text, form) = text.split_once('|').unwrap_or((text, ""));
        let mut words = text.split_whitespace();
        let key = format!("{} {}", words.next().unwrap(), words.next().unwrap());
        let cells: Vec<_> = words.collect();
        assert_eq!(cells.len(), Who::ALL.len(), "{key}");
        let line = Line {
            cells,
            form: form.trim(),
        };
        assert!(
            lines.insert(key.clone(), line).is_none(),
            "{key} stands twice"
        );
    }
    lines
}

/// The owner comes last, so that the thing still exists when the others are refused.
const ORDER: [Who; 8] = [
    Who::Anonymous,
    Who::Unverified,
    Who::Other,
    Who::Manager,
    Who::Content,
    Who::Blocked,
    Who::Admin,
    Who::Owner,
];

/// R32, R34, R41, R42, R43: every route responds to every kind of visitor as the table says; other
/// users' things are not found. A route missing from the table fails the test.
#[tokio::test(flavor = "multi_thread")]
async fn every_route_answers_everybody_as_the_table_says() {
    let mut world = World::new().await;
    let mut lines = table();
    let mut wrong = String::new();
    for route in routes() {
        let key = format!("{} {}", route.method, route.path);
        let line = lines.remove(&key);
        let things = world.things(Who::Owner, "Owner").await;
        let address = things.fill(route.path);
        let form = line.as_ref().map_or("", |line| line.form);
        let form = things.fill_form(form);
        let mut found = BTreeMap::new();
        for who in ORDER {
            let browser = world.browser(who).await;
            let token = browser.token.clone();
            let body = format!("csrf={token}&{form}");
            let answer = if route.method == "POST" {
                let kind = ("content-type", "application/x-www-form-urlencoded");
                browser.status("POST", &address, &[kind], body).await
            } else {
                let address = format!("{address}?{form}");
                browser.status("GET", &address, &[], String::new()).await
            };
            found.insert(who.name(), outcome(&answer));
        }
        let cells: Vec<&str> = Who::ALL
            .iter()
            .map(|who| found[who.name()].as_str())
            .collect();
        if line.as_ref().is_none_or(|line| line.cells != cells) {
            write!(wrong, "{:<4} {:<44}", route.method.as_str(), route.path).unwrap();
            for cell in cells {
                write!(wrong, " {cell:<9}").unwrap();
            }
            writeln!(wrong).unwrap();
        }
    }
    for key in lines.keys() {
        writeln!(wrong, "{key} is in the table and not on the site").unwrap();
    }
    assert!(
        wrong.is_empty(),
        "tests/it/matrix.txt does not say:\n{wrong}"
    );
}
