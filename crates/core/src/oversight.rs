//! What looks at everything: moderation, deletion, the archive of an account, overviews.

pub mod archive;
pub mod dashboard;
pub mod deletion;
pub mod figures;
pub mod moderation;
pub mod overview;
