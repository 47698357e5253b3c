//! Limits: of an instance, and of several workers together.

use serde_json::{Value, json};

use super::{
    host::Host,
    site::{HARMLESS, Plan, Site, answer, chat, wait_for},
};

fn limiting(limit: &Value) -> Value {
    json!({ "policy": { "rates": { "limits": [limit] } } })
}

pub(crate) fn one_is_counted_in_the_instance(host: Host) {
    let config = limiting(&json!({ "name": "few", "key": "route", "per_hour": 2 }));
    let site = Site::start(host, config, |_| answer());
    for expected in [200, 200, 429] {
        assert_eq!(site.send(&chat(HARMLESS)).status, expected, "{}", site.log());
        // A program has one request at a time: one that comes before the last one's event is another instance's.
        site.event();
    }
}

/// Two workers without a collector. Each would let as many pass by itself.
pub(crate) fn one_is_shared_by_workers(host: Host) {
    const LIMIT: usize = 40;
    /// As `docs/limits.md` says: two batches and a half for each of the two.
    const HELD_AND_OWED: usize = 2 * 5 * LIMIT / 20;
    let limit =
        json!({ "name": "few", "key": "route", "per_hour": LIMIT, "shared": true, "when_away": "closed" });
    let mut config = limiting(&limit);
    config["collector"] = json!(false);
    let site = Plan::new(host, config).shared_with("other").start(|_| answer());
    let (mut passed, mut refused_in_turn) = ([0, 0], 0);
    wait_for("both are at their limit", || {
        let sent = ["site", "other"].map(|server| site.send_to(server, &chat(HARMLESS)).status);
        for (count, status) in passed.iter_mut().zip(sent) {
            assert!([200, 429].contains(&status), "{status}: {}", site.log());
            *count += usize::from(status == 200);
        }
        refused_in_turn = if sent == [429, 429] { refused_in_turn + 1 } else { 0 };
        refused_in_turn == 20
    });
    let sum: usize = passed.iter().sum();
    assert!(passed.iter().all(|count| *count > 0), "{passed:?}");
    // What of a grant was not spent in time is lost.
    assert!((LIMIT / 2..=LIMIT + HELD_AND_OWED).contains(&sum), "{passed:?} of {LIMIT}");
}
