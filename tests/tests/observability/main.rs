//! What is shipped for people who watch: alerts, recording rules, runbooks and dashboards. They fit together, the rules do
//! what their unit tests say, and with a real Envoy, a collector, a Prometheus and an Alertmanager every query finds
//! something, every metric exists, and what can be provoked at little cost is told and is over again.
#![expect(clippy::unwrap_used, reason = "a test's panic is its report, also in the helpers that tests share")]
#![expect(clippy::panic, reason = "the same")]
#![expect(clippy::indexing_slicing, reason = "an index that is not there fails the test, as it should")]

mod files;
mod site;
mod traffic;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    process::Command,
    thread,
    time::Instant,
};

use crate::{
    files::{alerts, dashboards, metric_names, queries, repository, rules},
    site::{Site, until},
    traffic::{Burst, Traffic},
};
use sentinel_harness::program::{self, or_skip};

/// Metrics that a collector only has under conditions that are not met here, and where they are written.
const ONLY_SOMETIMES: [(&str, &str); 4] = [
    ("sentinel_log_witnessed_size", "with witnesses"),
    ("sentinel_log_witness_failing_seconds", "with witnesses"),
    ("sentinel_log_witness_contradicted", "with witnesses"),
    ("sentinel_redis_up", "with Redis"),
];

/// Headings of a runbook, in this order.
const SECTIONS: [&str; 5] = [
    "## What it means",
    "## What users notice",
    "## Where to look",
    "## What to do",
    "## How to see that it is over",
];

#[test]
fn every_alert_has_a_runbook_and_a_unit_test_and_no_runbook_is_left_over() {
    let folder = repository().join("docs/runbooks");
    let mut named = BTreeSet::new();
    let tests: String = fs::read_dir(repository().join("ops/prometheus/tests"))
        .unwrap()
        .map(|file| fs::read_to_string(file.unwrap().path()).unwrap())
        .collect();
    for alert in alerts() {
        let name = alert["alert"].as_str().unwrap();
        assert!(matches!(alert["labels"]["severity"].as_str(), Some("critical" | "warning")), "{name}");
        for annotation in ["summary", "description"] {
            let text = alert["annotations"][annotation].as_str().unwrap_or_default();
            assert!(text.ends_with('.'), "{name}: {annotation}: {text:?} is no sentence");
        }
        let file = format!("{name}.md");
        assert_eq!(alert["annotations"]["runbook_url"], format!("docs/runbooks/{file}"));
        let runbook = fs::read_to_string(folder.join(&file)).unwrap_or_else(|e| panic!("{file}: {e}"));
        assert!(runbook.starts_with(&format!("# {name}\n")), "{file}");
        let headings: Vec<&str> = runbook.lines().filter(|line| line.starts_with("## ")).collect();
        assert_eq!(headings, SECTIONS, "{file}");
        assert!(tests.contains(&format!("- name: {name}\n")), "{name} has no unit test");
        named.insert(file);
    }
    let there: BTreeSet<String> = fs::read_dir(&folder)
        .unwrap()
        .map(|file| file.unwrap().file_name().into_string().unwrap())
        .filter(|name| name != "README.md")
        .collect();
    assert_eq!(there, named);
}

#[test]
fn dashboards_can_be_imported_and_say_what_they_show() {
    let mut uids = BTreeSet::new();
    for (file, dashboard) in dashboards() {
        assert!(uids.insert(dashboard["uid"].as_str().unwrap().to_owned()), "{file}: its uid is taken");
        assert_eq!(dashboard["templating"]["list"][0]["type"], "datasource", "{file}");
        let mut ids = BTreeSet::new();
        let mut taken = BTreeMap::new();
        for panel in dashboard["panels"].as_array().unwrap() {
            let title = panel["title"].as_str().unwrap();
            assert!(ids.insert(panel["id"].as_u64().unwrap()), "{file}: {title}: its id is taken");
            let [x, y, w, h] = ["x", "y", "w", "h"].map(|side| panel["gridPos"][side].as_u64().unwrap());
            assert!(x + w <= 24, "{file}: {title} does not fit");
            for place in (x..x + w).flat_map(|x| (y..y + h).map(move |y| (x, y))) {
                let other = taken.insert(place, title);
                assert_eq!(other, None, "{file}: {title} lies over another panel");
            }
            if panel["type"] == "row" {
                continue;
            }
            assert!(panel["description"].as_str().unwrap().ends_with('.'), "{file}: {title} says nothing");
            assert!(panel["fieldConfig"]["defaults"]["unit"].is_string(), "{file}: {title} has no unit");
            for target in panel["targets"].as_array().unwrap() {
                assert_eq!(target["datasource"]["uid"], "${datasource}", "{file}: {title}");
            }
        }
    }
    assert_eq!(uids.len(), 4);
}

#[test]
fn rules_do_what_their_unit_tests_say() {
    let Some(promtool) = or_skip(program::PROMTOOL.find()) else { return };
    let folder = repository().join("ops/prometheus");
    let check = |arguments: &[&str], folder: &std::path::Path| {
        let output = Command::new(&promtool).args(arguments).current_dir(folder).output().unwrap();
        let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        assert!(output.status.success(), "promtool {arguments:?}: {said}");
    };
    check(&["check", "rules", "--lint=all", "--lint-fatal", "recording.yml", "alerts.yml"], &folder);
    check(&["check", "config", "--syntax-only", "prometheus.yml"], &folder);
    let tests: Vec<String> = fs::read_dir(folder.join("tests"))
        .unwrap()
        .map(|file| file.unwrap().file_name().into_string().unwrap())
        .collect();
    let mut arguments = vec!["test", "rules"];
    arguments.extend(tests.iter().map(String::as_str));
    check(&arguments, &folder.join("tests"));
}

