//! The blog: posts, Markdown, pictures, and the version of what strangers are shown.

pub mod content;
pub mod markdown;
pub mod media;
pub mod post;
