//! What the statistics of a database say about its tables.

/// The statistics that a plan must not depend on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Installation {
    /// No rows.
    Empty,
    /// One row in every table, as after a trial.
    OneRow,
    /// Ten million rows in every table.
    Large,
}

impl Installation {
    /// All of them, smallest first.
    pub const ALL: [Self; 3] = [Self::Empty, Self::OneRow, Self::Large];
}
