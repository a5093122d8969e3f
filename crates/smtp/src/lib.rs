//! SMTP for sending: a pipelined client session, a connection pool.
//!
//! [`Server`] says where letters go. A [`Pool`] of [`Connection`]s takes
//! [`Letter`]s there and gives a [`Report`] for each. [`sandbox`] is a small
//! server that takes everything; `testing` (a feature) one that misbehaves as told; `fuzzing` (a feature) is for `fuzz/`.
//!
//! *Invariants*: nothing here knows what a mailing or a database is. A report
//! says [`Outcome::Sent`] only after the server's 250 to the final dot was
//! read; when that reply is missing it says [`Outcome::InDoubt`].

mod connect;
#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzzing;
mod letter;
#[cfg_attr(
    not(feature = "testing"),
    expect(dead_code, reason = "the sandbox needs no TLS, the test server does")
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

pub use connect::Connector;
pub use letter::Letter;
pub use pool::{Lease, Pool, PoolStatus};
pub use rate::Rate;
pub use reply::Reply;
pub use report::{Class, ConnectError, Outcome, Phase, Report};
pub use server::{Credentials, Login, Roots, Server, Timeouts, Tls, UrlError};
pub use session::{Capabilities, Connection, Hook};
