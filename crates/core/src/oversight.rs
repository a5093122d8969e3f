//! Features that span all areas: moderation, account deletion, account archives, overviews.

pub mod archive;
pub mod dashboard;
pub mod deletion;
pub mod figures;
pub mod moderation;
pub mod overview;
pub mod site_settings;