#[test]
fn what_is_shipped_works_in_a_real_prometheus() {
    for program in [&program::PROMETHEUS, &program::ALERTMANAGER] {
        let Some(_) = or_skip(program.find()) else { return };
    }
    let mut site = Site::start();
    let traffic = Traffic::new(site.entry());
    thread::scope(|scope| {
        let lane = scope.spawn(|| traffic.drive());
        let day = catch_unwind(AssertUnwindSafe(|| day(&mut site, &traffic)));
        traffic.stop();
        lane.join().unwrap();
        if let Err(panic) = day {
            eprintln!("{}\n{}\nfiring: {:?}", site.envoy.log(), site.prometheus.log(), site.firing());
            resume_unwind(panic);
        }
    });
    until("an end of the last exchange", || site.holds("sum(sentinel_requests_in_progress) == 0"));
}

fn day(site: &mut Site, traffic: &Traffic) {
    // No bundle has come: the filter guards by another policy than it should.
    site.tells("SentinelDegraded");
    site.deploy_first();
    site.is_over("SentinelDegraded");
    // With a trial under way every panel has something to show.
    site.try_candidate();
    every_query_finds_something(site);
    every_metric_exists(site);
    until("exchanges in progress", || site.holds("max_over_time(sentinel_requests_in_progress[1m]) > 0"));
    site.end_trial();

    let began = Instant::now();
    traffic.burst(Burst::Everything);
    site.forge_an_event();
    site.deploy_what_the_proxy_refuses();
    // The first two are over as soon as they are no news any more.
    let provoked = [
        "SentinelAttackCampaign",
        "SentinelEventsQuarantined",
        "SentinelErrorRateHigh",
        "SentinelRateLimiting",
        "SentinelCoverageLow",
        "SentinelBundleRefused",
    ];
    provoked.iter().for_each(|alert| site.has_told(alert, began));

    traffic.burst(Burst::None);
    site.deploy_what_the_proxy_takes();
    site.collector.kill();
    let of_outage = ["SentinelCollectorDown", "SentinelBreakerOpen", "SentinelEventsDropped"];
    of_outage.iter().for_each(|alert| site.tells(alert));
    provoked.iter().for_each(|alert| site.is_over(alert));

    let began = Instant::now();
    site.collector.start().unwrap();
    // What was dropped meanwhile is missing for ever; that it went missing is news only for a while.
    site.has_told("SentinelVmGaps", began);
    of_outage.iter().chain(["SentinelVmGaps"].iter()).for_each(|alert| site.is_over(alert));

    for alert in provoked.iter().skip(2).chain(&of_outage) {
        for status in ["firing", "resolved"] {
            until(&format!("Alertmanager's word of {alert}: {status}"), || {
                site.notified(alert, status).then_some(())
            });
        }
    }
    assert!(!site.has_heard("error expanding template"), "an annotation has a wrong template");
}

fn every_query_finds_something(site: &Site) {
    let mut silent: Vec<(String, String)> = queries();
    silent.extend(rules("recording.yml").iter().map(|rule| {
        let name = rule["record"].as_str().unwrap().to_owned();
        (format!("recording rule {name}"), name)
    }));
    let all = silent.len();
    assert!(all > 80, "only {all} queries were found");
    until("data for every query", || {
        silent.retain(|(place, query)| {
            let found = site.prometheus.query(query).unwrap_or_else(|e| panic!("{place}: {e:#}"));
            found.iter().all(|sample| sample.value.is_nan())
        });
        site.last_complaint(format!("{} of {all} queries find nothing: {silent:#?}", silent.len()));
        silent.is_empty().then_some(())
    });
}

fn every_metric_exists(site: &Site) {
    let shipped = ["recording.yml", "alerts.yml"];
    let expressions =
        shipped.iter().flat_map(|file| rules(file)).map(|rule| rule["expr"].as_str().unwrap().to_owned());
    let expressions = expressions.chain(queries().into_iter().map(|(_, query)| query));
    let names: BTreeSet<String> = expressions.flat_map(|expression| metric_names(&expression)).collect();
    let mut missing: Vec<String> = Vec::new();
    for name in names {
        match ONLY_SOMETIMES.iter().find(|(sometimes, _)| *sometimes == name) {
            Some((_, when)) => {
                assert!(
                    files::collector_writes(&name),
                    "{name} ({when}) is written nowhere in the collector"
                );
            }
            None => missing.push(name),
        }
    }
    // A scrape that took too long leaves nothing until the next one.
    until("every metric", || {
        missing.retain(|name| site.holds(&format!("count({{__name__=\"{name}\"}})")).is_none());
        site.last_complaint(format!("there is no {missing:?}"));
        missing.is_empty().then_some(())
    });
    // Evaluation itself went well.
    for rule in site.prometheus.rules().unwrap() {
        assert_eq!(rule["health"], "ok", "{rule}");
    }
}
