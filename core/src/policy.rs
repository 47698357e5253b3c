//! The policy document `sentinel.policy/1`: which traffic is guarded and what a finding leads to.
//!
//! The types are the schema: an unknown field is an error, every field has a default, and writing a parsed
//! document out again shows every default that is in force (`sentinel policy explain`). Checks that the types
//! cannot say are in [`Policy::check`], so that a policy that loads is a policy that works.

mod client;
mod detector;
mod emit;
mod error;
mod events;
mod exempt;
mod gaps;
mod inline;
mod moment;
mod names;
mod opinion;
mod parsed;
mod path;
mod profile;
mod route;
mod settings;
mod tenant;
mod trace;

pub use client::{Caller, Client, HeaderKey};
pub use detector::{DetectorName, DetectorPolicy, Detectors};
pub use emit::{Emit, EmitHeader};
pub use error::PolicyError;
pub use events::{EventPolicy, KeepContent};
pub use exempt::Exemption;
pub use gaps::{GapAction, GapPolicy};
pub use inline::InlineRule;
pub use moment::Until;
pub use names::DETECTORS;
pub use opinion::OpinionPolicy;
pub use parsed::Parsed;
pub use profile::{ChannelPolicy, MaskStyle, Mode, Profile, RuleAction, Thresholds};
pub use route::{Route, RouteMatch};
pub use settings::{
    AcceptEncoding, BODY_BYTES_DEFAULT, BODY_BYTES_LIMIT, Drift, KnownTextsPolicy, Limits, ModelPolicy,
    OnLimit, PROMPT_CHARS_DEFAULT, RESPONSE_CHARS_DEFAULT, ResponsePolicy, Restore, ToolPolicy,
};
pub use tenant::{Tenant, TenantVerdict, Tenants, UnknownTenant};
pub use trace::TracePolicy;

pub(crate) use events::MAX_BYTES_MAX as CONTENT_BYTES_MAX;
pub(crate) use exempt::InForce;

use alloc::{collections::BTreeMap, string::String, vec::Vec};

use sentinel_model::{Family, fold};
use serde::{Deserialize, Serialize};

use self::error::Complaints;
use crate::{
    guard::{RatePolicy, SessionPolicy},
    http::Headers,
    step::Time,
};

pub const SCHEMA: &str = "sentinel.policy/1";

/// The profile that routes use unless they name another, and that exists even if the document has no profiles.
pub const DEFAULT_PROFILE: &str = "default";

pub const CANARIES_MAX: usize = 64;
pub const CANARY_BYTES_MIN: usize = 8;
pub const CANARY_BYTES_MAX: usize = 256;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct Policy {
    #[cfg_attr(feature = "schema", schemars(extend("const" = SCHEMA)))]
    pub schema: String,
    /// The first route that matches decides. Traffic that no route matches is forwarded and recorded as not guarded.
    pub routes: Vec<Route>,
    pub profiles: BTreeMap<String, Profile>,
    pub tenants: Option<Tenants>,
    pub exemptions: Vec<Exemption>,
    /// Texts that must never leave, whatever the profile: in no answer, and in no arguments of tools.
    pub canaries: Vec<String>,
    /// Rules of this policy's own.
    pub patterns: Vec<InlineRule>,
    pub emit: Emit,
    /// How many requests and tokens somebody may use.
    pub rates: RatePolicy,
    /// What makes requests one session, and what its risk leads to.
    pub session: SessionPolicy,
    pub known_texts: KnownTextsPolicy,
    /// What events say for traces.
    pub trace: TracePolicy,
}

impl Default for Policy {
    /// The safe built-in policy: whatever carries a body is guarded and enforced.
    fn default() -> Self {
        let everything = Route {
            name: "all".into(),
            matches: RouteMatch::default(),
            profile: default_profile_name(),
            guard: true,
        };
        Self {
            schema: SCHEMA.into(),
            routes: Vec::from([everything]),
            profiles: BTreeMap::from([(default_profile_name(), Profile::default())]),
            tenants: None,
            exemptions: Vec::new(),
            canaries: Vec::new(),
            patterns: Vec::new(),
            emit: Emit::default(),
            rates: RatePolicy::default(),
            session: SessionPolicy::default(),
            known_texts: KnownTextsPolicy::default(),
            trace: TracePolicy::default(),
        }
    }
}

