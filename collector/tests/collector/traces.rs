//! Traces of exchanges, as a receiver of OTLP sees them.

pub(crate) mod receiver;

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use sentinel_collector::{Config, OtlpProtocol, TraceExport};
use sentinel_harness::port::free_addr;
use serde_json::{Value, json};

use crate::support::{Client, Folder, Running, config, event, finding, start};
use receiver::{Receiver, Seen};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const PARENT: &str = "00f067aa0ba902b7";
const BEGAN_NS: u64 = 1_790_000_000_000_000_000;

async fn tracing(folder: &Folder, traces: TraceExport) -> Running {
    let mut config = config(&folder.database());
    config.traces = Some(traces);
    start(config).await
}

/// As a filter sends it whose policy wants traces.
fn traced(seq: i64) -> Value {
    let mut event = event("a", seq);
    event["trace"] = json!({
        "parent": PARENT, "sampled": true, "began_ns": BEGAN_NS, "took_ns": 5_000_000,
        "layers": [
            {"layer": "traffic", "direction": "request", "at_ns": 1_000, "took_ns": 20_000},
            {"layer": "second_opinion", "direction": "request", "at_ns": 50_000, "took_ns": 300_000},
            {"layer": "act", "direction": "response", "at_ns": 4_000_000, "took_ns": 10_000}
        ]
    });
    event["gen_ai"] = json!({
        "provider": "openai", "operation": "chat", "model": "gpt-4o", "input_tokens": 19, "output_tokens": 10
    });
    event["request_id"] = json!("6f1c8a3e-2f2b-4b0e-9a77-0a1b2c3d4e5f");
    event["findings"] = json!([finding("pii/email"), finding("injection/ignore-instructions")]);
    event
}

fn attribute<'a>(span: &'a Seen, name: &str) -> Option<&'a str> {
    span.attributes.get(name).map(String::as_str)
}

async fn metric(client: &Client, line: &str) -> Option<f64> {
    let text = client.get("/metrics").await.body();
    text.lines().find_map(|found| found.strip_prefix(line)?.strip_prefix(' ')?.parse().ok())
}

/// Asks until it is so; the test's own time is the limit.
async fn until(client: &Client, line: &str, is_so: impl Fn(f64) -> bool) {
    while !metric(client, line).await.is_some_and(&is_so) {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn check_exchange(spans: &[Seen]) {
    let [exchange, traffic, opinion, act] = spans else { panic!("{spans:?}") };
    assert_eq!((exchange.trace.as_str(), exchange.parent.as_str()), (TRACE, PARENT));
    assert_eq!((exchange.name.as_str(), exchange.kind, exchange.flags), ("sentinel.exchange", 1, 1));
    assert_eq!((exchange.start_ns, exchange.end_ns), (BEGAN_NS, BEGAN_NS + 5_000_000));
    assert_eq!((exchange.service.as_str(), exchange.status), ("sentinel", None));
    for (name, value) in [
        ("gen_ai.operation.name", "chat"),
        ("gen_ai.provider.name", "openai"),
        ("gen_ai.request.model", "gpt-4o"),
        ("gen_ai.usage.input_tokens", "19"),
        ("gen_ai.usage.output_tokens", "10"),
        ("http.request.method", "POST"),
        ("http.response.status_code", "200"),
        ("sentinel.event.id", "a-1"),
        ("sentinel.request.id", "6f1c8a3e-2f2b-4b0e-9a77-0a1b2c3d4e5f"),
        ("sentinel.verdict", "clean"),
        ("sentinel.action", "allow"),
        ("sentinel.score", "0.25"),
        ("sentinel.route", "chat"),
        ("sentinel.rules", "pii/email injection/ignore-instructions"),
        ("sentinel.sampled_by", "share"),
    ] {
        assert_eq!(attribute(exchange, name), Some(value), "{name}");
    }
    for (span, layer, direction, at_ns, took_ns) in [
        (traffic, "traffic", "request", 1_000, 20_000),
        (opinion, "second_opinion", "request", 50_000, 300_000),
        (act, "act", "response", 4_000_000, 10_000),
    ] {
        assert_eq!((span.trace.as_str(), &span.parent), (TRACE, &exchange.id));
        assert_eq!(span.name, format!("sentinel.{layer}"));
        assert_eq!((span.start_ns, span.end_ns), (BEGAN_NS + at_ns, BEGAN_NS + at_ns + took_ns));
        let place = (attribute(span, "sentinel.layer"), attribute(span, "sentinel.direction"));
        assert_eq!(place, (Some(layer), Some(direction)));
    }
    let mut ids: Vec<&String> = spans.iter().map(|span| &span.id).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), spans.len());
}

