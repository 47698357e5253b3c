//! `/metrics` in both of its forms, held against the rules of each and against Prometheus's own checker.

use std::collections::BTreeMap;
use std::io::Write;
use std::process::{Command, Stdio};

use sentinel_harness::program::{self, or_skip};
use serde_json::json;

use crate::support::{Client, Folder, event, finding};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const OPENMETRICS: &str = "application/openmetrics-text;version=1.0.0;q=0.9,text/plain;q=0.5";

/// A sample of every kind.
async fn busy() -> (Folder, Client) {
    let folder = Folder::new();
    let client = folder.start().await.client;
    let mut attack = event("a", 1);
    attack["action"] = json!("block");
    attack["verdict"] = json!("malicious");
    attack["score"] = json!(0.93);
    attack["latency_us"] = json!({"request": 1_500, "response": 0});
    attack["gaps"] = json!(["size"]);
    attack["degraded"] = json!("host: something");
    attack["findings"] = json!([finding("injection/ignore-instructions"), finding("pii/email")]);
    attack["gen_ai"] = json!({"input_tokens": 19, "output_tokens": 10});
    attack["trace"] = json!({"began_ns": 5, "took_ns": 7, "layers": [
        {"layer": "patterns", "direction": "request", "at_ns": 1, "took_ns": 40_000}
    ]});
    let mut by_request = event("a", 2);
    by_request["trace_id"] = json!(null);
    by_request["request_id"] = json!("6f1c8a3e-2f2b-4b0e-9a77-0a1b2c3d4e5f");
    by_request["score"] = json!(0.42);
    client.ingest(&[attack, by_request]).await;
    client.get("/v1/gaps").await;
    (folder, client)
}

/// What every line has to be, whatever the form; answers the families with their kinds.
fn families(text: &str) -> BTreeMap<String, String> {
    let mut families = BTreeMap::new();
    let mut current = (String::new(), String::new());
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').unwrap();
            assert!(families.insert(name.to_owned(), kind.to_owned()).is_none(), "twice: {name}");
            current = (name.to_owned(), kind.to_owned());
        } else if line.starts_with("# HELP ") || line == "# EOF" {
            continue;
        } else {
            let end = line.find(['{', ' ']).unwrap();
            let (name, rest) = line.split_at(end);
            let of_family = name.strip_prefix(current.0.as_str());
            let suffixes: &[&str] =
                if current.1 == "histogram" { &["_bucket", "_sum", "_count"] } else { &["", "_total"] };
            assert!(of_family.is_some_and(|suffix| suffixes.contains(&suffix)), "{line} in {current:?}");
            let (sample, exemplar) = rest.split_once(" # ").unwrap_or((rest, ""));
            let value = sample.rsplit(' ').next().unwrap();
            assert!(value.parse::<f64>().is_ok_and(|value| value >= 0.0), "{line}");
            let labels = sample.strip_prefix('{').map(|rest| rest.rsplit_once('}').unwrap().0);
            for pair in labels.into_iter().flat_map(|labels| labels.split("\",")) {
                let (label, value) = pair.split_once("=\"").unwrap();
                assert!(label.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'), "{line}");
                assert!(!value.contains('\n'), "{line}");
            }
            assert!(exemplar.is_empty() || name.ends_with("_bucket") || name.ends_with("_total"), "{line}");
        }
    }
    families
}

