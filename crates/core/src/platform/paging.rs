//! Keyset pagination: a page starts after or before a row, not at an offset. It stays fast at any
//! depth, and no row is repeated or skipped while others are inserted or deleted.

/// Where a page starts, in an order with unique keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Cursor<K> {
    /// At the first row.
    #[default]
    First,
    /// After the row with this key.
    After(K),
    /// Before the row with this key: the rows that directly precede it.
    Before(K),
}

/// One page of rows in order, and where its neighbours are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T, K> {
    /// The rows, in order.
    pub rows: Vec<T>,
    /// The page before this one, if there is one.
    pub previous: Option<Cursor<K>>,
    /// The page after this one, if there is one.
    pub next: Option<Cursor<K>>,
}

/// Sort direction of the key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Order {
    Ascending,
    Descending,
}

/// The parts of a page's SQL that depend on its place.
pub(crate) struct PageClause {
    /// `AND column > $n`; empty for the first page.
    pub bound: String,
    /// `ORDER BY column ASC`. A page before a key is read backwards; [`Page::new`] reverses it.
    pub order: String,
}

impl<K> Cursor<K> {
    /// The key to bind, if any.
    pub(crate) const fn key(&self) -> Option<&K> {
        match self {
            Self::First => None,
            Self::After(key) | Self::Before(key) => Some(key),
        }
    }

    /// The SQL for this place; `parameter` is the placeholder of [`Cursor::key`].
    pub(crate) fn step(&self, column: &str, order: Order, parameter: &str) -> PageClause {
        let back = matches!(self, Self::Before(_));
        let (compare, direction) = if (order == Order::Ascending) == back {
            ("<", "DESC")
        } else {
            (">", "ASC")
        };
        PageClause {
            bound: match self {
                Self::First => String::new(),
                _ => format!("AND {column} {compare} {parameter}"),
            },
            order: format!("ORDER BY {column} {direction}"),
        }
    }
}

/// The `LIMIT` of a page: one extra row tells whether there are more.
pub(crate) fn with_one_more(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX - 1) + 1
}

impl<T, K> Page<T, K> {
    /// Builds the page at `place` from its rows, read with a limit of [`with_one_more`].
    pub(crate) fn new(
        mut rows: Vec<T>,
        place: &Cursor<K>,
        limit: usize,
        key: impl Fn(&T) -> K,
    ) -> Self {
        let more = rows.len() > limit;
        rows.truncate(limit);
        let (previous, next) = match place {
            Cursor::First => (false, more),
            Cursor::After(_) => (true, more),
            Cursor::Before(_) => {
                rows.reverse();
                (more, true)
            }
        };
        Self {
            previous: rows
                .first()
                .filter(|_| previous)
                .map(|row| Cursor::Before(key(row))),
            next: rows
                .last()
                .filter(|_| next)
                .map(|row| Cursor::After(key(row))),
            rows,
        }
    }
}

/// A pattern for `LIKE … ESCAPE '\'` that finds `part` (trimmed) anywhere in lower-case text.
pub(crate) fn like_pattern(part: &str) -> String {
    format!("%{}%", escape_like(&part.trim().to_lowercase()))
}

/// Escapes text so that it matches itself in `LIKE … ESCAPE '\'`.
pub(crate) fn escape_like(text: &str) -> String {
    let mut pattern = String::with_capacity(text.len());
    for c in text.chars() {
        if matches!(c, '%' | '_' | '\\') {
            pattern.push('\\');
        }
        pattern.push(c);
    }
    pattern
}
