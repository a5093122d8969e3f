//! A test server that behaves, or misbehaves, according to a script.
//!
//! ```
//! use skychimp_smtp::testing::{Action, ServerScript, Step};
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() {
//! // every third final dot ends the connection without a reply
//! let server = ServerScript::new()
//!     .on(|at| match at.step {
//!         Step::EndOfData if at.nth % 3 == 0 => Action::Close,
//!         _ => Action::Default,
//!     })
//!     .start()
//!     .await;
//! let pool = skychimp_smtp::Pool::new(server.server());
//! # let _ = pool; }
//! ```
//!
//! The script is asked at every [`Step`] of the session, and the server acts on its answer: a
//! recipient who got a 550 is not in the envelope, and a letter whose dot got no 250 is not among
//! [`ScriptedServer::accepted`].

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
use crate::server::{Credentials, Login, Server, Timeouts, Tls, TrustAnchors};

/// EHLO keywords of a well-behaved server.
const EXTENSIONS: [&str; 5] = [
    "PIPELINING",
    "SIZE 52428800",
    "8BITMIME",
    "SMTPUTF8",
    "ENHANCEDSTATUSCODES",
];

/// A point of the session at which the script is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Step {
    /// A new connection; the default is the greeting.
    Connect,
    /// The EHLO command.
    Ehlo,
    /// The HELO command.
    Helo,
    /// The STARTTLS command.
    StartTls,
    /// The AUTH command; the default answer depends on the credentials.
    Auth,
    /// The MAIL command.
    Mail,
    /// The RCPT command.
    Rcpt,
    /// The DATA command.
    Data,
    /// The first octets of the content have arrived. The default is to keep reading; a reply given
    /// here is the reply to the content.
    Content,
    /// The final dot has arrived.
    EndOfData,
    /// The RSET command.
    Rset,
    /// The QUIT command.
    Quit,
    /// NOOP and unknown commands.
    Other,
}

/// The situation a script is asked about.
#[derive(Debug, Clone)]
pub struct ScriptPoint {
    /// The current step.
    pub step: Step,
    /// How often this step has occurred on all connections, from 1.
    pub nth: usize,
    /// The number of the connection, from 1.
    pub connection: usize,
    /// How often this step has occurred on this connection, from 1.
    pub nth_here: usize,
    /// Open connections, including this one.
    pub live: usize,
    /// The address in MAIL or RCPT; the first recipient at later steps of a letter.
    pub address: String,
}

/// What the server does at a step.
#[derive(Debug, Clone)]
pub enum Action {
    /// Behaves well.
    Default,
    /// Sends these lines; CRLF is added at the end.
    Reply(String),
    /// Sends these lines, then closes the connection.
    ReplyAndClose(String),
    /// Closes the connection without a reply.
    Close,
    /// Sends no reply, and continues as after a positive one.
    Skip,
    /// Behaves well, then sends these lines too.
    Extra(String),
    /// Waits, then performs the other action.
    Delay(Duration, Box<Action>),
    /// Stops reading and writing; replies to earlier commands have been sent.
    Stall,
    /// Sends exactly these octets, then continues.
    Raw(Vec<u8>),
}

impl Action {
    /// Waits, then behaves well.
    #[must_use]
    pub fn delay(time: Duration) -> Self {
        Self::Delay(time, Box::new(Self::Default))
    }

    /// Sends `text`, see [`Action::Reply`].
    pub fn reply(text: impl Into<String>) -> Self {
        Self::Reply(text.into())
    }
}

/// A letter that got a positive reply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Accepted {
    /// Envelope sender.
    pub from: String,
    /// Envelope recipients that were accepted.
    pub to: Vec<String>,
    /// The letter without dot-stuffing; empty if the script does not keep content.
    pub data: Bytes,
    /// The number of its connection, from 1.
    pub connection: usize,
}

type Responder = dyn Fn(&ScriptPoint) -> Action + Send + Sync;

/// How a server behaves. By default well: PIPELINING and the usual extensions, no TLS, no AUTH.
pub struct ServerScript {
    extensions: Vec<String>,
    extensions_after_tls: Option<Vec<String>>,
    tls: Tls,
    expired: bool,
    credentials: Option<Credentials>,
    /// The password of the credentials is an access token.
    token: bool,
    keep_content: bool,
    receive_buffer: Option<u32>,
    on: Box<Responder>,
}

impl std::fmt::Debug for ServerScript {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Script")
            .field("extensions", &self.extensions)
            .field("tls", &self.tls)
            .finish_non_exhaustive()
    }
}

impl Default for ServerScript {
    fn default() -> Self {
        Self::new()
    }
}

impl ServerScript {
    /// A well-behaved server.
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
    pub fn on(mut self, on: impl Fn(&ScriptPoint) -> Action + Send + Sync + 'static) -> Self {
        self.on = Box::new(on);
        self
    }

