//! An SMTP session over one connection: letters in, reports out.
//!
//! Without PIPELINING every command waits for its reply. With it, MAIL, RCPT and DATA are sent as
//! one group. If the caller names the upcoming letter, its group is sent right behind the content
//! of the current one: one round trip per letter (RFC 2920 §3.1 lets content begin a group and DATA
//! end it).
//!
//! *Invariants*
//! - Replies are matched to commands strictly by order. A reply that cannot be the answer closes
//!   the connection; nothing is guessed.
//! - The content of a letter is sent only after the reply to the previous content was read, so a
//!   connection never has more than one letter in doubt.
//! - DATA and QUIT are the last command of their group.
//!
//! *Design notes.* A letter whose DATA was answered with 354 can be withdrawn in one way only: by
//! closing the connection before its final dot, after which no server may deliver it (RFC 5321
//! §4.1.1.4). RSET would be content, and a lone dot an empty letter. So a hook that returns false
//! costs a connection.
//!
//! What the server says about an announced letter is an attempt, even if the letter is then
//! withheld. [`Connection::withdraw`] reads it, so that the same recipient is not asked for again.
//!
//! After the 250 to a content, the replies to the group behind it are awaited briefly before the
//! letter is reported as sent. If one is missing, the 250 belonged to another command and the
//! letter is in doubt. Servers answer the whole group in one packet, so this costs nothing.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

use crate::capabilities::Capabilities;
use crate::letter::{Envelope, Letter};
use crate::reply::Reply;
use crate::report::{AttemptReport, Class, ConnectError, Outcome, Phase};
use crate::server::{Server, Timeouts};
use crate::verdict::{After, Verdict, judge_content, judge_envelope};
use crate::wire::{Wire, WireError};

/// Called before the first octet of a letter's content is sent; see [`Connection::send`].
pub type ContentHook<'a> = dyn FnMut(u64) -> bool + Send + 'a;

/// How long to wait for the replies behind a content's 250 before trusting the 250 without them.
const PIPELINE_WINDOW: Duration = Duration::from_secs(1);

/// A letter whose MAIL, RCPT and DATA have been sent.
#[derive(Debug)]
struct Announced {
    letter: Letter,
    replies: Vec<Reply>,
}

impl Announced {
    fn is(&self, letter: &Letter) -> bool {
        // the same memory, not just equal content: a clone of `Bytes` shares it
        self.letter.id == letter.id
            && self.letter.from == letter.from
            && self.letter.to == letter.to
            && self.letter.data.as_ptr() == letter.data.as_ptr()
            && self.letter.data.len() == letter.data.len()
    }
}

/// An open connection that sends one letter after another.
#[derive(Debug)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "independent facts about the connection"
)]
pub struct Connection {
    wire: Wire,
    capabilities: Capabilities,
    name: Arc<str>,
    timeouts: Timeouts,
    /// Maximum number of letters.
    most: Option<u32>,
    /// Letters whose content was answered.
    carried: u32,
    announced: Option<Announced>,
    /// RSET is due: a refusal left the last transaction open.
    reset: bool,
    closed: bool,
    /// QUIT has been sent.
    leaving: bool,
    /// The server ended the connection between two letters.
    cut_off: bool,
    /// A call of `send` is running, or its future was dropped.
    busy: bool,
}

impl Connection {
    pub(crate) fn new(
        wire: Wire,
        capabilities: Capabilities,
        name: Arc<str>,
        timeouts: Timeouts,
        most: Option<u32>,
    ) -> Self {
        Self {
            wire,
            capabilities,
            name,
            timeouts,
            most,
            carried: 0,
            announced: None,
            reset: false,
            closed: false,
            leaving: false,
            cut_off: false,
            busy: false,
        }
    }

    /// Opens a connection. Use a [`Connector`](crate::Connector) or a [`Pool`](crate::Pool) for
    /// several.
    pub async fn connect(server: &Server) -> Result<Self, ConnectError> {
        crate::Connector::new(server.clone()).connect().await
    }

    /// What the server offers.
    #[must_use]
    pub const fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    /// Whether the connection is encrypted.
    #[must_use]
    pub fn is_encrypted(&self) -> bool {
        self.wire.is_encrypted()
    }

    /// Whether another letter may be passed to [`Connection::send`].
    #[must_use]
    pub fn is_usable(&self) -> bool {
        !self.closed && !self.busy && !self.is_spent()
    }

    /// The id of the announced letter, whose envelope the server has: it must be sent next.
    #[must_use]
    pub fn announced(&self) -> Option<u64> {
        self.announced.as_ref().map(|announced| announced.letter.id)
    }

    /// Letters whose content the server answered on this connection.
    #[must_use]
    pub const fn carried(&self) -> u32 {
        self.carried
    }