impl Policy {
    /// Everything that the types do not say. `rules` are the rule ids that exist.
    pub fn check<'a>(&self, rules: impl Iterator<Item = &'a str> + Clone) -> Result<(), PolicyError> {
        self.complaints(rules).into_iter().next().map_or(Ok(()), Err)
    }

    /// The same, and not only the first. Expressions of `patterns` are checked where they are compiled.
    pub fn complaints<'a>(&self, rules: impl Iterator<Item = &'a str> + Clone) -> Vec<PolicyError> {
        let mut list = Vec::new();
        let mut complaints = Complaints::new(&mut list);
        if self.schema != SCHEMA {
            complaints.add("schema", alloc::format!("is {:?}, expected {SCHEMA:?}", self.schema));
        }
        for (idx, route) in self.routes.iter().enumerate() {
            let mut complaints = complaints.at(&alloc::format!("routes[{idx}]"));
            if let Some(reason) = self.no_profile(&route.profile) {
                complaints.add("profile", reason);
            }
            route.matches.check(&mut complaints.at("match"));
        }
        for (name, profile) in &self.profiles {
            profile.check(&rules, &mut complaints.at(&alloc::format!("profiles.{name}")));
        }
        if let Some(tenants) = &self.tenants {
            tenants.check(|name| self.no_profile(name), &mut complaints);
        }
        let routes: Vec<&str> = self.routes.iter().map(|route| route.name.as_str()).collect();
        exempt::check(&self.exemptions, &routes, &rules, &mut complaints);
        check_canaries(&self.canaries, &mut complaints);
        inline::check(&self.patterns, &mut complaints);
        if let Err(error) = self.rates.check() {
            complaints.add(&alloc::format!("rates.{}", error.field), error.reason);
        }
        if let Err(error) = self.session.check() {
            complaints.add(&alloc::format!("session.{}", error.field), error.reason);
        }
        list
    }

    fn no_profile(&self, name: &str) -> Option<String> {
        let exists = name == DEFAULT_PROFILE || self.profiles.contains_key(name);
        (!exists).then(|| {
            let known: Vec<&str> = self.profiles.keys().map(String::as_str).collect();
            alloc::format!("there is no profile {name:?}; there are {known:?}")
        })
    }

    /// No profile uses a rule above this level.
    pub(crate) fn level_max(&self) -> u8 {
        let levels = self.profiles.values().map(Profile::level_max);
        levels.fold(Profile::default().level, u8::max)
    }

    pub fn profile(&self, name: &str) -> Option<&Profile> {
        self.profiles.get(name)
    }

    /// The first route that matches a request.
    pub fn route(&self, headers: &Headers<'_>) -> Option<&Route> {
        self.routes.iter().find(|route| route.matches.matches(headers, route.guard))
    }

    /// Who sends a request on a route, and which profile that means.
    pub fn tenant<'a>(&'a self, headers: &Headers<'a>, route: &'a Route) -> Tenant<'a> {
        match &self.tenants {
            Some(tenants) => tenants.of(headers, route),
            None => Tenant { name: None, is_listed: false, verdict: TenantVerdict::Profile(&route.profile) },
        }
    }

    /// Numbers of the exemptions that are about a request: what [`Policy::in_force`] takes.
    pub fn exemptions_for(&self, route: Option<&str>, caller: &Caller<'_>, now: Time) -> Vec<u16> {
        let all = self.exemptions.iter().enumerate();
        all.filter(|(_, exemption)| exemption.applies(route, caller, now))
            .map(|(idx, _)| idx as u16)
            .collect()
    }

    /// The exemption that a finding of this rule falls under.
    pub fn exempt(
        &self,
        rule: &str,
        family: Family,
        route: Option<&str>,
        caller: &Caller<'_>,
        now: Time,
    ) -> Option<&Exemption> {
        let covers =
            |exemption: &&Exemption| exemption.covers(rule, family) && exemption.applies(route, caller, now);
        self.exemptions.iter().find(covers)
    }

    pub(crate) fn in_force<'a>(&'a self, numbers: &'a [u16]) -> InForce<'a> {
        InForce { exemptions: &self.exemptions, numbers }
    }
}

