//! A day of an operator, with everything real: keys, bundles and deployments by the `sentinel` command, a collector, and
//! two Envoys under traffic that never stops. A good candidate is promoted, a bad one undoes itself, and nobody who is
//! not in a trial notices.
#![expect(clippy::unwrap_used, reason = "a test's panic is its report, also in the helpers that tests share")]
#![expect(clippy::indexing_slicing, reason = "an index that is not there fails the test, as it should")]

mod site;
mod traffic;

use std::{
    collections::{BTreeMap, BTreeSet},
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    thread,
};

use serde_json::Value;

use crate::{
    site::{PROXIES, Site, until},
    traffic::{Kind, Traffic},
};

/// From the beginning of a bad candidate's trial to its end.
/// Requests, not seconds: how long they take is up to the machine.
const ROLLED_BACK_WITHIN: u64 = 5_000;
/// A proxy has taken on what an event says when so many of its newest events say it.
const SETTLED: usize = 40;

/// Requests to the prober's route, and all others; `more` is what a version does with kettles.
fn policy(more: &str) -> String {
    format!(
        "routes:
  - {{ name: benign, match: {{ path: '/prober/*' }} }}
  - {{ name: all }}
patterns:
  - {{ id: custom/kettle, family: harmful, any: [kettle] }}
profiles:
  default:
    model: {{ enabled: false }}
    events: {{ content: masked, when: [tag, block] }}
    rules: {{ custom/kettle: {more} }}
"
    )
}

/// Built with one key and signed with the other one, too; the bundle's id.
fn build(site: &Site, version: u32, more: &str) -> String {
    site.write("policy.yaml", &policy(more));
    let file = file(version);
    let built = site.sentinel(&format!(
        "bundle build --policy policy.yaml --name shop --version {version} --days 1 --key one.key --out {file}"
    ));
    site.sentinel(&format!("bundle sign {file} --key two.key"));
    for key in ["one.key.pub", "two.key.pub"] {
        site.sentinel(&format!("bundle verify {file} --trust {key}"));
    }
    built["id"].as_str().unwrap().to_owned()
}

fn file(version: u32) -> String {
    format!("shop-{version}.sntb")
}

fn proxy_of(event: &Value) -> &str {
    event["request_id"].as_str().unwrap().split('/').next().unwrap()
}

/// The newest events of each proxy, newest first.
fn newest_by_proxy(site: &Site) -> BTreeMap<String, Vec<Value>> {
    let mut by_proxy = BTreeMap::<String, Vec<Value>>::new();
    for event in site.newest_events(800) {
        by_proxy.entry(proxy_of(&event).to_owned()).or_default().push(event);
    }
    by_proxy
}

/// Waits until the newest events of both proxies are all as wanted.
#[track_caller]
fn settle(site: &Site, what: &str, wanted: impl Fn(&Value) -> bool) {
    until(what, || {
        let by_proxy = newest_by_proxy(site);
        let has_settled = |proxy: &&str| {
            let newest = by_proxy.get(*proxy).map_or(&[][..], Vec::as_slice);
            newest.len() >= SETTLED && newest.iter().take(SETTLED).all(&wanted)
        };
        PROXIES.iter().all(has_settled).then_some(())
    });
}

/// Waits until both proxies have told of so many events as wanted.
#[track_caller]
fn seen(site: &Site, what: &str, n: usize, wanted: impl Fn(&Value) -> bool) {
    until(what, || {
        let by_proxy = newest_by_proxy(site);
        let found = |proxy: &&str| {
            by_proxy.get(*proxy).is_some_and(|all| all.iter().filter(|e| wanted(e)).count() >= n)
        };
        PROXIES.iter().all(found).then_some(())
    });
}

/// The newest deployment.
fn newest_deployment(site: &Site) -> Value {
    site.json("/v1/deployments?limit=1")["deployments"][0].clone()
}

fn metric(site: &Site, name: &str) -> Option<f64> {
    let metrics = site.get("/metrics");
    metrics.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok())
}

