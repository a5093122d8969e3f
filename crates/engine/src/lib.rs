//! What runs without a visitor: the scheduler makes runs, the expander fills them.

pub mod expander;
pub mod scheduler;
