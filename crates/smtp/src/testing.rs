//! A server for tests that behaves, or misbehaves, as a script says.
//!
//! ```
//! use skychimp_smtp::testing::{Action, Script, Step};
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() {
//! // every third final dot ends the connection without a reply
//! let server = Script::new()
//!     .on(|at| match at.step {
//!         Step::Dot if at.nth % 3 == 0 => Action::Close,
//!         _ => Action::Default,
//!     })
//!     .start()
//!     .await;
//! let pool = skychimp_smtp::Pool::new(server.server());
//! # let _ = pool; }
//! ```
//!
//! The script is asked at every [`Step`] of the dialogue. What it answers is
//! also what happens: a recipient who got a 550 is not in the envelope, a letter
//! whose dot got no 250 is not among [`ScriptedServer::accepted`].

mod dialogue;
mod proxy;
mod sink;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use rustls::ServerConfig;
use rustls_pki_types::PrivateKeyDer;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

pub use self::proxy::Proxy;
pub use self::sink::Sink;
use crate::server::{Credentials, Login, Roots, Server, Timeouts, Tls};

/// What a good server offers.
const EXTENSIONS: [&str; 5] = [
    "PIPELINING",
    "SIZE 52428800",
    "8BITMIME",
    "SMTPUTF8",
    "ENHANCEDSTATUSCODES",
];

/// A point of the dialogue at which the script is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Step {
    /// A new connection; the default is the greeting.
    Connect,
    /// EHLO
    Ehlo,
    /// HELO
    Helo,
    /// STARTTLS
    StartTls,
    /// AUTH, before the credentials are looked at
    Auth,
    /// MAIL
    Mail,
    /// RCPT
    Rcpt,
    /// DATA
    Data,
    /// The first octets of the content are there. The default is to go on reading; a reply given here is the reply to the content.
    Content,
    /// The final dot is there.
    Dot,
    /// RSET
    Rset,
    /// QUIT
    Quit,
    /// NOOP and what is no command
    Other,
}

/// What a script is told.
#[derive(Debug, Clone)]
pub struct At {
    /// Where in the dialogue.
    pub step: Step,
    /// How often this step came on all connections, from 1.
    pub nth: usize,
    /// The number of the connection, from 1.
    pub connection: usize,
    /// How often this step came on this connection, from 1.
    pub nth_here: usize,
    /// Connections that are open, this one included.
    pub live: usize,
    /// The address in MAIL or RCPT; the first recipient at the later steps of a letter.
    pub address: String,
}

/// What the server does at a step.
#[derive(Debug, Clone)]
pub enum Action {
    /// What a good server does.
    Default,
    /// These lines; CRLF is added at the end.
    Reply(String),
    /// These lines, then the end of the connection.
    ReplyAndClose(String),
    /// The end of the connection without a word.
    Close,
    /// No reply, but on with the next command, as if it had been answered well.
    Skip,
    /// What a good server does, and then these lines too.
    Extra(String),
    /// Waits, then does the other thing.
    Delay(Duration, Box<Action>),
    /// Neither reads nor writes any more; the replies to earlier commands have left.
    Stall,
    /// These octets and nothing added; then on.
    Raw(Vec<u8>),
}

impl Action {
    /// Waits, then does what a good server does.
    #[must_use]
    pub fn delay(time: Duration) -> Self {
        Self::Delay(time, Box::new(Self::Default))
    }

    /// [`Action::Reply`]
    pub fn reply(text: impl Into<String>) -> Self {
        Self::Reply(text.into())
    }
}

/// A letter that was answered with a positive reply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Accepted {
    /// Envelope sender.
    pub from: String,
    /// Envelope recipients that were accepted.
    pub to: Vec<String>,
    /// The letter, dots undone; empty when the script does not keep content.
    pub data: Bytes,
    /// The connection it came on, from 1.
    pub connection: usize,
}

type On = dyn Fn(&At) -> Action + Send + Sync;

/// How a server behaves. Without more it is a good one: PIPELINING and the usual extensions, no TLS, no AUTH.
pub struct Script {
    extensions: Vec<String>,
    extensions_after_tls: Option<Vec<String>>,
    tls: Tls,
    expired: bool,
    credentials: Option<Credentials>,
    /// The password of the credentials is an access token.
    token: bool,
    keep_content: bool,
    receive_buffer: Option<u32>,
    on: Box<On>,
}

impl std::fmt::Debug for Script {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Script")
            .field("extensions", &self.extensions)
            .field("tls", &self.tls)
            .finish_non_exhaustive()
    }
}

impl Default for Script {
    fn default() -> Self {
        Self::new()
    }
}

impl Script {
    /// A good server.
    #[must_use]
    pub fn new() -> Self {
        Self {
            extensions: EXTENSIONS.map(str::to_owned).to_vec(),
            extensions_after_tls: None,
            tls: Tls::None,
            expired: false,
            credentials: None,
            token: false,
            keep_content: true,
            receive_buffer: None,
            on: Box::new(|_| Action::Default),
        }
    }