/// Shorter ones stand in harmless texts; none of them is named in the error, which goes into logs.
fn check_canaries(canaries: &[String], complaints: &mut Complaints<'_>) {
    if canaries.len() > CANARIES_MAX {
        let reason = alloc::format!("has {} texts, expected at most {CANARIES_MAX}", canaries.len());
        complaints.add("canaries", reason);
    }
    for (idx, canary) in canaries.iter().enumerate() {
        // Compared without regard to case and to characters that show nothing.
        let len = fold::fold_word(canary).trim().len();
        if !(CANARY_BYTES_MIN..=CANARY_BYTES_MAX).contains(&len) {
            let reason = alloc::format!("has {len} bytes, expected {CANARY_BYTES_MIN} to {CANARY_BYTES_MAX}");
            complaints.add(&alloc::format!("canaries[{idx}]"), reason);
        }
    }
}

fn default_profile_name() -> String {
    DEFAULT_PROFILE.into()
}

const fn yes() -> bool {
    true
}

#[cfg(test)]
mod tests {
    use alloc::string::ToString;

    use super::*;

    #[track_caller]
    fn complaint_about(canaries: &[&str]) -> String {
        let canaries = canaries.iter().map(ToString::to_string).collect();
        let policy = Policy { canaries, ..Policy::default() };
        policy.check(core::iter::empty()).err().map_or_else(String::new, |error| error.to_string())
    }

    #[test]
    fn canaries_are_neither_short_nor_many_and_errors_do_not_name_them() {
        assert_eq!(complaint_about(&["periwinkle", "12345678"]), "");
        assert_eq!(complaint_about(&["periwinkle", "kite"]), "canaries[1]: has 4 bytes, expected 8 to 256");
        let hidden = "k\u{200b}i\u{200b}t\u{200b}e";
        assert_eq!(complaint_about(&[hidden]), "canaries[0]: has 4 bytes, expected 8 to 256");
        assert_eq!(complaint_about(&["periwinkle"; 65]), "canaries: has 65 texts, expected at most 64");
    }