    /// Whether the server ended the connection between two letters, as servers with a limit per
    /// connection do.
    #[must_use]
    pub const fn was_cut_off(&self) -> bool {
        self.cut_off
    }

    /// Once the token is cancelled, waits for no reply any more.
    pub(crate) fn give_up_with(&mut self, token: CancellationToken) {
        self.wire.give_up_with(token);
    }

    /// Limits the total number of letters, to a limit that was learned.
    pub(crate) fn carry_at_most(&mut self, most: u32) {
        self.most = Some(self.most.map_or(most, |before| before.min(most)));
    }

    fn is_spent(&self) -> bool {
        self.most.is_some_and(|most| self.carried >= most)
    }

    /// Whether an idle connection is still open. Does not wait.
    pub(crate) async fn is_quiet(&mut self) -> bool {
        self.is_usable() && self.announced.is_none() && self.wire.is_quiet().await
    }

    /// Sends one letter and returns its outcome.
    ///
    /// With `upcoming`, and if the server allows it, the envelope of that letter is sent along.
    /// **The next call must then be for that letter**: same id, addresses and data. For any other
    /// letter the connection is closed and the outcome is [`Outcome::NotTried`]. To withdraw it,
    /// call [`Connection::withdraw`].
    ///
    /// `before_dot` is called with the letter's id just before the first octet of its content is
    /// sent, and returns whether it may be. After `true`, the letter is in flight until the report:
    /// if the process dies in between, the letter is in doubt. After `false`, the letter was not
    /// tried (class [`Class::Withheld`]) and the connection is closed.
    ///
    /// The connection is unusable if the future is dropped before it completes.
    pub async fn send(
        &mut self,
        letter: &Letter,
        upcoming: Option<&Letter>,
        before_dot: &mut ContentHook<'_>,
    ) -> AttemptReport {
        let started = Instant::now();
        let verdict = if self.is_usable() {
            self.busy = true;
            let verdict = self.transaction(letter, upcoming, before_dot).await;
            self.busy = false;
            verdict
        } else {
            Verdict::not_tried(Class::Connection, Phase::Local, "the connection is closed")
        };
        self.report(verdict, started)
    }

    /// Withdraws the announced letter: reads the server's replies to it and sends none of its
    /// content. `None`: no letter was announced.
    ///
    /// If a reply refuses the letter, that is its outcome. Otherwise the outcome is
    /// [`Outcome::NotTried`]; if the server accepted the envelope, the class is [`Class::Withheld`]
    /// and the connection is closed. Replies are awaited for their timeouts, those after a refusal
    /// only briefly.
    pub async fn withdraw(&mut self) -> Option<AttemptReport> {
        let started = Instant::now();
        if self.closed || self.busy {
            return None;
        }
        let mut replies = self.announced.take()?.replies;
        self.busy = true;
        let verdict = self.decline(&mut replies).await;
        self.busy = false;
        Some(self.report(verdict, started))
    }

    async fn decline(&mut self, replies: &mut Vec<Reply>) -> Verdict {
        let broken = loop {
            let refused = replies.iter().any(|reply| !reply.is_positive());
            let most = if refused {
                PIPELINE_WINDOW
            } else {
                Duration::MAX
            };
            match self.next_of_group(replies, most).await {
                Ok(true) => {}
                Ok(false) => break None,
                Err(broken) => break Some(broken),
            }
        };
        let Some((verdict, after)) = self.refused(replies, broken) else {
            self.closed = true;
            return Verdict::withheld();
        };
        // a reply to a lone dot may take long; a new connection is faster
        self.follow_up(match after {
            After::LoneDot => After::Close,
            after => after,
        })
        .await;
        verdict.if_said()
    }

    /// Asks with MAIL, RCPT and RSET whether the server would accept such a letter. No letter is
    /// sent.
    ///
    /// The error says which of the two was refused; [`Outcome::Failed`] means a 5yz reply.
    pub async fn probe(&mut self, from: &str, to: &str) -> Result<(), AttemptReport> {
        let started = Instant::now();
        let verdict = self.ask_for(from, to).await;
        verdict.map_err(|verdict| self.report(verdict, started))
    }

