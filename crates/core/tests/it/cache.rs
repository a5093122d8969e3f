//! The shared cache, working and failing. The tests do nothing without Valkey or Redis on the
//! machine; tests/install.sh installs one.

use std::io::Write as _;
use std::net::TcpListener;
use std::time::{Duration, Instant};

use skychimp_core::platform::cache::{COMMAND_TIMEOUT, CacheClient, CacheScript, CacheSignal};
use skychimp_core::platform::secret::SecretKey;
use skychimp_core::testing::CacheServer;

const KEEP: Duration = Duration::from_mins(1);

fn server() -> Option<CacheServer> {
    CacheServer::start().unwrap()
}

/// Waits until an operation returns the expected value.
async fn eventually<T: PartialEq + std::fmt::Debug>(expected: T, mut ask: impl AsyncFnMut() -> T) {
    let until = Instant::now() + Duration::from_mins(1);
    loop {
        let found = ask().await;
        if found == expected {
            return;
        }
        assert!(Instant::now() < until, "still {found:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// R4: values expire, are shared between processes, and are separate from other installations'.
#[tokio::test]
async fn values_are_shared_within_an_installation() {
    let Some(server) = server() else { return };
    let one = server.shared([1; 32]).await.unwrap();
    let two = server.shared([1; 32]).await.unwrap();
    let other = server.shared([2; 32]).await.unwrap();
    assert_eq!(one.get("page").await, None);
    one.set("page", b"hello\0\xff", KEEP).await;
    assert_eq!(two.get("page").await.as_deref(), Some(&b"hello\0\xff"[..]));
    assert_eq!(other.get("page").await, None);
    two.delete("page").await;
    assert_eq!(one.get("page").await, None);
    one.set("short", b"x", Duration::from_millis(1)).await;
    eventually(None, async || two.get("short").await).await;
}

/// R57: of many that try to take a key, one gets it.
#[tokio::test]
async fn a_key_is_taken_once() {
    let Some(server) = server() else { return };
    let shared = server.shared([1; 32]).await.unwrap();
    let tries = (0..50).map(|_| {
        let shared = shared.clone();
        tokio::spawn(async move { shared.take("refill", KEEP).await })
    });
    let mut taken = 0;
    for attempt in tries {
        taken += u32::from(attempt.await.unwrap().unwrap());
    }
    assert_eq!(taken, 1);
}

/// R4: a script changes keys atomically, also after the server forgot it.
#[tokio::test]
async fn scripts_are_one_step() {
    let Some(mut server) = server() else { return };
    let shared = server.shared([1; 32]).await.unwrap();
    let script = CacheScript::new("return { redis.call('INCRBY', KEYS[1], ARGV[1]), #KEYS }");
    let tries = (0..50).map(|_| {
        let (shared, script) = (shared.clone(), script.clone());
        tokio::spawn(async move { shared.run(&script, &["count"], &[2]).await })
    });
    let mut seen: Vec<i64> = Vec::new();
    for attempt in tries {
        seen.push(attempt.await.unwrap().unwrap()[0]);
    }
    seen.sort_unstable();
    assert!(seen.into_iter().eq((1..=50).map(|n| n * 2)));
    server.revive().unwrap();
    eventually(Some(vec![2, 1]), async || {
        shared.run(&script, &["count"], &[2]).await
    })
    .await;
}

/// R57: a published message reaches all processes; after an interruption they learn that they may
/// have missed some.
#[tokio::test]
async fn messages_reach_all_processes_and_gaps_are_told() {
    let Some(mut server) = server() else { return };
    let one = server.shared([1; 32]).await.unwrap();
    let two = server.shared([1; 32]).await.unwrap();
    let (mut here, mut there) = (one.subscribe("news"), two.subscribe("news"));
    let mut elsewhere = two.subscribe("other");
    // subscribing happens in the background: publish until both have received it
    let heard = async {
        let message = Ok(CacheSignal::Message("hello".into()));
        assert_eq!(here.recv().await, message);
        assert_eq!(there.recv().await, message);
    };
    let tell = async {
        loop {
            one.publish("news", "hello").await;
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::select! { () = heard => {}, () = tell => {} }
    assert!(elsewhere.is_empty());
    server.revive().unwrap();
    assert_eq!(elsewhere.recv().await, Ok(CacheSignal::Gap));
}

/// R4: without a server every operation immediately returns nothing.
#[tokio::test]
async fn nothing_is_configured() {
    let shared = CacheClient::none();
    shared.set("a", b"b", KEEP).await;
    assert_eq!(shared.get("a").await, None);
    assert_eq!(shared.take("a", KEEP).await, None);
    assert_eq!(
        shared.run(&CacheScript::new("return {}"), &[], &[]).await,
        None
    );
    assert_eq!(
        shared.counts(),
        skychimp_core::platform::cache::CacheCounters::default()
    );
}

/// R57: a killed server loses only its values, and is used again when it is back.
#[tokio::test]
async fn a_killed_server_is_gone_until_it_is_back() {
    let Some(mut server) = server() else { return };
    let shared = server.shared([1; 32]).await.unwrap();
    shared.set("page", b"hello", KEEP).await;
    server.kill();
    eventually((None, false), async || {
        (shared.get("page").await, shared.counts().up)
    })
    .await;
    // the server is no longer asked
    let before = shared.counts();
    for _ in 0..1_000 {
        assert_eq!(shared.get("page").await, None);
    }
    let after = shared.counts();
    assert_eq!(
        (after.calls - before.calls, after.skipped - before.skipped),
        (0, 1_000)
    );
    server.revive().unwrap();
    eventually(Some(b"hello".to_vec()), async || {
        shared.set("page", b"hello", KEEP).await;
        shared.get("page").await
    })
    .await;
}

/// R57: a stopped server makes waiting operations time out once, and delays no later ones.
#[tokio::test]
async fn a_silent_server_is_waited_for_once() {
    let Some(server) = server() else { return };
    let shared = CacheClient::connect(&server.url(), &SecretKey::new([1; 32])).unwrap();
    shared.wait_connected().await;
    server.halt().unwrap();
    let mut failures = 0;
    for _ in 0..2_000 {
        assert_eq!(shared.get("page").await, None);
        let counts = shared.counts();
        failures = counts.failures;
        assert_eq!(
            counts.calls, failures,
            "an operation on a halted server came to something"
        );
    }
    // only the first one waited: no connection comes up while the server is stopped
    assert!(
        failures <= 1,
        "{failures} operations waited for {COMMAND_TIMEOUT:?}"
    );
    server.go_on().unwrap();
    eventually(Some(b"hello".to_vec()), async || {
        shared.set("page", b"hello", KEEP).await;
        shared.get("page").await
    })
    .await;
}

/// R57: foreign data under our keys is ignored, whatever its size and type.
#[tokio::test]
async fn foreign_data_is_nothing() {
    let Some(server) = server() else { return };
    let shared = server.shared([1; 32]).await.unwrap();
    let spoil = CacheScript::new(
        "redis.call('RPUSH', KEYS[1], 'a list')
         redis.call('SET', KEYS[2], string.rep('x', 64 * 1024 * 1024))
         redis.call('SET', KEYS[3], '')
         return {}",
    );
    shared
        .run(&spoil, &["list", "huge", "empty"], &[])
        .await
        .unwrap();
    for key in ["list", "huge", "empty"] {
        assert_eq!(shared.get(key).await, None, "{key}");
    }
    assert!(shared.counts().up, "the connection is in order");
    let wrong = CacheScript::new("return 'no list of integers'");
    assert_eq!(shared.run(&wrong, &[], &[]).await, None);
    shared.set("list", b"ours", KEEP).await;
    assert_eq!(shared.get("list").await.as_deref(), Some(&b"ours"[..]));
}

/// R57: another service at the address is not taken for a server.
#[tokio::test]
async fn a_stranger_at_the_address_is_nothing() {
    let stranger = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("redis://{}", stranger.local_addr().unwrap());
    let (visited, visits) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        for connection in stranger.incoming() {
            let mut connection = connection.unwrap();
            let _ = connection
                .write_all(b"$99999999999999\r\n220 mail.example.org ESMTP\r\n*-7\r\n\xff\xfe");
            if visited.send(connection).is_err() {
                return;
            }
        }
    });
    let shared = CacheClient::connect(&url, &SecretKey::new([1; 32])).unwrap();
    let visits =
        tokio::task::spawn_blocking(move || (visits.recv().unwrap(), visits.recv().unwrap()));
    // contacted twice, and never accepted
    let _open = visits.await.unwrap();
    assert_eq!(shared.get("page").await, None);
    assert!(!shared.counts().up);
    assert!(CacheClient::check(&url).await.is_err());
}

/// R5: an invalid URL is reported before connecting.
#[test]
fn wrong_addresses_are_told() {
    assert!(CacheClient::validate("redis://localhost").is_ok());
    assert!(CacheClient::validate("rediss://user:password@cache.example.org:6380/2").is_ok());
    assert!(CacheClient::validate("redis://localhost/two").is_err());
    assert!(CacheClient::validate("http://localhost").is_err());
}
