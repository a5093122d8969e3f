//! For tests: tasks that panic.

use std::cell::RefCell;

thread_local! {
    static WANTED: RefCell<Vec<&'static str>> = const { RefCell::new(Vec::new()) };
}

/// Makes the next task of that name panic, once, as soon as it does anything. It concerns the engines of this thread only: tests
/// with a runtime of their own do not disturb each other.
pub fn panic_once(task: &'static str) {
    WANTED.with_borrow_mut(|wanted| wanted.push(task));
}

/// Whether some task has yet to panic.
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
