//! Parts shared by several areas of pages and by letters.

pub(crate) mod attempts;
pub(crate) mod days;
pub(crate) mod letter_frame;
pub(crate) mod moderation;
pub(crate) mod post_view;
pub(crate) mod report_view;
pub(crate) mod run_snapshot;
