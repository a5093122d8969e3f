//! The blog: posts, Markdown rendering, pictures, and the version of the public content.

pub mod content;
pub mod markdown;
pub mod media;
pub mod post;
