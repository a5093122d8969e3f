//! The programs that tests talk to.

/// Passes on a peer of a test. A test without its peer ends early and passes, so that a single
/// crate can be tested anywhere; with `TESTS_REQUIRE_ALL=1`, which `make test` sets, it fails.
///
/// # Panics
///
/// When the peer is missing and `TESTS_REQUIRE_ALL` is `1`.
pub fn peer<T>(peer: Option<T>, name: &str) -> Option<T> {
    let required = std::env::var("TESTS_REQUIRE_ALL").is_ok_and(|value| value == "1");
    assert!(
        peer.is_some() || !required,
        "{name} is missing, and TESTS_REQUIRE_ALL=1"
    );
    peer
}

/// The address of a peer, from the environment. See [`peer`].
#[must_use]
pub fn peer_at(variable: &str) -> Option<String> {
    peer(std::env::var(variable).ok(), variable)
}
