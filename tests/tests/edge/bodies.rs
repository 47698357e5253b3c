//! Bodies that are longer than policy wants to read.

use sentinel_core::receipt::GapReason;
use serde_json::json;

use super::{
    host::Host,
    site::{Site, answer, chat},
};

pub(crate) fn one_over_the_limit(host: Host) {
    let long = format!(r#"{{"messages":[{{"role":"user","content":"{}"}}]}}"#, "word ".repeat(40_000));
    let limits = json!({ "body_bytes": 65_536 });
    let policy = json!({ "policy": { "profiles": { "default": { "limits": limits } } } });
    let site = Site::start(host, policy, |_| answer());
    for request in [chat(&long), chat(&long).split(8_192)] {
        let seen = site.send(&request);
        assert_eq!(seen.status, 413, "{}", seen.text());
        assert_eq!(site.event().gaps, [GapReason::Size]);
    }
    assert!(site.take_forwarded().is_empty());

    let on_gap = json!({ "request": { "size": "tag" } });
    let profile = json!({ "limits": limits, "on_gap": on_gap });
    let site = Site::start(host, json!({ "policy": { "profiles": { "default": profile } } }), |_| answer());
    for request in [chat(&long), chat(&long).split(8_192)] {
        assert_eq!(site.send(&request).status, 200);
        let event = site.event();
        assert_eq!(event.receipt.request.bytes as usize, long.len());
        let saw = site.take_forwarded().pop().unwrap();
        assert!(saw.complete && saw.body == long.as_bytes());
    }
}
