//! A server with its health and usage, as pages and commands show it.

use std::collections::HashMap;

use super::{
    CONFIGURATION, HealthState, SendingServer, ServerHealth, ServerLimits, TlsMode, UsageToday,
};
use crate::platform::db::Tx;
use crate::platform::error::Error;
use crate::platform::ids::ServerId;
use crate::platform::time::Timestamp;

/// Priority of the configured server and default of drafts. It leaves room for servers before and
/// after.
pub(super) const CONFIGURED_PRIORITY: i64 = 10;

/// A server, its health and what it did today.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct ServerOverview {
    /// The server.
    #[serde(flatten)]
    pub server: SendingServer,
    /// Its health; `None` when nothing is known yet.
    pub health: Option<ServerHealth>,
    /// What it did since the start of the day.
    pub today: UsageToday,
}

impl ServerOverview {
    /// All servers including the configured one, by priority, with what they did since `since`.
    pub async fn all(
        tx: &mut Tx,
        configured: Option<&SendingServer>,
        since: Timestamp,
        now: Timestamp,
    ) -> Result<Vec<Self>, Error> {
        let mut servers = SendingServer::all(tx).await?;
        servers.extend(configured.cloned());
        servers.sort_by_key(|server| server.priority);
        let mut health: HashMap<_, _> = ServerHealth::all(tx)
            .await?
            .into_iter()
            .map(|health| (health.server_id, health))
            .collect();
        let mut today: HashMap<_, _> = UsageToday::all(tx, since, now).await?.into_iter().collect();
        Ok(servers
            .into_iter()
            .map(|server| Self {
                health: health.remove(&server.id),
                today: today.remove(&server.id).unwrap_or_default(),
                server,
            })
            .collect())
    }

    /// Its state in one word: `disabled`, `unused` (nothing is known), `closed`, `open`, `probing`,
    /// `paused` or `limited`.
    #[must_use]
    pub fn state(&self, now: Timestamp) -> &'static str {
        match &self.health {
            _ if !self.server.enabled => "disabled",
            Some(health) if health.state != HealthState::Closed => health.state.as_str(),
            Some(health) if health.limited(now).is_some() => "limited",
            Some(health) if health.answered_at.is_some() => "closed",
            _ => "unused",
        }
    }

    /// Whether it is defined in the configuration and cannot be changed here.
    #[must_use]
    pub fn is_configured(&self) -> bool {
        self.server.id == ServerId::CONFIGURATION
    }
}

impl SendingServer {
    /// The server in the configuration, as pages and commands show it.
    #[must_use]
    pub fn configured(
        host: &str,
        port: u16,
        tls: TlsMode,
        username: &str,
        limits: ServerLimits,
    ) -> Self {
        Self {
            id: ServerId::CONFIGURATION,
            name: CONFIGURATION.to_owned(),
            host: host.to_owned(),
            port: i64::from(port),
            tls,
            username: username.to_owned(),
            has_password: !username.is_empty(),
            hello: String::new(),
            priority: CONFIGURED_PRIORITY,
            weight: 100,
            enabled: true,
            limits,
            domains: super::DomainLimits::default(),
            warm_up: super::WarmUp::default(),
            warm_up_from: None,
            version: 1,
            created_at: Timestamp::default(),
            updated_at: Timestamp::default(),
        }
    }
}
