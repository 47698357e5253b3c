//! What stands in the log, and how that is changed while the collector runs.

use serde_json::{Value, json};

use crate::planted::{CARD, EMAIL, event, plant};
use crate::served::{ADMIN, TOKEN, serve};

const REQUEST: &str = "6f1c8a3e-2f2b-4b0e-9a77-0a1b2c3d4e5f";

#[test]
fn nothing_of_a_person_is_in_the_log_at_any_level() {
    for (canary, format, filter) in
        [(EMAIL, "json", "trace"), (CARD, "text", "trace"), (EMAIL, "text", "info"), (EMAIL, "json", "debug")]
    {
        let folder = tempfile::tempdir().unwrap();
        let served = serve(folder.path(), format, filter, &[]);
        plant(&served, canary, event);
        let log = served.log();
        let found: Vec<&str> = log.lines().filter(|line| line.contains(canary)).collect();
        assert!(found.is_empty(), "at {filter}:\n{}", found.join("\n"));
        assert!(log.contains("request failed"), "{log}");
        assert!(!log.contains('\u{1b}'), "colours for a file: {log}");
    }
}

#[test]
fn a_line_of_an_exchange_leads_to_it() {
    let folder = tempfile::tempdir().unwrap();
    let served = serve(folder.path(), "json", "sentinel_collector=debug", &[]);
    let mut event = event(7, "x");
    event["request_id"] = json!(REQUEST);
    event["trace_id"] = json!("4bf92f3577b34da6a3ce929d0e0e4736");
    event["route"] = json!("chat");
    event["session"] = json!({"id": "somebody"});
    let events = json!({"events": [event]}).to_string();
    let id = format!("x-request-id: {REQUEST}\r\n");
    assert_eq!(served.send("POST", "/v1/events", TOKEN, &id, &events).0, 200);
    let log = served.log();
    let lines: Vec<Value> = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let line = |message: &str| lines.iter().find(|line| line["message"] == message).unwrap();
    let exchange = line("exchange");
    for (field, value) in [
        ("event", json!("a-7")),
        ("request", json!(REQUEST)),
        ("trace", json!("4bf92f3577b34da6a3ce929d0e0e4736")),
        ("verdict", json!("malicious")),
        ("action", json!("block")),
        ("score", json!(0.75)),
        ("route", json!("chat")),
        ("level", json!("DEBUG")),
    ] {
        assert_eq!(exchange[field], value, "{field} of {exchange}");
    }
    // A number that is the same for the same session, and not its name.
    let session = exchange["session"].as_str().unwrap();
    assert!(session.len() == 16 && session.bytes().all(|b| b.is_ascii_hexdigit()), "{session}");
    let answered = line("request answered");
    assert_eq!((&answered["request"], &answered["path"]), (&json!(REQUEST), &json!("/v1/events")));
    assert_eq!((&answered["method"], &answered["status"]), (&json!("POST"), &json!(200)));
}

#[test]
fn levels_are_changed_while_it_runs_by_admins_and_the_journal_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let served = serve(folder.path(), "json", "info", &[]);
    let level = |method: &str, token: &str, body: &str| served.send(method, "/v1/log-level", token, "", body);
    assert_eq!(level("GET", ADMIN, "").1, r#"{"filter":"info"}"#);
    assert_eq!(level("GET", TOKEN, "").0, 403);
    assert_eq!(level("PUT", TOKEN, r#"{"filter": "debug"}"#).0, 403);
    for bad in ["", "{}", r#"{"filter": "loud"}"#, r#"{"filter": "info", "for": 5}"#] {
        assert_eq!(level("PUT", ADMIN, bad).0, 400, "{bad}");
    }
    served.send("GET", "/v1/gaps", TOKEN, "", "");
    let (status, body) = level("PUT", ADMIN, r#"{"filter": "warn,sentinel_collector::http=debug"}"#);
    assert_eq!(status, 200, "{body}");
    let mut parts: Vec<String> = serde_json::from_str::<Value>(&body).unwrap()["filter"]
        .as_str()
        .unwrap()
        .split(',')
        .map(str::to_owned)
        .collect();
    parts.sort_unstable();
    assert_eq!(parts, ["sentinel_collector::http=debug", "warn"]);
    served.send("GET", "/v1/compliance", TOKEN, "", "");
    assert_eq!(level("PUT", ADMIN, r#"{"filter": "off"}"#).0, 200);
    served.send("GET", "/v1/bundles", TOKEN, "", "");
    let (_, journal) = served.send("GET", "/v1/journal", ADMIN, "", "");
    let journal: Value = serde_json::from_str(&journal).unwrap();
    let did: Vec<&str> = journal["entries"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|line| line["entry"]["what"] == "operate" && line["entry"]["outcome"] == 200)
        .map(|line| line["entry"]["target"].as_str().unwrap())
        .collect();
    assert_eq!(
        did,
        ["/v1/log-level/off", "/v1/log-level/warn,sentinel_collector::http=debug", "/v1/log-level"],
        "{journal}"
    );
    let log = served.log();
    for (path, is_said) in [("/v1/gaps", false), ("/v1/compliance", true), ("/v1/bundles", false)] {
        assert_eq!(log.contains(path), is_said, "{path} in\n{log}");
    }
}