    async fn ask_for(&mut self, from: &str, to: &str) -> Result<(), Verdict> {
        if !self.is_usable() || self.announced.is_some() {
            return Err(Verdict::not_tried(
                Class::Connection,
                Phase::Local,
                "the connection is closed",
            ));
        }
        let nothing = Letter {
            id: 0,
            from: from.to_owned(),
            to: to.to_owned(),
            data: bytes::Bytes::new(),
        };
        let envelope =
            Envelope::new(&nothing, self.capabilities.limits()).map_err(Verdict::local)?;
        let mut replies = Vec::with_capacity(2);
        let commands = [&*envelope.mail, &*envelope.rcpt];
        let result = self.ask_one_by_one(&commands, &mut replies).await;
        let judged = judge_envelope(&replies, result.err(), false);
        let after = judged
            .as_ref()
            .map_or_else(|(_, after)| *after, |()| After::Reset);
        self.follow_up(after).await;
        if std::mem::take(&mut self.reset) {
            self.wire.command(b"RSET\r\n", self.timeouts.block).await;
            let reply = self.wire.reply(self.timeouts.command).await;
            self.closed |= !reply.is_ok_and(|reply| reply.code == 250);
        }
        judged.map_err(|(verdict, _)| verdict)
    }

    fn report(&self, verdict: Verdict, started: Instant) -> AttemptReport {
        AttemptReport {
            outcome: verdict.outcome,
            class: verdict.class,
            phase: verdict.phase,
            code: verdict.code,
            enhanced: verdict.enhanced,
            reply: verdict.reply,
            server: self.name.to_string(),
            duration: started.elapsed(),
        }
    }

    /// Sends QUIT and closes. The reply does not matter.
    pub async fn quit(mut self) {
        let silent = self.closed && !self.leaving;
        if silent || self.busy || self.announced.is_some() {
            return;
        }
        let limit = self.timeouts.quit;
        let goodbye = async {
            if !self.leaving {
                self.wire.command(b"QUIT\r\n", limit).await;
            }
            self.wire.reply(limit).await
        };
        // S9: whatever the result, the letters are done
        let _ = timeout(limit, goodbye).await;
    }

    async fn transaction(
        &mut self,
        letter: &Letter,
        upcoming: Option<&Letter>,
        before_dot: &mut ContentHook<'_>,
    ) -> Verdict {
        let mut replies = Vec::with_capacity(3);
        let result = match self.announced.take() {
            Some(announced) if announced.is(letter) => {
                replies = announced.replies;
                self.collect(&mut replies).await
            }
            Some(_) => {
                self.closed = true;
                return Verdict::not_tried(
                    Class::Connection,
                    Phase::Local,
                    "another letter was announced on this connection",
                );
            }
            None => {
                let envelope = match Envelope::new(letter, self.capabilities.limits()) {
                    Ok(envelope) => envelope,
                    Err(refusal) => return Verdict::local(refusal),
                };
                if self.wire.has_input() {
                    self.closed = true;
                    return Verdict::not_tried(
                        Class::Protocol,
                        Phase::Mail,
                        "the server sent a reply that nothing had asked for",
                    );
                }
                if let Err(verdict) = self.open_transaction(&envelope).await {
                    return verdict;
                }
                if self.capabilities.pipelining {
                    self.collect(&mut replies).await
                } else {
                    let commands = [&*envelope.mail, &*envelope.rcpt, "DATA"];
                    self.ask_one_by_one(&commands, &mut replies).await
                }
            }
        };
        if let Some((verdict, after)) = self.refused(&replies, result.err()) {
            self.follow_up(after).await;
            return verdict;
        }
        if self.wire.has_input() {
            // more replies than commands: they cannot be matched
            self.closed = true;
            return Verdict::protocol(
                Outcome::Deferred,
                Phase::Data,
                "the server sent more replies than it was asked for",
            );
        }
        self.deliver(letter, upcoming, before_dot).await
    }

    /// Judges the replies to an envelope; `None` if the server is ready for the content.
    fn refused(
        &mut self,
        replies: &[Reply],
        broken: Option<WireError>,
    ) -> Option<(Verdict, After)> {
        let warm = self.carried > 0;
        let (verdict, after) = judge_envelope(replies, broken, warm).err()?;
        self.cut_off |= warm
            && verdict.phase == Phase::Mail
            && matches!(verdict.class, Class::Closing | Class::Connection);
        Some((verdict, after))
    }

    /// Resets a refused transaction if there is one and, with PIPELINING, sends the whole group.
    async fn open_transaction(&mut self, envelope: &Envelope) -> Result<(), Verdict> {
        let mut group = Vec::with_capacity(512);
        let reset = std::mem::take(&mut self.reset);
        if reset {
            group.extend_from_slice(b"RSET\r\n");
        }
        if self.capabilities.pipelining {
            write_group(envelope, &mut group);
        }
        if group.is_empty() {
            return Ok(());
        }
        self.wire.command(&group, self.timeouts.block).await;
        if !reset {
            return Ok(());
        }
        // S9: a refused RSET costs this connection, not the letter
        let verdict = match self.wire.reply(self.timeouts.command).await {
            Ok(reply) if reply.code == 250 => return Ok(()),
            Ok(reply) => Verdict::by_reply(Outcome::NotTried, Phase::Reset, &reply),
            Err(broken) => Verdict::by_break(Outcome::NotTried, Phase::Reset, &broken),
        };
        self.closed = true;
        Err(verdict)
    }