#[tokio::test]
async fn the_classic_form_is_for_whoever_does_not_ask_and_has_no_exemplars() {
    let (_folder, client) = busy().await;
    let answer = client.get("/metrics").await;
    assert!(answer.has_header("content-type: text/plain; version=0.0.4"));
    let text = answer.body();
    assert!(!text.contains("# EOF") && !text.contains(" # {"));
    let families = families(&text);
    for (name, kind) in [
        ("sentinel_requests_total", "counter"),
        ("sentinel_risk_scores", "histogram"),
        ("sentinel_pii_detections_total", "counter"),
        ("sentinel_injection_attempts_total", "counter"),
        ("sentinel_rollbacks_total", "counter"),
        ("sentinel_verdicts_total", "counter"),
        ("sentinel_tokens_total", "counter"),
        ("sentinel_events_with_gap_total", "counter"),
        ("sentinel_degraded_events_total", "counter"),
        ("sentinel_exchange_duration_seconds", "histogram"),
        ("sentinel_layer_duration_seconds", "histogram"),
        ("sentinel_collector_request_seconds", "histogram"),
        ("sentinel_ingest_seconds", "histogram"),
    ] {
        assert_eq!(families.get(name).map(String::as_str), Some(kind), "{name} in\n{text}");
    }
    for line in [
        "sentinel_risk_scores_bucket{le=\"50\"} 1",
        "sentinel_risk_scores_bucket{le=\"95\"} 2",
        "sentinel_tokens_total{token_type=\"input\"} 19",
        "sentinel_events_with_gap_total{reason=\"size\"} 1",
        "sentinel_degraded_events_total 1",
        "sentinel_verdicts_total{verdict=\"malicious\"} 1",
        "sentinel_exchange_duration_seconds_bucket{direction=\"request\",le=\"0.005\"} 2",
        "sentinel_exchange_duration_seconds_count{direction=\"response\"} 0",
        "sentinel_layer_duration_seconds_bucket{layer=\"patterns\",le=\"0.0001\"} 1",
        "sentinel_collector_request_seconds_count{method=\"POST\",path=\"/v1/events\"} 1",
    ] {
        assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
    }
}

#[tokio::test]
async fn openmetrics_is_for_whoever_asks_and_leads_to_traces() {
    let (_folder, client) = busy().await;
    let answer = client.with_header("accept", OPENMETRICS).get("/metrics").await;
    assert!(answer.has_header("content-type: application/openmetrics-text; version=1.0.0"));
    let text = answer.body();
    assert!(text.ends_with("\n# EOF\n") && text.matches("# EOF").count() == 1);
    let families = families(&text);
    assert_eq!(families.get("sentinel_pii_detections").map(String::as_str), Some("counter"));
    assert!(families.keys().all(|family| !family.ends_with("_total")));
    // No name of a sample may be that of another family's.
    for (family, kind) in &families {
        let clashes = match kind.as_str() {
            "histogram" => {
                vec![format!("{family}_bucket"), format!("{family}_sum"), format!("{family}_count")]
            }
            "counter" => vec![format!("{family}_total"), format!("{family}_created")],
            _ => Vec::new(),
        };
        assert!(clashes.iter().all(|name| !families.contains_key(name)), "{family}");
    }
    let at = "1790000000.001";
    for line in [
        format!("sentinel_risk_scores_bucket{{le=\"95.0\"}} 2 # {{trace_id=\"{TRACE}\"}} 93 {at}"),
        format!("sentinel_events_by_action_total{{action=\"block\"}} 1 # {{trace_id=\"{TRACE}\"}} 1 {at}"),
        format!(
            "sentinel_injection_attempts_total{{injection_type=\"injection\"}} 1 # {{trace_id=\"{TRACE}\"}} 1 {at}"
        ),
        "sentinel_risk_scores_bucket{le=\"50.0\"} 1 # {request_id=\"6f1c8a3e-2f2b-4b0e-9a77-0a1b2c3d4e5f\"} 42 \
         1790000000.002"
            .to_owned(),
    ] {
        assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
    }
}

#[tokio::test]
async fn prometheus_has_nothing_to_find_fault_with() {
    let (_folder, client) = busy().await;
    let text = client.get("/metrics").await.body();
    let Some(promtool) = or_skip(program::PROMTOOL.find()) else { return };
    let mut promtool =
        Command::new(promtool).args(["check", "metrics"]).stdin(Stdio::piped()).spawn().unwrap();
    promtool.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    assert!(promtool.wait().unwrap().success());
}

#[tokio::test]
async fn every_metric_stands_in_the_documentation() {
    let (_folder, client) = busy().await;
    let read = |name: &str| {
        std::fs::read_to_string(format!("{}/../docs/{name}", env!("CARGO_MANIFEST_DIR"))).unwrap()
    };
    let documented = ["observability.md", "operating.md", "witness.md", "alerts.md"].map(read).concat();
    for family in families(&client.get("/metrics").await.body()).keys() {
        assert!(documented.contains(&format!("`{family}`")), "{family} is not documented");
    }
}
