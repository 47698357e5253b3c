//! Exemptions: whom a rule does not concern, until when, and why.

use alloc::{format, string::String, vec::Vec};

use sentinel_model::Family;
use serde::{Deserialize, Serialize};

use super::{
    client::{Caller, Client},
    error::Complaints,
    moment::Until,
    names,
    parsed::Parsed,
};
use crate::step::Time;

/// A finding that is exempt stands in the event with the reason, and moves nothing.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Exemption {
    /// Names of routes; none: any route.
    #[serde(default)]
    pub routes: Vec<String>,
    /// `ip:ADDRESS`, `ip:ADDRESS/BITS`, `header:NAME=VALUE` or `tenant:NAME`; one is enough. None: anybody.
    #[serde(default)]
    pub clients: Vec<Parsed<Client>>,
    /// Ids of rules, detectors or families.
    pub rules: Vec<String>,
    /// A date, which holds to its end in UTC, or a time of RFC 3339. Afterwards the exemption does nothing.
    pub until: Parsed<Until>,
    /// Stands in the events of what was let by.
    pub reason: String,
}

/// Much longer ones do not explain more, and stand in every event.
const REASON_BYTES_MAX: usize = 200;
const EXEMPTIONS_MAX: usize = 256;

impl Exemption {
    pub fn is_expired(&self, now: Time) -> bool {
        self.until.get().is_none_or(|until| now >= until.0)
    }

    /// Whether it is about this exchange.
    pub fn applies(&self, route: Option<&str>, caller: &Caller<'_>, now: Time) -> bool {
        let on_route =
            || self.routes.is_empty() || self.routes.iter().any(|name| Some(name.as_str()) == route);
        let is_client = |client: &Parsed<Client>| client.get().is_some_and(|client| client.is(caller));
        let to_client = || self.clients.is_empty() || self.clients.iter().any(is_client);
        !self.is_expired(now) && on_route() && to_client()
    }

    pub fn covers(&self, rule: &str, family: Family) -> bool {
        self.rules.iter().any(|name| names::covers(name, rule, family))
    }
}

pub(super) fn check<'a>(
    exemptions: &[Exemption],
    routes: &[&str],
    rules: &(impl Iterator<Item = &'a str> + Clone),
    complaints: &mut Complaints<'_>,
) {
    if exemptions.len() > EXEMPTIONS_MAX {
        let reason = format!("has {} entries, expected at most {EXEMPTIONS_MAX}", exemptions.len());
        complaints.add("exemptions", reason);
    }
    for (idx, exemption) in exemptions.iter().enumerate() {
        let mut complaints = complaints.at(&format!("exemptions[{idx}]"));
        for (at, name) in exemption.routes.iter().enumerate() {
            if !routes.contains(&name.as_str()) {
                complaints.add(
                    &format!("routes[{at}]"),
                    format!("there is no route {name:?}; there are {routes:?}"),
                );
            }
        }
        for (at, client) in exemption.clients.iter().enumerate() {
            if let Some(reason) = client.complaint() {
                complaints.add(&format!("clients[{at}]"), reason);
            }
        }
        if exemption.rules.is_empty() {
            complaints.add("rules", "is empty: nothing would be exempt".into());
        }
        for (at, name) in exemption.rules.iter().enumerate() {
            if let Some(reason) = names::complaint(name, rules.clone()) {
                complaints.add(&format!("rules[{at}]"), reason);
            }
        }
        if let Some(reason) = exemption.until.complaint() {
            complaints.add("until", reason);
        }
        let reason = exemption.reason.trim();
        if reason.is_empty() || reason.len() > REASON_BYTES_MAX {
            let reason = format!("has {} bytes, expected 1 to {REASON_BYTES_MAX}", reason.len());
            complaints.add("reason", reason);
        }
    }
}

/// Those that are about one exchange, by their numbers: they are looked for once, and asked for every finding.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct InForce<'a> {
    pub(super) exemptions: &'a [Exemption],
    pub(super) numbers: &'a [u16],
}

impl<'a> InForce<'a> {
    pub(crate) fn reason(&self, rule: &str, family: Family) -> Option<&'a str> {
        let mut all = self.numbers.iter().filter_map(|number| self.exemptions.get(usize::from(*number)));
        all.find(|exemption| exemption.covers(rule, family)).map(|exemption| exemption.reason.as_str())
    }
}
