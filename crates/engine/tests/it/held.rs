//! Letters that must not be sent to external recipients with the present configuration.

use skychimp_core::sending::outbox::{NewOutboxLetter, OutboxLetter};
use skychimp_core::sending::run::RunState;
use skychimp_core::sending::sending_server::ServerDraft;
use skychimp_core::testing::execute;
use skychimp_engine::{Engine, EngineConfig};
use skychimp_smtp::Server;
use skychimp_smtp::testing::{ScriptedServer, ServerScript};

use crate::servers::draft;
use crate::support::World;

/// A remote server that is not used while the local one has room (RFC 5737: the address does not
/// exist).
fn far_away() -> ServerDraft {
    let mut draft = ServerDraft {
        name: "Far away".to_owned(),
        host: "192.0.2.1".to_owned(),
        port: 25,
        priority: 20,
        ..ServerDraft::default()
    };
    draft.limits.connections = 1;
    draft
}

/// A world with one local and one remote server.
async fn reaching_strangers(server: &ScriptedServer) -> (World, EngineConfig) {
    let world = World::new().await;
    world.add(&draft("Here", server), "").await;
    world.add(&far_away(), "").await;
    let config = world.without_server();
    (world, config)
}

async fn letter(world: &World) {
    let new = NewOutboxLetter {
        owner: None,
        kind: "reset",
        email: "ann@example.org",
        name: "",
        from_name: "",
        from_email: "",
        reply_to: "",
        subject: "Your password",
        html: "",
        text: "http://127.0.0.1:8080/reset/x\n",
        site: "http://127.0.0.1:8080/",
        unsubscribe: "",
    };
    let mut tx = world.db.write().await.unwrap();
    OutboxLetter::enqueue(&mut tx, &new, crate::support::now())
        .await
        .unwrap();
    tx.commit().await.unwrap();
}

/// R5, R27, R31: without a base URL nothing is sent to external recipients, not even outbox
/// letters, and the run says why. Once it is set sending continues, and links written earlier use
/// it.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_leaves_without_an_address_for_links() {
    let server = ServerScript::new().start().await;
    let (world, mut config) = reaching_strangers(&server).await;
    let run = world.run(3).await;
    letter(&world).await;
    config.service.base_url = None;
    let engine = Engine::start(config.clone());
    let held = world
        .wait(&run, "it says why", |run| !run.waiting.is_empty())
        .await;
    assert!(held.waiting.contains("base_url"), "{held:?}");
    engine.stop().await;
    let held = world.get(&run).await;
    assert_eq!(
        (held.state, held.sent, held.failed, held.deferred),
        (RunState::Sending, 0, 0, 0)
    );
    assert!(world.attempts(&run).await.is_empty());
    assert!(server.accepted().is_empty());

    config.service.base_url = Some("https://news.example.org".to_owned());
    let engine = Engine::start(config);
    let over = world.wait_over(&run).await;
    assert_eq!((over.sent, over.waiting.as_str()), (3, ""));
    server.wait_for_accepted(4).await;
    engine.stop().await;
    let service = server
        .accepted()
        .into_iter()
        .find(|letter| letter.to == ["ann@example.org"])
        .unwrap();
    let text = String::from_utf8(service.data.to_vec()).unwrap();
    assert!(text.contains("https://news.example.org/reset/x"), "{text}");
    assert!(!text.contains("127.0.0.1"), "{text}");
}

/// R27: a remote server in the configuration counts like one in the database, and is not connected
/// to.
#[tokio::test(flavor = "multi_thread")]
async fn a_far_server_in_the_configuration_counts_too() {
    let world = World::new().await;
    let run = world.run(3).await;
    let mut config = world.config(Server::new("192.0.2.1", 25));
    config.service.sender.email = "noreply@skychimp.invalid".to_owned();
    let engine = Engine::start(config);
    let held = world
        .wait(&run, "it says why", |run| !run.waiting.is_empty())
        .await;
    assert!(held.waiting.contains("mail_from"), "{held:?}");
    engine.stop().await;
    assert!(world.attempts(&run).await.is_empty());
}

/// R27: a run with an unusable sender gets its mailing's present one. If that is unusable too, the
/// run waits, says why, and delays no other run.
#[tokio::test(flavor = "multi_thread")]
async fn runs_from_nobody_are_mended_or_wait() {
    let server = ServerScript::new().start().await;
    let (world, config) = reaching_strangers(&server).await;
    let mended = world.run(2).await;
    let held = world.run_to(&["held@example.org".to_owned()]).await;
    let nobody = "UPDATE runs SET from_email = 'noreply@skychimp.invalid' WHERE owner_id = $1";
    execute(&world.db, nobody, world.owner).await.unwrap();
    let own = "/* test */ UPDATE mailings SET from_email = 'me@localhost'
               WHERE owner_id = $1 AND id IN (SELECT mailing_id FROM runs WHERE planned = 1)";
    execute(&world.db, own, world.owner).await.unwrap();
    let engine = Engine::start(config.clone());
    assert_eq!(world.wait_over(&mended).await.sent, 2);
    let waits = world
        .wait(&held, "it says why", |run| !run.waiting.is_empty())
        .await;
    assert!(waits.waiting.contains("from_email"), "{waits:?}");
    engine.stop().await;
    assert!(world.attempts(&held).await.is_empty());
    for letter in server.accepted() {
        assert_eq!(letter.from, "sender@example.org");
    }

    let own = "UPDATE mailings SET from_email = 'me@example.org' WHERE owner_id = $1";
    execute(&world.db, own, world.owner).await.unwrap();
    let engine = Engine::start(config);
    assert_eq!(world.wait_over(&held).await.sent, 1);
    engine.stop().await;
    assert_eq!(server.accepted().last().unwrap().from, "me@example.org");
}

/// R28: letters that stay on this machine need neither a base URL nor a valid sender.
#[tokio::test(flavor = "multi_thread")]
async fn letters_on_this_machine_need_nothing() {
    let world = World::new().await;
    let server = ServerScript::new().start().await;
    let run = world.run(3).await;
    let nobody = "UPDATE runs SET from_email = 'noreply@skychimp.invalid' WHERE owner_id = $1";
    execute(&world.db, nobody, world.owner).await.unwrap();
    let mut config = world.config(server.server());
    config.service = skychimp_core::sending::service::ServiceIdentity::default();
    let engine = Engine::start(config);
    assert_eq!(world.wait_over(&run).await.sent, 3);
    engine.stop().await;
}
