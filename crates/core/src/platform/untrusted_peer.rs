//! Peers that name the visitors they speak for although no setting trusts them.
//!
//! Usually that is a reverse proxy missing in `trusted_proxies`. Until it is named there, all
//! visitors look like the proxy and share one limit. Kept in the database, so that
//! `skychimp check` and every node know what one node saw.
//!
//! *Invariant*: at most [`PEERS_MAX`] rows, however many peers send such headers. Rows of a peer
//! that was not seen for a week make room.

use std::time::Duration;

use crate::platform::db::{Tx, on_db};
use crate::platform::error::Error;
use crate::platform::time::Timestamp;

/// Most peers that are kept.
pub const PEERS_MAX: usize = 64;
/// A peer that was not seen for this long is forgotten.
const FORGET_AFTER: Duration = Duration::from_hours(7 * 24);

/// A peer that no setting trusts, and that named a visitor.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct UntrustedPeer {
    /// Its IP address.
    pub peer: String,
    /// The header in which it named somebody.
    pub header: String,
    /// When it last did so.
    pub seen_at: Timestamp,
}

impl UntrustedPeer {
    /// The peers seen within a week, in the order of their addresses.
    pub async fn recent(tx: &mut Tx, now: Timestamp) -> Result<Vec<Self>, Error> {
        let mut all = Self::all(tx).await?;
        all.retain(|one| !one.is_old(now));
        Ok(all)
    }

    /// Remembers it. Does nothing when there are too many others.
    pub async fn record(&self, tx: &mut Tx) -> Result<(), Error> {
        let all = Self::all(tx).await?;
        let (old, kept): (Vec<_>, Vec<_>) =
            all.into_iter().partition(|one| one.is_old(self.seen_at));
        for one in &old {
            on_db!(&mut *tx, conn => sqlx::query("DELETE FROM untrusted_peers WHERE peer = $1")
                .bind(&one.peer)
                .execute(conn)
                .await
                .map(|_| ()))?;
        }
        if kept.len() >= PEERS_MAX && kept.iter().all(|one| one.peer != self.peer) {
            return Ok(());
        }
        on_db!(tx, conn => sqlx::query(
            "INSERT INTO untrusted_peers (peer, header, seen_at) VALUES ($1, $2, $3)
             ON CONFLICT (peer) DO UPDATE SET header = $2, seen_at = $3",
        )
        .bind(&self.peer)
        .bind(&self.header)
        .bind(self.seen_at)
        .execute(conn)
        .await
        .map(|_| ()))?;
        Ok(())
    }

    async fn all(tx: &mut Tx) -> Result<Vec<Self>, Error> {
        Ok(on_db!(tx, conn => sqlx::query_as(
            "SELECT peer, header, seen_at FROM untrusted_peers ORDER BY peer LIMIT 100",
        )
        .fetch_all(conn)
        .await)?)
    }

    fn is_old(&self, now: Timestamp) -> bool {
        now.since(self.seen_at) >= FORGET_AFTER
    }
}
