//! Several root contexts in one VM, several VMs in one proxy.

use sentinel_tests::doubt::doubtful_text;

use super::*;

fn asking() -> Value {
    let mut config = with_collector(json!({}));
    let opinion = json!({ "enabled": true, "from": 0.0, "to": 1.0, "deadline_ms": 250 });
    config["policy"] = json!({ "profiles": { "default": { "opinion": opinion } } });
    config
}

#[test]
fn each_root_has_a_timer_of_its_own() {
    let config = asking();
    let mut proxy = start(&config);
    send(&mut proxy, HARMLESS);
    tick(&mut proxy);
    let old = proxy.root_id();
    let new = proxy.add_root(config.to_string().as_bytes()).unwrap();
    assert_ne!(old, new);
    let calm = u32::try_from(FLUSH_MS).unwrap();
    for (mine, other) in [(old, new), (new, old), (old, new), (new, old)] {
        proxy.use_root(mine);
        // Its question is open when the host gives up waiting for it.
        let before = proxy.now_ns();
        assert_eq!(send(&mut proxy, doubtful_text().unwrap()).status(), 200, "nobody waits for ever");
        let took_ms = (proxy.now_ns() - before) / MS;
        assert!((250..400).contains(&took_ms), "held for {took_ms} ms by root {mine}");
        assert_eq!(proxy.tick_period_of(other), calm, "root {other} ticks for a stream of root {mine}");
        tick(&mut proxy);
        tick(&mut proxy);
        assert_eq!(proxy.tick_period_of(mine), calm, "root {mine} still ticks for a stream that has gone");
    }
    // The old one goes; the new one works as before.
    proxy.close_root(old).unwrap();
    proxy.use_root(new);
    assert_eq!(send(&mut proxy, doubtful_text().unwrap()).status(), 200);
    assert_eq!(send(&mut proxy, ATTACK).status(), 403);
}

/// What one VM has noted of itself is there for another: VMs of a proxy have their shared data and metrics in common, so
/// `restart_vm` is a VM that died, and another in its place.
#[test]
fn a_gauge_is_the_sum_of_all_vms_and_forgets_the_dead() {
    let mut proxy = start(&with_collector(json!({})));
    proxy.unknown_clusters().insert("collector".to_owned());
    for _ in 0..3 {
        send(&mut proxy, HARMLESS);
    }
    ticks(&mut proxy, 1, &CalloutReply::Timeout);
    assert_eq!(proxy.metric("sentinel.events_buffered"), 3);
    proxy.restart_vm().unwrap();
    for _ in 0..2 {
        send(&mut proxy, HARMLESS);
    }
    ticks(&mut proxy, 1, &CalloutReply::Timeout);
    assert_eq!(proxy.metric("sentinel.events_buffered"), 5, "nobody knows yet that the other one is dead");
    ticks(&mut proxy, 75 * 20, &CalloutReply::Timeout);
    assert_eq!(proxy.metric("sentinel.events_buffered"), 2, "after a minute without a word it is");
    proxy.unknown_clusters().clear();
    ticks(&mut proxy, 75 * 20, &CalloutReply::ok("{}"));
    assert_eq!(proxy.metric("sentinel.events_buffered"), 0);
}

#[test]
fn a_root_that_ends_gives_back_what_it_has_shown() {
    let mut proxy = start(&with_collector(json!({})));
    proxy.unknown_clusters().insert("collector".to_owned());
    for _ in 0..3 {
        send(&mut proxy, HARMLESS);
    }
    ticks(&mut proxy, 1, &CalloutReply::Timeout);
    // A new configuration takes the events over.
    assert!(proxy.reconfigure(with_collector(json!({ "batch": 50 })).to_string().as_bytes()).unwrap());
    assert_eq!(proxy.metric("sentinel.events_buffered"), 3);
    // With the last root the VM goes, and with it what it had.
    proxy.close_root(proxy.root_id()).unwrap();
    assert_eq!(proxy.metric("sentinel.events_buffered"), 0);
}

#[test]
fn gauges_are_right_where_nothing_can_be_shared() {
    for function in ["proxy_get_shared_data", "proxy_set_shared_data"] {
        let mut proxy = start(&with_collector(json!({})));
        proxy.faults().every_call(function, 10);
        proxy.unknown_clusters().insert("collector".to_owned());
        for n in 1..=4 {
            send(&mut proxy, HARMLESS);
            ticks(&mut proxy, 300, &CalloutReply::Timeout);
            assert_eq!(proxy.metric("sentinel.events_buffered"), n, "{function}");
        }
        proxy.unknown_clusters().clear();
        ticks(&mut proxy, 2000, &CalloutReply::ok("{}"));
        assert_eq!(proxy.metric("sentinel.events_buffered"), 0, "{function}");
    }
}
