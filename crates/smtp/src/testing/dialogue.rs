//! The scripted server's side of a session.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::{Accepted, Action, ScriptPoint, ServerState, Step};
use crate::peer::{Command, DataPart, Peer};
use crate::server::Tls;

pub(super) async fn accept(
    listener: TcpListener,
    shared: Arc<ServerState>,
    stop: CancellationToken,
) {
    loop {
        let accepted = stop.run_until_cancelled(listener.accept()).await;
        let stream = match accepted {
            None => return,
            Some(Err(_)) => continue,
            Some(Ok((stream, _))) => stream,
        };
        let number = {
            let mut log = shared.log.lock();
            log.dialogues.push(Vec::new());
            log.live += 1;
            log.most_live = log.most_live.max(log.live);
            log.dialogues.len()
        };
        let shared = Arc::clone(&shared);
        let stop = stop.clone();
        tokio::spawn(async move {
            let mut session = Session {
                shared: &shared,
                number,
                steps: HashMap::new(),
                greeted: false,
                authenticated: shared.script.credentials.is_none(),
                from: None,
                to: Vec::new(),
            };
            let _ = stop
                .run_until_cancelled(session.run(Peer::new(stream)))
                .await;
            shared.log.lock().live -= 1;
            shared.changed.notify_waiters();
        });
    }
}

struct Session<'a> {
    shared: &'a ServerState,
    number: usize,
    steps: HashMap<Step, usize>,
    greeted: bool,
    authenticated: bool,
    from: Option<String>,
    to: Vec<String>,
}

/// The result of a step.
#[derive(PartialEq, Eq)]
enum Done {
    /// It was answered with this code; 0 without a valid reply.
    Code(u16),
    End,
}

impl Done {
    fn is_positive(&self) -> bool {
        matches!(self, Self::Code(200..=299))
    }
}