#[tokio::test]
async fn over_http_layers_hang_below_the_exchange_and_that_below_the_proxys_span() {
    let (folder, mut receiver) = (Folder::new(), Receiver::over_http().await);
    let headers = vec!["authorization=Bearer of-the-backend".to_owned()];
    let traces = TraceExport { headers, ..TraceExport::new(&receiver.address, OtlpProtocol::Http) };
    let client = tracing(&folder, traces).await.client;
    client.ingest(&[traced(1)]).await;
    let call = receiver.call().await;
    assert_eq!(call.path, "/v1/traces");
    assert_eq!(call.headers["content-type"], "application/x-protobuf");
    assert_eq!(call.headers["authorization"], "Bearer of-the-backend");
    check_exchange(&receiver::spans_of(&call.message));
    until(&client, "sentinel_trace_exchanges_total{result=\"sent\"}", |n| n == 1.0).await;
    assert_eq!(metric(&client, "sentinel_trace_up").await, Some(1.0));
}

#[tokio::test]
async fn over_grpc_it_is_the_same() {
    let (folder, mut receiver) = (Folder::new(), Receiver::over_grpc().await);
    let headers = vec!["x-tenant=seven".to_owned()];
    let traces = TraceExport { headers, ..TraceExport::new(&receiver.address, OtlpProtocol::Grpc) };
    let client = tracing(&folder, traces).await.client;
    client.ingest(&[traced(1)]).await;
    let call = receiver.call().await;
    assert_eq!(call.path, "/opentelemetry.proto.collector.trace.v1.TraceService/Export");
    assert_eq!(call.headers["content-type"], "application/grpc");
    assert_eq!(call.headers["te"], "trailers");
    assert_eq!(call.headers["x-tenant"], "seven");
    check_exchange(&receiver::spans_of(&call.message));
    // Over the same connection.
    client.ingest(&[traced(2)]).await;
    assert_eq!(receiver.spans(4).await.len(), 4);
    until(&client, "sentinel_trace_exchanges_total{result=\"sent\"}", |n| n == 2.0).await;
}

#[tokio::test]
async fn over_grpc_and_tls_it_is_the_same_for_a_certificate_that_is_believed() {
    let (folder, mut receiver) = (Folder::new(), Receiver::over_grpc_and_tls().await);
    let traces = TraceExport::new(&receiver.address, OtlpProtocol::Grpc);
    let believing = Config {
        traces: Some(traces.clone()),
        ca_files: vec![crate::tls::ca_file(&folder)],
        ..config(&folder.database())
    };
    let running = start(believing).await;
    running.client.ingest(&[traced(1)]).await;
    check_exchange(&receiver::spans_of(&receiver.call().await.message));
    until(&running.client, "sentinel_trace_exchanges_total{result=\"sent\"}", |n| n == 1.0).await;
    running.stop().await;
    // Another one, that knows nothing of the authority.
    let folder = Folder::new();
    let client = tracing(&folder, traces).await.client;
    client.ingest(&[traced(2)]).await;
    until(&client, "sentinel_trace_up", |n| n == 0.0).await;
    assert_eq!(metric(&client, "sentinel_trace_exchanges_total{result=\"sent\"}").await.unwrap_or(0.0), 0.0);
}

#[tokio::test]
async fn blocks_and_masks_are_traced_even_if_nothing_else_is_and_no_event_twice() {
    let (folder, mut receiver) = (Folder::new(), Receiver::over_http().await);
    let traces = TraceExport { head: 0.0, ..TraceExport::new(&receiver.address, OtlpProtocol::Http) };
    let client = tracing(&folder, traces).await.client;
    let acted = |seq, action: &str| {
        let mut event = event("a", seq);
        event["action"] = json!(action);
        event
    };
    let batch = [event("a", 1), acted(2, "block"), acted(3, "tag"), acted(4, "mask")];
    client.ingest(&batch).await;
    client.ingest(&batch).await;
    let spans = receiver.spans(2).await;
    let ids: Vec<_> = spans.iter().map(|span| attribute(span, "sentinel.event.id").unwrap()).collect();
    assert_eq!(ids, ["a-2", "a-4"]);
    assert!(spans.iter().all(|span| attribute(span, "sentinel.sampled_by") == Some("action")));
    until(&client, "sentinel_trace_exchanges_total{result=\"sent\"}", |n| n == 2.0).await;
    assert_eq!(metric(&client, "sentinel_trace_exchanges_total{result=\"unsampled\"}").await, Some(2.0));
}

