//! The work that making one letter may take.
//!
//! Work is counted, not timed, so that a letter takes the same amount everywhere: in units of about
//! two nanoseconds. Everything that touches characters pays for them before it does: filters,
//! tests, operators ([`super::metered`]), loops and output. Steps of the engine pay a fixed amount.
//! All parts of a letter share one budget.

use std::cell::Cell;

use minijinja::{Error, ErrorKind};

/// Units for one letter: about 10 ms.
const LETTER: u64 = 5_000_000;
/// Units for a letter that is made between others on a shared thread: about half a millisecond.
const QUICK: u64 = 250_000;
/// Units for a step of the engine.
const STEP: u64 = 20;
/// Units for the beginning of a rendering.
pub(super) const RENDERING: usize = 500;

thread_local! {
    /// What is left of the budget of the letter that this thread is making.
    static LEFT: Cell<u64> = const { Cell::new(LETTER) };
}

/// What is left of the work that one letter may take.
#[derive(Debug)]
pub struct WorkBudget {
    whole: u64,
    left: Cell<u64>,
}

impl WorkBudget {
    /// For a letter.
    #[must_use]
    pub const fn letter() -> Self {
        Self::new(LETTER)
    }

    /// For a letter that may delay nothing else. Ordinary letters take a small part of it.
    #[must_use]
    pub const fn quick() -> Self {
        Self::new(QUICK)
    }

    const fn new(units: u64) -> Self {
        Self {
            whole: units,
            left: Cell::new(units),
        }
    }

    /// Whether nothing is left.
    #[must_use]
    pub fn is_spent(&self) -> bool {
        self.left.get() == 0
    }

    /// Whether more was spent than [`WorkBudget::quick`] allows.
    #[must_use]
    pub fn is_more_than_quick(&self) -> bool {
        self.spent() >= QUICK
    }

    /// The units spent so far.
    #[must_use]
    pub fn spent(&self) -> u64 {
        self.whole - self.left.get()
    }

    /// Pays; false when the budget does not suffice.
    pub(crate) fn pay(&self, units: usize) -> bool {
        let left = self.left.get().saturating_sub(units as u64);
        self.left.set(left);
        left > 0
    }

    /// Pays for steps of the engine.
    pub(super) fn pay_steps(&self, steps: u64) -> bool {
        self.pay(usize::try_from(steps.saturating_mul(STEP)).unwrap_or(usize::MAX))
    }

    /// Makes this the budget that [`pay`] takes from while `work` runs.
    pub(super) fn within<T>(&self, work: impl FnOnce() -> T) -> T {
        let before = LEFT.replace(self.left.get());
        let done = work();
        self.left.set(LEFT.replace(before));
        done
    }
}

/// Pays from the budget of the letter being made.
pub(super) fn pay(units: usize) -> Result<(), Error> {
    let left = LEFT.get().saturating_sub(units as u64);
    LEFT.set(left);
    if left == 0 {
        return Err(Error::new(ErrorKind::OutOfFuel, ""));
    }
    Ok(())
}

/// What [`pay`] can still take.
pub(super) fn left() -> usize {
    usize::try_from(LEFT.get()).unwrap_or(usize::MAX)
}
