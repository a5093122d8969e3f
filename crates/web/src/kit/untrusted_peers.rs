//! Notices peers that name visitors although no setting trusts them: probably a reverse proxy that
//! `trusted_proxies` should name. Each is logged once per process, and remembered in the database
//! for `skychimp check` and the settings page.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use axum::extract::{ConnectInfo, Request, State};
use axum::http::HeaderMap;
use axum::middleware::Next;
use axum::response::Response;
use parking_lot::Mutex;
use skychimp_core::platform::error::Error;
use skychimp_core::platform::time::Timestamp;
use skychimp_core::platform::untrusted_peer::{PEERS_MAX, UntrustedPeer};

use crate::kit::app::AppState;

/// The database is told again after this long.
const RECORD_INTERVAL: Duration = Duration::from_hours(1);

/// Headers in which proxies name the visitor.
const HEADERS: [&str; 3] = ["x-forwarded-for", "forwarded", "x-real-ip"];

/// The peers noticed so far, with the time when the database was last told.
#[derive(Debug, Default)]
pub(crate) struct UntrustedPeers(Mutex<HashMap<IpAddr, Timestamp>>);

/// What to do about a peer.
#[derive(Debug, PartialEq, Eq)]
enum Notice {
    /// It is new: log and record it.
    New,
    /// It was recorded long ago.
    Again,
    /// Nothing.
    Known,
}

impl UntrustedPeers {
    fn notice(&self, peer: IpAddr, now: Timestamp) -> Notice {
        let mut known = self.0.lock();
        let full = known.len() >= PEERS_MAX;
        match known.get_mut(&peer) {
            Some(recorded) if now.since(*recorded) < RECORD_INTERVAL => Notice::Known,
            Some(recorded) => {
                *recorded = now;
                Notice::Again
            }
            // somebody with that many addresses is no proxy
            None if full => Notice::Known,
            None => {
                known.insert(peer, now);
                Notice::New
            }
        }
    }
}

/// The header in which a proxy names the visitor.
pub(crate) fn naming_header(headers: &HeaderMap) -> Option<&'static str> {
    HEADERS.into_iter().find(|name| headers.contains_key(*name))
}

/// Notices who sends a request, and passes it on.
pub(crate) async fn notice(State(app): State<AppState>, request: Request, next: Next) -> Response {
    let header = naming_header(request.headers());
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>();
    if let (Some(header), Some(ConnectInfo(peer))) = (header, peer) {
        let ip = peer.ip().to_canonical();
        if !app.settings.proxies.trusts_peer(ip) {
            told(&app, ip, header);
        }
    }
    next.run(request).await
}

fn told(app: &AppState, peer: IpAddr, header: &'static str) {
    let now = app.clock.now();
    let notice = app.untrusted.notice(peer, now);
    if notice == Notice::New {
        tracing::warn!(
            peer = %peer,
            header,
            "a peer that is not trusted names the visitors it speaks for, so all visitors look like {peer}; \
             if it is your reverse proxy, add it to trusted_proxies"
        );
    }
    if notice != Notice::Known {
        let (app, seen) = (
            app.clone(),
            UntrustedPeer {
                peer: peer.to_string(),
                header: header.to_owned(),
                seen_at: now,
            },
        );
        app.clone().background.start("untrusted peer", async move {
            if let Err(error) = record(&app, &seen).await {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "an untrusted peer could not be remembered"
                );
            }
        });
    }
}

async fn record(app: &AppState, seen: &UntrustedPeer) -> Result<(), Error> {
    let mut tx = app.db.write().await?;
    seen.record(&mut tx).await?;
    tx.commit().await
}

#[cfg(test)]
mod tests {
    use super::*;

    /// R30: each peer is reported once, and the memory for them is bounded.
    #[test]
    fn peers_are_noticed_once() {
        let peers = UntrustedPeers::default();
        let now = Timestamp::from_millis(0);
        let peer = |n: u32| IpAddr::from(std::net::Ipv4Addr::from_bits(n));
        assert_eq!(peers.notice(peer(1), now), Notice::New);
        assert_eq!(peers.notice(peer(1), now), Notice::Known);
        let later = now + RECORD_INTERVAL;
        assert_eq!(peers.notice(peer(1), later), Notice::Again);
        assert_eq!(peers.notice(peer(1), later), Notice::Known);
        for n in 0..10_000 {
            peers.notice(peer(n), now);
        }
        assert_eq!(peers.0.lock().len(), PEERS_MAX);
    }
}