#[tokio::test]
async fn what_is_not_taken_now_is_sent_again_and_what_never_will_be_is_not() {
    for (mut receiver, protocol, later, never, well) in [
        (Receiver::over_http().await, OtlpProtocol::Http, 503, 400, 200),
        (Receiver::over_grpc().await, OtlpProtocol::Grpc, 14, 3, 0),
    ] {
        let folder = Folder::new();
        receiver.answer.store(later, Ordering::Relaxed);
        let client = tracing(&folder, TraceExport::new(&receiver.address, protocol)).await.client;
        client.ingest(&[event("a", 1)]).await;
        let first = receiver.call().await.message;
        receiver.answer.store(well, Ordering::Relaxed);
        assert_eq!(receiver.call().await.message, first);
        until(&client, "sentinel_trace_exchanges_total{result=\"sent\"}", |n| n == 1.0).await;
        receiver.answer.store(never, Ordering::Relaxed);
        client.ingest(&[event("a", 2)]).await;
        until(&client, "sentinel_trace_exchanges_total{result=\"refused\"}", |n| n == 1.0).await;
        assert_eq!(metric(&client, "sentinel_trace_up").await, Some(0.0));
    }
}

#[tokio::test]
async fn where_nobody_takes_traces_events_are_taken_and_traces_dropped_and_counted() {
    let folder = Folder::new();
    let gone = free_addr().unwrap();
    let traces = TraceExport::new(format!("http://{gone}"), OtlpProtocol::Http);
    let running = tracing(&folder, traces).await;
    let client = running.client.clone();
    let dropped = "sentinel_trace_exchanges_total{result=\"dropped\"}";
    let mut n_taken = 0;
    while metric(&client, dropped).await == Some(0.0) {
        let events: Vec<Value> = (1..=1_000).map(|seq| event("a", n_taken + seq)).collect();
        assert_eq!(client.ingest(&events).await["accepted"], 1_000);
        n_taken += 1_000;
    }
    // More than find room wait for nobody.
    assert!(n_taken > 4_096, "{n_taken}");
    until(&client, "sentinel_trace_up", |up| up == 0.0).await;
    let scaling = client.json("/health/scaling").await;
    let traces = scaling["checks"].as_array().unwrap().iter().find(|check| check["name"] == "traces");
    assert_eq!(traces.unwrap()["status"], "warning");
    // The end does not wait for them for long.
    let begun = Instant::now();
    running.stop().await;
    assert!(begun.elapsed() < Duration::from_secs(30));
}

#[tokio::test]
async fn what_waits_is_sent_before_the_end() {
    let (folder, mut receiver) = (Folder::new(), Receiver::over_grpc().await);
    let running = tracing(&folder, TraceExport::new(&receiver.address, OtlpProtocol::Grpc)).await;
    running.client.ingest(&[event("a", 1), event("a", 2)]).await;
    running.stop().await;
    assert_eq!(receiver.spans(2).await.len(), 2);
}

#[tokio::test]
async fn a_place_that_cannot_be_is_refused_at_the_start() {
    let folder = Folder::new();
    let mut config = config(&folder.database());
    config.traces = Some(TraceExport::new("nowhere", OtlpProtocol::Grpc));
    let error = sentinel_collector::Collector::bind(config).await.unwrap_err();
    assert!(error.is_config() && error.to_string().contains("traces.endpoint"), "{error}");
}

/// Pairs of collectors with and without traces, turn by turn, so that whatever else the machine does hits both.
#[tokio::test(flavor = "multi_thread")]
async fn traces_hold_up_no_ingest() {
    const ROUNDS: i64 = 30;
    /// Near 1.06 was measured; the rest is for machines that do much else.
    const RATIO_MAX: f64 = 1.5;
    let mut receiver = Receiver::over_grpc().await;
    let traces = TraceExport::new(&receiver.address, OtlpProtocol::Grpc);
    tokio::spawn(async move {
        loop {
            receiver.call().await;
        }
    });
    let (plain_folder, traced_folder) = (Folder::new(), Folder::new());
    let plain = plain_folder.start().await.client;
    let with_traces = tracing(&traced_folder, traces).await.client;
    let mut ratios = Vec::new();
    for round in 0..ROUNDS {
        let events: Vec<Value> = (1..=100).map(|n| traced(round * 100 + n)).collect();
        let mut took = [Duration::ZERO; 2];
        let order = if round % 2 == 0 { [0, 1] } else { [1, 0] };
        for which in order {
            let client = [&plain, &with_traces][which];
            let begun = Instant::now();
            client.ingest(&events).await;
            took[which] = begun.elapsed();
        }
        ratios.push(took[1].as_secs_f64() / took[0].as_secs_f64());
    }
    ratios.sort_unstable_by(f64::total_cmp);
    let median = ratios[ratios.len() / 2];
    println!("ingest with traces, against without: median {median:.3}");
    assert!(median < RATIO_MAX, "{median:.3} times as long: {ratios:.2?}");
}
