//! An SMTP client for bulk sending: pipelined sessions and a connection pool.
//!
//! A [`Server`] describes where letters go. A [`Pool`] of [`Connection`]s sends [`Letter`]s there
//! and returns a [`AttemptReport`] for each. [`sandbox`] is a small server that accepts everything;
//! `testing` (a feature) a server that misbehaves on request; `fuzzing` (a feature) the entry
//! points for `fuzz/`.
//!
//! *Invariants*: this crate knows nothing of mailings or databases. A report says [`Outcome::Sent`]
//! only after the server's 250 to the final dot has been read; if that reply is missing it says
//! [`Outcome::InDoubt`].

mod capabilities;
mod connect;
#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzzing;
mod letter;
#[cfg_attr(
    not(feature = "testing"),
    expect(dead_code, reason = "the sandbox uses no TLS, the test server does")
)]
mod peer;
mod pool;
mod rate;
pub mod reply;
mod report;
pub mod sandbox;
mod server;
mod session;
#[cfg(feature = "testing")]
pub mod testing;
mod tls;
mod verdict;
mod wire;

pub use capabilities::Capabilities;
pub use connect::Connector;
pub use letter::Letter;
pub use pool::{Pool, PoolStatus, PooledConnection};
pub use rate::Pacer;
pub use reply::Reply;
pub use report::{AttemptReport, Class, ConnectError, Outcome, Phase};
pub use server::{Credentials, Login, Server, Timeouts, Tls, TrustAnchors, UrlError};
pub use session::{Connection, ContentHook};
