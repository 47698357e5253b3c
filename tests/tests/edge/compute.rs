//! What only the program for Fastly Compute has.

use std::collections::BTreeMap;

use sentinel_harness::{http1, viceroy::REQUESTS_OF_AN_INSTANCE, wire::Request};
use serde_json::{Value, json};

use super::{
    host::Host,
    site::{ATTACK, HARMLESS, Site, WITHIN, answer, chat},
};

pub(crate) fn events_stand_in_a_log_endpoint_too(host: Host) {
    let site = Site::start(host, json!({}), |_| answer());
    assert_eq!(site.send(&chat(ATTACK)).status, 403);
    let id = site.event().id;
    let log = site.log();
    let line = log.lines().find_map(|line| line.strip_prefix("sentinel-events :: "));
    let event: Value = serde_json::from_str(line.unwrap_or_else(|| panic!("no event in {log}"))).unwrap();
    assert_eq!(event["id"], id.as_str());
}

pub(crate) fn a_host_name_that_is_none(host: Host) {
    let site = Site::start(host, json!({}), |_| answer());
    for name in ["a%zz", "a<b", "[::", "a:b:c", "xn--", "a b", "%", "..", "\u{e4}"] {
        let request = Request { authority: name.to_owned(), ..chat(ATTACK) };
        // Viceroy may refuse it by itself; it must not go on.
        let seen = http1::exchange(site.addr(), &request, WITHIN).ok().flatten();
        assert!(seen.as_ref().is_none_or(|seen| seen.status >= 400), "{name}: {seen:?}");
    }
    assert!(site.take_forwarded().is_empty());
    assert!(!site.log().contains("panicked"), "{}", site.log());
    assert_eq!(site.send(&chat(HARMLESS)).status, 200);
}

/// What an instance is called is made of the same seed as its keys.
pub(crate) fn instances_have_no_chance_in_common(host: Host) {
    const INSTANCES: usize = 3;
    let mut of_each = BTreeMap::<String, usize>::new();
    for _ in 0..2 {
        let site = Site::start(host, json!({}), |_| answer());
        for _ in 0..INSTANCES * REQUESTS_OF_AN_INSTANCE {
            assert_eq!(site.send(&chat(HARMLESS)).status, 200);
            *of_each.entry(site.event().vm).or_default() += 1;
        }
    }
    assert!(of_each.len() >= 2 * INSTANCES, "{of_each:?}");
    assert!(of_each.values().all(|events| *events <= REQUESTS_OF_AN_INSTANCE), "{of_each:?}");
}
