//! An address to call: `http://` or `https://`, a host, perhaps a port, a path and a query; nothing else.
//!
//! Paths and queries of some receivers are secrets, so neither this nor a reason why an address is none shows them.

use std::fmt;
use std::net::IpAddr;

use tokio_rustls::rustls::pki_types::ServerName;

#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Url {
    has_tls: bool,
    /// An address of IPv6 is without its brackets.
    host: String,
    port: u16,
    /// From a slash on.
    target: String,
}

impl Url {
    pub(crate) fn parse(text: &str) -> Result<Self, &'static str> {
        let (has_tls, rest) = match (text.strip_prefix("https://"), text.strip_prefix("http://")) {
            (Some(rest), _) => (true, rest),
            (None, Some(rest)) => (false, rest),
            (None, None) => return Err("does not begin with https:// or http://"),
        };
        if !rest.bytes().all(|b| b.is_ascii_graphic()) {
            return Err("has a character that is not visible ASCII");
        }
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (place, target) = rest.split_at_checked(end).unwrap_or((rest, ""));
        if place.contains('@') {
            return Err("has a user in it, which is not sent");
        }
        if target.contains('#') {
            return Err("has a fragment (#), which is never sent");
        }
        let (host, port) = match place.strip_prefix('[').map(|inner| inner.split_once(']')) {
            Some(Some((host, port))) if host.contains(':') => (host, port),
            Some(_) => return Err("has an address without its ]"),
            None => place.split_at_checked(place.find(':').unwrap_or(place.len())).unwrap_or((place, "")),
        };
        let port = match port {
            "" => default_port(has_tls),
            port => {
                port.strip_prefix(':').and_then(|port| port.parse().ok()).ok_or("has no port to 65535")?
            }
        };
        if host.is_empty() {
            return Err("names no host");
        }
        if ServerName::try_from(host).is_err() {
            return Err("names a host that cannot be one");
        }
        let slash = if target.starts_with('/') { "" } else { "/" };
        Ok(Self { has_tls, host: host.to_owned(), port, target: format!("{slash}{target}") })
    }

    pub(crate) const fn has_tls(&self) -> bool {
        self.has_tls
    }

    pub(crate) fn host(&self) -> &str {
        &self.host
    }

    pub(crate) const fn port(&self) -> u16 {
        self.port
    }

    /// Path and query.
    pub(crate) fn target(&self) -> &str {
        &self.target
    }

    /// The same place with another path.
    pub(crate) fn with_target(&self, target: String) -> Self {
        Self { target, ..self.clone() }
    }

    /// Whether what is sent cannot leave the machine.
    pub(crate) fn is_loopback(&self) -> bool {
        match self.host.parse::<IpAddr>() {
            Ok(address) => address.is_loopback(),
            Err(_) => self.host.eq_ignore_ascii_case("localhost"),
        }
    }

    /// For the header `host`.
    pub(crate) fn authority(&self) -> String {
        let Self { host, port, .. } = self;
        let host = if host.contains(':') { format!("[{host}]") } else { host.clone() };
        match *port == default_port(self.has_tls) {
            true => host,
            false => format!("{host}:{port}"),
        }
    }
}

const fn default_port(has_tls: bool) -> u16 {
    if has_tls { 443 } else { 80 }
}

/// Without path and query.
impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "http{}://{}", if self.has_tls { "s" } else { "" }, self.authority())
    }
}

impl fmt::Debug for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_strictly_and_shown_without_their_secrets() {
        let parts = |text: &str| {
            let url = Url::parse(text).unwrap();
            (url.to_string(), url.port(), url.target().to_owned())
        };
        let parts_of = |shown: &str, port, target: &str| (shown.to_owned(), port, target.to_owned());
        assert_eq!(parts("https://a.example"), parts_of("https://a.example", 443, "/"));
        assert_eq!(parts("http://a.example/b/c?d=e"), parts_of("http://a.example", 80, "/b/c?d=e"));
        assert_eq!(parts("https://a.example:80?d"), parts_of("https://a.example:80", 80, "/?d"));
        assert_eq!(parts("https://[::1]:90/"), parts_of("https://[::1]:90", 90, "/"));
        assert_eq!(parts("http://10.0.0.7:8089"), parts_of("http://10.0.0.7:8089", 8089, "/"));
        assert!(
            !format!("{:?}", Url::parse("https://a.example/services/SECRET?k=SECRET")).contains("SECRET")
        );
        for (text, reason) in [
            ("ftp://a.example", "does not begin"),
            ("a.example", "does not begin"),
            ("https://", "no host"),
            ("https:///x", "no host"),
            ("https://[::1", "without its ]"),
            ("https://[a]", "without its ]"),
            ("https://[a:b]", "cannot be one"),
            ("https://a..b", "cannot be one"),
            ("https://a.example:x", "port"),
            ("https://a.example:70000", "port"),
            ("https://u:p@a.example", "user"),
            ("https://a.example/b#c", "fragment"),
            ("https://a.example/b c", "visible"),
            ("https://a.example/b\r\nx: y", "visible"),
            ("https://ä.example", "visible"),
        ] {
            assert!(Url::parse(text).unwrap_err().contains(reason), "{text}");
        }
    }

    #[test]
    fn what_stays_on_the_machine_is_known() {
        for (text, stays) in [
            ("http://127.0.0.1:9", true),
            ("http://127.8.8.8", true),
            ("http://[::1]/x", true),
            ("http://localhost:8089", true),
            ("http://localhost.example", false),
            ("http://10.0.0.1", false),
            ("http://127.0.0.1.example", false),
        ] {
            assert_eq!(Url::parse(text).unwrap().is_loopback(), stays, "{text}");
        }
    }
}
