//! Tenants: the profile that each of them has, by a header that says who it is.

use alloc::{collections::BTreeMap, format, string::String};

use serde::{Deserialize, Serialize};

use super::{Route, client::HeaderKey, error::Complaints, parsed::Parsed};
use crate::http::Headers;

/// The header is believed: whoever authenticates clients has to set it, and to take it away from all others.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Tenants {
    /// `header:NAME`: where the name of the tenant stands.
    pub key: Parsed<HeaderKey>,
    /// The profile of each tenant. It goes before that of the route.
    #[serde(default)]
    pub profiles: BTreeMap<String, String>,
    #[serde(default)]
    pub unknown: UnknownTenant,
}

/// What is done for a tenant that is not listed, and for a request that names none.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum UnknownTenant {
    /// What the route says.
    #[default]
    Route,
    /// The request is refused.
    Block,
    /// This profile.
    Profile(String),
}

/// Who sends a request, and what that means for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tenant<'a> {
    /// As the request says, listed or not.
    pub name: Option<&'a str>,
    /// The name stands in `tenants.profiles`.
    pub is_listed: bool,
    pub verdict: TenantVerdict<'a>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TenantVerdict<'a> {
    Profile(&'a str),
    Refused,
}

impl Tenants {
    pub(super) fn of<'a>(&'a self, headers: &Headers<'a>, route: &'a Route) -> Tenant<'a> {
        let name = self.name(headers);
        let listed = name.and_then(|name| self.profiles.get(name));
        let verdict = match (listed, &self.unknown) {
            (Some(profile), _) | (None, UnknownTenant::Profile(profile)) => TenantVerdict::Profile(profile),
            (None, UnknownTenant::Route) => TenantVerdict::Profile(&route.profile),
            (None, UnknownTenant::Block) => TenantVerdict::Refused,
        };
        Tenant { name, is_listed: listed.is_some(), verdict }
    }

    /// Two lines with different names name nobody.
    fn name<'a>(&self, headers: &Headers<'a>) -> Option<&'a str> {
        let header = &self.key.get()?.0;
        let mut lines = headers.values(header);
        let first = lines.next()?;
        if lines.any(|line| line != first) {
            return None;
        }
        core::str::from_utf8(first).ok().map(str::trim).filter(|name| !name.is_empty())
    }

    pub(super) fn check(
        &self,
        has_profile: impl Fn(&str) -> Option<String>,
        complaints: &mut Complaints<'_>,
    ) {
        let mut complaints = complaints.at("tenants");
        if let Some(reason) = self.key.complaint() {
            complaints.add("key", reason);
        }
        for (tenant, profile) in &self.profiles {
            if tenant.trim() != tenant || tenant.is_empty() {
                let reason = "no request can name this tenant: it is empty or has spaces around it";
                complaints.add(&format!("profiles.{tenant}"), reason.into());
            }
            if let Some(reason) = has_profile(profile) {
                complaints.add(&format!("profiles.{tenant}"), reason);
            }
        }
        if let UnknownTenant::Profile(profile) = &self.unknown
            && let Some(reason) = has_profile(profile)
        {
            complaints.add("unknown.profile", reason);
        }
    }
}
