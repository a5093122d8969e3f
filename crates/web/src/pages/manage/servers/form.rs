//! The form of a sending server.

use serde::Deserialize;
use skychimp_core::platform::error::{Error, FieldError};
use skychimp_core::sending::sending_server::{
    PasswordChange, SendingServer, ServerDraft, ServerLimits, TlsMode,
};

/// The submitted fields. `Debug` hides the password.
#[derive(Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct ServerForm {
    pub name: String,
    pub host: String,
    pub port: String,
    pub tls: String,
    pub username: String,
    password: String,
    pub hello: String,
    pub priority: String,
    pub weight: String,
    pub enabled: String,
    pub connections: String,
    pub per_connection: String,
    pub per_second: String,
    pub per_minute: String,
    pub per_hour: String,
    pub per_day: String,
    pub domains: String,
    pub warm_up: String,
    pub version: i64,
}

impl std::fmt::Debug for ServerForm {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ServerForm")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

impl ServerForm {
    pub(super) fn from_draft(draft: &ServerDraft) -> Self {
        let limit = |limit: Option<i64>| limit.map_or_else(String::new, |n| n.to_string());
        let limits = &draft.limits;
        Self {
            name: draft.name.clone(),
            host: draft.host.clone(),
            port: draft.port.to_string(),
            tls: draft.tls.as_str().to_owned(),
            username: draft.username.clone(),
            password: String::new(),
            hello: draft.hello.clone(),
            priority: draft.priority.to_string(),
            weight: draft.weight.to_string(),
            enabled: if draft.enabled { "on" } else { "" }.to_owned(),
            connections: limits.connections.to_string(),
            per_connection: limit(limits.per_connection),
            per_second: limit(limits.per_second),
            per_minute: limit(limits.per_minute),
            per_hour: limit(limits.per_hour),
            per_day: limit(limits.per_day),
            domains: draft.domains.clone(),
            warm_up: draft.warm_up.clone(),
            version: 0,
        }
    }

    /// Parses the fields. The errors are those of invalid numbers.
    pub(super) fn read(&self) -> Result<(ServerDraft, PasswordChange<'_>), Error> {
        let mut wrong = Vec::new();
        let mut number = |field: &'static str, text: &str| -> Option<i64> {
            let text = text.trim();
            if text.is_empty() {
                return None;
            }
            text.parse()
                .map_err(|_| wrong.push(FieldError::new(field, "no_number")))
                .ok()
        };
        let draft = ServerDraft {
            name: self.name.clone(),
            host: self.host.clone(),
            port: number("port", &self.port).unwrap_or_default(),
            tls: self.tls.parse().unwrap_or(TlsMode::Required),
            username: self.username.clone(),
            hello: self.hello.clone(),
            priority: number("priority", &self.priority).unwrap_or_default(),
            weight: number("weight", &self.weight).unwrap_or_default(),
            enabled: !self.enabled.is_empty(),
            limits: ServerLimits {
                connections: number("connections", &self.connections).unwrap_or_default(),
                per_connection: number("per_connection", &self.per_connection),
                per_second: number("per_second", &self.per_second),
                per_minute: number("per_minute", &self.per_minute),
                per_hour: number("per_hour", &self.per_hour),
                per_day: number("per_day", &self.per_day),
            },
            domains: self.domains.clone(),
            warm_up: self.warm_up.clone(),
        };
        let password = match self.password.as_str() {
            "" => PasswordChange::Keep,
            password => PasswordChange::Set(password),
        };
        if wrong.is_empty() {
            Ok((draft, password))
        } else {
            Err(Error::Invalid(wrong))
        }
    }
}

impl From<&SendingServer> for ServerForm {
    fn from(server: &SendingServer) -> Self {
        Self {
            version: server.version,
            ..Self::from_draft(&ServerDraft::from(server))
        }
    }
}
