//! What is sent: messages, personal fields, and the letters made from them.

pub mod letter;
pub mod message;
pub mod template;
