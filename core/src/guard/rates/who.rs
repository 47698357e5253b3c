//! Who sends a request, as far as limits and sessions care.

use alloc::{format, string::String, vec::Vec};
use core::net::{IpAddr, Ipv6Addr, SocketAddr};

use serde::{Deserialize, Serialize};

use super::policy::{RateKey, error};
use crate::{http::Headers, policy::PolicyError};

/// Proxies in front of this one. More would only let clients choose their own address.
const TRUSTED_HOPS_MAX: u8 = 8;
const CLAIM_BYTES_MAX: usize = 256;
const CLAIM_DEPTH_MAX: usize = 8;

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct WhoPolicy {
    /// Proxies in front of this one that write `x-forwarded-for`: the client's address is so many from its end. With 0
    /// the header is not believed, and the peer's address counts.
    pub trusted_hops: u8,
    /// The header that names the user. Only one that a proxy in front sets, or that Envoy sets from a verified token,
    /// says who it is; a client can write any other.
    pub user_header: Option<String>,
    pub tenant_header: Option<String>,
    /// What names the user in a token that the proxy has verified. Instead of the header.
    pub user_claim: Option<Claim>,
    pub tenant_claim: Option<Claim>,
    /// Events name the user as `subject`, so that what is kept about one person can be found, given out and erased.
    pub name_in_events: bool,
}

/// A claim in the payload of a token, which Envoy's `jwt_authn` filter has verified and written down.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Claim {
    /// `payload_in_metadata` of the provider.
    pub payload: String,
    /// The names that lead to the claim: `[sub]`, or `[org, id]` for one inside of another.
    pub path: Vec<String>,
}

/// What a host knows about the sender of a request.
#[derive(Clone, Copy, Debug)]
pub struct Who<'a> {
    pub headers: &'a Headers<'a>,
    /// `source.address` of the proxy, with or without a port.
    pub peer: &'a str,
    /// A claim of a token that the proxy has verified. It goes before the header.
    pub user: Option<&'a [u8]>,
    /// Which tenant the proxy's configuration says. It goes before the header.
    pub tenant: Option<&'a [u8]>,
    pub route: &'a str,
}

/// A part of a key. Which kind it is belongs to the key: the user `10.0.0.1` is not the address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::guard) enum Part<'a> {
    Ip([u8; 16]),
    Named(u8, &'a [u8]),
    /// Nothing is known. All of those are counted together.
    Nobody,
}

impl<'a> Part<'a> {
    pub(in crate::guard) fn bytes(&self) -> (&[u8], &[u8]) {
        match self {
            Self::Ip(address) => (&[1], address),
            Self::Named(kind, name) => (core::slice::from_ref(kind), name),
            Self::Nobody => (&[0], &[]),
        }
    }
}

impl WhoPolicy {
    pub(super) fn check(&self) -> Result<(), PolicyError> {
        if self.trusted_hops > TRUSTED_HOPS_MAX {
            let reason = format!("is {}, expected {TRUSTED_HOPS_MAX} at most", self.trusted_hops);
            return Err(error("who.trusted_hops", reason));
        }
        for (field, name) in [("user_header", &self.user_header), ("tenant_header", &self.tenant_header)] {
            if let Some(name) = name.as_ref().filter(|name| !is_header_name(name)) {
                let reason = format!("is {name:?}, expected the name of a header");
                return Err(error(&format!("who.{field}"), reason));
            }
        }
        for (field, claim, header, is_header) in [
            ("user_claim", &self.user_claim, "user_header", self.user_header.is_some()),
            ("tenant_claim", &self.tenant_claim, "tenant_header", self.tenant_header.is_some()),
        ] {
            let Some(claim) = claim else { continue };
            claim.check().map_err(|(at, reason)| error(&format!("who.{field}.{at}"), reason))?;
            if is_header {
                // Whoever has no valid token would be whoever the header says.
                let reason = format!("stands beside {header}, and only one of them can say who it is");
                return Err(error(&format!("who.{field}"), reason));
            }
        }
        Ok(())
    }

