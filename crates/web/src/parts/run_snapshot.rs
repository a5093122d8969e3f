//! State of a running mailing: read at most about once per second in a process, however many people
//! watch.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use moka::future::Cache;
use serde_json::{Value, json};
use skychimp_core::platform::db::Tx;
use skychimp_core::platform::ids::{MailingId, RunId, UserId};
use skychimp_core::platform::time::Timestamp;
use skychimp_core::sending::attempt::Attempt;
use skychimp_core::sending::delivery::Delivery;
use skychimp_core::sending::letter_limit::LetterWait;
use skychimp_core::sending::mailing::HeldReason;
use skychimp_core::sending::run::{Run, RunState};
use skychimp_core::sending::sending_server::{HealthState, ServerOverview};
use tokio::sync::Mutex;

use crate::kit::app::AppState;
use crate::kit::error::WebError;
use crate::kit::page::PageContext;

/// Maximum age of a snapshot.
const SNAPSHOT_TTL: Duration = Duration::from_millis(900);
/// How long the pace of a run without viewers is kept.
const SNAPSHOT_RETENTION: Duration = Duration::from_mins(5);
/// Time over which the rate is measured.
const RATE_WINDOW: Duration = Duration::from_secs(10);

/// Seconds shown in a plot.
const PLOT_SECONDS: i64 = 120;
/// Maximum number of letters counted when a process sees a run for the first time.
const EXACT_COUNT_MAX: i64 = 20_000;

/// A run at one time.
#[derive(Debug)]
pub(crate) struct Snapshot {
    pub run: Run,
    /// Recent rate, in letters per second.
    pub rate: i64,
    /// When the next deferred letter is tried again.
    pub next_try: Option<Timestamp>,
    /// What the page shows about servers.
    pub sending: ServerStatus,
    /// Unix seconds with the letters accepted in each, oldest first.
    pub pace: Vec<(i64, i64)>,
}

