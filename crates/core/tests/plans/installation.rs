//! What a database knew of its tables when it last looked at them.

/// The statistics that a plan must not depend on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Installation {
    /// Nothing was there.
    Empty,
    /// A trial with one of each.
    OneRow,
    /// Ten million rows in every table.
    Large,
}

impl Installation {
    /// From small to large.
    pub const ALL: [Self; 3] = [Self::Empty, Self::OneRow, Self::Large];
}