    /// Where a key has nothing to count by, the client's address stands in: leaving a header out must not be a way
    /// around a limit.
    pub(super) fn part<'a>(&self, key: &RateKey, who: &Who<'a>) -> Part<'a> {
        let named = |kind, value: Option<&'a [u8]>| {
            let value = value.map(<[u8]>::trim_ascii).filter(|value| !value.is_empty());
            value.map_or_else(|| self.ip(who), |value| Part::Named(kind, value))
        };
        match key {
            RateKey::Ip => self.ip(who),
            RateKey::User => named(2, self.user(who)),
            RateKey::ApiKey => named(3, api_key(who.headers)),
            RateKey::Route => Part::Named(4, who.route.as_bytes()),
            RateKey::Tenant => named(5, self.tenant(who)),
            RateKey::Header(name) => named(6, who.headers.value(name)),
        }
    }

    pub fn user<'a>(&self, who: &Who<'a>) -> Option<&'a [u8]> {
        who.user.or_else(|| who.headers.value(self.user_header.as_deref()?))
    }

    pub fn tenant<'a>(&self, who: &Who<'a>) -> Option<&'a [u8]> {
        who.tenant.or_else(|| who.headers.value(self.tenant_header.as_deref()?))
    }

    pub(in crate::guard) fn ip<'a>(&self, who: &Who<'_>) -> Part<'a> {
        self.client_ip(who).map_or(Part::Nobody, |ip| Part::Ip(network(ip)))
    }

    /// The address that the last trusted proxy saw. A list that is shorter than there are proxies is not theirs.
    pub fn client_ip(&self, who: &Who<'_>) -> Option<IpAddr> {
        let peer = address(who.peer);
        let Some(hop) = usize::from(self.trusted_hops).checked_sub(1) else { return peer };
        let lists = who.headers.values("x-forwarded-for").collect::<Vec<_>>();
        let mut hops = lists.iter().rev().flat_map(|list| list.rsplit(|b| *b == b','));
        hops.nth(hop).and_then(|hop| address(core::str::from_utf8(hop).ok()?)).or(peer)
    }
}

impl Claim {
    fn check(&self) -> Result<(), (&'static str, String)> {
        let is_name = |name: &String| (1..=CLAIM_BYTES_MAX).contains(&name.len()) && !name.contains('\0');
        if !is_name(&self.payload) {
            return Err((
                "payload",
                format!("expected the name that payload_in_metadata has, of 1 to {CLAIM_BYTES_MAX} bytes"),
            ));
        }
        if !(1..=CLAIM_DEPTH_MAX).contains(&self.path.len()) || !self.path.iter().all(is_name) {
            let reason = format!(
                "expected 1 to {CLAIM_DEPTH_MAX} names of claims, of 1 to {CLAIM_BYTES_MAX} bytes each"
            );
            return Err(("path", reason));
        }
        Ok(())
    }

    /// Where Envoy keeps it, as a path of properties.
    pub fn property(&self) -> Vec<&str> {
        const PAYLOADS: [&str; 3] = ["metadata", "filter_metadata", "envoy.filters.http.jwt_authn"];
        let names = core::iter::once(&self.payload).chain(&self.path).map(String::as_str);
        PAYLOADS.into_iter().chain(names).collect()
    }
}

/// The key of an application, in the headers that providers read it from.
pub fn api_key<'a>(headers: &Headers<'a>) -> Option<&'a [u8]> {
    const NAMES: [&str; 4] = ["authorization", "x-api-key", "api-key", "x-goog-api-key"];
    let value = NAMES.iter().find_map(|name| headers.value(name))?.trim_ascii();
    let scheme = value.get(..7).filter(|scheme| scheme.eq_ignore_ascii_case(b"bearer "));
    Some(scheme.and_then(|scheme| value.get(scheme.len()..)).unwrap_or(value).trim_ascii())
}

pub(super) fn is_header_name(name: &str) -> bool {
    let is_token = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
    !name.is_empty() && name.bytes().all(is_token)
}

fn address(text: &str) -> Option<IpAddr> {
    let text = text.trim();
    let plain = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    plain.parse().ok().or_else(|| text.parse::<SocketAddr>().ok().map(|address| address.ip()))
}

