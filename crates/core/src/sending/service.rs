//! The service as the outside world sees it: its public address, the sender of its letters, the
//! mail server in its configuration, and whether letters may be sent with these settings.
//!
//! *Invariants*: this is the only place that decides what letters to strangers require. Pages and
//! commands ask it before a mailing starts, the scheduler before it makes a run, the engine before
//! it claims a letter. Names are not resolved, so the answer is the same with and without a
//! network.

use std::fmt;
use std::net::IpAddr;

use url::{Host, Url};

use crate::platform::db::Tx;
use crate::platform::error::{Error, FieldError};
use crate::sending::mailing::FromIdentity;
use crate::sending::sending_server::SendingServer;

/// Settings that decide whether letters may be sent to strangers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ServiceIdentity {
    /// Sender of mailings that name none, and of the service's letters.
    pub sender: FromIdentity,
    /// The configured public address; `None` when unset.
    pub base_url: Option<String>,
    /// Host of the mail server in the configuration; `None` when there is none or it is the
    /// sandbox.
    pub mail_server: Option<String>,
}

/// Why letters may not be sent over a mail server that reaches strangers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ServiceFault {
    /// `base_url` is unset.
    BaseUrlUnset,
    /// `base_url` cannot be opened from another machine.
    BaseUrlLocal,
    /// `mail_from` is an address that cannot exist.
    MailFrom,
    /// The mailing's sender is an address that cannot exist.
    Sender,
}

impl ServiceFault {
    /// All faults.
    pub const ALL: [Self; 4] = [
        Self::BaseUrlUnset,
        Self::BaseUrlLocal,
        Self::MailFrom,
        Self::Sender,
    ];

    /// The setting or field to change.
    #[must_use]
    pub const fn field(self) -> &'static str {
        match self {
            Self::BaseUrlUnset | Self::BaseUrlLocal => "base_url",
            Self::MailFrom => "mail_from",
            Self::Sender => "from_email",
        }
    }

    /// Language-neutral code, as in [`FieldError::code`].
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::BaseUrlUnset => "base_url_unset",
            Self::BaseUrlLocal => "base_url_local",
            Self::MailFrom => "mail_from_invalid",
            Self::Sender => "sender_invalid",
        }
    }

    /// Finds the fault with this sentence ([`fmt::Display`]), so that pages can translate it.
    #[must_use]
    pub fn from_sentence(sentence: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|fault| fault.sentence() == sentence)
    }

    const fn sentence(self) -> &'static str {
        match self {
            Self::BaseUrlUnset => {
                "base_url is unset, so links in letters would lead nowhere: set it to the address at which readers find the site"
            }
            Self::BaseUrlLocal => {
                "base_url is an address that no other machine can open, so links in letters would lead nowhere: set it to the \
                 address at which readers find the site"
            }
            Self::MailFrom => {
                "mail_from is an address at .invalid or localhost that nobody can answer: set it to an address of yours"
            }
            Self::Sender => {
                "the sender of the mailing (from_email) is an address at .invalid or localhost that nobody can answer"
            }
        }
    }
}

impl fmt::Display for ServiceFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.sentence())
    }
}

impl From<ServiceFault> for FieldError {
    fn from(fault: ServiceFault) -> Self {
        Self {
            sentence: Some(fault.sentence()),
            ..Self::new(fault.field(), fault.code())
        }
    }
}

impl From<FromIdentity> for ServiceIdentity {
    /// A service of which only the sender is set.
    fn from(sender: FromIdentity) -> Self {
        Self {
            sender,
            ..Self::default()
        }
    }
}

impl ServiceIdentity {
    /// Whether letters may reach strangers: some server that is switched on is on another machine.
    #[must_use]
    pub fn reaches_strangers(&self, servers: &[SendingServer]) -> bool {
        let enabled = servers.iter().filter(|server| server.enabled);
        self.mail_server
            .as_deref()
            .into_iter()
            .chain(enabled.map(|server| server.host.as_str()))
            .any(|host| !is_local(host))
    }

    /// What is wrong with the service's settings, whether or not letters reach strangers.
    #[must_use]
    pub fn faults(&self) -> Vec<ServiceFault> {
        let base_url = match self.base_url.as_deref().map(Url::parse) {
            None => Some(ServiceFault::BaseUrlUnset),
            Some(Ok(url)) if !is_dead(&url) => None,
            Some(_) => Some(ServiceFault::BaseUrlLocal),
        };
        let sender = is_nobody(&self.sender.email).then_some(ServiceFault::MailFrom);
        base_url.into_iter().chain(sender).collect()
    }

    /// Why no letter may be sent over these servers; `None` when letters may be sent.
    #[must_use]
    pub fn obstacle(&self, servers: &[SendingServer]) -> Option<ServiceFault> {
        if !self.reaches_strangers(servers) {
            return None;
        }
        self.faults().into_iter().next()
    }

    /// Why letters of a mailing with this sender (empty for the service's) may not be sent now;
    /// empty when they may.
    pub async fn faults_of(&self, tx: &mut Tx, sender: &str) -> Result<Vec<ServiceFault>, Error> {
        let servers = SendingServer::all(tx).await?;
        Ok(self.faults_over(&servers, sender))
    }

