//! The visitor's IP address, also behind reverse proxies.
//!
//! *Invariant*: the header is used only if the request comes from a configured network, and is read
//! from its end. Everything left of the last address that is not a trusted proxy may be forged by
//! the visitor.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

use axum::extract::ConnectInfo;
use axum::http::HeaderMap;
use axum::http::request::Parts;
use skychimp_core::platform::untrusted_peer::UntrustedPeer;

/// A network: an address, and how many of its bits count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Network {
    base: u128,
    bits: u32,
}

impl FromStr for Network {
    type Err = String;

    /// Parses `10.0.0.0/8`, `fd00::/8` or a single address.
    fn from_str(text: &str) -> Result<Self, String> {
        let (address, length) = text.split_once('/').unwrap_or((text, ""));
        let ip: IpAddr = address
            .parse()
            .map_err(|_| format!("{text:?} is no network like 10.0.0.0/8"))?;
        let longest = if ip.is_ipv4() { 32 } else { 128 };
        let length = match length {
            "" => longest,
            length => length
                .parse()
                .ok()
                .filter(|length| *length <= longest)
                .ok_or_else(|| format!("{text:?} has no length from 0 to {longest}"))?,
        };
        Ok(Self {
            base: number(ip),
            bits: 128 - longest + length,
        })
    }
}

impl Network {
    fn contains(self, ip: IpAddr) -> bool {
        let different = self.base ^ number(ip);
        self.bits == 0 || different >> (128 - self.bits) == 0
    }
}

/// IPv4 addresses are mapped to IPv6 (`::ffff:0:0/96`).
fn number(ip: IpAddr) -> u128 {
    match ip {
        IpAddr::V4(ip) => ip.to_ipv6_mapped().to_bits(),
        IpAddr::V6(ip) => ip.to_bits(),
    }
}

/// The header in which proxies report the visitor's address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ProxyHeader {
    /// `X-Forwarded-For: client, proxy`.
    #[default]
    XForwardedFor,
    /// `Forwarded: for=client, for=proxy` (RFC 7239).
    Forwarded,
}

impl FromStr for ProxyHeader {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.to_ascii_lowercase().as_str() {
            "x-forwarded-for" => Ok(Self::XForwardedFor),
            "forwarded" => Ok(Self::Forwarded),
            _ => Err("is none of x-forwarded-for, forwarded".to_owned()),
        }
    }
}

/// Which proxies are trusted, and the header they set.
#[derive(Debug, Clone, Default)]
pub struct Proxies {
    networks: Vec<Network>,
    /// The only header that is read; a proxy may pass on any other one unchecked.
    pub header: ProxyHeader,
}

impl FromStr for Proxies {
    type Err = String;

    /// Parses networks separated by commas. `none` or an empty text: no proxy is trusted.
    fn from_str(text: &str) -> Result<Self, String> {
        let networks = text
            .split(',')
            .map(str::trim)
            .filter(|network| !network.is_empty() && *network != "none")
            .map(str::parse)
            .collect::<Result<_, _>>()?;
        Ok(Self {
            networks,
            header: ProxyHeader::default(),
        })
    }
}

impl Proxies {
    /// IP address of the visitor who sent a request. `unknown` without connection info.
    #[must_use]
    pub fn client(&self, head: &Parts) -> String {
        head.extensions
            .get::<ConnectInfo<SocketAddr>>()
            .map_or_else(
                || "unknown".to_owned(),
                |ConnectInfo(peer)| self.speaks_for(peer.ip(), &head.headers).to_string(),
            )
    }

    fn speaks_for(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        let mut client = peer.to_canonical();
        for ip in self.chain(headers).into_iter().rev() {
            if !self.trusts(client) {
                break;
            }
            match ip {
                Some(ip) => client = ip,
                // an obfuscated identifier (RFC 7239 §6.3): use the proxy's address
                None => break,
            }
        }
        client
    }

    /// Whether connections from this address are those of a trusted proxy.
    #[must_use]
    pub fn trusts_peer(&self, peer: IpAddr) -> bool {
        self.trusts(peer)
    }

    /// Leaves out those that are trusted by now.
    pub fn retain_untrusted(&self, peers: &mut Vec<UntrustedPeer>) {
        peers.retain(|seen| !seen.peer.parse().is_ok_and(|ip| self.trusts(ip)));
    }

    fn trusts(&self, ip: IpAddr) -> bool {
        self.networks.iter().any(|network| network.contains(ip))
    }

    /// Addresses in the header, the visitor's first. `None` for one that cannot be parsed.
    fn chain(&self, headers: &HeaderMap) -> Vec<Option<IpAddr>> {
        let name = match self.header {
            ProxyHeader::XForwardedFor => "x-forwarded-for",
            ProxyHeader::Forwarded => "forwarded",
        };
        headers
            .get_all(name)
            .iter()
            .filter_map(|line| line.to_str().ok())
            .flat_map(|line| line.split(','))
            .map(|element| match self.header {
                ProxyHeader::XForwardedFor => address(element),
                ProxyHeader::Forwarded => element
                    .split(';')
                    .filter_map(|pair| pair.trim().split_once('='))
                    .find(|(key, _)| key.eq_ignore_ascii_case("for"))
                    .and_then(|(_, value)| address(value.trim_matches('"'))),
            })
            .collect()
    }
}

