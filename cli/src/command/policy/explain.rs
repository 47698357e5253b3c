//! `sentinel policy explain`: what is in force, for all traffic or for one request, and where it was said.

use std::{fmt::Write, path::PathBuf};

use sentinel_core::{
    http::Headers,
    policy::{Caller, Exemption, Policy, Profile, Route, Tenant, TenantVerdict},
};
use serde_json::{Value, json};

use super::{
    Clock,
    effective::{self, said},
};
use crate::{
    document::{self, Kind, Loaded, Node},
    report::{Fault, Report, as_json},
};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// YAML or JSON; without it: the built-in policy.
    file: Option<PathBuf>,
    /// The file is a whole plugin configuration.
    #[arg(long, requires = "file")]
    plugin: bool,
    #[command(flatten)]
    request: RequestArgs,
    #[command(flatten)]
    clock: Clock,
}

#[derive(Debug, clap::Args)]
#[group(multiple = true)]
struct RequestArgs {
    /// Of the request, with or without a query.
    #[arg(long)]
    path: Option<String>,
    #[arg(long)]
    host: Option<String>,
    #[arg(long)]
    method: Option<String>,
    /// As `name: value`; can be given more than once.
    #[arg(long, value_name = "NAME:VALUE", value_parser = parse_header)]
    header: Vec<(String, String)>,
    /// Puts this name into the header that `tenants.key` names.
    #[arg(long)]
    tenant: Option<String>,
    /// The address of the client.
    #[arg(long, value_name = "IP")]
    client: Option<String>,
}

impl RequestArgs {
    fn is_given(&self) -> bool {
        let Self { path, host, method, header, tenant, client } = self;
        [path, host, method, tenant, client].iter().any(|given| given.is_some()) || !header.is_empty()
    }

    fn headers(&self, policy: &Policy) -> Result<Vec<(String, String)>, Fault> {
        let pseudo = [
            (":path", self.path.as_deref().unwrap_or("/v1/chat/completions")),
            (":authority", self.host.as_deref().unwrap_or("")),
            (":method", self.method.as_deref().unwrap_or("POST")),
        ];
        let pseudo = pseudo.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let mut headers: Vec<_> = pseudo.into_iter().chain(self.header.iter().cloned()).collect();
        if let Some(tenant) = &self.tenant {
            let key = policy.tenants.as_ref().and_then(|tenants| tenants.key.get());
            let key = key.ok_or_else(|| Fault::Input("--tenant: the policy has no tenants".into()))?;
            headers.push((key.0.clone(), tenant.clone()));
        }
        Ok(headers)
    }
}

fn parse_header(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once(':').ok_or("expected `name: value`")?;
    Ok((name.trim().to_ascii_lowercase(), value.trim().to_owned()))
}

pub(crate) fn run(args: &Args) -> Result<Report, Fault> {
    let kind = if args.plugin { Kind::Plugin } else { Kind::Policy };
    let loaded = match &args.file {
        Some(file) => document::load(file, kind)?,
        None => document::read("{}", kind)?.map_err(|_| Fault::Internal("the built-in policy".into()))?,
    };
    let policy = loaded.engine.policy();
    if !args.request.is_given() {
        let policy = effective::explained(policy);
        let text = serde_json::to_string_pretty(&policy).map_err(|e| Fault::Internal(e.to_string()))?;
        return Ok(Report { text, json: as_json(&policy)?, code: 0 });
    }
    let owned = args.request.headers(policy)?;
    let headers: Headers<'_> =
        owned.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes())).collect();
    let route = policy.route(&headers);
    let guarded = route.filter(|route| route.guard);
    let tenant = guarded.map(|route| policy.tenant(&headers, route));
    let name = tenant.and_then(|tenant| tenant.name);
    let caller = Caller { address: args.request.client.as_deref(), headers: &headers, tenant: name };
    let now = args.clock.now();
    let applies =
        |exemption: &&Exemption| exemption.applies(guarded.map(|route| route.name.as_str()), &caller, now);
    let exemptions = policy.exemptions.iter().filter(|_| guarded.is_some()).filter(applies).collect();
    Explanation { loaded: &loaded, headers: &headers, route, tenant, exemptions }.report()
}

