//! One VM gets bundles and others follow it by what it leaves in shared data, be it a half.

use sentinel_bundle::{Draft, Kind, SecretKey};

use super::*;

/// The fake host's clock begins then.
const NOW: u64 = 1_790_000_000;
/// More than there are writes in one poll.
const WRITES: u64 = 12;

fn key() -> SecretKey {
    SecretKey::from_seed(&[1; 32])
}

pub(super) fn bundle(version: u64) -> Vec<u8> {
    // Larger with each version, so that parts of two of them fit badly.
    let routes: Vec<Value> = (0..version).map(|n| json!({ "name": format!("route-{n}") })).collect();
    let policy = json!({ "routes": routes }).to_string();
    let parts = vec![("policy", Kind::Policy, policy.as_bytes())];
    let (not_before, expires) = (NOW - 60, NOW + 86_400);
    Draft { name: "test", version, not_before, expires, parts, evaluation: None }.seal(&[key()]).unwrap()
}

fn id(bundle: &[u8]) -> String {
    sentinel_bundle::Contents::read(bundle).unwrap().id().to_string()
}

pub(super) fn polling() -> Value {
    let mut config = with_collector(json!({}));
    config["bundle_source"] = json!({ "poll_s": 1 });
    config["trust_keys"] = json!([key().public().unwrap().to_string()]);
    config
}

/// The next poll gets this bundle, and a candidate to watch. A VM that cannot even say that it leads does not poll.
pub(super) fn hand_out(proxy: &mut Proxy, active: &[u8], candidate: &[u8]) {
    let header = |name: &str, value: String| (name.as_bytes().to_vec(), value.into_bytes());
    let answer = |body: &[u8]| CalloutReply::Answer {
        status: 200,
        headers: vec![
            header("etag", id(active)),
            header("x-sentinel-candidate", format!("{}; mode=shadow; percent=100", id(candidate))),
        ],
        body: body.to_vec(),
    };
    let mut is_done = false;
    for _ in 0..100 {
        for callout in tick(proxy) {
            let path = callout.header(":path").unwrap_or_default();
            let reply = match path.ends_with(b"slot=candidate") {
                true => answer(candidate),
                false if path == BUNDLE => answer(active),
                false => CalloutReply::ok("{}"),
            };
            proxy.answer_callout(callout.token, reply).unwrap();
            is_done |= path.ends_with(b"slot=candidate");
        }
        if is_done {
            return;
        }
    }
}

/// What the leader has left so far is there for another VM.
fn share(leader: &Proxy, follower: &mut Proxy) {
    for (key, value) in leader.shared_data() {
        follower.set_shared_data(&key, &value);
    }
}

/// The bundle that decides, by the event of a request.
fn deciding(proxy: &mut Proxy) -> Option<String> {
    tick(proxy);
    send(proxy, HARMLESS);
    let mut batches = Vec::new();
    for _ in 0..4 {
        for callout in tick(proxy) {
            let is_batch = is_of(&callout, EVENTS);
            let status = if is_batch { 200 } else { 304 };
            let reply = CalloutReply::Answer { status, headers: Vec::new(), body: b"{}".to_vec() };
            proxy.answer_callout(callout.token, reply).unwrap();
            batches.push(callout);
        }
    }
    events(&batches).into_values().next_back().unwrap().bundle
}

#[test]
fn a_writer_that_gets_only_so_far_leads_nobody_astray() {
    let (old, new) = (bundle(1), bundle(3));
    let (old_watcher, new_watcher) = (bundle(2), bundle(4));
    let mut followed = Vec::new();
    for written in 0..WRITES {
        let mut leader = start(&polling());
        hand_out(&mut leader, &old, &old_watcher);
        let mut follower = start(&polling());
        share(&leader, &mut follower);
        assert_eq!(deciding(&mut follower), Some(id(&old)));
        // The leader's writes fail from some point on, as if it had died there.
        let begin = leader.faults().calls("proxy_set_shared_data");
        leader.faults().calls_where("proxy_set_shared_data", 10, move |call| call > begin + written);
        hand_out(&mut leader, &new, &new_watcher);
        share(&leader, &mut follower);
        let decides = deciding(&mut follower).unwrap();
        assert!([id(&old), id(&new)].contains(&decides), "after {written} writes: {decides}");
        assert_eq!(follower.metric("sentinel.bundles_refused_total"), 0, "after {written} writes");
        // And one that begins now.
        let mut late = start(&polling());
        share(&leader, &mut late);
        let found = deciding(&mut late);
        assert!([Some(id(&old)), Some(id(&new))].contains(&found), "after {written} writes: {found:?}");
        assert_eq!(late.metric("sentinel.bundles_refused_total"), 0, "after {written} writes");
        followed.push(decides);
    }
    assert_eq!(followed.first(), Some(&id(&old)));
    assert_eq!(followed.last(), Some(&id(&new)), "all was written, and the follower has not seen it");
}
