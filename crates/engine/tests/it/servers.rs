//! Several sending servers: which takes a letter, and what happens when one fails.

mod limits;

use std::collections::HashMap;
use std::time::Duration;

use skychimp_core::accounts::audit::Actor;
use skychimp_core::accounts::user::Role;
use skychimp_core::platform::ids::ServerId;
use skychimp_core::platform::secret::SecretKey;
use skychimp_core::sending::sending_server::{
    HealthState, PasswordChange, SendingServer, ServerDraft, ServerHealth, TlsMode,
};
use skychimp_core::testing::user;
use skychimp_engine::{Engine, EngineConfig};
use skychimp_smtp::testing::{Action, ScriptedServer, ServerScript, Step};

use crate::support::{World, now};

pub fn draft(name: &str, server: &ScriptedServer) -> ServerDraft {
    let server = server.server();
    let mut draft = ServerDraft {
        name: name.to_owned(),
        host: server.host,
        port: i64::from(server.port),
        tls: TlsMode::None,
        ..ServerDraft::default()
    };
    if let Some(credentials) = server.credentials {
        draft.username = credentials.user;
    }
    draft.limits.connections = 4;
    draft
}

impl World {
    pub fn without_server(&self) -> EngineConfig {
        EngineConfig {
            server: None,
            ..self.config(skychimp_smtp::Server::new("nowhere.invalid", 25))
        }
    }

    pub async fn add(&self, draft: &ServerDraft, password: &str) -> ServerId {
        let mut tx = self.db.write().await.unwrap();
        let secret = SecretKey::new([7; 32]);
        let password = PasswordChange::Set(password);
        let actor = Actor::COMMAND;
        let id = SendingServer::create(&mut tx, draft, &password, &secret, actor, now())
            .await
            .unwrap();
        tx.commit().await.unwrap();
        self.db.wake().wake_local();
        id
    }

    async fn edit(&self, id: ServerId, password: &str, change: impl FnOnce(&mut ServerDraft)) {
        let mut tx = self.db.write().await.unwrap();
        let server = SendingServer::get(&mut tx, id).await.unwrap().unwrap();
        let mut draft = ServerDraft::from(&server);
        change(&mut draft);
        let (secret, password) = (SecretKey::new([7; 32]), PasswordChange::Set(password));
        let (version, actor) = (server.version, Actor::COMMAND);
        let edited = SendingServer::update(
            &mut tx,
            id,
            version,
            &draft,
            &password,
            &secret,
            actor,
            now(),
        );
        assert!(edited.await.unwrap());
        tx.commit().await.unwrap();
        self.db.wake().wake_local();
    }

