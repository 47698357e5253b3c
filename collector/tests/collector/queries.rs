//! What may be asked: every filter of `/v1/events`, `/v1/aggregates`, `/v1/compliance`, and that wrong questions are refused.

use serde_json::{Value, json};

use crate::support::{Client, Folder, event, finding, walk};

const HOUR_MS: i64 = 3_600_000;
const START_MS: i64 = 497_222 * HOUR_MS;

/// Eight events, of which each has something that no other has.
async fn filled(folder: &Folder) -> Client {
    let client = folder.start().await.client;
    let mut batch: Vec<Value> = (1..=6).map(|seq| event("a", seq)).collect();
    batch.extend((1..=2).map(|seq| event("b", seq)));
    for (at, event) in batch.iter_mut().enumerate() {
        event["time_ms"] = json!(START_MS + at as i64 * HOUR_MS / 2);
    }
    let set = |batch: &mut Vec<Value>, at: usize, name: &str, value: Value| batch[at][name] = value;
    set(&mut batch, 0, "verdict", json!("malicious"));
    set(&mut batch, 0, "action", json!("block"));
    set(&mut batch, 0, "findings", json!([finding("injection/ignore-instructions"), finding("pii/email")]));
    set(&mut batch, 1, "route", json!("tools & more"));
    set(&mut batch, 1, "findings", json!([finding("pii/email"), finding("pii/email")]));
    set(&mut batch, 1, "verdict", json!("sensitive"));
    set(&mut batch, 1, "action", json!("mask"));
    set(&mut batch, 2, "session", json!({"id": "s-1"}));
    set(&mut batch, 3, "subject", json!("Anna Ärger"));
    set(&mut batch, 4, "score", json!(0.75));
    set(&mut batch, 5, "path", json!("/v1/files/Quarterly-Report.pdf"));
    set(&mut batch, 6, "host", json!("mail.other.test"));
    set(&mut batch, 7, "route", Value::Null);
    client.ingest(&batch).await;
    client
}

#[tokio::test]
async fn every_filter_narrows_alone_and_with_others() {
    let folder = Folder::new();
    let client = filled(&folder).await;
    let all = ["b-2", "b-1", "a-6", "a-5", "a-4", "a-3", "a-2", "a-1"];
    let half = |n: i64| START_MS + n * HOUR_MS / 2;
    let (since, until, both) = (
        format!("since_ms={}", half(6)),
        format!("until_ms={}", half(1)),
        format!("since_ms={}&until_ms={}", half(2), half(3)),
    );
    for (query, expected) in [
        ("limit=100", &all[..]),
        ("verdict=malicious", &["a-1"]),
        ("verdict=clean&vm=a", &["a-6", "a-5", "a-4", "a-3"]),
        ("verdict=suspicious", &[]),
        ("action=mask", &["a-2"]),
        ("action=allow&vm=b", &["b-2", "b-1"]),
        ("route=tools%20%26%20more", &["a-2"]),
        ("route=chat&vm=b", &["b-1"]),
        ("rule=pii/email", &["a-2", "a-1"]),
        ("rule=pii/email&action=block", &["a-1"]),
        ("vm=b", &["b-2", "b-1"]),
        ("vm=nobody", &[]),
        ("request_id=req-a-3", &["a-3"]),
        ("request_id=REQ-a-3", &[]),
        ("session=s-1", &["a-3"]),
        // A number of one kind is not one of another.
        ("session=req-a-3", &[]),
        ("subject=Anna%20%C3%84rger", &["a-4"]),
        ("subject=anna%20%C3%A4rger", &[]),
        ("score_min=0.75", &["a-5"]),
        ("score_min=0.26&score_max=0.74", &[]),
        ("score_max=0.25&vm=b", &["b-2", "b-1"]),
        (&since, &["b-2", "b-1"]),
        (&until, &["a-1"]),
        (&both, &["a-3"]),
        // Words: in any case, whole or as pieces of joined ones, all of them.
        ("text=QUARTERLY", &["a-6"]),
        ("text=quarterly-report.pdf", &["a-6"]),
        ("text=pdf+files", &["a-6"]),
        ("text=report+malicious", &[]),
        ("text=other.test", &[]),
        ("text=mail.other.test", &["b-1"]),
        ("text=other", &["b-1"]),
        ("text=%C3%84RGER", &["a-4"]),
        ("text=rge", &[]),
        ("text=ignore-instructions+block", &["a-1"]),
        ("text=chat&action=mask", &["a-2"]),
        ("text=report&action=mask", &[]),
        ("text=email&action=mask", &["a-2"]),
        ("text=completions&limit=2", &["b-2", "b-1", "a-5", "a-4", "a-3", "a-2", "a-1"]),
    ] {
        let small = if query.contains("limit") { "" } else { "&limit=1" };
        assert_eq!(walk(&client, &format!("{query}{small}")).await, expected, "{query}, in small pages");
        if !query.contains("limit") {
            assert_eq!(walk(&client, query).await, expected, "{query}");
        }
    }
}

