//! Which machines an address of a remote may lead to.
//!
//! A remote that lies could make this machine ask what only this machine can reach: a service on loopback, a router, the
//! metadata of a virtual machine. So an address leads to public addresses only, unless it is at the origin of the
//! profile's API or at a host that the profile names.

use std::collections::HashSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};

use reqwest::Url;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};

/// Entries of the set of names; a remote can list any number of hosts.
const MAX_NAMES: usize = 10_000;

/// Whose a host is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Destination {
    /// The origin of the profile's API.
    Own,
    /// A host that the profile names.
    Named,
    /// Any other one.
    Other,
}

/// Whether one of the hosts that a profile names, each `HOST` or `HOST:PORT`, is that of an address.
pub(super) fn is_named(hosts: &[String], url: &Url) -> bool {
    let Some(host) = url.host_str() else {
        return false;
    };
    let port = url.port_or_known_default();
    hosts.iter().any(|named| {
        named.eq_ignore_ascii_case(host)
            || named.rsplit_once(':').is_some_and(|(name, of_name)| {
                name.eq_ignore_ascii_case(host) && of_name.parse().ok() == port
            })
    })
}

/// Returns the address that a host is, unless it is a name.
pub(super) fn literal(url: &Url) -> Option<IpAddr> {
    let host = url.host_str()?;
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    bare.parse().ok()
}

/// Whether an address is one of the public internet, also where it contains an address of IPv4.
pub(super) fn is_public(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    // IANA's registry of special-purpose addresses; `Ipv4Addr::is_global` is not stable yet.
    let is_special = a == 0
        || address.is_private()
        || address.is_loopback()
        || address.is_link_local()
        || address.is_documentation()
        || (a == 100 && (b & 0xc0) == 64)
        || (a == 192 && b == 0 && c == 0)
        || (a == 198 && (b & 0xfe) == 18)
        || a >= 224;
    !is_special
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    let segments = address.segments();
    let v4 = |high: u16, low: u16| Ipv4Addr::from((u32::from(high) << 16) | u32::from(low));
    match segments {
        // NAT64: the last 32 bits are the address of IPv4 that is asked.
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] => is_public_v4(v4(high, low)),
        // 6to4.
        [0x2002, high, low, ..] => is_public_v4(v4(high, low)),
        // Teredo, and other protocols that lead elsewhere.
        [0x2001, second, ..] if second < 0x200 => false,
        // For documentation.
        [0x2001, 0xdb8, ..] => false,
        [0x3fff, second, ..] if second < 0x1000 => false,
        // Nothing else is routed; loopback, local and multicast addresses are outside.
        [first, ..] => (first & 0xe000) == 0x2000,
    }
}

/// Nothing public has the name of a host.
#[derive(Debug, thiserror::Error)]
#[error("{name} has no public address")]
pub(super) struct NotPublic {
    name: String,
}

/// Resolves names of hosts to public addresses only.
///
/// It decides at the connection itself: what a name was resolved to before may have changed.
#[derive(Debug, Default, Clone)]
pub(super) struct PublicResolver {
    /// The hosts of addresses. Other names are those of proxies, which the user has set.
    names: Arc<Mutex<HashSet<String>>>,
}

impl PublicResolver {
    /// Notes the host of an address that is about to be requested; says whether there was room.
    pub(super) fn guard(&self, host: &str) -> bool {
        let mut names = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        let has_room = names.len() < MAX_NAMES || names.contains(host);
        if has_room {
            names.insert(host.to_owned());
        }
        has_room
    }

    fn is_guarded(&self, name: &str) -> bool {
        let names = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        names.contains(name)
    }
}

impl Resolve for PublicResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let is_guarded = self.is_guarded(name.as_str());
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let allowed = |address: &SocketAddr| !is_guarded || is_public(address.ip());
            let found: Vec<SocketAddr> = found.filter(allowed).collect();
            if found.is_empty() {
                let name = name.as_str().to_owned();
                return Err(NotPublic { name }.into());
            }
            Ok(Box::new(found.into_iter()) as Addrs)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_addresses_of_the_public_internet_are_public() {
        for public in [
            "1.1.1.1",
            "172.32.0.1",
            "192.0.1.1",
            "100.128.0.1",
            "2606:4700::1111",
            "::ffff:1.1.1.1",
            "64:ff9b::101:101",
            "2002:101:101::1",
        ] {
            assert!(is_public(public.parse().unwrap()), "{public}");
        }
        for other in [
            "0.0.0.0",
            "0.1.2.3",
            "10.0.0.1",
            "100.64.0.1",
            "127.0.0.1",
            "127.255.255.254",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.8",
            "192.0.2.1",
            "192.168.1.1",
            "198.19.0.1",
            "203.0.113.1",
            "224.0.0.1",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::127.0.0.1",
            "::ffff:127.0.0.1",
            "::ffff:169.254.169.254",
            "64:ff9b::7f00:1",
            "64:ff9b::a9fe:a9fe",
            "64:ff9b:1::101:101",
            "2002:7f00:1::",
            "2001::1",
            "2001:db8::1",
            "3fff::1",
            "fc00::1",
            "fd00:ec2::254",
            "fe80::1",
            "ff02::1",
            "fec0::1",
        ] {
            assert!(!is_public(other.parse().unwrap()), "{other}");
        }
    }

    #[test]
    fn a_host_is_named_with_its_port_or_with_any() {
        let hosts = ["files.example".to_owned(), "[::1]:81".to_owned()];
        let named = |url: &str| is_named(&hosts, &Url::parse(url).unwrap());
        assert!(named("http://FILES.example:99/x") && named("http://[::1]:81/x"));
        for other in [
            "http://[::1]/x",
            "http://[::1]:82/x",
            "http://a.files.example/x",
            "http://files.example.evil/x",
            "http://files.example@evil/x",
        ] {
            assert!(!named(other), "{other}");
        }
        let hosts = ["127.0.0.1:80".to_owned()];
        assert!(is_named(&hosts, &Url::parse("http://127.1/x").unwrap()));
    }

    #[tokio::test]
    async fn a_name_of_this_machine_is_refused_and_that_of_a_proxy_is_not() {
        let resolver = PublicResolver::default();
        let resolve = || resolver.resolve("localhost".parse().unwrap());
        assert!(resolve().await.is_ok());
        assert!(resolver.guard("localhost"));
        let refused = resolve().await.err().unwrap();
        assert!(refused.downcast_ref::<NotPublic>().is_some(), "{refused}");
    }
}