struct Explanation<'a> {
    loaded: &'a Loaded,
    headers: &'a Headers<'a>,
    route: Option<&'a Route>,
    /// Only of traffic that is guarded.
    tenant: Option<Tenant<'a>>,
    exemptions: Vec<&'a Exemption>,
}

/// Where a value comes from.
struct Origin {
    /// The field that says it; none: nobody, it is the default.
    field: Option<(String, u64, u64)>,
}

impl Explanation<'_> {
    fn report(&self) -> Result<Report, Fault> {
        let mut text = String::new();
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{}", self.routing());
        let passed: Vec<Value> =
            self.passed().map(|(name, part)| json!({ "route": name, "part": part })).collect();
        for (name, part) in self.passed() {
            let _ = writeln!(text, "  not {name:?}: {part} does not match");
        }
        let chosen = self.profile();
        let mut values = Vec::new();
        match &chosen {
            Some((name, why)) => {
                let _ = writeln!(text, "profile {name:?}: {why}");
                for (field, value, origin) in self.values(name)? {
                    let _ = writeln!(text, "  {field} = {}  ({})", said(&value), origin.said());
                    values.push(origin.json(&field, value));
                }
            }
            None if self.tenant.is_some() => {
                text.push_str("refused: it names no tenant that policy knows (tenants.unknown: block)\n");
            }
            None => text.push_str("forwarded unread\n"),
        }
        let headers = &self.loaded.engine.policy().emit.headers;
        let emitted: Vec<&str> = headers.iter().map(|header| header.name()).collect();
        if chosen.is_some() {
            let origin = self.origin("emit.headers");
            let _ = writeln!(text, "headers of a tag: {}  ({})", emitted.join(", "), origin.said());
            if self.exemptions.is_empty() {
                text.push_str("exemptions in force: none\n");
            }
        }
        for exemption in &self.exemptions {
            let (rules, until) = (exemption.rules.join(", "), exemption.until.as_str());
            let _ = writeln!(text, "exempt: {rules} until {until}: {}", exemption.reason);
        }
        let is_refused = self.tenant.is_some() && chosen.is_none();
        let json = json!({
            "route": self.route.map(|route| &route.name),
            "why": self.routing(),
            "passed": passed,
            "guarded": self.tenant.is_some(),
            "refused": is_refused,
            "tenant": self.tenant.and_then(|tenant| tenant.name),
            "profile": chosen.as_ref().map(|(name, _)| name),
            "profile_from": chosen.as_ref().map(|(_, why)| why),
            "values": values,
            "headers": emitted,
            "exemptions": as_json(&self.exemptions)?,
        });
        Ok(Report { text, json, code: 0 })
    }

    fn routing(&self) -> String {
        let Some(route) = self.route else { return "no route matches".into() };
        let field = self.place_of(route);
        let matches = &route.matches;
        let given = [
            ("path", matches.path.is_some()),
            ("host", matches.host.is_some()),
            ("methods", !matches.methods.is_empty()),
            ("headers", !matches.headers.is_empty()),
            ("content_types", !matches.content_types.is_empty()),
        ];
        let parts: Vec<&str> = given.iter().filter(|(_, given)| *given).map(|(name, _)| *name).collect();
        let why = match parts.as_slice() {
            [] => "it matches everything".into(),
            parts => format!("{} match", parts.join(", ")),
        };
        let guard = if route.guard { "" } else { ", and it does not guard" };
        format!("route {:?}{field}: {why}{guard}", route.name)
    }

    /// ` (line 3)`, where the document has routes at all.
    fn place_of(&self, route: &Route) -> String {
        let mut routes = self.loaded.engine.policy().routes.iter();
        let number = routes.position(|other| std::ptr::eq(other, route)).unwrap_or_default();
        match self.origin(&format!("routes[{number}]")).field {
            Some((_, line, _)) => format!(" (line {line})"),
            None => " (default)".into(),
        }
    }

    /// Routes before the one that matched, and what of them does not.
    fn passed(&self) -> impl Iterator<Item = (&str, String)> {
        let routes = self.loaded.engine.policy().routes.iter();
        let before =
            routes.take_while(move |route| self.route.is_none_or(|taken| !std::ptr::eq(*route, taken)));
        before.filter_map(move |route| {
            Some((route.name.as_str(), route.matches.mismatch(self.headers, route.guard)?))
        })
    }

    fn profile(&self) -> Option<(String, String)> {
        let (route, tenant) = (self.route?, self.tenant?);
        let of_route = || format!("as route {:?} says", route.name);
        let TenantVerdict::Profile(name) = tenant.verdict else {
            // Watching refuses nothing.
            let policy = self.loaded.engine.policy();
            let watches = policy.profile(&route.profile).is_some_and(Profile::watches);
            return watches.then(|| (route.profile.clone(), of_route()));
        };
        let why = match (tenant.name, tenant.is_listed) {
            (Some(tenant), true) => format!("as tenants say for {tenant:?}"),
            _ if std::ptr::eq(name, route.profile.as_str()) => of_route(),
            (Some(tenant), false) => format!("as tenants say for unknown ones such as {tenant:?}"),
            (None, _) => "as tenants say for who names none".into(),
        };
        Some((name.into(), why))
    }

    fn values(&self, name: &str) -> Result<Vec<(String, Value, Origin)>, Fault> {
        let profiles = effective::profiles(self.loaded.engine.policy());
        let profile = profiles.get(name).ok_or_else(|| Fault::Internal(format!("no profile {name:?}")))?;
        let values = effective::flat(&profile.explained())?;
        let origin = |(field, value): (String, Value)| {
            let origin = self.origin_in(name, &field);
            (field, value, origin)
        };
        Ok(values.into_iter().map(origin).collect())
    }

    /// A value of a profile may follow from another one.
    fn origin_in(&self, profile: &str, field: &str) -> Origin {
        let own = self.origin(&format!("profiles.{profile}.{field}"));
        if own.field.is_some() {
            return own;
        }
        let parts: Vec<&str> = field.split('.').collect();
        let from = match parts.as_slice() {
            ["channels" | "detectors", _, "level"] => "level".into(),
            ["channels", _, what @ ("tag" | "block")] => format!("thresholds.{what}"),
            ["on_gap", _, "second_look" | "opinion"] => "detectors.model.on_gap".into(),
            ["on_gap", _, "length"] => "limits.on_limit".into(),
            ["on_gap", _, "detector_error"] => return self.origin_of_whole("fail"),
            _ => return own,
        };
        self.origin(&format!("profiles.{profile}.{from}"))
    }

    /// Of a field of the policy.
    fn origin(&self, field: &str) -> Origin {
        self.origin_of_whole(&format!("{}{field}", self.loaded.prefix))
    }

    fn origin_of_whole(&self, field: &str) -> Origin {
        let document: &Node = &self.loaded.document;
        let found = document.find(field);
        Origin { field: found.is_whole.then(|| (field.to_owned(), found.at.line, found.at.column)) }
    }
}

impl Origin {
    fn said(&self) -> String {
        match &self.field {
            Some((field, line, _)) => format!("line {line}, {field}"),
            None => "default".into(),
        }
    }

    fn json(&self, field: &str, value: Value) -> Value {
        let (said_by, line, column) = match &self.field {
            Some((field, line, column)) => (Some(field), Some(line), Some(column)),
            None => (None, None, None),
        };
        json!({ "field": field, "value": value, "from": said_by, "line": line, "column": column })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_given_as_they_are_sent() {
        assert_eq!(parse_header("X-App: a:b"), Ok(("x-app".into(), "a:b".into())));
        assert!(parse_header("nothing").is_err());
    }
}