    /// Like [`ServiceIdentity::faults_of`], with these servers.
    #[must_use]
    pub fn faults_over(&self, servers: &[SendingServer], sender: &str) -> Vec<ServiceFault> {
        if !self.reaches_strangers(servers) {
            return Vec::new();
        }
        let mut faults = self.faults();
        if is_nobody(sender) {
            faults.push(ServiceFault::Sender);
        }
        faults
    }
}

/// Whether an address cannot belong to anybody: it is at `.invalid` or `localhost` (RFC 2606).
#[must_use]
pub fn is_nobody(email: &str) -> bool {
    email
        .rsplit_once('@')
        .is_some_and(|(_, domain)| is_below(domain, "invalid") || is_below(domain, "localhost"))
}

/// Whether a host is this machine, judged by its name or address alone.
fn is_local(host: &str) -> bool {
    let host = host.trim_start_matches('[').trim_end_matches(']');
    host.parse()
        .map_or_else(|_| is_below(host, "localhost"), is_this_machine)
}

fn is_this_machine(address: IpAddr) -> bool {
    let address = address.to_canonical();
    address.is_loopback() || address.is_unspecified()
}

/// Whether a URL of the site cannot be opened from another machine.
fn is_dead(url: &Url) -> bool {
    match url.host() {
        None => true,
        Some(Host::Domain(host)) => is_below(host, "localhost") || is_below(host, "invalid"),
        Some(Host::Ipv4(address)) => is_this_machine(address.into()),
        Some(Host::Ipv6(address)) => is_this_machine(address.into()),
    }
}

/// Whether the last label of a name is `domain`.
fn is_below(name: &str, domain: &str) -> bool {
    let name = name.trim_end_matches('.');
    name.rsplit('.')
        .next()
        .is_some_and(|last| last.eq_ignore_ascii_case(domain))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn service(base_url: Option<&str>, from: &str, host: Option<&str>) -> ServiceIdentity {
        ServiceIdentity {
            sender: FromIdentity {
                name: String::new(),
                email: from.to_owned(),
            },
            base_url: base_url.map(str::to_owned),
            mail_server: host.map(str::to_owned),
        }
    }

    fn obstacle(base_url: Option<&str>, from: &str, host: &str) -> Option<ServiceFault> {
        service(base_url, from, Some(host)).obstacle(&[])
    }

    /// R5, R24: a server is on another machine unless its name or address says that it is on this
    /// one.
    #[test]
    fn servers_on_this_machine_reach_nobody() {
        for host in [
            "127.0.0.1",
            "127.8.9.10",
            "::1",
            "[::1]",
            "::ffff:127.0.0.1",
            "0.0.0.0",
            "localhost",
            "LocalHost.",
            "mail.localhost",
        ] {
            assert_eq!(obstacle(None, "a@x.invalid", host), None, "{host}");
        }
        for host in [
            "192.0.2.1",
            "10.0.0.1",
            "mail.example.org",
            "localhost.example.org",
            "2001:db8::1",
            "relay",
        ] {
            let fault = obstacle(None, "a@example.org", host);
            assert_eq!(fault, Some(ServiceFault::BaseUrlUnset), "{host}");
        }
    }

    /// R24, R39: links must be reachable from another machine.
    #[test]
    fn links_lead_somewhere() {
        for url in [
            "http://127.0.0.1:8080",
            "http://127.1",
            "http://localhost",
            "https://news.localhost",
            "http://[::1]:8080",
            "http://0.0.0.0:8080",
            "http://[::]",
            "https://LOCALHOST.:80",
            "https://news.invalid",
        ] {
            let fault = obstacle(Some(url), "a@example.org", "mail.example.org");
            assert_eq!(fault, Some(ServiceFault::BaseUrlLocal), "{url}");
        }
        for url in [
            "https://news.example.org",
            "http://10.1.2.3:8080",
            "http://intranet",
        ] {
            assert_eq!(
                obstacle(Some(url), "a@example.org", "mail.example.org"),
                None
            );
        }
    }

    /// R24: somebody must be able to receive replies to the sender.
    #[test]
    fn senders_exist() {
        for email in [
            "noreply@skychimp.invalid",
            "a@INVALID",
            "a@localhost",
            "a@mail.localhost.",
        ] {
            assert!(is_nobody(email), "{email}");
            let fault = obstacle(Some("https://example.org"), email, "mail.example.org");
            assert_eq!(fault, Some(ServiceFault::MailFrom), "{email}");
        }
        for email in ["a@invalid.example.org", "localhost@example.org", ""] {
            assert!(!is_nobody(email), "{email}");
        }
    }

    /// R5: a fault names the setting to change, and is found by its sentence.
    #[test]
    fn faults_name_what_to_change() {
        for fault in ServiceFault::ALL {
            assert!(fault.to_string().contains(fault.field()), "{fault}");
            assert_eq!(ServiceFault::from_sentence(&fault.to_string()), Some(fault));
        }
    }
}
