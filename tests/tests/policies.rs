//! Any JSON as a policy: nothing panics, and what validates builds an engine that can be explained.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test's panic is its report, also in the helpers that tests share"
)]

use std::sync::{Arc, OnceLock};

use proptest::{
    prelude::*,
    sample::select,
    test_runner::{RngAlgorithm, RngSeed},
};
use sentinel_core::{
    Engine, Family, PatternSet, Time,
    http::Headers,
    policy::{Caller, Policy},
};
use serde_json::{Map, Value, json};

fn config(cases: u32) -> ProptestConfig {
    ProptestConfig {
        cases,
        rng_algorithm: RngAlgorithm::ChaCha,
        rng_seed: RngSeed::Fixed(20_260_101),
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

fn patterns() -> Arc<PatternSet> {
    static PATTERNS: OnceLock<Arc<PatternSet>> = OnceLock::new();
    Arc::clone(PATTERNS.get_or_init(|| Arc::new(PatternSet::builtin().unwrap())))
}

/// Ids of the rules that are built in.
fn rules() -> &'static [String] {
    static RULES: OnceLock<Vec<String>> = OnceLock::new();
    RULES.get_or_init(|| {
        let engine = Engine::new(Policy::default(), patterns()).unwrap();
        engine.rule_summaries().map(|rule| rule.id.to_owned()).collect()
    })
}

/// Words that policies are made of, so that what is made at random means something now and then.
const WORDS: [&str; 40] = [
    "routes",
    "profiles",
    "name",
    "match",
    "path",
    "headers",
    "content_types",
    "profile",
    "guard",
    "default",
    "strict",
    "tenants",
    "key",
    "unknown",
    "exemptions",
    "rules",
    "clients",
    "until",
    "reason",
    "channels",
    "tag",
    "block",
    "level",
    "mode",
    "monitor",
    "enforce",
    "pii",
    "pii/card",
    "model",
    "/v1/*",
    "header:x-tenant",
    "ip:10.0.0.0/8",
    "2027-03-31",
    "emit",
    "x-sentinel-score",
    "masks",
    "keep_last",
    "user",
    "tool_result",
    "off",
];

fn word() -> impl Strategy<Value = String> {
    prop_oneof![8 => select(&WORDS[..]).prop_map(String::from), 1 => ".{0,12}"]
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        4 => word().prop_map(Value::String),
        1 => Just(Value::Null),
        1 => any::<bool>().prop_map(Value::Bool),
        2 => (0_u8..6).prop_map(Value::from),
        1 => any::<f64>().prop_map(|number| json!(number)),
        1 => any::<i64>().prop_map(Value::from),
    ];
    leaf.prop_recursive(5, 64, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::Array),
            prop::collection::vec((word(), inner), 0..6)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

/// A policy with every field, in which some places are something else.
fn nearly_a_policy() -> impl Strategy<Value = Value> {
    prop::collection::vec((any::<prop::sample::Index>(), any_json(), 0_u8..3), 0..4).prop_map(|changes| {
        let mut policy = whole_policy();
        for (place, other, what) in changes {
            let pointers = pointers(&policy);
            let pointer = place.get(&pointers);
            let (parent, last) = pointer.rsplit_once('/').unwrap();
            let last = last.replace("~1", "/");
            match (what, policy.pointer_mut(parent)) {
                (0, Some(Value::Object(members))) => drop(members.remove(&last)),
                (1, Some(Value::Object(members))) => drop(members.insert("more".into(), other)),
                _ => policy.pointer_mut(pointer).into_iter().for_each(|value| *value = other.clone()),
            }
        }
        policy
    })
}

fn whole_policy() -> Value {
    json!({
        "schema": "sentinel.policy/1",
        "routes": [
            {"name": "files", "match": {"path": "/v1/files*", "methods": ["GET"]}, "guard": false},
            {"name": "llm", "match": {"host": "*.a.com", "headers": {"x-app": "b*"}, "content_types": ["application/*"]},
             "profile": "strict"}
        ],
        "profiles": {
            "default": {"mode": "monitor"},
            "strict": {
                "level": 2, "thresholds": {"tag": 0.3, "block": 0.6}, "rules": {"pii/card": "block", "model": "monitor"},
                "channels": {"tool_result": {"tag": 0.2, "level": 3, "rules": {"jailbreak": "off"}}},
                "masks": {"pii": {"keep_last": 2}}, "on_gap": {"request": {"size": "tag"}, "response": {}},
                "limits": {"body_bytes": 2048, "on_limit": "reject"}, "model": {"windows": 3}
            }
        },
        "tenants": {"key": "header:x-tenant", "profiles": {"acme": "strict"}, "unknown": {"profile": "default"}},
        "exemptions": [{"routes": ["llm"], "clients": ["ip:10.0.0.0/8", "tenant:acme"], "rules": ["pii"],
                        "until": "2027-03-31", "reason": "load test"}],
        "canaries": ["periwinkle-seven"],
        "patterns": [{"id": "custom/codename", "family": "leak", "any": "bluebird", "regex": ["BLUEBIRD-[0-9]{4}"]}],
        "emit": {"headers": ["x-sentinel-action"]}
    })
}

/// Of everything in it.
fn pointers(value: &Value) -> Vec<String> {
    fn walk(at: &str, value: &Value, all: &mut Vec<String>) {
        let mut add = |name: &str, value: &Value| {
            let at = format!("{at}/{}", name.replace('/', "~1"));
            walk(&at, value, all);
            all.push(at);
        };
        match value {
            Value::Object(members) => members.iter().for_each(|(name, value)| add(name, value)),
            Value::Array(items) => {
                items.iter().enumerate().for_each(|(idx, value)| add(&idx.to_string(), value))
            }
            _ => {}
        }
    }
    let mut all = Vec::new();
    walk("", value, &mut all);
    if all.is_empty() { vec!["/".into()] } else { all }
}

/// Whether it became an engine.
fn check(document: &Value) -> bool {
    let Ok(policy) = serde_json::from_value::<Policy>(document.clone()) else { return false };
    let own = policy.patterns.iter().map(|rule| rule.id.as_str());
    let complaints = policy.complaints(rules().iter().map(String::as_str).chain(own));
    let built = Engine::new(policy.clone(), patterns());
    match (&built, complaints.first()) {
        (Ok(_), None) => {}
        (Err(error), Some(first)) => assert_eq!(error, first, "the first complaint is the engine's error"),
        // Expressions are compiled, and canaries folded, where the engine is made.
        (Err(error), None) => {
            assert!(
                error.field.starts_with("patterns") || error.field == "canaries",
                "valid, and no engine: {error}"
            );
        }
        (Ok(_), Some(complaint)) => panic!("an engine in spite of {complaint}"),
    }
    // What a request asks of a policy, be it valid or not.
    let headers: Headers<'_> = [(":path", "/v1/chat"), ("x-tenant", "acme"), ("content-type", "a/b")]
        .iter()
        .map(|(n, v)| (n.as_bytes(), v.as_bytes()))
        .collect();
    if let Some(route) = policy.route(&headers) {
        let tenant = policy.tenant(&headers, route);
        let caller = Caller { address: Some("10.0.0.1:5"), headers: &headers, tenant: tenant.name };
        let now = Time(1_800_000_000_000_000_000);
        let exempt = policy.exempt("pii/card", Family::Pii, Some(&route.name), &caller, now);
        let numbers = policy.exemptions_for(Some(&route.name), &caller, now);
        assert!(exempt.is_none() || !numbers.is_empty());
    }
    let Ok(engine) = built else { return false };
    // It says the same when it is written out, and with every default it still loads.
    let written: Policy = serde_json::from_str(&serde_json::to_string(&policy).unwrap()).unwrap();
    assert_eq!(&written, engine.policy());
    let profiles =
        policy.profiles.iter().map(|(name, profile)| (name.clone(), profile.explained())).collect();
    let explained = Policy { profiles, ..policy };
    Engine::new(explained, patterns()).unwrap_or_else(|error| panic!("explained, and no engine: {error}"));
    true
}

#[test]
fn the_whole_policy_is_one() {
    assert!(check(&whole_policy()));
    assert!(check(&Value::Object(Map::new())));
}

proptest! {
    #![proptest_config(config(512))]

    #[test]
    fn any_json_is_a_policy_or_an_error(document in any_json()) {
        check(&document);
    }

    #[test]
    fn what_is_nearly_a_policy_is_one_or_an_error(document in nearly_a_policy()) {
        check(&document);
    }
}
