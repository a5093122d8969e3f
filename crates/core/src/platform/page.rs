//! Pages by key: a page begins behind a row or ahead of one, not at a number, so it stays quick however far it is and
//! nothing is shown twice or left out when rows come and go meanwhile.

/// Where a page begins, in an order in which no two rows have the same key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Place<K> {
    /// At the first row.
    #[default]
    First,
    /// Behind the row with this key.
    After(K),
    /// Ahead of the row with this key: the ones right before it.
    Before(K),
}

/// Some rows in their order, and how to turn the page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T, K> {
    /// The rows.
    pub rows: Vec<T>,
    /// Where the rows before these are.
    pub previous: Option<Place<K>>,
    /// Where the rows behind these are.
    pub next: Option<Place<K>>,
}

/// The order of the rows by their key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Order {
    Ascending,
    Descending,
}

/// What the statement of a page has behind its conditions.
pub(crate) struct Step {
    /// `AND column > $n`, or nothing for the first page.
    pub bound: String,
    /// `ORDER BY column ASC`. Rows ahead of a key are read away from it; [`Page::new`] turns them round.
    pub order: String,
}

impl<K> Place<K> {
    /// The key that the statement is bound by.
    pub(crate) const fn key(&self) -> Option<&K> {
        match self {
            Self::First => None,
            Self::After(key) | Self::Before(key) => Some(key),
        }
    }

    /// How the statement of this page goes on; `parameter` stands for [`Place::key`].
    pub(crate) fn step(&self, column: &str, order: Order, parameter: &str) -> Step {
        let back = matches!(self, Self::Before(_));
        let (compare, direction) = if (order == Order::Ascending) == back {
            ("<", "DESC")
        } else {
            (">", "ASC")
        };
        Step {
            bound: match self {
                Self::First => String::new(),
                _ => format!("AND {column} {compare} {parameter}"),
            },
            order: format!("ORDER BY {column} {direction}"),
        }
    }
}

/// The `LIMIT` of a page: one row more than it shows says whether there are more.
pub(crate) fn with_one_more(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX - 1) + 1
}

impl<T, K> Page<T, K> {
    /// The page at `place` of what its statement found, [`with_one_more`] than `limit` rows.
    pub(crate) fn new(
        mut rows: Vec<T>,
        place: &Place<K>,
        limit: usize,
        key: impl Fn(&T) -> K,
    ) -> Self {
        let more = rows.len() > limit;
        rows.truncate(limit);
        let (previous, next) = match place {
            Place::First => (false, more),
            Place::After(_) => (true, more),
            Place::Before(_) => {
                rows.reverse();
                (more, true)
            }
        };
        Self {
            previous: rows
                .first()
                .filter(|_| previous)
                .map(|row| Place::Before(key(row))),
            next: rows
                .last()
                .filter(|_| next)
                .map(|row| Place::After(key(row))),
            rows,
        }
    }
}

/// A pattern for `LIKE … ESCAPE '\'` that finds `part`, without spaces around it, anywhere in a text of small letters.
pub(crate) fn containing(part: &str) -> String {
    format!("%{}%", literally(&part.trim().to_lowercase()))
}

/// Makes a text match itself in `LIKE … ESCAPE '\'`.
pub(crate) fn literally(text: &str) -> String {
    let mut pattern = String::with_capacity(text.len());
    for c in text.chars() {
        if matches!(c, '%' | '_' | '\\') {
            pattern.push('\\');
        }
        pattern.push(c);
    }
    pattern
}
