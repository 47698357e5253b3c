//! Routes: which traffic is meant.

use alloc::{
    collections::BTreeMap,
    format,
    string::{String, ToString},
    vec::Vec,
};

use serde::{Deserialize, Serialize};

use super::{
    client::is_header_name,
    default_profile_name,
    error::Complaints,
    path::{host_matches, path_matches, plain_path},
    yes,
};
use crate::http::{Headers, media_type};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Route {
    pub name: String,
    #[serde(default, rename = "match")]
    pub matches: RouteMatch,
    #[serde(default = "default_profile_name")]
    pub profile: String,
    /// `false` lets the traffic of this route pass unscanned, and says so in the receipt.
    #[serde(default = "yes")]
    pub guard: bool,
}

/// All that is given must hold. `*` at the end of a path or at the start of a host stands for anything.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct RouteMatch {
    pub path: Option<String>,
    pub host: Option<String>,
    /// Empty: any method.
    pub methods: Vec<String>,
    /// By name, without regard to case: the value, `prefix*`, or `*` for any.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
    /// Media types, without regard to case and to parameters: `type/name` or `prefix*`. Empty: any.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub content_types: Vec<String>,
}

impl RouteMatch {
    pub(super) fn check(&self, complaints: &mut Complaints<'_>) {
        if let Some(path) = &self.path
            && (!path.starts_with('/') || path.trim_end_matches('*').contains('*') || path.ends_with("**"))
        {
            complaints.add("path", format!("is {path:?}, expected \"/exact\" or \"/prefix*\""));
        }
        if let Some(host) = &self.host
            && (host.is_empty() || host.trim_start_matches('*').contains('*') || host.starts_with("**"))
        {
            complaints.add("host", format!("is {host:?}, expected \"name\" or \"*.suffix\""));
        }
        for (name, value) in &self.headers {
            let field = format!("headers.{name}");
            if !is_header_name(name) {
                complaints.add(&field, format!("{name:?} is no name of a header"));
            }
            if value.is_empty() || stars_inside(value) {
                let reason = format!("is {value:?}, expected \"value\", \"prefix*\" or \"*\" for any");
                complaints.add(&field, reason);
            }
        }
        for (idx, media_type) in self.content_types.iter().enumerate() {
            let is_type = media_type.contains('/') && !media_type.contains([';', ' ']);
            if !is_type || stars_inside(media_type) {
                let reason =
                    format!("is {media_type:?}, expected \"type/name\" or \"prefix*\" such as \"image/*\"");
                complaints.add(&format!("content_types[{idx}]"), reason);
            }
        }
    }

    /// The first part of the match that does not hold, and so why the route is not the one.
    ///
    /// A route that guards takes a request in every spelling that some server might read as meant; a route that lets
    /// pass takes only one that reads so in any case. The same goes for a header that is there more than once.
    pub fn mismatch(&self, headers: &Headers<'_>, guard: bool) -> Option<String> {
        if !self.path.as_deref().is_none_or(|pattern| path_fits(pattern, headers, guard)) {
            return Some("path".into());
        }
        let host = headers.value(":authority").or_else(|| headers.value("host")).unwrap_or_default();
        if !self.host.as_deref().is_none_or(|pattern| host_matches(pattern, host)) {
            return Some("host".into());
        }
        let method = headers.value(":method").unwrap_or_default();
        let is_method = |wanted: &String| method.eq_ignore_ascii_case(wanted.as_bytes());
        if !self.methods.is_empty() && !self.methods.iter().any(is_method) {
            return Some("methods".into());
        }
        let holds = |name: &str, fits: &dyn Fn(&[u8]) -> bool| {
            let mut lines = headers.values(name).peekable();
            if guard { lines.any(fits) } else { lines.peek().is_some() && lines.all(fits) }
        };
        for (name, pattern) in &self.headers {
            if !holds(name, &|line| text_matches(pattern.as_bytes(), line.trim_ascii())) {
                return Some(format!("headers.{name}"));
            }
        }
        let is_type = |line: &[u8]| {
            let line = String::from_utf8_lossy(line).to_ascii_lowercase();
            let fits = |pattern: &String| {
                text_matches(pattern.to_ascii_lowercase().as_bytes(), media_type(&line).as_bytes())
            };
            self.content_types.iter().any(fits)
        };
        if !self.content_types.is_empty() && !holds("content-type", &is_type) {
            return Some("content_types".to_string());
        }
        None
    }

    pub(super) fn matches(&self, headers: &Headers<'_>, guard: bool) -> bool {
        self.mismatch(headers, guard).is_none()
    }
}

/// A star anywhere but once at the end.
fn stars_inside(pattern: &str) -> bool {
    pattern.trim_end_matches('*').contains('*') || pattern.ends_with("**")
}

fn text_matches(pattern: &[u8], text: &[u8]) -> bool {
    match pattern.strip_suffix(b"*") {
        Some(prefix) => text.starts_with(prefix),
        None => text == pattern,
    }
}

