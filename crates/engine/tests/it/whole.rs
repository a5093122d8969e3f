use std::time::Duration;

use skychimp_core::platform::ids::MailingId;
use skychimp_core::sending::delivery::ClaimScope;
use skychimp_core::sending::mailing::{FromIdentity, Mailing, MailingDraft};
use skychimp_core::sending::run::{RunProgress, RunState};
use skychimp_core::sending::service::ServiceIdentity;
use skychimp_core::testing;
use skychimp_engine::Engine;
use skychimp_smtp::testing::ServerScript;

use crate::support::{World, now};

/// A started mailing to a new list.
async fn started(world: &World, list: &str, first: i64, count: i64, start: &str) -> MailingId {
    let list = testing::list(&world.db, world.owner, list, first, count, now())
        .await
        .unwrap();
    let draft = MailingDraft {
        start: start.to_owned(),
        ..MailingDraft::default()
    };
    let mailing = testing::mailing(&world.db, world.owner, &[list], draft, now())
        .await
        .unwrap();
    let sender = ServiceIdentity::from(FromIdentity {
        name: "Skychimp".to_owned(),
        email: "service@skychimp.example.org".to_owned(),
    });
    let mut tx = world.db.write().await.unwrap();
    Mailing::start(
        &mut tx,
        world.owner,
        mailing,
        &sender,
        "ann@example.org",
        now(),
    )
    .await
    .unwrap()
    .unwrap();
    tx.commit().await.unwrap();
    mailing
}

async fn progress(world: &World, mailing: MailingId) -> RunProgress {
    let mut tx = world.db.read().await.unwrap();
    RunProgress::of(&mut tx, world.owner, mailing)
        .await
        .unwrap()
}

async fn wait_done(world: &World, mailing: MailingId) -> RunProgress {
    for _ in 0..1_500 {
        let progress = progress(world, mailing).await;
        if progress.state == Some(RunState::Done) {
            return progress;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("{:?}", progress(world, mailing).await);
}

/// R19, R22: a started mailing is sent to the last letter without any other action.
#[tokio::test(flavor = "multi_thread")]
async fn started_mailing_is_sent() {
    let world = World::new().await;
    let server = ServerScript::new().start().await;
    let engine = world.engine(&server);
    let mailing = started(&world, "all", 0, 2_500, "").await;
    let done = wait_done(&world, mailing).await;
    assert_eq!(
        (done.totals.planned, done.totals.sent, done.totals.remaining),
        (2_500, 2_500, 0)
    );
    engine.stop().await;
    let mut recipients = server.recipients();
    recipients.sort();
    recipients.dedup();
    assert_eq!(
        (recipients.len(), server.recipients().len()),
        (2_500, 2_500)
    );
}

/// R21: a future start happens within a second of its time, and not before.
#[tokio::test(flavor = "multi_thread")]
async fn future_start_begins_by_itself() {
    let world = World::new().await;
    let server = ServerScript::new().start().await;
    let engine = world.engine(&server);
    let start = now() + Duration::from_secs(2);
    started(&world, "all", 0, 3, &start.to_string()).await;
    tokio::time::sleep(start.since(now()).saturating_sub(Duration::from_millis(50))).await;
    assert!(server.recipients().is_empty());
    server.wait_for_accepted(1).await;
    let late = now().since(start);
    assert!(late < Duration::from_secs(1), "{late:?}");
    engine.stop().await;
}

/// R16: an engine for one mailing sends only that mailing.
#[tokio::test(flavor = "multi_thread")]
async fn engine_for_one_mailing_leaves_others_alone() {
    let world = World::new().await;
    let server = ServerScript::new().start().await;
    let mine = started(&world, "mine", 0, 50, "").await;
    let other = started(&world, "other", 100, 50, "").await;
    let mut config = world.config(server.server());
    config.scope = ClaimScope::Mailing(mine);
    let engine = Engine::start(config);
    assert_eq!(wait_done(&world, mine).await.totals.sent, 50);
    engine.stop().await;
    assert_eq!(progress(&world, other).await.totals.sent, 0);
    let engine = world.engine(&server);
    assert_eq!(wait_done(&world, other).await.totals.sent, 50);
    engine.stop().await;
    assert_eq!(server.recipients().len(), 100);
}

/// S10: letters are sent no faster than the server's rate.
#[tokio::test(flavor = "multi_thread")]
async fn rate_is_kept() {
    let world = World::new().await;
    let server = ServerScript::new().start().await;
    let run = world.run(61).await;
    let mut settings = server.server();
    settings.rate = Some(50.0);
    let engine = Engine::start(world.config(settings));
    let start = now();
    server.wait_for_accepted(61).await;
    let took = now().since(start);
    assert!(took >= Duration::from_millis(1_100), "{took:?}");
    assert_eq!(world.wait_over(&run).await.sent, 61);
    engine.stop().await;
}