    /// Asks `on` at every step.
    #[must_use]
    pub fn on(mut self, on: impl Fn(&At) -> Action + Send + Sync + 'static) -> Self {
        self.on = Box::new(on);
        self
    }

    /// Offers these keywords in EHLO instead of the usual ones.
    #[must_use]
    pub fn extensions(mut self, keywords: &[&str]) -> Self {
        self.extensions = keywords.iter().map(|&word| word.to_owned()).collect();
        self
    }

    /// Offers everything but PIPELINING.
    #[must_use]
    pub fn without_pipelining(mut self) -> Self {
        self.extensions.retain(|word| word != "PIPELINING");
        self
    }

    /// Offers STARTTLS.
    #[must_use]
    pub fn starttls(mut self) -> Self {
        self.tls = Tls::Required;
        self
    }

    /// Offers these keywords in the EHLO after STARTTLS.
    #[must_use]
    pub fn extensions_after_tls(mut self, keywords: &[&str]) -> Self {
        self.extensions_after_tls = Some(keywords.iter().map(|&word| word.to_owned()).collect());
        self
    }

    /// TLS from the first octet.
    #[must_use]
    pub fn implicit_tls(mut self) -> Self {
        self.tls = Tls::Implicit;
        self
    }

    /// The certificate expired years ago.
    #[must_use]
    pub fn expired_certificate(mut self) -> Self {
        self.expired = true;
        self
    }

    /// Takes no letters without these credentials. Offers AUTH PLAIN and LOGIN, with STARTTLS only after it.
    #[must_use]
    pub fn auth(mut self, user: &str, password: &str) -> Self {
        self.credentials = Some(Credentials {
            user: user.to_owned(),
            password: password.to_owned(),
        });
        self
    }

    /// As [`Script::auth`], by AUTH XOAUTH2 only.
    #[must_use]
    pub fn auth_by_token(self, user: &str, token: &str) -> Self {
        Self {
            token: true,
            ..self.auth(user, token)
        }
    }

    /// Keeps envelopes but no content, for long runs.
    #[must_use]
    pub fn without_content(mut self) -> Self {
        self.keep_content = false;
        self
    }

    /// Asks the kernel for a small receive window, so that a stalled server is felt at once.
    #[must_use]
    pub fn receive_buffer(mut self, octets: u32) -> Self {
        self.receive_buffer = Some(octets);
        self
    }

    /// Listens on a random loopback port.
    ///
    /// # Panics
    /// When there is no such port: it is a server for tests.
    #[expect(clippy::unused_async, reason = "it needs a run time, and says so")]
    pub async fn start(self) -> ScriptedServer {
        self.start_at(SocketAddr::from(([127, 0, 0, 1], 0)))
    }

    /// Listens there, for tests in which a server comes back.
    ///
    /// # Panics
    /// When the address is taken, or outside of a run time.
    #[expect(clippy::expect_used, reason = "a server for tests")]
    #[must_use]
    pub fn start_at(self, address: SocketAddr) -> ScriptedServer {
        let socket = tokio::net::TcpSocket::new_v4().expect("a socket");
        socket.set_reuseaddr(true).expect("SO_REUSEADDR");
        if let Some(octets) = self.receive_buffer {
            socket.set_recv_buffer_size(octets).expect("SO_RCVBUF");
        }
        socket.bind(address).expect("a free loopback port");
        let listener = socket.listen(1024).expect("a listening socket");
        let address = listener.local_addr().expect("the address of a listener");
        let (config, certificate) = if self.tls == Tls::None {
            (None, None)
        } else {
            let (config, pem) = certificate(self.expired);
            (Some(config), Some(pem))
        };
        let shared = Arc::new(Shared {
            script: self,
            config,
            log: Mutex::default(),
            changed: Notify::new(),
        });
        let stop = CancellationToken::new();
        tokio::spawn(dialogue::accept(
            listener,
            Arc::clone(&shared),
            stop.clone(),
        ));
        ScriptedServer {
            address,
            certificate,
            shared,
            stop,
        }
    }
}

/// A running server. It stops when this is dropped.
#[derive(Debug)]
pub struct ScriptedServer {
    address: SocketAddr,
    certificate: Option<String>,
    shared: Arc<Shared>,
    stop: CancellationToken,
}

impl ScriptedServer {
    /// Where it listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Settings that fit: address, TLS, trusted certificate, credentials, time-outs of ten seconds.
    #[must_use]
    pub fn server(&self) -> Server {
        let script = &self.shared.script;
        let mut server = Server::new("127.0.0.1", self.address.port());
        server.tls = script.tls;
        server.timeouts = Timeouts::all(Duration::from_secs(10));
        server.credentials.clone_from(&script.credentials);
        if script.token {
            server.login = Login::Token;
        }
        server.clear_text_auth = script.tls == Tls::None;
        if let Some(pem) = &self.certificate {
            server.roots = Roots::Pem(pem.clone());
        }
        server
    }