fn path_fits(pattern: &str, headers: &Headers<'_>, guard: bool) -> bool {
    let path = headers.value(":path").unwrap_or_default();
    let path = path.split(|b| *b == b'?').next().unwrap_or_default();
    let as_sent = path_matches(pattern, path);
    let as_read = || path_matches(&pattern.to_ascii_lowercase(), &plain_path(path));
    if guard { as_sent || as_read() } else { as_sent && as_read() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(pattern: &str, path: &str, guarded: bool, exempt: bool) {
        let matches = RouteMatch { path: Some(pattern.into()), ..RouteMatch::default() };
        let headers: Headers<'_> = [(&b":path"[..], path.as_bytes())].into_iter().collect();
        assert_eq!(matches.matches(&headers, true), guarded, "guard {pattern} {path}");
        assert_eq!(matches.matches(&headers, false), exempt, "let pass {pattern} {path}");
    }

    #[track_caller]
    fn check_header(matches: &RouteMatch, name: &str, lines: &[&str], guarded: bool, let_pass: bool) {
        let headers: Headers<'_> = lines.iter().map(|line| (name.as_bytes(), line.as_bytes())).collect();
        assert_eq!(matches.matches(&headers, true), guarded, "guard {lines:?}");
        assert_eq!(matches.matches(&headers, false), let_pass, "let pass {lines:?}");
    }

    #[test]
    fn a_header_is_matched_by_its_value_its_beginning_or_its_being_there() {
        let of = |pattern: &str| RouteMatch {
            headers: [("X-App".into(), pattern.into())].into(),
            ..RouteMatch::default()
        };
        for (pattern, line, fits) in [
            ("batch", "batch", true),
            ("batch", " batch ", true),
            ("batch", "batch2", false),
            ("batch", "Batch", false),
            ("batch*", "batch2", true),
            ("batch*", "a-batch", false),
            ("*", "", true),
        ] {
            check_header(&of(pattern), "x-app", &[line], fits, fits);
        }
        check_header(&of("batch"), "x-app", &[], false, false);
        check_header(&of("batch"), "x-other", &["batch"], false, false);
        // Which of two lines a server takes nobody knows.
        check_header(&of("batch"), "x-app", &["chat", "batch"], true, false);
    }

    #[test]
    fn a_media_type_is_matched_without_its_parameters() {
        let matches = RouteMatch {
            content_types: ["application/JSON", "image/*"].map(String::from).into(),
            ..RouteMatch::default()
        };
        for (line, fits) in [
            ("application/json", true),
            ("Application/Json; charset=utf-8", true),
            ("image/png", true),
            ("application/json-seq", false),
            ("text/plain; a=application/json", false),
            ("", false),
        ] {
            check_header(&matches, "content-type", &[line], fits, fits);
        }
        check_header(&matches, "content-type", &[], false, false);
        check_header(&matches, "content-type", &["text/plain", "image/png"], true, false);
    }

    #[test]
    fn what_can_match_nothing_is_said() {
        let matches = RouteMatch {
            path: Some("v1".into()),
            host: Some("a*b".into()),
            headers: [("x y", "a"), ("x-a", ""), ("x-b", "*a"), ("x-c", "a**")]
                .map(|(name, value)| (name.into(), value.into()))
                .into(),
            content_types: ["json", "a/b; c=d", "*/json"].map(String::from).into(),
            ..RouteMatch::default()
        };
        let mut list = Vec::new();
        matches.check(&mut Complaints::new(&mut list));
        let fields: Vec<&str> = list.iter().map(|error| error.field.as_str()).collect();
        let headers = ["headers.x y", "headers.x-a", "headers.x-b", "headers.x-c"];
        let types = ["content_types[0]", "content_types[1]", "content_types[2]"];
        let expected: Vec<&str> = ["path", "host"].into_iter().chain(headers).chain(types).collect();
        assert_eq!(fields.len(), expected.len(), "{list:?}");
        assert!(expected.iter().all(|field| fields.contains(field)), "{list:?}");
    }

    #[test]
    fn a_guarded_path_is_guarded_in_every_spelling() {
        for path in ["/v1/chat?x=1", "/v1/a/../chat"] {
            check("/v1/*", path, true, true);
        }
        for path in [
            "//v1/chat",
            "/%761/chat",
            "/x/../v1/chat",
            "/V1/chat",
            "/.//v1/chat",
            "/\\v1/chat",
            "/v1;a=b/chat",
        ] {
            check("/v1/*", path, true, false);
        }
        check("/v1/*", "/v2/chat", false, false);
        check("/v1/chat", "/v1/chat", true, true);
        check("/v1/chat", "/v1/chats", false, false);
    }

    #[test]
    fn a_path_that_only_begins_as_an_exempt_one_is_not_exempt() {
        check("/v1/files*", "/v1/files/../chat/completions", true, false);
        check("/v1/files*", "/v1/files/%2e%2e/chat/completions", true, false);
    }
}