    /// Offers these keywords in EHLO instead of the default ones.
    #[must_use]
    pub fn extensions(mut self, keywords: &[&str]) -> Self {
        self.extensions = keywords.iter().map(|&word| word.to_owned()).collect();
        self
    }

    /// Offers everything except PIPELINING.
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

    /// Uses TLS from the first octet.
    #[must_use]
    pub fn implicit_tls(mut self) -> Self {
        self.tls = Tls::Implicit;
        self
    }

    /// Uses a certificate that expired in 2001.
    #[must_use]
    pub fn expired_certificate(mut self) -> Self {
        self.expired = true;
        self
    }

    /// Requires these credentials. Offers AUTH PLAIN and LOGIN; with STARTTLS only after the
    /// handshake.
    #[must_use]
    pub fn auth(mut self, user: &str, password: &str) -> Self {
        self.credentials = Some(Credentials {
            user: user.to_owned(),
            password: password.to_owned(),
        });
        self
    }

    /// Like [`ServerScript::auth`], with AUTH XOAUTH2 only.
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

    /// Requests a small receive window from the kernel, so that a stall is noticed quickly.
    #[must_use]
    pub fn receive_buffer(mut self, octets: u32) -> Self {
        self.receive_buffer = Some(octets);
        self
    }

    /// Listens on a random loopback port.
    ///
    /// # Panics
    ///
    /// If no port is free.
    #[expect(clippy::unused_async, reason = "needs a runtime")]
    pub async fn start(self) -> ScriptedServer {
        self.start_at(SocketAddr::from(([127, 0, 0, 1], 0)))
    }

    /// Listens on this address, for tests in which a server comes back.
    ///
    /// # Panics
    ///
    /// If the address is taken, or outside of a runtime.
    #[expect(clippy::expect_used, reason = "test support")]
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
        let shared = Arc::new(ServerState {
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

/// A running server. Stops when dropped.
#[derive(Debug)]
pub struct ScriptedServer {
    address: SocketAddr,
    certificate: Option<String>,
    shared: Arc<ServerState>,
    stop: CancellationToken,
}

impl ScriptedServer {
    /// The address it listens on.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Matching client settings: address, TLS, trusted certificate, credentials, timeouts of ten
    /// seconds.
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
            server.roots = TrustAnchors::Pem(pem.clone());
        }
        server
    }

    /// `smtp://127.0.0.1:PORT?tls=none`, followed by `&` and `query` if that is not empty.
    #[must_use]
    pub fn url(&self, query: &str) -> String {
        let separator = if query.is_empty() { "" } else { "&" };
        format!("smtp://{}?tls=none{separator}{query}", self.address)
    }

    /// Its certificate as PEM, if it uses TLS.
    #[must_use]
    pub fn certificate(&self) -> Option<&str> {
        self.certificate.as_deref()
    }

    /// The accepted letters, oldest first.
    #[must_use]
    pub fn accepted(&self) -> Vec<Accepted> {
        self.shared.log.lock().accepted.clone()
    }

    /// The recipients of the accepted letters, oldest first.
    #[must_use]
    pub fn recipients(&self) -> Vec<String> {
        let log = self.shared.log.lock();
        log.accepted.iter().flat_map(|a| a.to.clone()).collect()
    }

    /// How often a step has occurred.
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

    /// Number of connections accepted so far.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.shared.log.lock().dialogues.len()
    }

    /// Largest number of simultaneous connections.
    #[must_use]
    pub fn most_connections(&self) -> usize {
        self.shared.log.lock().most_live
    }

    /// Number of commands that arrived before the reply to the previous one was sent: 0 for a
    /// strictly serial client.
    #[must_use]
    pub fn sent_ahead(&self) -> usize {
        self.shared.log.lock().ahead
    }

    /// The transcript of a connection (numbered from 1), in lines such as `C: MAIL FROM:<a@b>` and
    /// `S: 250 ok`; content is shown as its length.
    #[must_use]
    pub fn dialogue(&self, connection: usize) -> Vec<String> {
        let log = self.shared.log.lock();
        let found = connection.checked_sub(1).and_then(|n| log.dialogues.get(n));
        found.cloned().unwrap_or_default()
    }

    /// Waits until a step has occurred this often.
    ///
    /// # Panics
    ///
    /// After 20 seconds.
    pub async fn wait_for(&self, step: Step, times: usize) {
        self.wait(|log| log.steps.get(&step).is_some_and(|n| *n >= times))
            .await;
    }

    /// Waits until this many letters were accepted.
    ///
    /// # Panics
    ///
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
    ///
    /// After 20 seconds.
    pub async fn wait_until_idle(&self) {
        self.wait(|log| log.live == 0).await;
    }

    /// Closes all connections and stops listening.
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
struct ServerState {
    script: ServerScript,
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

/// Creates a self-signed certificate for 127.0.0.1 and localhost, and its PEM text.
#[expect(clippy::expect_used, reason = "test support")]
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
