//! What a policy may say, and hardly anybody means.

use std::collections::BTreeSet;

use sentinel_core::{
    Time,
    policy::{DEFAULT_PROFILE, DetectorName, Policy, Route, RouteMatch, Thresholds, UnknownTenant},
};

use crate::document::{Loaded, Problem};

pub(crate) fn warnings(loaded: &Loaded, now: Time) -> Vec<Problem> {
    let policy = loaded.engine.policy();
    let found = [
        guards_nothing(policy),
        unreachable(policy),
        unused(policy),
        thresholds(policy),
        expired(policy, now),
    ];
    let at_place = |(field, reason): (String, String)| {
        let field = format!("{}{field}", loaded.prefix);
        let at = Some(loaded.document.find(&field).at);
        Problem { at, field, reason, nearest: None }
    };
    let mut problems: Vec<Problem> = found.into_iter().flatten().map(at_place).collect();
    problems.sort_by_key(|problem| problem.at);
    problems
}

type Found = Vec<(String, String)>;

fn guards_nothing(policy: &Policy) -> Found {
    match policy.routes.iter().any(|route| route.guard) {
        true => Vec::new(),
        false => vec![("routes".into(), "no route guards anything: all traffic is forwarded unread".into())],
    }
}

fn unreachable(policy: &Policy) -> Found {
    let mut found = Vec::new();
    for (idx, route) in policy.routes.iter().enumerate() {
        let taken = policy.routes.iter().take(idx).find(|earlier| takes_all_of(earlier, route));
        if let Some(earlier) = taken {
            let reason =
                format!("can never match: route {:?} before it takes all that it matches", earlier.name);
            found.push((format!("routes[{idx}]"), reason));
        }
    }
    found
}

/// Whether nothing that the later route matches gets by the earlier one. When in doubt, no.
fn takes_all_of(earlier: &Route, later: &Route) -> bool {
    let RouteMatch { path, host, methods, headers, content_types } = &earlier.matches;
    let of = &later.matches;
    // A route that lets pass is exact about spellings and repeated headers, and a route that guards is not.
    let is_exact = !earlier.guard && later.guard;
    if is_exact && (path.is_some() || !headers.is_empty() || !content_types.is_empty()) {
        return false;
    }
    let path = path.as_ref().is_none_or(|path| of.path.as_ref().is_some_and(|other| begins_all(path, other)));
    let host = host.as_ref().is_none_or(|host| of.host.as_ref().is_some_and(|other| ends_all(host, other)));
    let has_method = |method: &String| methods.iter().any(|known| known.eq_ignore_ascii_case(method));
    let methods = methods.is_empty() || !of.methods.is_empty() && of.methods.iter().all(has_method);
    let headers = headers.iter().all(|(name, pattern)| {
        let mut others = of.headers.iter().filter(|(other, _)| other.eq_ignore_ascii_case(name));
        others.any(|(_, other)| begins_all(pattern, other))
    });
    let has_type = |media_type: &String| content_types.iter().any(|known| begins_all(known, media_type));
    let types =
        content_types.is_empty() || !of.content_types.is_empty() && of.content_types.iter().all(has_type);
    path && host && methods && headers && types
}

/// Whether all that one pattern with a star at its end matches the other matches, too.
fn begins_all(pattern: &str, other: &str) -> bool {
    match (pattern.strip_suffix('*'), other.strip_suffix('*')) {
        (Some(prefix), Some(other)) => other.starts_with(prefix),
        (Some(prefix), None) => other.starts_with(prefix),
        (None, _) => pattern == other,
    }
}

/// The same with the star in front.
fn ends_all(pattern: &str, other: &str) -> bool {
    let (pattern, other) = (pattern.to_ascii_lowercase(), other.to_ascii_lowercase());
    match pattern.strip_prefix('*') {
        Some(suffix) => other.ends_with(suffix),
        None => pattern == other,
    }
}

