//! Accounts and access: users, passwords, sessions, second factors, rate limits, the audit log.

pub mod account_limit;
pub mod audit;
pub mod colleague;
mod credentials;
mod email_change;
pub mod late_form;
pub mod letter;
pub mod limit;
pub mod login_step;
pub mod passkey;
pub mod password;
pub mod registration;
pub mod required_factor;
pub mod second_factor;
pub mod session;
pub mod start_settings;
pub mod submission;
pub mod token;
pub mod user;
