//! The numbers of a run as they change, by server-sent events.

use std::convert::Infallible;
use std::time::Duration;

use axum::extract::State;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse as _, Response};
use futures_util::stream;
use serde_json::{Value, json};
use skychimp_core::ids::{MailingId, RunId, UserId};
use skychimp_core::mailing::{Mailing, Status};
use skychimp_core::run::{Run, RunState};

use super::show::rate;
use crate::AppState;
use crate::auth::Sender;
use crate::error::WebError;
use crate::form::{Path, Query};
use crate::page::Page;

/// Between two looks at the run.
const EVERY: Duration = Duration::from_secs(1);
/// A stream ends after this many looks and the browser asks again, so that a restart never waits for it.
const LOOKS: u32 = 30;

/// What a stream knows between two looks.
struct Watch {
    app: AppState,
    page: Page,
    owner: UserId,
    mailing: MailingId,
    run: RunId,
    looks: u32,
    /// What the page shows: when it changes, other parts are needed.
    shape: Option<(Status, RunState, bool)>,
    sent: Value,
    over: bool,
}

pub(super) async fn live(
    State(app): State<AppState>,
    page: Page,
    sender: Sender,
    Path((mailing, run)): Path<(MailingId, RunId)>,
) -> Result<Response, WebError> {
    let mut tx = app.db.read().await?;
    Run::get(&mut tx, sender.id(), run)
        .await?
        .filter(|run| run.mailing_id == mailing)
        .ok_or(WebError::NotFound)?;
    drop(tx);
    let watch = Watch {
        app,
        page,
        owner: sender.id(),
        mailing,
        run,
        looks: 0,
        shape: None,
        sent: Value::Null,
        over: false,
    };
    let events = stream::unfold(watch, |mut watch| async move {
        let event = watch.next().await?;
        Some((Ok::<_, Infallible>(event), watch))
    });
    let keep = KeepAlive::new().interval(Duration::from_secs(10));
    Ok(Sse::new(events).keep_alive(keep).into_response())
}

/// What the page of a mailing that waits for its next run shows.
#[derive(Debug, serde::Deserialize)]
pub(super) struct Shown {
    status: String,
    /// Its latest run, if it has one.
    #[serde(default)]
    after: String,
}

/// Loads the page of a mailing again as soon as a run begins or its status changes.
pub(super) async fn waiting(
    State(app): State<AppState>,
    sender: Sender,
    Path(id): Path<MailingId>,
    Query(shown): Query<Shown>,
) -> Result<Response, WebError> {
    let owner = sender.id();
    let mut tx = app.db.read().await?;
    Mailing::get(&mut tx, owner, id)
        .await?
        .ok_or(WebError::NotFound)?;
    drop(tx);
    let events = stream::unfold(Some(0), move |looks| {
        let (app, status, after) = (app.clone(), shown.status.clone(), shown.after.clone());
        async move {
            for look in looks?..LOOKS {
                if look > 0 {
                    tokio::time::sleep(EVERY / 2).await;
                }
                let mut tx = app.db.read().await.ok()?;
                let mailing = Mailing::get(&mut tx, owner, id).await.ok()?;
                let run = Run::latest(&mut tx, owner, id).await.ok()?;
                let same = mailing.is_some_and(|mailing| mailing.status.as_str() == status)
                    && run.map_or_else(String::new, |run| run.id.to_string()) == after;
                if !same {
                    let reload = Event::default().event("reload").data("now");
                    return Some((Ok::<_, Infallible>(reload), None));
                }
            }
            None
        }
    });
    let keep = KeepAlive::new().interval(Duration::from_secs(10));
    Ok(Sse::new(events).keep_alive(keep).into_response())
}

impl Watch {
    /// The next event; `None`: the stream is over.
    async fn next(&mut self) -> Option<Event> {
        while !self.over && self.looks < LOOKS {
            if self.looks > 0 {
                tokio::time::sleep(EVERY).await;
            }
            self.looks += 1;
            match self.look().await {
                Ok(Some(event)) => return Some(event),
                Ok(None) => {}
                Err(error) => {
                    tracing::warn!(%error, "live numbers");
                    return None;
                }
            }
        }
        None
    }

    /// An event without data is not delivered by browsers, so `reload` carries a word.
    async fn look(&mut self) -> Result<Option<Event>, WebError> {
        let now = self.app.clock.now();
        let mut tx = self.app.db.read().await?;
        let mailing = Mailing::get(&mut tx, self.owner, self.mailing).await?;
        let run = Run::get(&mut tx, self.owner, self.run).await?;
        let (Some(mailing), Some(run)) = (mailing, run) else {
            self.over = true;
            return Ok(Some(Event::default().event("reload").data("now")));
        };
        let shape = (mailing.status, run.state, run.is_over());
        let before = self.shape.replace(shape);
        if before.is_some_and(|before| before != shape) || (before.is_none() && run.is_over()) {
            self.over = true;
            return Ok(Some(Event::default().event("reload").data("now")));
        }
        let rate = rate(&mut tx, &run, now).await?;
        drop(tx);
        let values = self.values(&run, rate, now);
        if values == self.sent {
            return Ok(None);
        }
        self.sent = values;
        Ok(Some(Event::default().data(self.sent.to_string())))
    }

    /// What the page shows, as it is written there.
    fn values(&self, run: &Run, rate: i64, now: skychimp_core::time::Moment) -> Value {
        let page = &self.page;
        let totals = run.totals();
        let number = |n: i64| page.num(n).to_string();
        let whole = totals.planned;
        let progress = run.progress_at.map_or_else(String::new, |at| {
            crate::format::ago(at, now, &page.zone, page.lang)
        });
        let left = if rate > 0 { totals.remaining / rate } else { 0 };
        json!({
            "planned": number(totals.planned),
            "sent": number(totals.sent),
            "failed": number(totals.failed),
            "deferred": number(totals.deferred),
            "remaining": number(totals.remaining),
            "other": number(totals.skipped + totals.expired + totals.cancelled),
            "percent": page.percent(totals.sent, whole),
            "rate": if rate > 0 { number(rate) } else { String::new() },
            "left": if left > 0 { duration(page, left) } else { String::new() },
            "progress": progress,
            "waiting": run.waiting,
            "sent_share": page.share(totals.sent, whole),
            "failed_share": page.share(totals.failed, whole),
            "done_share": page.share2(totals.sent, totals.failed, whole),
            "waiting_share": page.share(totals.deferred, whole),
        })
    }
}

/// Seconds as people say them.
pub(super) fn duration(page: &Page, seconds: i64) -> String {
    if seconds < 60 {
        page.t("duration-seconds").with("count", seconds)
    } else if seconds < 3_600 {
        page.t("duration-minutes")
            .with("count", seconds.div_euclid(60) + 1)
    } else {
        page.t("duration-hours")
            .with("count", seconds.div_euclid(3_600) + 1)
    }
    .to_string()
}