#[test]
fn a_good_candidate_is_promoted_and_a_bad_one_undoes_itself() {
    let mut site = Site::start();
    let addrs = [0, 1].map(|n| site.envoys[n].addr("main").unwrap());
    let traffic = Traffic::default();
    thread::scope(|scope| {
        let lanes = traffic.start(scope, addrs);
        let day = catch_unwind(AssertUnwindSafe(|| day(&mut site)));
        traffic.stop();
        lanes.into_iter().for_each(|lane| lane.join().unwrap());
        if let Err(panic) = day {
            eprintln!("the newest events: {:#?}", site.newest_events(4));
            site.envoys.iter().for_each(|envoy| eprintln!("{}", envoy.log()));
            resume_unwind(panic);
        }
        account(&site, &traffic, &day.unwrap());
    });
}

/// The bundle whose candidate blocked harmless requests.
struct Day {
    bad: String,
}

fn day(site: &mut Site) -> Day {
    // The first bundle, at once and everywhere.
    let first = build(site, 1, "'off'");
    site.operate(&format!("push {} --mode active --reason first", file(1)));
    settle(site, "the first bundle on both", |event| event["bundle"] == first.as_str());

    // A good candidate decides for a part of the traffic, and is promoted.
    let second = build(site, 2, "monitor");
    site.operate(&format!("push {} --mode canary --percent 30 --reason good", file(2)));
    seen(site, "verdicts of the candidate", 60, |event| {
        event["arm"] == "candidate" && event["bundle"] == second.as_str()
    });
    seen(site, "verdicts beside it", 60, |event| {
        event["arm"] == "active" && event["bundle"] == first.as_str()
    });
    share_is_about(site, &second, 30);
    site.operate("promote --reason seen-enough");
    settle(site, "the second bundle on both", |event| event["bundle"] == second.as_str());

    // A candidate that refuses harmless requests.
    let bad = build(site, 3, "block");
    site.operate(&format!("push {} --mode canary --percent 50 --reason bad", file(3)));
    seen(site, "what it refuses", 1, |event| event["bundle"] == bad.as_str() && event["action"] == "block");
    let rolled_back = until("the rollback", || {
        Some(newest_deployment(site)).filter(|deployment| deployment["state"] == "rolled_back")
    });
    explains_the_rollback(site, &rolled_back);
    settle(site, "the second bundle on both again", |event| event["bundle"] == second.as_str());

    // All of this is still known to a collector that starts anew.
    let before = site.json("/v1/deployments");
    site.restart_collector();
    assert_eq!(site.json("/v1/deployments"), before);
    settle(site, "the second bundle, after the restart", |event| event["bundle"] == second.as_str());

    // A candidate that only watches, and then becomes the active one.
    let last = build(site, 4, "tag");
    site.operate(&format!("push {} --mode shadow --reason watch", file(4)));
    seen(site, "what the shadow would do", 60, |event| {
        let shadow = &event["shadow"];
        shadow["bundle"] == last.as_str() && shadow["action"] == "tag" && event["action"] == "monitor"
    });
    site.operate("promote --reason watched");
    settle(site, "the last bundle on both", |event| {
        event["bundle"] == last.as_str() && (event["action"] == "tag" || event["action"] == "block")
    });
    assert_eq!(site.json("/v1/deployments")["active"]["version"], 4);
    comes_out_the_same_again(site, &last);
    for envoy in &site.envoys {
        assert_eq!(envoy.stats("sentinel.bundle_version$").unwrap().into_values().max(), Some(4));
        let refused = envoy.stats("sentinel.bundles_refused_total$").unwrap();
        assert_eq!(refused.into_values().sum::<u64>(), 0, "{}", envoy.log());
    }
    Day { bad }
}

/// What the proxies decided by a bundle, decided again here from what their events have kept and what the collector has.
fn comes_out_the_same_again(site: &Site, bundle: &str) {
    let events = until("decisions of each kind", || {
        let events = site.newest_events(400);
        let of = |action: &str| {
            events.iter().find(|event| event["bundle"] == bundle && event["action"] == action).cloned()
        };
        Some([of("tag")?, of("block")?])
    });
    for event in events {
        let id = event["id"].as_str().unwrap();
        let addr = site.collector_addr();
        let place = format!("--collector http://{addr} --token-file token");
        let replayed = site.sentinel(&format!("audit replay {id} {place}"));
        assert_eq!(replayed["outcome"], "same", "{replayed}");
        let again = &replayed["replay"]["request"]["judged"]["again"];
        assert_eq!((&again["action"], &again["score"]), (&event["action"], &event["score"]), "{replayed}");
    }
}

