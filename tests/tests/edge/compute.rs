//! What only the program for Fastly Compute has.

use sentinel_harness::{http1, wire::Request};
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
