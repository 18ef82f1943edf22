//! Who sends a request: the address, and what the key grants.

use std::fmt;
use std::net::IpAddr;

use axum::http::HeaderMap;

use super::keys::{Grant, Rights};
use super::store::{Record, StoreError};

const FORWARDED: &str = "x-forwarded-for";

#[derive(Clone, Debug)]
pub(crate) struct Caller {
    pub(crate) address: IpAddr,
    grant: Grant,
}

impl Caller {
    pub(crate) fn new(address: IpAddr, grant: Grant) -> Caller {
        Caller { address, grant }
    }

    /// The key's name.
    pub(crate) fn key(&self) -> Option<&str> {
        self.grant.name.as_deref()
    }

    /// How many locks may be held at once that were created with the key.
    pub(crate) fn most(&self) -> Option<usize> {
        self.grant.most
    }

    pub(crate) fn may_create(&self) -> Result<(), StoreError> {
        if self.grant.rights >= Rights::Own { Ok(()) } else { Err(StoreError::Forbidden) }
    }

    /// Whether it may change and delete a lock, with no secret but its key.
    pub(crate) fn may_change(&self, record: &Record) -> Result<(), StoreError> {
        let is_own = self.key().is_some() && self.key() == record.key.as_deref();
        match self.grant.rights {
            Rights::All => Ok(()),
            Rights::Own if is_own => Ok(()),
            Rights::Own | Rights::Read => Err(StoreError::Forbidden),
        }
    }
}

/// For the log.
impl fmt::Display for Caller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.address.fmt(f)
    }
}

/// The client's address: the peer's, unless that is a proxy that we trust. A proxy adds the address of its
/// own peer at the end of a list, so the last one that is no such proxy's is the client's; what is before
/// it, anybody may have written.
pub(crate) fn address(peer: IpAddr, headers: &HeaderMap, proxies: &[IpAddr]) -> IpAddr {
    let lists = headers.get_all(FORWARDED).iter().filter_map(|list| list.to_str().ok());
    let forwarded: Vec<_> = lists.flat_map(|list| list.split(',')).map(str::trim).collect();
    let mut client = peer.to_canonical();
    for address in forwarded.iter().rev() {
        if !proxies.contains(&client) {
            break;
        }
        let Ok(address) = address.parse::<IpAddr>() else { break };
        client = address.to_canonical();
    }
    client
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_proxy_that_is_trusted_tells_an_address() {
        let ip = |text: &str| text.parse::<IpAddr>().unwrap();
        let proxies = [ip("10.0.0.1"), ip("10.0.0.2")];
        let client = |peer: &str, lists: &[&str]| {
            let mut headers = HeaderMap::new();
            for list in lists {
                headers.append(FORWARDED, list.parse().unwrap());
            }
            address(ip(peer), &headers, &proxies)
        };
        assert_eq!(client("192.0.2.7", &[]), ip("192.0.2.7"));
        assert_eq!(client("192.0.2.7", &["192.0.2.8"]), ip("192.0.2.7"), "no proxy of ours");
        assert_eq!(client("10.0.0.1", &["192.0.2.8"]), ip("192.0.2.8"));
        assert_eq!(client("::ffff:10.0.0.1", &["2001:db8::1"]), ip("2001:db8::1"));
        assert_eq!(client("10.0.0.1", &["192.0.2.9, 192.0.2.8"]), ip("192.0.2.8"), "by the proxy");
        assert_eq!(client("10.0.0.1", &["192.0.2.9", "192.0.2.8, 10.0.0.2"]), ip("192.0.2.8"));
        assert_eq!(client("10.0.0.1", &["nonsense"]), ip("10.0.0.1"));
        assert_eq!(client("10.0.0.1", &[]), ip("10.0.0.1"));
    }
}