/// Who counts as one: an address of IPv4, and 64 bits of one of IPv6, of which every customer has a whole network.
fn network(ip: IpAddr) -> [u8; 16] {
    match ip.to_canonical() {
        IpAddr::V4(ip) => ip.to_ipv6_mapped().octets(),
        IpAddr::V6(ip) => Ipv6Addr::from_bits(ip.to_bits() & !u128::from(u64::MAX)).octets(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with<T>(pairs: &[(&str, &str)], peer: &str, test: impl FnOnce(Who<'_>) -> T) -> T {
        let headers: Headers<'_> = pairs.iter().map(|(n, v)| (n.as_bytes(), v.as_bytes())).collect();
        test(Who { headers: &headers, peer, user: None, tenant: None, route: "r" })
    }

    #[track_caller]
    fn check_ip(trusted_hops: u8, pairs: &[(&str, &str)], peer: &str, expected: Option<&str>) {
        let policy = WhoPolicy { trusted_hops, ..WhoPolicy::default() };
        let ip = with(pairs, peer, |who| policy.client_ip(&who));
        assert_eq!(ip, expected.map(|ip| ip.parse().unwrap()));
    }

    #[test]
    fn the_address_is_the_one_that_the_last_trusted_proxy_saw() {
        let list = [("x-forwarded-for", "6.6.6.6, 1.1.1.1, 2.2.2.2")];
        check_ip(0, &list, "9.9.9.9:80", Some("9.9.9.9"));
        check_ip(1, &list, "9.9.9.9:80", Some("2.2.2.2"));
        check_ip(2, &list, "9.9.9.9:80", Some("1.1.1.1"));
        check_ip(4, &list, "9.9.9.9:80", Some("9.9.9.9"));
        check_ip(1, &[], "[2001:db8::1]:80", Some("2001:db8::1"));
        check_ip(1, &[("x-forwarded-for", "junk")], "9.9.9.9", Some("9.9.9.9"));
        let two = [("x-forwarded-for", "6.6.6.6"), ("X-Forwarded-For", "[2001:db8::2]:443")];
        check_ip(1, &two, "", Some("2001:db8::2"));
        check_ip(2, &two, "", Some("6.6.6.6"));
        check_ip(0, &[], "", None);
    }

    #[test]
    fn a_network_of_ipv6_is_one_client() {
        let of = |ip: &str| network(ip.parse().unwrap());
        assert_eq!(of("2001:db8::1"), of("2001:db8::ffff:1"));
        assert_ne!(of("2001:db8::1"), of("2001:db8:0:1::1"));
        assert_eq!(of("::ffff:1.2.3.4"), of("1.2.3.4"));
        assert_ne!(of("1.2.3.4"), of("1.2.3.5"));
    }

    #[test]
    fn the_same_key_comes_with_or_without_its_scheme() {
        for (name, value) in
            [("authorization", "Bearer sk-1"), ("Authorization", "bearer  sk-1"), ("x-api-key", "sk-1")]
        {
            with(&[(name, value)], "", |who| assert_eq!(api_key(who.headers), Some(&b"sk-1"[..])));
        }
        with(&[], "", |who| assert_eq!(api_key(who.headers), None));
    }

    #[test]
    fn a_claim_is_named_by_where_it_stands_and_nothing_stands_beside_it() {
        let claim = |path: &[&str]| {
            Some(Claim { payload: "jwt".into(), path: path.iter().map(|name| (*name).into()).collect() })
        };
        let policy = WhoPolicy { user_claim: claim(&["org", "id"]), ..WhoPolicy::default() };
        assert_eq!(policy.check(), Ok(()));
        let path = ["metadata", "filter_metadata", "envoy.filters.http.jwt_authn", "jwt", "org", "id"];
        assert_eq!(policy.user_claim.as_ref().map(Claim::property), Some(path.to_vec()));
        let field = |policy: WhoPolicy| policy.check().err().map(|error| error.field);
        let both = WhoPolicy { user_header: Some("x-user".into()), ..policy };
        assert_eq!(field(both).as_deref(), Some("who.user_claim"));
        for path in [&[][..], &[""], &["a\0b"], &["a"; 9]] {
            let policy = WhoPolicy { tenant_claim: claim(path), ..WhoPolicy::default() };
            assert_eq!(field(policy).as_deref(), Some("who.tenant_claim.path"), "{path:?}");
        }
    }

    #[test]
    fn who_leaves_a_header_out_is_counted_by_address() {
        let policy = WhoPolicy { user_header: Some("x-user".into()), ..WhoPolicy::default() };
        let user = |pairs: &[(&str, &str)]| {
            with(pairs, "1.2.3.4", |who| match policy.part(&RateKey::User, &who) {
                Part::Named(_, name) => String::from_utf8_lossy(name).into_owned(),
                Part::Ip(ip) => format!("{ip:?}"),
                Part::Nobody => "nobody".into(),
            })
        };
        assert_eq!(user(&[("x-user", "ann")]), "ann");
        assert_eq!(user(&[("x-user", " ")]), format!("{:?}", network("1.2.3.4".parse().unwrap())));
        let bytes = |part: Part<'_>| part.bytes().0.to_vec();
        assert_ne!(bytes(Part::Named(2, b"x")), bytes(Part::Named(3, b"x")));
    }
}
