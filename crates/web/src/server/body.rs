//! Bodies of requests, which must keep a pace, and of responses, whose end is noted.
//!
//! The pace is a budget of time for waiting: [`HttpTiming::body`] at the start and at most, less
//! while the server waits for the client, more with each byte that arrives. So a client that sends
//! [`HttpTiming::body_rate`] can go on forever, and time in which the server itself does not read
//! costs the client nothing.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body as AxumBody, Bytes};
use hyper::body::{Body, Frame, Incoming, SizeHint};
use tokio::time::{Instant, Sleep};

use super::HttpTiming;
use super::connections::{OpenConnection, RequestUnderWay};
use crate::kit::body_pace::BodyPace;

/// Error of a body that was given up.
#[derive(Debug, thiserror::Error)]
#[error("the request's body arrived too slowly")]
pub(super) struct SlowBody;

/// The body of a request.
#[derive(Debug)]
pub(super) struct PacedBody {
    inner: Incoming,
    open: Arc<OpenConnection>,
    pace: BodyPace,
    timing: HttpTiming,
    /// How long the client may still be waited for.
    budget: Duration,
    /// Since when it is waited for.
    waiting: Option<Instant>,
    timer: Option<Pin<Box<Sleep>>>,
    ended: bool,
}

impl PacedBody {
    pub(super) fn new(
        inner: Incoming,
        open: Arc<OpenConnection>,
        pace: BodyPace,
        timing: HttpTiming,
    ) -> Self {
        Self {
            inner,
            open,
            pace,
            timing,
            budget: timing.body,
            waiting: None,
            timer: None,
            ended: false,
        }
    }

    fn arrived(&mut self, bytes: usize) {
        if let Some(since) = self.waiting.take() {
            self.budget = self.budget.saturating_sub(since.elapsed());
        }
        let earned = u64::try_from(bytes)
            .unwrap_or(u64::MAX)
            .saturating_mul(1_000_000)
            / u64::from(self.timing.body_rate.max(1));
        self.budget = (self.budget + Duration::from_micros(earned)).min(self.timing.body);
    }

    fn completed(&mut self) {
        if !self.ended {
            self.ended = true;
            self.open.complete();
        }
    }
}

impl Body for PacedBody {
    type Data = Bytes;
    type Error = axum::BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::BoxError>>> {
        let this = &mut *self;
        match Pin::new(&mut this.inner).poll_frame(context) {
            Poll::Ready(Some(Ok(frame))) => {
                this.arrived(frame.data_ref().map_or(0, Bytes::len));
                if this.inner.is_end_stream() {
                    this.completed();
                }
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Ready(Some(Err(error))) => Poll::Ready(Some(Err(error.into()))),
            Poll::Ready(None) => {
                this.completed();
                Poll::Ready(None)
            }
            Poll::Pending => {
                let since = *this.waiting.get_or_insert_with(Instant::now);
                let until = since + this.budget;
                let timer = this
                    .timer
                    .get_or_insert_with(|| Box::pin(tokio::time::sleep_until(until)));
                if timer.deadline() != until {
                    timer.as_mut().reset(until);
                }
                if timer.as_mut().poll(context).is_ready() {
                    this.pace.give_up();
                    return Poll::Ready(Some(Err(SlowBody.into())));
                }
                Poll::Pending
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

impl Drop for PacedBody {
    fn drop(&mut self) {
        if !self.ended {
            self.open.abandon();
        }
    }
}

/// The body of a response. Its request is under way until it has been sent.
#[derive(Debug)]
pub(super) struct CountedBody {
    inner: AxumBody,
    _under_way: RequestUnderWay,
}

impl CountedBody {
    pub(super) fn new(inner: AxumBody, under_way: RequestUnderWay) -> Self {
        Self {
            inner,
            _under_way: under_way,
        }
    }
}

impl Body for CountedBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.inner).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