#[tokio::test]
async fn a_search_goes_on_where_it_stopped_and_a_page_of_it_may_be_empty() {
    let folder = Folder::new();
    let client = folder.start().await.client;
    for first in (1..=1_200).step_by(400) {
        let mut batch: Vec<Value> = (first..first + 400).map(|seq| event("a", seq)).collect();
        for event in &mut batch {
            if event["seq"].as_i64().unwrap() % 300 == 7 {
                event["host"] = json!("needle.example");
            }
        }
        client.ingest(&batch).await;
    }
    for limit in [1, 3, 4, 5, 1_000] {
        let found = walk(&client, &format!("text=needle&limit={limit}")).await;
        assert_eq!(found, ["a-907", "a-607", "a-307", "a-7"], "limit {limit}");
    }
    let page = client.json("/v1/events?text=needle&limit=4").await;
    assert!(page["next"].is_string(), "six events that were not looked at are left");
    assert_eq!(client.json("/v1/events?text=haystack").await, json!({"events": [], "next": null}));
}

#[tokio::test]
async fn a_question_that_would_be_answered_wrongly_is_refused_and_says_why() {
    let folder = Folder::new();
    let client = folder.start().await.client;
    for (path, parameter, says) in [
        ("events?text=!!!", "text", "no words"),
        ("events?text=%20", "text", "no words"),
        ("events?score_min=1.5", "score_min", "is not a number from 0 to 1"),
        ("events?score_max=NaN", "score_max", "is not a number from 0 to 1"),
        ("events?limit=1.5", "limit", "is not a whole number from 1 to 1000"),
        ("events?by=rule", "by", "no such parameter"),
        ("aggregates?every=day", "by", "missing"),
        ("aggregates?by=action", "every", "missing"),
        ("aggregates?by=subject&every=day", "by", "is not one of action, verdict, route, rule, family, vm"),
        ("aggregates?by=rule_findings&every=day", "by", "is not one of"),
        ("aggregates?by=action&every=minute", "every", "is not one of hour, day"),
        ("aggregates?by=action&every=hour&since_ms=1", "since_ms", "whole hour"),
        ("aggregates?by=action&every=hour&since_ms=0", "since_ms", "limit 1000"),
        ("aggregates?by=action&every=hour&since_ms=3600000&until_ms=3600000", "until_ms", "not after"),
        ("aggregates?by=action&every=hour&top=0", "top", "from 1 to 100"),
        ("aggregates?by=action&every=hour&verdict=clean", "verdict", "no such parameter"),
        ("compliance?since_ms=0", "until_ms", "missing"),
        ("compliance?until_ms=3600000", "since_ms", "missing"),
        ("compliance?since_ms=0&until_ms=3600001", "until_ms", "whole hour"),
        ("export", "format", "missing"),
        ("export?format=xml", "format", "is not one of jsonl, csv"),
        ("export?format=csv&limit=1", "limit", "no such parameter"),
        ("export?format=csv&text=-", "text", "no words"),
    ] {
        let error = client.get(&format!("/v1/{path}")).await.refused(400, "bad_parameter");
        assert_eq!(error["parameter"], parameter, "{path}");
        assert!(error["message"].as_str().unwrap().contains(says), "{path}: {error}");
    }
    let many: String = (0..257).map(|n| format!("+w{n}")).collect();
    let error = client.get(&format!("/v1/events?text={many}")).await.refused(400, "bad_parameter");
    assert!(error["message"].as_str().unwrap().contains("more than 256"));
    for path in
        ["aggregates?by=action&every=day", "compliance?since_ms=0&until_ms=3600000", "export?format=csv"]
    {
        client.with_authorization(None).get(&format!("/v1/{path}")).await.refused(401, "unauthorized");
    }
}

