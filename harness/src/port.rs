//! Addresses for servers that have to be told one, for those that come back where they were, and for nobody at all.

use std::fs;
use std::hash::{BuildHasher as _, RandomState};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU16, Ordering};

use anyhow::{Result, bail};

/// An address of this machine at which nobody listens. Its port is none that the system hands out to connections and to
/// servers on port 0, so nobody comes by it while its own server is not there; and no two callers get the same.
pub fn free_addr() -> Result<SocketAddr> {
    let n_ports = first_handed_out() - FIRST;
    for _ in 0..n_ports {
        let port = FIRST + tried().fetch_add(1, Ordering::Relaxed) % n_ports;
        let addr = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        if TcpListener::bind(addr).is_ok() {
            return Ok(addr);
        }
    }
    bail!("all ports from {FIRST} to {} are in use; the tests need a few of them", first_handed_out())
}

/// How many were tried so far. Processes begin at different places, so that they do not meet.
fn tried() -> &'static AtomicU16 {
    static TRIED: OnceLock<AtomicU16> = OnceLock::new();
    TRIED.get_or_init(|| AtomicU16::new(RandomState::new().hash_one(std::process::id()) as u16))
}

/// Where the ports begin that the system hands out.
fn first_handed_out() -> u16 {
    let range = fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").unwrap_or_default();
    let first = range.split_whitespace().next().and_then(|first| first.parse().ok());
    first.filter(|first| *first > FIRST).unwrap_or(USUAL)
}

/// Above the ports that services usually have.
const FIRST: u16 = 20_000;
const USUAL: u16 = 32_768;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_free_and_nobody_gets_one_twice_or_by_chance() {
        let addrs: Vec<SocketAddr> = (0..20).map(|_| free_addr().unwrap()).collect();
        let servers: Vec<TcpListener> = addrs.iter().map(|addr| TcpListener::bind(addr).unwrap()).collect();
        assert_eq!(servers.len(), 20);
        assert!(addrs.iter().all(|addr| (FIRST..first_handed_out()).contains(&addr.port())), "{addrs:?}");
        let by_chance = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap();
        assert!(by_chance.port() >= first_handed_out(), "{by_chance}");
    }
}