fn unused(policy: &Policy) -> Found {
    let mut used: BTreeSet<&str> =
        policy.routes.iter().filter(|route| route.guard).map(|r| r.profile.as_str()).collect();
    if let Some(tenants) = &policy.tenants {
        used.extend(tenants.profiles.values().map(String::as_str));
        if let UnknownTenant::Profile(name) = &tenants.unknown {
            used.insert(name);
        }
    }
    let unused = policy.profiles.keys().filter(|name| !used.contains(name.as_str()));
    let reason = "no route uses it, and no tenant; only route metadata of the proxy can choose it";
    // The built-in profile is there whether anybody needs it or not.
    let said =
        unused.filter(|name| *name != DEFAULT_PROFILE || policy.profile(name) != Some(&Default::default()));
    said.map(|name| (format!("profiles.{name}"), reason.into())).collect()
}

fn thresholds(policy: &Policy) -> Found {
    let mut found = Vec::new();
    for (name, profile) in &policy.profiles {
        let own = profile.channels.iter().filter(|(_, own)| own.tag.is_some() || own.block.is_some());
        let channels =
            own.map(|(channel, _)| (format!("channels.{}", channel.name()), profile.thresholds(*channel)));
        let detectors = DetectorName::ALL.into_iter().filter_map(|name| {
            let own = profile.detectors.get(name).thresholds(profile.thresholds)?;
            Some((format!("detectors.{}", name.name()), own))
        });
        let general = std::iter::once(("thresholds".to_owned(), profile.thresholds));
        for (field, Thresholds { tag, block }) in general.chain(channels).chain(detectors) {
            for (what, value) in [("tag", tag), ("block", block)] {
                if value > 1.0 {
                    let reason =
                        format!("is {value}: no risk is above 1, so that nothing is ever {}", done(what));
                    found.push((format!("profiles.{name}.{field}.{what}"), reason));
                }
            }
        }
    }
    found
}

fn done(what: &str) -> &'static str {
    if what == "tag" { "tagged" } else { "blocked" }
}

fn expired(policy: &Policy, now: Time) -> Found {
    let all = policy.exemptions.iter().enumerate().filter(|(_, exemption)| exemption.is_expired(now));
    all.map(|(idx, exemption)| {
        let reason = format!("ended with {}; it does nothing any more", exemption.until.as_str());
        (format!("exemptions[{idx}].until"), reason)
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(earlier: &str, later: &str, expected: bool) {
        let route = |text: &str| -> Route {
            serde_saphyr::from_str(&format!("{{name: a, {text}}}")).unwrap_or_else(|e| panic!("{text}: {e}"))
        };
        assert_eq!(takes_all_of(&route(earlier), &route(later)), expected, "{earlier} before {later}");
    }

    #[test]
    fn a_route_is_unreachable_only_behind_one_that_takes_all_of_it() {
        check("guard: true", "match: {path: /v1/*}", true);
        check("guard: false", "match: {path: /v1/*}", true);
        check("match: {path: /v1/*}", "match: {path: /v1/chat}", true);
        check("match: {path: /v1/*}", "guard: true", false);
        check("match: {path: /v1/chat}", "match: {path: /v1/*}", false);
        check("match: {host: '*.a.com'}", "match: {host: X.A.com, methods: [GET]}", true);
        check("match: {host: '*.a.com'}", "match: {host: a.com}", false);
        check("match: {methods: [get, post]}", "match: {methods: [POST]}", true);
        check("match: {methods: [GET]}", "match: {methods: [GET, POST]}", false);
        check("match: {headers: {X-A: 'b*'}}", "match: {headers: {x-a: bc, x-d: e}}", true);
        check("match: {headers: {x-a: b}}", "match: {headers: {x-c: b}}", false);
        check("match: {content_types: ['image/*']}", "match: {content_types: [image/png]}", true);
        check("match: {content_types: [image/png]}", "match: {content_types: ['image/*']}", false);
        // Other spellings of the path get by a route that lets pass.
        check("guard: false, match: {path: /v1/*}", "match: {path: /v1/*}", false);
        check("guard: false, match: {path: /v1/*}", "guard: false, match: {path: /v1/*}", true);
    }
}