#[tokio::test]
async fn aggregates_count_each_event_once_in_its_hour_or_day() {
    let folder = Folder::new();
    let client = filled(&folder).await;
    let period = format!("since_ms={START_MS}&until_ms={}", START_MS + 4 * HOUR_MS);
    let ask = async |query: &str| client.json(&format!("/v1/aggregates?{query}&{period}")).await;
    assert_eq!(
        ask("by=action&every=hour").await,
        json!({"by": "action", "every": "hour", "since_ms": START_MS, "until_ms": START_MS + 4 * HOUR_MS, "buckets": [
            {"since_ms": START_MS, "counts": {"block": 1, "mask": 1}, "others": 0},
            {"since_ms": START_MS + HOUR_MS, "counts": {"allow": 2}, "others": 0},
            {"since_ms": START_MS + 2 * HOUR_MS, "counts": {"allow": 2}, "others": 0},
            {"since_ms": START_MS + 3 * HOUR_MS, "counts": {"allow": 2}, "others": 0}]})
    );
    // A day of UTC begins at its midnight, also when the period begins later.
    let midnight = START_MS - START_MS % (24 * HOUR_MS);
    for (query, counts, others) in [
        ("by=verdict&every=day", json!({"clean": 6, "malicious": 1, "sensitive": 1}), 0),
        ("by=verdict&every=day&top=1", json!({"clean": 6}), 2),
        ("by=route&every=day", json!({"chat": 6, "other": 1}), 0),
        ("by=rule&every=day", json!({"injection/ignore-instructions": 1, "pii/email": 2}), 0),
        ("by=family&every=day", json!({"injection": 1, "pii": 2}), 0),
        ("by=vm&every=day", json!({"a": 6, "b": 2}), 0),
    ] {
        let buckets = ask(query).await["buckets"].clone();
        assert_eq!(buckets, json!([{"since_ms": midnight, "counts": counts, "others": others}]), "{query}");
    }
    // Without a period it is the last day or month, in which these events are not.
    for query in ["by=vm&every=hour", "by=vm&every=day"] {
        let now = client.json(&format!("/v1/aggregates?{query}")).await;
        let hours = (now["until_ms"].as_i64().unwrap() - now["since_ms"].as_i64().unwrap()) / HOUR_MS;
        let expected = if query.ends_with("hour") { 24..=24 } else { 29 * 24 + 1..=30 * 24 };
        assert!(expected.contains(&hours), "{query}: {hours}");
    }
}

#[tokio::test]
async fn compliance_says_what_was_found_and_done_in_a_period() {
    let folder = Folder::new();
    let client = filled(&folder).await;
    client.ingest(&[json!({"schema": "sentinel.event/1"})]).await;
    let mut later = event("c", 3);
    later["time_ms"] = json!(START_MS + 9 * HOUR_MS);
    client.ingest(&[later]).await;
    let path = |since, until| format!("/v1/compliance?since_ms={since}&until_ms={until}");
    let mut found = client.json(&path(START_MS, START_MS + HOUR_MS)).await;
    // What was set aside belongs to the hour in which it came.
    assert_eq!(found["quarantined"].take(), 0);
    assert_eq!(
        found,
        json!({"since_ms": START_MS, "until_ms": START_MS + HOUR_MS, "blocks": 1, "masks": 1, "events": 2,
               "verdicts": {"malicious": 1, "sensitive": 1}, "actions": {"block": 1, "mask": 1},
               "families": [{"name": "pii", "events": 2, "findings": 3},
                            {"name": "injection", "events": 1, "findings": 1}],
               "rules": [{"name": "pii/email", "events": 2, "findings": 3},
                         {"name": "injection/ignore-instructions", "events": 1, "findings": 1}],
               "rules_left_out": 0, "quarantined": null, "subjects_erased": 0, "events_without_text": 0,
               "missing_now": 2, "vms_with_gaps_now": 1})
    );
    let ever = client.json(&path(0, 900_000 * HOUR_MS)).await;
    assert_eq!((&ever["events"], &ever["quarantined"]), (&json!(9), &json!(1)));
}

#[tokio::test]
async fn an_overview_has_the_sums_that_are_asked_for_one_by_one_and_is_one_line_of_the_journal() {
    let folder = Folder::new();
    let client = filled(&folder).await;
    let period = format!("every=hour&since_ms={}&until_ms={}", START_MS + HOUR_MS, START_MS + 2 * HOUR_MS);
    let overview = client.json(&format!("/v1/overview?{period}")).await;
    for (by, name) in [
        ("action", "actions"),
        ("verdict", "verdicts"),
        ("rule", "rules"),
        ("route", "routes"),
        ("family", "families"),
    ] {
        let sums = client.json(&format!("/v1/aggregates?by={by}&{period}")).await;
        assert_eq!(overview[name], sums["buckets"], "{by}");
    }
    let before = json!([{"since_ms": START_MS, "counts": {"block": 1, "mask": 1}, "others": 0}]);
    assert_eq!(overview["actions_before"], before);
    for (query, parameter) in [("", "every"), ("every=hour&top=0", "top"), ("every=hour&by=action", "by")] {
        let refused = client.get(&format!("/v1/overview?{query}")).await.refused(400, "bad_parameter");
        assert_eq!(refused["parameter"], parameter);
    }
    let journal = client.json("/v1/journal?limit=9").await;
    let asked = journal["entries"].as_array().unwrap().iter().filter(|line| line["entry"]["outcome"] == 200);
    let targets: Vec<&str> = asked.map(|line| line["entry"]["target"].as_str().unwrap()).collect();
    let ours = targets.iter().filter(|target| target.starts_with("/v1/overview?every=hour&since_ms="));
    assert_eq!(ours.count(), 1, "{targets:?}");
}