/// Parses `192.0.2.1`, `192.0.2.1:443`, `2001:db8::1`, `[2001:db8::1]`, `[2001:db8::1]:443`.
fn address(text: &str) -> Option<IpAddr> {
    let text = text.trim();
    let ip = text.parse::<IpAddr>().ok();
    let with_port = || text.parse::<SocketAddr>().ok().map(|address| address.ip());
    let in_brackets = || {
        let inner = text.strip_prefix('[')?.strip_suffix(']')?;
        inner.parse::<Ipv6Addr>().ok().map(IpAddr::V6)
    };
    ip.or_else(with_port)
        .or_else(in_brackets)
        .map(|ip| ip.to_canonical())
}

/// The network that identifies a visitor in rate limits: the /64 of an IPv6 address, which
/// providers assign to one household, or the IPv4 address.
#[must_use]
pub fn network(client: &str) -> String {
    match client.parse() {
        Ok(IpAddr::V6(ip)) => Ipv6Addr::from_bits(ip.to_bits() >> 64 << 64).to_string(),
        _ => client.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(trusted: &str, header: &'static str, peer: &str, values: &[&str]) -> String {
        let mut proxies: Proxies = trusted.parse().unwrap();
        proxies.header = header.parse().unwrap();
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(header, value.parse().unwrap());
        }
        proxies
            .speaks_for(peer.parse().unwrap(), &headers)
            .to_string()
    }

    /// R30: only configured proxies are trusted, and only for the address they saw themselves.
    #[test]
    fn visitors_cannot_choose_their_address() {
        let x = |trusted, peer, values: &[&str]| client(trusted, "x-forwarded-for", peer, values);
        assert_eq!(x("none", "127.0.0.1", &["192.0.2.1"]), "127.0.0.1");
        assert_eq!(x("127.0.0.0/8", "127.0.0.1", &["192.0.2.1"]), "192.0.2.1");
        assert_eq!(
            x("127.0.0.0/8", "198.51.100.7", &["192.0.2.1"]),
            "198.51.100.7"
        );
        // the visitor forged the first address
        let forged = ["10.9.9.9, 192.0.2.1"];
        assert_eq!(x("127.0.0.1", "127.0.0.1", &forged), "192.0.2.1");
        assert_eq!(
            x("127.0.0.1", "127.0.0.1", &["10.9.9.9", "192.0.2.1"]),
            "192.0.2.1"
        );
        // two trusted proxies
        let two = ["192.0.2.1, 10.0.0.2"];
        assert_eq!(x("127.0.0.1, 10.0.0.0/8", "127.0.0.1", &two), "192.0.2.1");
        assert_eq!(x("127.0.0.1", "127.0.0.1", &["nonsense"]), "127.0.0.1");
        assert_eq!(x("::1", "::1", &["2001:db8::5"]), "2001:db8::5");
        assert_eq!(
            x("127.0.0.1", "::ffff:127.0.0.1", &["192.0.2.1"]),
            "192.0.2.1"
        );
        assert_eq!(x("127.0.0.1", "127.0.0.1", &[]), "127.0.0.1");
    }

    /// R30: the `Forwarded` header is read if it is the configured one, and then the other one is
    /// not.
    #[test]
    fn one_header_is_read() {
        let f = |values: &[&str]| client("127.0.0.1", "forwarded", "127.0.0.1", values);
        assert_eq!(f(&["for=192.0.2.1;proto=https"]), "192.0.2.1");
        assert_eq!(
            f(&["for=10.1.1.1, For=\"[2001:db8::5]:443\""]),
            "2001:db8::5"
        );
        assert_eq!(f(&["for=_hidden"]), "127.0.0.1");
        let mut headers = HeaderMap::new();
        headers.append("forwarded", "for=192.0.2.1".parse().unwrap());
        let proxies: Proxies = "127.0.0.1".parse().unwrap();
        let peer = "127.0.0.1".parse().unwrap();
        assert_eq!(proxies.speaks_for(peer, &headers), peer);
    }

    #[test]
    fn networks_are_read() {
        assert!("10.0.0.0/33".parse::<Proxies>().is_err());
        assert!("proxy.example.org".parse::<Proxies>().is_err());
        assert!(
            "0.0.0.0/0"
                .parse::<Proxies>()
                .unwrap()
                .trusts("8.8.8.8".parse().unwrap())
        );
        assert!(
            !"fd00::/8"
                .parse::<Proxies>()
                .unwrap()
                .trusts("2001:db8::1".parse().unwrap())
        );
        assert_eq!(network("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::");
        assert_eq!(network("192.0.2.1"), "192.0.2.1");
    }
}