/// Chosen by a hash of the request's id, so not exactly.
fn share_is_about(site: &Site, candidate: &str, percent: usize) {
    let events = until("enough of a trial to know its share", || {
        let mut events = site.newest_events(5_000);
        let began = events.iter().rposition(|event| event["bundle"] == candidate)?;
        events.truncate(began);
        (events.len() >= 600).then_some(events)
    });
    let taken = events.iter().filter(|event| event["bundle"] == candidate).count();
    let share = taken * 100 / events.len();
    assert!((percent - 12..=percent + 12).contains(&share), "{taken} of {} events", events.len());
}

fn explains_the_rollback(site: &Site, deployment: &Value) {
    let history = deployment["history"].as_array().unwrap();
    let (began, ended) = (&history[0], history.last().unwrap());
    assert_eq!((&began["what"], &began["why"]), (&"started".into(), &"bad".into()), "{deployment}");
    assert_eq!((&ended["what"], &ended["who"]), (&"rolled_back".into(), &"judge".into()), "{deployment}");
    let took = ended["at_ms"].as_u64().unwrap() - began["at_ms"].as_u64().unwrap();
    let judged = ended["figures"]["judged"].as_u64().unwrap();
    assert!(judged < ROLLED_BACK_WITHIN, "after {judged} requests, {deployment}");
    // Either test sees it, whichever comes first.
    let why = ended["why"].as_str().unwrap();
    assert!(["blocks_more", "false_positives"].contains(&why), "{deployment}");
    let tests = ended["figures"]["tests"].as_array().unwrap();
    let alarm = tests.iter().find(|test| test["test"] == why).unwrap();
    assert!(alarm["evidence"].as_f64().unwrap() >= 1.0, "{alarm}");
    assert!(alarm["candidate"].as_f64().unwrap() > alarm["active"].as_f64().unwrap() + 0.3, "{alarm}");
    println!("rolled back for {why} after {took} ms and {judged} requests");
    assert_eq!(metric(site, &format!("sentinel_rollbacks_total{{reason=\"{why}\"}}")), Some(1.0));
    assert_eq!(metric(site, "sentinel_deployment_open"), Some(0.0));
    let told = site.operate("history");
    assert_eq!(told["deployments"][0]["history"], deployment["history"]);
}

/// What the clients got, held against what the events say: everything was answered, no attack passed, and who was
/// refused without reason was so by the bad candidate.
fn account(site: &Site, traffic: &Traffic, day: &Day) {
    let got = traffic.got();
    let events = until("the events of all requests", || {
        let events = site.newest_events(got.len() + 1);
        let by_id: BTreeMap<String, Value> = events
            .into_iter()
            .map(|event| (event["request_id"].as_str().unwrap().to_owned(), event))
            .collect();
        (by_id.len() >= got.len()).then_some(by_id)
    });
    assert_eq!(events.keys().collect::<BTreeSet<_>>(), got.keys().collect());
    let mut refused = BTreeMap::<&str, usize>::new();
    for (id, got) in &got {
        let event = &events[id];
        let by_bad_candidate = event["bundle"] == day.bad.as_str();
        assert_eq!(by_bad_candidate, by_bad_candidate && event["arm"] == "candidate", "{event}");
        let expected = match got.kind {
            Kind::Hostile => 403,
            Kind::Harmless | Kind::Benign if by_bad_candidate => 403,
            Kind::Harmless | Kind::Benign => 200,
        };
        assert_eq!(got.status, Some(expected), "{got:?}: {event}");
        if by_bad_candidate {
            *refused.entry(proxy_of(event)).or_default() += 1;
        }
    }
    assert_eq!(refused.keys().copied().collect::<Vec<_>>(), PROXIES, "both had it");
    let slowest = got.values().map(|got| got.after).max().unwrap();
    println!(
        "{} requests, {refused:?} decided by the bad candidate, the slowest took {slowest:?}",
        got.len()
    );
    let gaps = site.json("/v1/gaps");
    let lost = gaps["vms"].as_array().unwrap().iter().filter(|vm| vm["missing"] != 0);
    assert_eq!(lost.count(), 0, "{gaps}");
}
