//! Signed bundles: in the configuration, from the collector, from a store.

use std::time::{SystemTime, UNIX_EPOCH};

use sentinel_bundle::{Draft, Kind, SecretKey, base64};
use sentinel_core::Action;
use serde_json::{Value, json};

use super::{
    host::Host,
    site::{ATTACK, HARMLESS, Plan, Site, answer, chat, wait_for},
};

fn key() -> SecretKey {
    SecretKey::from_seed(&[7; 32])
}

fn another_key() -> SecretKey {
    SecretKey::from_seed(&[8; 32])
}

fn bundle(version: u64, mode: &str, by: &SecretKey) -> Vec<u8> {
    const DAY: u64 = 86_400;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let policy = json!({ "profiles": { "default": { "mode": mode } } }).to_string();
    let parts = vec![("policy", Kind::Policy, policy.as_bytes())];
    let draft =
        Draft { name: "edge", version, not_before: now - DAY, expires: now + DAY, parts, evaluation: None };
    draft.seal(&[SecretKey::parse(&by.to_text()).unwrap()]).unwrap()
}

fn trusting(more: Value) -> Value {
    let mut config = json!({ "trust_keys": [key().public().unwrap().to_string()] });
    config.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    config
}

fn refusals(site: &Site) -> usize {
    site.log().matches("bundle refused").count()
}

/// Bundles are looked for with traffic.
fn wait_for_refusal(site: &Site, before: usize) {
    wait_for("a refusal", || {
        refusals(site) > before || {
            site.send(&chat(HARMLESS));
            false
        }
    });
}

pub(crate) fn an_inline_one(host: Host) {
    let text = base64::encode(&bundle(1, "monitor", &key()));
    let site = Site::start(host, trusting(json!({ "bundle": text })), |_| answer());
    assert_eq!(site.send(&chat(ATTACK)).status, 200);
    assert_eq!(site.event().action, Action::Monitor);

    let text = base64::encode(&bundle(1, "monitor", &another_key()));
    let site = Site::start(host, trusting(json!({ "bundle": text })), |_| answer());
    assert_eq!(site.send(&chat(ATTACK)).status, 403);
    assert!(site.event().degraded.unwrap().contains("bundle"));
}

pub(crate) fn those_of_the_collector(host: Host) {
    let source = json!({ "bundle_source": { "poll_s": 1 } });
    let site = Site::start(host, trusting(source), |_| answer());
    site.collector.hand_out("\"1\"", bundle(5, "monitor", &key()));
    wait_for("the first bundle", || site.send(&chat(ATTACK)).status == 200);
    let refused = refusals(&site);
    site.collector.hand_out("\"2\"", b"this is no bundle".to_vec());
    wait_for_refusal(&site, refused);
    site.collector.hand_out("\"3\"", bundle(6, "enforce", &key()));
    wait_for("the next bundle", || site.send(&chat(ATTACK)).status == 403);
}

pub(crate) fn the_last_good_one_stays(host: Host) {
    let source = json!({ "bundle_source": { "poll_s": 1 } });
    let site = Site::start(host, trusting(source), |_| answer());
    site.collector.hand_out("\"1\"", bundle(5, "monitor", &key()));
    wait_for("the first bundle", || site.send(&chat(ATTACK)).status == 200);
    let unwanted =
        [b"this is no bundle".to_vec(), bundle(6, "enforce", &another_key()), bundle(4, "enforce", &key())];
    for (idx, bytes) in unwanted.into_iter().enumerate() {
        let refused = refusals(&site);
        site.collector.hand_out(&format!("\"unwanted {idx}\""), bytes);
        wait_for_refusal(&site, refused);
        assert_eq!(site.send(&chat(ATTACK)).status, 200);
        assert_eq!(site.metric("sentinel_bundle_version"), 5);
    }
}

pub(crate) fn one_of_a_store(host: Host) {
    let of = |bytes| Plan::new(host, trusting(json!({}))).with_store(bytes).start(|_| answer());
    let site = of(bundle(1, "monitor", &key()));
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| assert_eq!(site.send(&chat(ATTACK)).status, 200, "{}", site.log()));
        }
    });
    assert_eq!(site.event().action, Action::Monitor);

    for bad in [bundle(1, "monitor", &another_key()), b"this is no bundle".to_vec()] {
        let site = of(bad);
        assert_eq!(site.send(&chat(ATTACK)).status, 403);
        wait_for("a line about it", || refusals(&site) > 0);
    }
}

pub(crate) fn the_next_one_of_a_store(host: Host) {
    let site =
        Plan::new(host, trusting(json!({}))).with_store(bundle(5, "monitor", &key())).start(|_| answer());
    assert_eq!(site.send(&chat(ATTACK)).status, 200, "{}", site.log());
    let unwanted =
        [b"this is no bundle".to_vec(), bundle(6, "enforce", &another_key()), bundle(4, "enforce", &key())];
    for bytes in unwanted {
        let refused = refusals(&site);
        site.put(bytes);
        wait_for_refusal(&site, refused);
        assert_eq!(site.send(&chat(ATTACK)).status, 200);
        assert_eq!(site.metric("sentinel_bundle_version"), 5);
    }
    site.put(bundle(6, "enforce", &key()));
    wait_for("the next bundle", || site.send(&chat(ATTACK)).status == 403);
}
