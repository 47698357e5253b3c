//! Who sends: how a policy names a client, and what is known of one.

use alloc::{
    format,
    string::{String, ToString},
};
use core::{net::IpAddr, str::FromStr};

use crate::http::Headers;

/// What a host knows of the sender of a request.
#[derive(Clone, Copy, Debug)]
pub struct Caller<'a> {
    /// An address, with or without a port. Not that of a header unless the host has reason to trust it.
    pub address: Option<&'a str>,
    pub headers: &'a Headers<'a>,
    pub tenant: Option<&'a str>,
}

/// `ip:<address or CIDR>`, `header:<name>=<value>` or `tenant:<name>`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Client {
    Network { address: IpAddr, bits: u8 },
    Header { name: String, value: String },
    Tenant(String),
}

impl Client {
    pub fn is(&self, caller: &Caller<'_>) -> bool {
        match self {
            Self::Network { address, bits } => {
                let of = caller.address.and_then(plain_address);
                of.is_some_and(|of| same_network(*address, of, *bits))
            }
            Self::Header { name, value } => {
                // Whoever sends a header twice may mean either.
                let mut lines = caller.headers.values(name).peekable();
                lines.peek().is_some() && lines.all(|line| line == value.as_bytes())
            }
            Self::Tenant(tenant) => caller.tenant == Some(tenant),
        }
    }
}

impl FromStr for Client {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let expected = || {
            format!(
                "is {text:?}, expected \"ip:ADDRESS\", \"ip:ADDRESS/BITS\", \"header:NAME=VALUE\" or \"tenant:NAME\""
            )
        };
        match text.split_once(':') {
            Some(("ip", network)) => parse_network(network).map_err(|why| format!("is {text:?}, {why}")),
            Some(("header", header)) => match header.split_once('=') {
                Some((name, value)) if is_header_name(name) && !value.is_empty() => {
                    Ok(Self::Header { name: name.to_ascii_lowercase(), value: value.into() })
                }
                _ => Err(expected()),
            },
            Some(("tenant", tenant)) if !tenant.is_empty() => Ok(Self::Tenant(tenant.into())),
            _ => Err(expected()),
        }
    }
}

fn parse_network(text: &str) -> Result<Client, String> {
    let (address, bits) = text.split_once('/').map_or((text, None), |(address, bits)| (address, Some(bits)));
    let address: IpAddr =
        address.parse().map_err(|_| String::from("expected an address such as 10.1.2.3 or 2001:db8::1"))?;
    let address = address.to_canonical();
    let most = if address.is_ipv4() { 32 } else { 128 };
    let bits = match bits {
        None => most,
        Some(bits) => bits
            .parse()
            .ok()
            .filter(|bits| *bits <= most)
            .ok_or_else(|| format!("expected at most {most} bits behind the slash"))?,
    };
    let network = network_of(address, bits);
    if network != address {
        return Err(format!("which is an address in {network}/{bits}; write that"));
    }
    Ok(Client::Network { address, bits })
}

/// An address as hosts say it, such as `10.1.2.3:5555` or `[2001:db8::1]:443`.
fn plain_address(text: &str) -> Option<IpAddr> {
    let bare = text.strip_prefix('[').and_then(|rest| rest.split_once(']')).map(|(address, _)| address);
    let v4 = || text.split_once(':').map(|(address, _)| address).filter(|address| address.contains('.'));
    let parsed = match bare {
        Some(address) => address.parse().ok(),
        None => text.parse().ok().or_else(|| v4()?.parse().ok()),
    };
    parsed.map(|address: IpAddr| address.to_canonical())
}

fn same_network(a: IpAddr, b: IpAddr, bits: u8) -> bool {
    a.is_ipv4() == b.is_ipv4() && network_of(b, bits) == a
}

fn network_of(address: IpAddr, bits: u8) -> IpAddr {
    match address {
        IpAddr::V4(v4) => {
            let mask = u32::MAX.checked_shl(32 - u32::from(bits.min(32))).unwrap_or(0);
            IpAddr::V4((v4.to_bits() & mask).into())
        }
        IpAddr::V6(v6) => {
            let mask = u128::MAX.checked_shl(128 - u32::from(bits.min(128))).unwrap_or(0);
            IpAddr::V6((v6.to_bits() & mask).into())
        }
    }
}

/// A name of a header, as a policy writes it.
pub(super) fn is_header_name(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b))
}

/// `header:<name>`: where the name of a tenant stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeaderKey(pub String);

impl FromStr for HeaderKey {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.strip_prefix("header:").filter(|name| is_header_name(name)) {
            Some(name) => Ok(Self(name.to_ascii_lowercase().to_string())),
            None => Err(format!("is {text:?}, expected \"header:NAME\"")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn is(client: &str, address: &str, expected: bool) {
        let client: Client = client.parse().unwrap_or_else(|why| panic!("{why}"));
        let headers = Headers::default();
        let caller = Caller { address: Some(address), headers: &headers, tenant: None };
        assert_eq!(client.is(&caller), expected, "{client:?} {address}");
    }

    #[test]
    fn an_address_is_in_its_network_with_and_without_a_port() {
        for address in ["10.1.2.3", "10.1.2.3:5555", "::ffff:10.1.2.3", "[::ffff:10.1.2.3]:80"] {
            is("ip:10.1.2.3", address, true);
            is("ip:10.0.0.0/8", address, true);
            is("ip:0.0.0.0/0", address, true);
            is("ip:10.2.0.0/16", address, false);
            is("ip:::/0", address, false);
        }
        is("ip:2001:db8::/32", "[2001:db8::1]:443", true);
        is("ip:2001:db8::/32", "2001:db8:ffff::1", true);
        is("ip:2001:db8::/32", "2001:db9::1", false);
        for nothing in ["", "unix", "10.1.2", "[10.1.2.3", "envoy://internal"] {
            is("ip:0.0.0.0/0", nothing, false);
        }
    }

    #[test]
    fn a_header_has_to_say_it_on_every_line() {
        let client: Client = "header:X-App=batch=1".parse().expect("a client");
        let check = |lines: &[&str]| {
            let headers = lines.iter().map(|line| (&b"x-app"[..], line.as_bytes())).collect();
            client.is(&Caller { address: None, headers: &headers, tenant: None })
        };
        assert!(check(&["batch=1"]) && check(&["batch=1", "batch=1"]));
        assert!(!check(&[]) && !check(&["batch"]) && !check(&["batch=1", "other"]));
    }

    #[test]
    fn a_client_that_is_none_is_told_what_to_write() {
        let complaint = |text: &str| text.parse::<Client>().err().unwrap_or_default();
        assert!(complaint("10.0.0.1").contains("\"ip:ADDRESS\""));
        assert!(complaint("header:x app=1").contains("NAME=VALUE") && complaint("tenant:").contains("NAME"));
        assert!(complaint("ip:10.0.0.0/33").contains("at most 32 bits"));
        assert!(complaint("ip:10.0.0.7/8").contains("10.0.0.0/8; write that"));
        assert!(complaint("ip:example.com").contains("expected an address"));
    }
}