    fn policy(text: &str) -> Policy {
        serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}"))
    }

    fn fields(policy: &Policy) -> Vec<String> {
        policy.complaints(["pii/card"].into_iter()).into_iter().map(|error| error.field).collect()
    }

    #[test]
    fn what_is_wrong_in_several_places_is_said_of_each() {
        let policy = policy(
            r#"{"schema": "x", "routes": [{"name": "a", "profile": "strikt", "match": {"path": "v1"}}],
                "profiles": {"strict": {"level": 7}},
                "tenants": {"key": "x-tenant", "profiles": {"acme": "strikt"}, "unknown": {"profile": "no"}},
                "exemptions": [{"routes": ["b"], "clients": ["10.0.0.1"], "rules": ["pii/cart"], "until": "soon",
                                "reason": ""}],
                "canaries": ["short"]}"#,
        );
        let expected = [
            "schema",
            "routes[0].profile",
            "routes[0].match.path",
            "profiles.strict.level",
            "tenants.key",
            "tenants.profiles.acme",
            "tenants.unknown.profile",
            "exemptions[0].routes[0]",
            "exemptions[0].clients[0]",
            "exemptions[0].rules[0]",
            "exemptions[0].until",
            "exemptions[0].reason",
            "canaries[0]",
        ];
        assert_eq!(fields(&policy), expected);
    }

    #[test]
    fn a_tenant_has_its_profile_and_others_what_is_said_of_them() {
        let at = |unknown: &str, lines: &[&str]| {
            let policy = policy(&alloc::format!(
                r#"{{"routes": [{{"name": "a", "profile": "lax"}}], "profiles": {{"lax": {{}}, "strict": {{}}}},
                    "tenants": {{"key": "header:X-Tenant", "profiles": {{"acme": "strict"}}, "unknown": {unknown}}}}}"#
            ));
            assert_eq!(fields(&policy), [""; 0]);
            let headers = lines.iter().map(|line| (&b"x-tenant"[..], line.as_bytes())).collect();
            let tenant = policy.tenant(&headers, &policy.routes[0]);
            let verdict = match tenant.verdict {
                TenantVerdict::Profile(name) => name.to_string(),
                TenantVerdict::Refused => "refused".into(),
            };
            (tenant.name.map(ToString::to_string), tenant.is_listed, verdict)
        };
        let acme = (Some("acme".into()), true, "strict".into());
        for unknown in ["\"route\"", "\"block\"", "{\"profile\": \"strict\"}"] {
            assert_eq!(at(unknown, &["acme"]), acme);
            assert_eq!(at(unknown, &[" acme "]), acme);
            assert_eq!(at(unknown, &["acme", "acme"]), acme);
        }
        for (unknown, verdict) in
            [("\"route\"", "lax"), ("\"block\"", "refused"), ("{\"profile\": \"strict\"}", "strict")]
        {
            assert_eq!(at(unknown, &["other"]), (Some("other".into()), false, verdict.into()));
            for nobody in [&[][..], &["acme", "other"], &[" "]] {
                assert_eq!(at(unknown, nobody), (None, false, verdict.into()));
            }
        }
    }

    #[test]
    fn an_exemption_is_for_its_route_its_client_its_rules_and_its_time() {
        let policy = policy(
            r#"{"routes": [{"name": "a"}, {"name": "b"}],
                "exemptions": [{"routes": ["a"], "clients": ["ip:10.0.0.0/8", "tenant:acme"], "rules": ["pii"],
                                "until": "2027-03-31", "reason": "load test"}]}"#,
        );
        assert_eq!(fields(&policy), [""; 0]);
        let now: Time = "2027-03-31T23:59:59Z".parse().expect("a time");
        let later: Time = "2027-04-01".parse().expect("a time");
        let headers = Headers::default();
        let of = |address, tenant| Caller { address, headers: &headers, tenant };
        let load = of(Some("10.9.9.9:77"), None);
        let reason = |rule, family, route, caller: &Caller<'_>, now| {
            policy.exempt(rule, family, Some(route), caller, now).map(|exemption| exemption.reason.as_str())
        };
        assert_eq!(reason("pii/card", Family::Pii, "a", &load, now), Some("load test"));
        assert_eq!(reason("pii/card", Family::Pii, "a", &of(None, Some("acme")), now), Some("load test"));
        assert_eq!(reason("pii/card", Family::Pii, "a", &of(Some("192.0.2.1"), Some("other")), now), None);
        assert_eq!(reason("pii/card", Family::Pii, "b", &load, now), None);
        assert_eq!(reason("secret/jwt", Family::Secret, "a", &load, now), None);
        assert_eq!(reason("pii/card", Family::Pii, "a", &load, later), None);
        assert_eq!(policy.exemptions_for(Some("a"), &load, now), [0]);
        assert_eq!(policy.in_force(&[0]).reason("pii/card", Family::Pii), Some("load test"));
        assert!(policy.exemptions_for(Some("a"), &load, later).is_empty());
    }

    #[test]
    fn a_policy_of_before_means_what_it_meant() {
        let before =
            policy(r#"{"profiles": {"default": {"channels": {"user": {"tag": 0.2, "block": 0.3}}}}}"#);
        assert_eq!((before.tenants.as_ref(), before.exemptions.len()), (None, 0));
        assert_eq!(before.emit.headers, EmitHeader::ALL);
    }
}