impl Session<'_> {
    async fn run(&mut self, mut peer: Peer) -> io::Result<()> {
        if self.shared.script.tls == Tls::Implicit {
            peer = self.encrypt(peer).await?;
        }
        let greeting = "220 scripted.localhost ESMTP";
        if self.step(&mut peer, Step::Connect, "", greeting).await? == Done::End {
            peer.close().await;
            return Ok(());
        }
        while let Some(line) = peer.line().await? {
            self.log(format!("C: {line}"));
            let command = Command::parse(&line);
            if command == Command::Data {
                if !self.data(&mut peer).await? {
                    break;
                }
                continue;
            }
            if command == Command::StartTls {
                let offer = self.shared.config.is_some() && !peer.is_encrypted();
                let default = if offer {
                    "220 2.0.0 go"
                } else {
                    "502 5.5.1 no"
                };
                match self.step(&mut peer, Step::StartTls, "", default).await? {
                    Done::End => break,
                    Done::Code(220) => {
                        peer.flush().await?;
                        peer = self.encrypt(peer).await?;
                        self.greeted = false;
                    }
                    Done::Code(_) => {}
                }
                continue;
            }
            if self.command(&mut peer, command).await? == Done::End {
                break;
            }
        }
        peer.close().await;
        Ok(())
    }

    async fn encrypt(&self, peer: Peer) -> io::Result<Peer> {
        match &self.shared.config {
            Some(config) => peer.encrypt(Arc::clone(config)).await,
            None => Err(io::Error::other("the script has no TLS")),
        }
    }

    async fn command(&mut self, peer: &mut Peer, command: Command) -> io::Result<Done> {
        match command {
            Command::Ehlo(_) => {
                let default = self.extensions(peer.is_encrypted());
                let done = self.step(peer, Step::Ehlo, "", &default).await?;
                self.greeted |= done.is_positive();
                Ok(done)
            }
            Command::Helo(_) => {
                let done = self
                    .step(peer, Step::Helo, "", "250 scripted.localhost")
                    .await?;
                self.greeted |= done.is_positive();
                Ok(done)
            }
            Command::Auth(text) => self.auth(peer, &text).await,
            Command::Mail { from, .. } => {
                let default = if !self.greeted || self.from.is_some() {
                    "503 5.5.1 not now"
                } else if self.authenticated {
                    "250 2.1.0 sender ok"
                } else {
                    "530 5.7.0 authentication required"
                };
                let done = self.step(peer, Step::Mail, &from, default).await?;
                if done.is_positive() {
                    self.from = Some(from);
                    self.to.clear();
                }
                Ok(done)
            }
            Command::Rcpt { to } => {
                let default = if self.from.is_some() {
                    "250 2.1.5 recipient ok"
                } else {
                    "503 5.5.1 MAIL first"
                };
                let done = self.step(peer, Step::Rcpt, &to, default).await?;
                if done.is_positive() {
                    self.to.push(to);
                }
                Ok(done)
            }
            Command::Rset => {
                let done = self.step(peer, Step::Rset, "", "250 2.0.0 reset").await?;
                self.from = None;
                self.to.clear();
                Ok(done)
            }
            Command::Quit => {
                self.step(peer, Step::Quit, "", "221 2.0.0 bye").await?;
                Ok(Done::End)
            }
            Command::Noop => self.step(peer, Step::Other, "", "250 2.0.0 ok").await,
            Command::Data | Command::StartTls | Command::Unknown => {
                self.step(peer, Step::Other, "", "500 5.5.2 what?").await
            }
        }
    }

    fn extensions(&self, encrypted: bool) -> String {
        let script = &self.shared.script;
        let mut words = match &script.extensions_after_tls {
            Some(words) if encrypted => words.clone(),
            _ => script.extensions.clone(),
        };
        if script.tls == Tls::Required && !encrypted {
            words.push("STARTTLS".into());
        }
        if script.credentials.is_some() && (encrypted || script.tls == Tls::None) {
            let mechanisms = if script.token {
                "XOAUTH2"
            } else {
                "PLAIN LOGIN"
            };
            words.push(format!("AUTH {mechanisms}"));
        }
        words.insert(0, "scripted.localhost".into());
        let last = words.len() - 1;
        let lines = words.iter().enumerate().map(|(n, word)| {
            let mark = if n == last { ' ' } else { '-' };
            format!("250{mark}{word}")
        });
        lines.collect::<Vec<_>>().join("\r\n")
    }

    async fn auth(&mut self, peer: &mut Peer, text: &str) -> io::Result<Done> {
        let decode = |text: &str| {
            let bytes = STANDARD.decode(text.trim()).unwrap_or_default();
            String::from_utf8_lossy(&bytes).into_owned()
        };
        let (mechanism, initial) = text.split_once(' ').unwrap_or((text, ""));
        let (user, password) = if mechanism.eq_ignore_ascii_case("PLAIN") {
            let text = decode(initial);
            let mut parts = text.split('\0').skip(1).map(str::to_owned);
            (
                parts.next().unwrap_or_default(),
                parts.next().unwrap_or_default(),
            )
        } else if mechanism.eq_ignore_ascii_case("XOAUTH2") {
            let text = decode(initial);
            let mut parts = text.split('\x01');
            let mut part = |prefix: &str| {
                let part = parts.next().and_then(|part| part.strip_prefix(prefix));
                part.unwrap_or_default().to_owned()
            };
            (part("user="), part("auth=Bearer "))
        } else {
            let mut answers = [String::new(), String::new()];
            for (answer, question) in answers.iter_mut().zip(["VXNlcm5hbWU6", "UGFzc3dvcmQ6"]) {
                peer.say(format!("334 {question}\r\n").as_bytes());
                let line = peer.line().await?.unwrap_or_default();
                *answer = decode(&line);
            }
            answers.into()
        };
        let script_token = self.shared.script.token;
        let right = self
            .shared
            .script
            .credentials
            .as_ref()
            .is_some_and(|c| c.user == user && c.password == password);
        let default = if right {
            "235 2.7.0 welcome"
        } else {
            "535 5.7.8 wrong user name or password"
        };
        if script_token && !right {
            // the reason in JSON, to which the client responds with an empty line
            let reason = STANDARD.encode(r#"{"status":"401"}"#);
            peer.say(format!("334 {reason}\r\n").as_bytes());
            if peer.line().await?.is_none_or(|line| !line.is_empty()) {
                return Ok(Done::End);
            }
        }
        let done = self.step(peer, Step::Auth, &user, default).await?;
        self.authenticated |= done.is_positive();
        Ok(done)
    }

    /// Handles DATA, content and dot; false if the connection ends.
    async fn data(&mut self, peer: &mut Peer) -> io::Result<bool> {
        let address = self.to.first().cloned().unwrap_or_default();
        let default = if self.to.is_empty() {
            "503 5.5.1 RCPT first"
        } else {
            "354 go on"
        };
        match self.step(peer, Step::Data, &address, default).await? {
            Done::End => return Ok(false),
            Done::Code(354) => {}
            Done::Code(_) => return Ok(true),
        }
        if peer.ahead() == 0 && !peer.read().await? {
            return Ok(false);
        }
        let early = self.step(peer, Step::Content, &address, "").await?;
        if early == Done::End {
            return Ok(false);
        }
        peer.flush().await?;
        let data = match peer.content(usize::MAX).await? {
            DataPart::Letter(data) => data,
            DataPart::TooLong | DataPart::Cut => return Ok(false),
        };
        self.log(format!("C: <{} octets>", data.len()));
        let default = if self.to.is_empty() {
            "554 5.5.1 no recipients"
        } else {
            "250 2.0.0 accepted"
        };
        let done = if early == Done::Code(0) {
            self.step(peer, Step::EndOfData, &address, default).await?
        } else {
            early
        };
        let (from, to) = (self.from.take(), std::mem::take(&mut self.to));
        if done.is_positive() {
            let keep = self.shared.script.keep_content;
            self.shared.log.lock().accepted.push(Accepted {
                from: from.unwrap_or_default(),
                to,
                data: if keep { data } else { Bytes::new() },
                connection: self.number,
            });
            self.shared.changed.notify_waiters();
        }
        Ok(done != Done::End)
    }

    /// Asks the script and acts on its answer. An empty default means no reply.
    async fn step(
        &mut self,
        peer: &mut Peer,
        step: Step,
        address: &str,
        default: &str,
    ) -> io::Result<Done> {
        let here = self.steps.entry(step).or_default();
        *here += 1;
        let at = {
            let mut log = self.shared.log.lock();
            // content behind DATA is not a command; a group behind content is ahead of the dot's
            // reply
            log.ahead += usize::from(peer.ahead() > 0 && step != Step::Content);
            let nth = log.steps.entry(step).or_default();
            *nth += 1;
            ScriptPoint {
                step,
                nth: *nth,
                connection: self.number,
                nth_here: *here,
                live: log.live,
                address: address.to_owned(),
            }
        };
        self.shared.changed.notify_waiters();
        let mut action = (self.shared.script.on)(&at);
        while let Action::Delay(time, then) = action {
            peer.flush().await?;
            tokio::time::sleep(time).await;
            action = *then;
        }
        match action {
            Action::Default | Action::Delay(..) => Ok(self.say(peer, default)),
            Action::Reply(text) => Ok(self.say(peer, &text)),
            Action::ReplyAndClose(text) => {
                self.say(peer, &text);
                Ok(Done::End)
            }
            Action::Close => {
                self.log("S: <closed>".into());
                Ok(Done::End)
            }
            Action::Skip => {
                self.log("S: <nothing>".into());
                Ok(Done::Code(code_of(default)))
            }
            Action::Extra(text) => {
                let done = self.say(peer, default);
                self.say(peer, &text);
                Ok(done)
            }
            Action::Stall => {
                self.log("S: <stalled>".into());
                peer.flush().await?;
                std::future::pending().await
            }
            Action::Raw(octets) => {
                self.log(format!("S: {}", octets.escape_ascii()));
                peer.say(&octets);
                Ok(Done::Code(0))
            }
        }
    }

    fn say(&self, peer: &mut Peer, text: &str) -> Done {
        if !text.is_empty() {
            for line in text.split("\r\n") {
                self.log(format!("S: {line}"));
            }
            peer.say(text.as_bytes());
            peer.say(b"\r\n");
        }
        Done::Code(code_of(text))
    }

    fn log(&self, line: String) {
        self.shared.log.lock().dialogues[self.number - 1].push(line);
    }
}

fn code_of(text: &str) -> u16 {
    text.get(..3)
        .and_then(|code| code.parse().ok())
        .unwrap_or(0)
}
