use std::time::Duration;

use skychimp_core::accounts::limit::RateLimit;
use skychimp_core::platform::time::Timestamp;
use skychimp_core::platform::untrusted_peer::{PEERS_MAX, UntrustedPeer};
use skychimp_core::testing::TestDb;

const LIMIT: RateLimit = RateLimit {
    name: "test",
    free: 3,
    first: Duration::from_secs(10),
    longest: Duration::from_mins(1),
    window: Duration::from_hours(1),
};

/// R30: below the free tries nobody waits, also when a later try was counted before this one; then
/// the wait begins.
#[tokio::test]
async fn earlier_tries_are_not_refused_below_the_limit() {
    let db = TestDb::new().await.unwrap();
    let at = Timestamp::from_millis;
    let key = LIMIT.key("somebody");
    let mut tx = db.write().await.unwrap();
    for now in [1_010, 1_000, 1_005] {
        let refused = LIMIT.try_once(&mut tx, &key, at(now)).await.unwrap();
        assert_eq!(refused, None, "{now}");
    }
    let refused = LIMIT.try_once(&mut tx, &key, at(1_020)).await.unwrap();
    assert_eq!(refused, Some(at(11_005)));
    // a right one is taken back, and the next is free again
    RateLimit::refund(&mut tx, &key).await.unwrap();
    assert_eq!(
        LIMIT.try_once(&mut tx, &key, at(1_030)).await.unwrap(),
        None
    );
    assert!(
        LIMIT
            .try_once(&mut tx, &key, at(1_040))
            .await
            .unwrap()
            .is_some()
    );
}

/// R30: the peers that are remembered are bounded, and old ones make room.
#[tokio::test]
async fn remembered_peers_are_bounded() {
    let db = TestDb::new().await.unwrap();
    let now = Timestamp::from_millis(1_800_000_000_000);
    let peer = |n: usize, seen_at| UntrustedPeer {
        peer: format!("192.0.2.{n}"),
        header: "forwarded".to_owned(),
        seen_at,
    };
    let mut tx = db.write().await.unwrap();
    for n in 0..PEERS_MAX + 10 {
        peer(n, now).record(&mut tx).await.unwrap();
    }
    let kept = UntrustedPeer::recent(&mut tx, now).await.unwrap();
    assert_eq!(kept.len(), PEERS_MAX);
    let later = now + Duration::from_hours(24 * 6);
    peer(0, later).record(&mut tx).await.unwrap();
    let week = now + Duration::from_hours(24 * 7);
    let kept = UntrustedPeer::recent(&mut tx, week).await.unwrap();
    assert_eq!(kept, [peer(0, later)]);
    peer(99, week).record(&mut tx).await.unwrap();
    assert_eq!(UntrustedPeer::recent(&mut tx, week).await.unwrap().len(), 2);
}