    /// Reads the missing replies to MAIL, RCPT and DATA.
    async fn collect(&mut self, replies: &mut Vec<Reply>) -> Result<(), WireError> {
        while self.next_of_group(replies, Duration::MAX).await? {}
        Ok(())
    }

    /// Reads the next of them, within `most`; false: no more are expected.
    async fn next_of_group(
        &mut self,
        replies: &mut Vec<Reply>,
        most: Duration,
    ) -> Result<bool, WireError> {
        let limits = [self.timeouts.mail, self.timeouts.rcpt, self.timeouts.data];
        let closing = replies.last().is_some_and(|reply| reply.code == 421);
        let Some(limit) = limits.get(replies.len()).filter(|_| !closing) else {
            return Ok(false);
        };
        replies.push(self.wire.reply(most.min(*limit)).await?);
        Ok(true)
    }

    /// Sends MAIL, RCPT and DATA (or a prefix of them) one by one; stops at the first refusal.
    async fn ask_one_by_one(
        &mut self,
        commands: &[&str],
        replies: &mut Vec<Reply>,
    ) -> Result<(), WireError> {
        let limits = [self.timeouts.mail, self.timeouts.rcpt, self.timeouts.data];
        for (command, limit) in commands.iter().zip(limits) {
            let line = format!("{command}\r\n");
            self.wire
                .command(line.as_bytes(), self.timeouts.block)
                .await;
            let reply = self.wire.reply(limit).await?;
            let goes_on = reply.is_positive();
            replies.push(reply);
            if !goes_on {
                break;
            }
        }
        Ok(())
    }

    /// Prepares the connection for the next letter after a refusal.
    async fn follow_up(&mut self, after: After) {
        match after {
            After::Nothing => {}
            After::Reset => self.reset = true,
            After::Close => self.closed = true,
            After::LoneDot => {
                // DATA was accepted although no recipient was: end it without content
                self.wire.command(b".\r\n", self.timeouts.block).await;
                match self.wire.reply(self.timeouts.dot).await {
                    Ok(reply) if reply.code != 421 => self.reset = true,
                    _ => self.closed = true,
                }
            }
        }
    }

    /// Sends the content, reads its reply, and announces the upcoming letter.
    async fn deliver(
        &mut self,
        letter: &Letter,
        upcoming: Option<&Letter>,
        before_dot: &mut ContentHook<'_>,
    ) -> Verdict {
        let mut tail = Vec::new();
        let mut announced = None;
        let last = self.most.is_some_and(|most| self.carried + 1 >= most);
        if self.capabilities.pipelining && last {
            tail.extend_from_slice(b"QUIT\r\n");
        } else if self.capabilities.pipelining
            && let Some(next) = upcoming
            && let Ok(envelope) = Envelope::new(next, self.capabilities.limits())
        {
            write_group(&envelope, &mut tail);
            announced = Some(Announced {
                letter: next.clone(),
                replies: Vec::with_capacity(3),
            });
        }
        if !before_dot(letter.id) {
            // DATA is open: a command would be content, and a dot an empty letter
            self.closed = true;
            return Verdict::withheld();
        }
        let end_of_data_sent = self
            .wire
            .transmit(Some(&letter.data), &tail, self.timeouts.block)
            .await;
        let result = self.wire.reply(self.timeouts.dot).await;
        let (verdict, goes_on) = judge_content(end_of_data_sent, result);
        if goes_on {
            self.carried += 1;
        }
        if !goes_on || (last && self.capabilities.pipelining) {
            self.closed = true;
            self.leaving = goes_on;
            return verdict;
        }
        let Some(mut announced) = announced else {
            return verdict;
        };
        // replies read so far stay in the list if the time is up
        let _ = timeout(PIPELINE_WINDOW, self.collect(&mut announced.replies)).await;
        if announced
            .replies
            .iter()
            .take(2)
            .any(|reply| reply.code == 354)
        {
            self.closed = true;
            return Verdict::protocol(
                Outcome::InDoubt,
                Phase::EndOfData,
                "a reply of the server is missing: whose the last one was is not known",
            );
        }
        self.announced = Some(announced);
        verdict
    }
}

fn write_group(envelope: &Envelope, group: &mut Vec<u8>) {
    for part in [&*envelope.mail, "\r\n", &*envelope.rcpt, "\r\nDATA\r\n"] {
        group.extend_from_slice(part.as_bytes());
    }
}