    /// `smtp://127.0.0.1:PORT?tls=none` followed by `&` and `query` if it is not empty.
    #[must_use]
    pub fn url(&self, query: &str) -> String {
        let separator = if query.is_empty() { "" } else { "&" };
        format!("smtp://{}?tls=none{separator}{query}", self.address)
    }

    /// Its certificate, when it has one.
    #[must_use]
    pub fn certificate(&self) -> Option<&str> {
        self.certificate.as_deref()
    }

    /// The letters it took, in order.
    #[must_use]
    pub fn accepted(&self) -> Vec<Accepted> {
        self.shared.log.lock().accepted.clone()
    }

    /// The recipients of the letters it took, in order.
    #[must_use]
    pub fn recipients(&self) -> Vec<String> {
        let log = self.shared.log.lock();
        log.accepted.iter().flat_map(|a| a.to.clone()).collect()
    }

    /// How often a step came.
    #[must_use]
    pub fn count(&self, step: Step) -> usize {
        self.shared
            .log
            .lock()
            .steps
            .get(&step)
            .copied()
            .unwrap_or(0)
    }

    /// Connections made so far.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.shared.log.lock().dialogues.len()
    }

    /// The greatest number of connections open at a time.
    #[must_use]
    pub fn most_connections(&self) -> usize {
        self.shared.log.lock().most_live
    }

    /// Commands that had arrived before the reply to the one before was sent: 0 from a strictly serial client.
    #[must_use]
    pub fn sent_ahead(&self) -> usize {
        self.shared.log.lock().ahead
    }

    /// What went over a connection (from 1), a line each: `C: MAIL FROM:<a@b>`, `S: 250 ok`; content as its length.
    #[must_use]
    pub fn dialogue(&self, connection: usize) -> Vec<String> {
        let log = self.shared.log.lock();
        let found = connection.checked_sub(1).and_then(|n| log.dialogues.get(n));
        found.cloned().unwrap_or_default()
    }

    /// Waits until a step came so often.
    ///
    /// # Panics
    /// After 20 seconds.
    pub async fn wait_for(&self, step: Step, times: usize) {
        self.wait(|log| log.steps.get(&step).is_some_and(|n| *n >= times))
            .await;
    }

    /// Waits until it took so many letters.
    ///
    /// # Panics
    /// After 20 seconds.
    pub async fn wait_for_accepted(&self, letters: usize) {
        self.wait(|log| log.accepted.len() >= letters).await;
    }

    async fn wait(&self, done: impl Fn(&Log) -> bool) {
        let waiting = async {
            loop {
                let changed = self.shared.changed.notified();
                tokio::pin!(changed);
                changed.as_mut().enable();
                if done(&self.shared.log.lock()) {
                    return;
                }
                changed.await;
            }
        };
        let result = tokio::time::timeout(Duration::from_secs(20), waiting).await;
        assert!(result.is_ok(), "what was waited for did not happen");
    }

    /// Waits until no connection is open.
    ///
    /// # Panics
    /// After 20 seconds.
    pub async fn wait_until_idle(&self) {
        self.wait(|log| log.live == 0).await;
    }

    /// Ends all connections and listens no more.
    pub fn stop(&self) {
        self.stop.cancel();
    }
}

impl Drop for ScriptedServer {
    fn drop(&mut self) {
        self.stop();
    }
}

#[derive(Debug)]
struct Shared {
    script: Script,
    config: Option<Arc<ServerConfig>>,
    log: Mutex<Log>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct Log {
    accepted: Vec<Accepted>,
    steps: HashMap<Step, usize>,
    dialogues: Vec<Vec<String>>,
    live: usize,
    most_live: usize,
    ahead: usize,
}

/// A self-signed certificate for 127.0.0.1 and localhost, and its PEM.
#[expect(clippy::expect_used, reason = "a server for tests")]
fn certificate(expired: bool) -> (Arc<ServerConfig>, String) {
    let names = vec!["127.0.0.1".to_owned(), "localhost".to_owned()];
    let mut parameters = rcgen::CertificateParams::new(names).expect("names of a certificate");
    if expired {
        parameters.not_before = rcgen::date_time_ymd(2000, 1, 1);
        parameters.not_after = rcgen::date_time_ymd(2001, 1, 1);
    }
    let key = rcgen::KeyPair::generate().expect("a key");
    let certificate = parameters.self_signed(&key).expect("a certificate");
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let private = PrivateKeyDer::try_from(key.serialize_der()).expect("a key in DER");
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("TLS versions of the provider")
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], private)
        .expect("a certificate that fits its key");
    (Arc::new(config), certificate.pem())
}
