//! Test support: makes tasks panic.

use std::cell::RefCell;

thread_local! {
    static WANTED: RefCell<Vec<&'static str>> = const { RefCell::new(Vec::new()) };
}

/// Makes the next task of that name panic once, at its next poll. Affects only engines on this
/// thread, so tests with separate runtimes do not interfere.
pub fn panic_once(task: &'static str) {
    WANTED.with_borrow_mut(|wanted| wanted.push(task));
}

/// Whether a requested panic has not happened yet.
#[must_use]
pub fn is_armed() -> bool {
    WANTED.with_borrow(|wanted| !wanted.is_empty())
}

pub(crate) fn panic_if_wanted(task: &'static str) {
    let found = WANTED.with_borrow_mut(|wanted| {
        let at = wanted.iter().position(|name| *name == task);
        at.map(|at| wanted.remove(at)).is_some()
    });
    assert!(!found, "a test wanted the task {task} to panic");
}