/// A run with the viewer's language and time zone.
type Key = (RunId, &'static str, String);

/// Snapshots of the runs that are being watched.
#[derive(Debug)]
pub(crate) struct Snapshots {
    latest: Cache<Key, Option<Arc<Snapshot>>>,
    paces: Cache<RunId, Arc<Mutex<AcceptanceRate>>>,
}

/// Letters accepted per second.
#[derive(Debug, Default)]
struct AcceptanceRate {
    seconds: VecDeque<(i64, i64)>,
    /// Time of the last look, and the letters accepted by then.
    last: Option<(Timestamp, i64)>,
}

impl Default for Snapshots {
    fn default() -> Self {
        Self {
            latest: Cache::builder()
                .max_capacity(10_000)
                .time_to_live(SNAPSHOT_TTL)
                .build(),
            paces: Cache::builder()
                .max_capacity(10_000)
                .time_to_idle(SNAPSHOT_RETENTION)
                .build(),
        }
    }
}

impl Snapshots {
    /// The current state of a run. Concurrent callers share one read. `None`: it does not exist.
    pub(crate) async fn get(
        &self,
        app: &AppState,
        page: &PageContext,
        owner: UserId,
        mailing: MailingId,
        run: RunId,
    ) -> Result<Option<Arc<Snapshot>>, WebError> {
        let key = (run, page.lang.as_str(), page.zone_name().to_owned());
        let look = async {
            self.look(app, page, owner, run)
                .await
                .map(|found| found.map(Arc::new))
        };
        let found = self.latest.try_get_with(key, look).await;
        let found = found.map_err(|error| WebError::internal(error.to_string()))?;
        // check the owner although ids are unguessable
        Ok(found.filter(|found| found.run.owner_id == owner && found.run.mailing_id == mailing))
    }

    async fn look(
        &self,
        app: &AppState,
        page: &PageContext,
        owner: UserId,
        run: RunId,
    ) -> Result<Option<Snapshot>, WebError> {
        let now = app.clock.now();
        let pace = self.paces.get_with(run, async { Arc::default() }).await;
        let mut pace = pace.lock().await;
        let mut tx = app.db.read().await?;
        let Some(run) = Run::get(&mut tx, owner, run).await? else {
            return Ok(None);
        };
        let rate = rate(&mut tx, &run, now).await?;
        let sending = ServerStatus::of(app, page, &mut tx, &run, now).await?;
        pace.see(&mut tx, &run, now).await?;
        Ok(Some(Snapshot {
            rate,
            next_try: Delivery::next_retry(&mut tx, owner, run.id).await?,
            sending,
            pace: pace.seconds.iter().copied().collect(),
            run,
        }))
    }
}

impl AcceptanceRate {
    /// Records the letters accepted since the last call.
    async fn see(&mut self, tx: &mut Tx, run: &Run, now: Timestamp) -> Result<(), WebError> {
        let second = now.millis().div_euclid(1_000);
        match self.last {
            None => {
                let since = Timestamp::from_millis((second - PLOT_SECONDS) * 1_000);
                let counted =
                    Attempt::sent_by_second(tx, run.owner_id, run.id, since, EXACT_COUNT_MAX)
                        .await?;
                self.seconds = counted.into();
            }
            // a viewer with another language looked just before
            Some((at, _)) if now.since(at) < SNAPSHOT_TTL / 2 => return Ok(()),
            Some((at, sent)) => {
                let passed = i64::try_from(now.since(at).as_millis())
                    .unwrap_or(i64::MAX)
                    .max(1);
                let accepted = (run.sent - sent).max(0);
                self.seconds
                    .push_back((second, accepted.saturating_mul(1_000) / passed));
            }
        }
        self.last = Some((now, run.sent));
        while self
            .seconds
            .front()
            .is_some_and(|(at, _)| *at < second - PLOT_SECONDS)
        {
            self.seconds.pop_front();
        }
        Ok(())
    }
}

/// Letters per second as plot data.
pub(crate) fn plot(name: &str, pace: &[(i64, i64)]) -> Value {
    let (x, values): (Vec<i64>, Vec<i64>) = pace.iter().copied().unzip();
    json!({ "kind": "line", "x": x, "series": [{ "name": name, "tone": "good", "values": values }] })
}

/// Letters per second of a run over the last [`RATE_WINDOW`].
pub(crate) async fn rate(tx: &mut Tx, run: &Run, now: Timestamp) -> Result<i64, WebError> {
    if run.is_over() || run.state != RunState::Sending {
        return Ok(0);
    }
    let sent = Attempt::sent_since(tx, run.owner_id, run.id, now - RATE_WINDOW).await?;
    let began = run.started_at.unwrap_or(now);
    let over = now.since(began).min(RATE_WINDOW).as_secs().max(1);
    Ok(sent / i64::try_from(over).unwrap_or(1))
}

/// Why a server is not used: its last reply, and when it is tried again. `None` if it is in use.
pub(crate) fn why(page: &PageContext, seen: &ServerOverview) -> Option<String> {
    let health = seen.health.as_ref()?;
    if !seen.server.enabled {
        return None;
    }
    if let Some((limit, until)) = health.limited(page.now)
        && health.state == HealthState::Closed
    {
        let limit = page.dynamic("servers-limited-", limit).to_string();
        return Some(
            page.t("servers-limited-until")
                .with("limit", limit)
                .with("at", page.time(until))
                .to_string(),
        );
    }
    if health.state == HealthState::Closed || health.reply.is_empty() {
        return None;
    }
    let text = match health.until.filter(|until| *until > page.now) {
        Some(until) => page
            .t("servers-next-try")
            .with("at", page.time_exact(until)),
        None => page.t("servers-trying"),
    };
    Some(
        text.with("reply", page.reply(&health.reply).trim_end_matches('.'))
            .to_string(),
    )
}

/// What a run's page shows about servers.
#[derive(Debug, Default)]
pub(crate) struct ServerStatus {
    /// Why nothing is progressing. Empty if it is.
    pub waiting: String,
    /// Names of the servers in use. Empty if there is none, or only one exists.
    pub servers: String,
}

impl ServerStatus {
    /// For a run in progress.
    pub(crate) async fn of(
        app: &AppState,
        page: &PageContext,
        tx: &mut Tx,
        run: &Run,
        now: Timestamp,
    ) -> Result<Self, WebError> {
        let configured = app.settings.mail_server.as_ref();
        let seen = ServerOverview::all(tx, configured, now, now).await?;
        let name = |seen: &ServerOverview| {
            if seen.is_configured() {
                seen.server.address()
            } else {
                seen.server.name.clone()
            }
        };
        let mut busy: Vec<String> = Vec::new();
        let mut reasons = Vec::new();
        for seen in &seen {
            if seen
                .health
                .as_ref()
                .is_some_and(|health| health.is_busy(now))
            {
                busy.push(name(seen));
            }
            if let Some(why) = why(page, seen) {
                reasons.push(format!("{}: {why}", name(seen)));
            }
        }
        let limited = LetterWait::of(tx, run, now).await?;
        let waiting = match (run.waiting.as_str(), reasons.is_empty()) {
            ("", _) => limited
                .map(|limited| page.limited(&limited))
                .unwrap_or_default(),
            (own, _) if HeldReason::from_sentence(own).is_some() => page.waiting(own),
            (_, false) => reasons.join(" "),
            (own, true) => page.reply(own),
        };
        let several = seen.iter().filter(|seen| seen.server.enabled).count() > 1;
        Ok(Self {
            waiting,
            servers: if several {
                busy.join(", ")
            } else {
                String::new()
            },
        })
    }
}