    pub async fn health(
        &self,
        id: ServerId,
        what: &str,
        done: impl Fn(&ServerHealth) -> bool,
    ) -> ServerHealth {
        for _ in 0..1_500 {
            let mut tx = self.db.read().await.unwrap();
            let health = ServerHealth::get(&mut tx, id).await.unwrap();
            if let Some(health) = health.filter(|health| done(health)) {
                return health;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("{what}");
    }

    pub async fn is_closed(&self, id: ServerId) -> bool {
        let mut tx = self.db.read().await.unwrap();
        let health = ServerHealth::get(&mut tx, id).await.unwrap();
        health.is_some_and(|health| health.state == HealthState::Closed)
    }

    /// Number of attempts per server, from the log.
    async fn shares(&self, run: &skychimp_core::testing::TestRun) -> HashMap<String, usize> {
        let mut shares = HashMap::new();
        for attempt in self.attempts(run).await {
            *shares.entry(attempt.server).or_default() += 1;
        }
        shares
    }
}

/// R27: letters of an unreachable server go over the next one at the first attempt, and the log
/// names the server used.
#[tokio::test(flavor = "multi_thread")]
async fn broken_server_is_replaced_by_the_next() {
    let world = World::new().await;
    let good = ServerScript::new().start().await;
    let gone = ServerScript::new().start().await;
    let mut first = draft("First", &gone);
    first.priority = 1;
    gone.stop();
    let first = world.add(&first, "").await;
    world.add(&draft("Second", &good), "").await;
    let run = world.run(100).await;
    let engine = Engine::start(world.without_server());
    let over = world.wait_over(&run).await;
    assert_eq!((over.sent, over.failed), (100, 0));
    let health = world
        .health(first, "the broken one is left alone", |h| {
            h.state == HealthState::Open
        })
        .await;
    assert!(
        health.until.is_some() && health.class == "connection",
        "{health:?}"
    );
    engine.stop().await;
    let ledger = world.settle(&run, &good).await;
    assert_eq!((ledger.copies, ledger.attempts), (100, 100));
    let shares = world.shares(&run).await;
    assert_eq!(
        shares.into_keys().collect::<Vec<_>>(),
        [good.server().name()]
    );
}

/// S7, scenario 20: a refused login pauses that server and fails no letter. Administrators get one
/// letter, over another server. Once corrected, the server is used again.
#[tokio::test(flavor = "multi_thread")]
async fn refused_login_pauses_one_server_and_tells_once() {
    let world = World::new().await;
    user(&world.db, "root", Role::Admin).await.unwrap();
    let picky = ServerScript::new().auth("robot", "right").start().await;
    let good = ServerScript::new().start().await;
    let mut first = draft("Picky", &picky);
    first.priority = 1;
    let first = world.add(&first, "wrong").await;
    world.add(&draft("Good", &good), "").await;
    let run = world.run(60).await;
    let mut other = world.without_server();
    let two = tempfile::tempdir().unwrap();
    other.data_dir = two.path().to_owned();
    let engines = [Engine::start(world.without_server()), Engine::start(other)];
    let over = world.wait_over(&run).await;
    assert_eq!((over.sent, over.failed, over.deferred), (60, 0, 0));
    let health = world
        .health(first, "it is paused", |h| h.state == HealthState::Paused)
        .await;
    assert!(
        health.reply.contains("535") && health.alerted_at.is_some(),
        "{health:?}"
    );
    world
        .health(first, "it was tried again", |h| {
            h.changed_at > health.changed_at
        })
        .await;
    world.edit(first, "right", |_| {}).await;
    world
        .health(first, "it is tried at once", |h| {
            h.state != HealthState::Paused
        })
        .await;
    while !world.is_closed(first).await {
        let again = world.run(5).await;
        world.wait_over(&again).await;
    }
    for engine in engines {
        engine.stop().await;
    }
    assert!(
        picky
            .accepted()
            .iter()
            .all(|letter| letter.to[0].starts_with("to"))
    );
    let alerts = good
        .accepted()
        .into_iter()
        .filter(|letter| letter.to[0] == "root@example.org")
        .count();
    assert_eq!(alerts, 1);
    assert!(
        world
            .attempts(&run)
            .await
            .iter()
            .all(|attempt| attempt.code == Some(250))
    );
}

/// R25, scenario 10: a server that takes seconds per letter does not delay the other one.
#[tokio::test(flavor = "multi_thread")]
async fn slow_server_never_slows_another() {
    let world = World::new().await;
    let slow = ServerScript::new()
        .on(|at| match at.step {
            Step::EndOfData => Action::delay(Duration::from_secs(3)),
            _ => Action::Default,
        })
        .start()
        .await;
    let quick = ServerScript::new().start().await;
    world.add(&draft("Slow", &slow), "").await;
    world.add(&draft("Quick", &quick), "").await;
    let run = world.run(300).await;
    let engine = Engine::start(world.without_server());
    // all but those that the slow server has in hand until its second reply
    quick.wait_for_accepted(300 - 3 * 4).await;
    assert!(slow.accepted().len() <= 4, "{}", slow.accepted().len());
    let over = world.wait_over(&run).await;
    assert_eq!((over.sent, over.failed), (300, 0));
    engine.stop().await;
    assert_eq!(world.attempts(&run).await.len(), 300);
}

/// S10: next to a heavier server a lighter one uses proportionally fewer connections, even under
/// load.
#[tokio::test(flavor = "multi_thread")]
async fn weights_share_the_work() {
    let world = World::new().await;
    let script = || {
        ServerScript::new().on(|at| match at.step {
            Step::EndOfData => Action::delay(Duration::from_millis(10)),
            _ => Action::Default,
        })
    };
    let (heavy, light) = (script().start().await, script().start().await);
    let mut first = draft("Heavy", &heavy);
    first.weight = 300;
    first.limits.connections = 6;
    let mut second = draft("Light", &light);
    second.limits.connections = 6;
    world.add(&first, "").await;
    world.add(&second, "").await;
    let run = world.run(400).await;
    let engine = Engine::start(world.without_server());
    assert_eq!(world.wait_over(&run).await.sent, 400);
    engine.stop().await;
    assert_eq!(light.most_connections(), 2);
    let shares = (heavy.accepted().len(), light.accepted().len());
    assert!(shares.0 > shares.1 && shares.1 > 0, "{shares:?}");
}

/// The sandbox is used only if there is no server at all; with all servers disabled letters wait.
#[tokio::test(flavor = "multi_thread")]
async fn sandbox_is_for_those_without_a_server() {
    let world = World::new().await;
    let (sandbox, real) = (
        ServerScript::new().start().await,
        ServerScript::new().start().await,
    );
    let mut config = world.without_server();
    config.sandbox = Some(sandbox.server());
    let engine = Engine::start(config);
    let first = world.run(5).await;
    world.wait_over(&first).await;
    let id = world.add(&draft("Real", &real), "").await;
    let set = async |enabled| {
        let mut tx = world.db.write().await.unwrap();
        let done = SendingServer::set_enabled(&mut tx, id, enabled, Actor::COMMAND, now()).await;
        assert!(done.unwrap());
        tx.commit().await.unwrap();
        world.db.wake().wake_local();
    };
    set(false).await;
    let second = world.run(5).await;
    world.db.wake().wake_local();
    world
        .wait(&second, "it waits", |run| {
            run.waiting.contains("no sending server")
        })
        .await;
    set(true).await;
    world.wait_over(&second).await;
    assert_eq!((sandbox.accepted().len(), real.accepted().len()), (5, 5));
    engine.stop().await;
}

/// R28: the engine runs a test requested by a page, also of a disabled server.
#[tokio::test(flavor = "multi_thread")]
async fn tests_are_carried_out() {
    let world = World::new().await;
    let server = ServerScript::new().auth("robot", "right").start().await;
    let mut off = draft("Off", &server);
    off.enabled = false;
    let id = world.add(&off, "wrong").await;
    let engine = Engine::start(world.without_server());
    let ask = async || {
        let mut tx = world.db.write().await.unwrap();
        ServerHealth::ask_test(&mut tx, id, now()).await.unwrap();
        tx.commit().await.unwrap();
        world.db.wake().wake_local();
        world
            .health(id, "it is tested", |h| {
                h.test_ok.is_some() && !h.is_tested()
            })
            .await
    };
    let health = ask().await;
    assert_eq!(health.test_ok, Some(false));
    assert!(health.test_result.contains("535"), "{}", health.test_result);
    world.edit(id, "right", |_| {}).await;
    let health = ask().await;
    assert_eq!(health.test_ok, Some(true), "{}", health.test_result);
    engine.stop().await;
    assert!(server.accepted().is_empty());
}

/// A server disabled during a run finishes its letters and gets no more; then it can be deleted.
#[tokio::test(flavor = "multi_thread")]
async fn server_leaves_in_good_order() {
    let world = World::new().await;
    let script = || {
        ServerScript::new().on(|at| match at.step {
            Step::EndOfData => Action::delay(Duration::from_millis(10)),
            _ => Action::Default,
        })
    };
    let (leaving, staying) = (script().start().await, script().start().await);
    let id = world.add(&draft("Leaving", &leaving), "").await;
    world.add(&draft("Staying", &staying), "").await;
    let run = world.run(400).await;
    let engine = Engine::start(world.without_server());
    leaving.wait_for_accepted(20).await;
    let mut tx = world.db.write().await.unwrap();
    let off = SendingServer::set_enabled(&mut tx, id, false, Actor::COMMAND, now()).await;
    assert!(off.unwrap());
    tx.commit().await.unwrap();
    world.db.wake().wake_local();
    let over = world.wait_over(&run).await;
    assert_eq!((over.sent, over.failed, over.deferred), (400, 0, 0));
    engine.stop().await;
    assert!(leaving.accepted().len() < 400);
    assert_eq!(world.attempts(&run).await.len(), 400);
    let later = now() + Duration::from_mins(1);
    let mut tx = world.db.write().await.unwrap();
    let deleted = SendingServer::delete(&mut tx, id, Actor::COMMAND, later).await;
    assert!(deleted.unwrap());
}
