//! What events say for traces: the place in the proxy's trace, the times of layers, the model that was asked.
#![expect(clippy::unwrap_used, reason = "a test's panic is its report, also in the helpers that tests share")]

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use sentinel_core::config::WithoutHeaderHold;
use sentinel_core::event::{Event, EventId};
use sentinel_core::policy::Policy;
use sentinel_core::{Direction, Engine, Exchange, HeaderHold, Layer, PatternSet, Time};
use serde_json::{Value, json};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const SPAN: &str = "00f067aa0ba902b7";

/// A thousand nanoseconds for each question, so that every lap has a length.
fn clock() -> Time {
    static NOW: AtomicU64 = AtomicU64::new(1_000_000);
    Time(NOW.fetch_add(1_000, Ordering::Relaxed))
}

/// One that must not be asked.
fn no_clock() -> Time {
    unreachable!("nobody wants to know how long layers take");
}

fn engine(trace: &Value) -> Arc<Engine> {
    let policy: Policy = serde_json::from_value(json!({ "trace": trace })).unwrap();
    Arc::new(Engine::new(policy, Arc::new(PatternSet::builtin().unwrap())).unwrap())
}

/// A chat and its answer, whole or as a stream.
fn exchange(
    trace: &Value,
    clock: fn() -> Time,
    now: fn() -> Time,
    headers: &[(&str, &str)],
    answer: (&str, &str),
) -> Event {
    let mut exchange = Exchange::new(engine(trace), HeaderHold::Works, WithoutHeaderHold::default(), now())
        .with_clock(clock);
    let path = [(":method", "POST"), (":path", "/v1/chat/completions"), ("content-type", "application/json")];
    let pairs = path.iter().chain(headers).map(|(name, value)| (name.as_bytes(), value.as_bytes())).collect();
    let mut steps = Vec::new();
    exchange.request_headers(&pairs, None, false, now(), &mut steps);
    let body =
        r#"{"model":"gpt-4o-mini","messages":[{"role":"user","content":"Mail me at ann@example.org"}]}"#;
    exchange.request_body(body.as_bytes(), true, now(), &mut steps);
    let (content_type, body) = answer;
    let answer = [(":status", "200"), ("content-type", content_type)]
        .map(|(name, value)| (name.as_bytes(), value.as_bytes()));
    exchange.response_headers(&answer.into_iter().collect(), false, now(), &mut steps);
    exchange.response_body(body.as_bytes(), true, now(), &mut steps);
    exchange.finish(EventId { vm: "test", seq: 1 }, now(), None)
}

fn still() -> Time {
    Time(1_000_000)
}

const WHOLE: (&str, &str) = (
    "application/json",
    r#"{"choices":[{"message":{"role":"assistant","content":"Hi"}}],"usage":{"prompt_tokens":19,"completion_tokens":10}}"#,
);
const STREAM: (&str, &str) = (
    "text/event-stream",
    "data: {\"object\":\"chat.completion.chunk\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"Hi\"}}]}\n\n\
     data: {\"choices\":[],\"usage\":{\"prompt_tokens\":5,\"completion_tokens\":2}}\n\ndata: [DONE]\n\n",
);

#[test]
fn an_event_names_the_proxys_span_if_the_header_keeps_to_its_form() {
    let of = |headers: &[(&str, &str)]| exchange(&json!({}), no_clock, still, headers, WHOLE);
    let header = format!("00-{TRACE}-{SPAN}-01");
    let event = of(&[("traceparent", &header)]);
    let trace = event.trace.unwrap();
    assert_eq!((event.trace_id.as_deref(), trace.parent.as_deref()), (Some(TRACE), Some(SPAN)));
    assert!(trace.sampled && trace.layers.is_empty());
    let bad = format!("00-ann@example.org-{SPAN}-01");
    for headers in
        [&[][..], &[("traceparent", bad.as_str())], &[("traceparent", &header), ("traceparent", &header)]]
    {
        let event = of(headers);
        assert_eq!((event.trace_id, event.trace), (None, None));
    }
}

#[test]
fn the_span_that_the_proxy_wrote_on_the_way_takes_the_place_of_the_clients() {
    let headers = format!("00-{TRACE}-{SPAN}-00");
    let begun = || {
        let mut exchange =
            Exchange::new(engine(&json!({})), HeaderHold::Works, WithoutHeaderHold::default(), still());
        let pairs = [("traceparent", headers.as_str()), (":path", "/")];
        let pairs = pairs.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes())).collect();
        exchange.request_headers(&pairs, None, true, still(), &mut Vec::new());
        exchange
    };
    let parent = |exchange: Exchange| {
        exchange.finish(EventId { vm: "test", seq: 1 }, still(), None).trace.unwrap().parent.unwrap()
    };
    let mut exchange = begun();
    exchange.traced_by(format!("00-{TRACE}-b7ad6b7169203331-01").as_bytes());
    assert_eq!(parent(exchange), "b7ad6b7169203331");
    let mut exchange = begun();
    exchange.traced_by(b"ann@example.org");
    assert_eq!(parent(exchange), SPAN);
}

#[test]
fn layers_are_timed_where_policy_asks_and_the_host_has_a_clock() {
    let wanted = json!({"layers": true});
    for answer in [WHOLE, STREAM] {
        let event = exchange(&wanted, clock, clock, &[], answer);
        let trace = event.trace.unwrap();
        assert_eq!((trace.parent, event.trace_id), (None, None));
        for direction in [Direction::Request, Direction::Response] {
            let laps = || trace.layers.iter().filter(|lap| lap.direction == direction);
            for layer in [Layer::Traffic, Layer::Text, Layer::Patterns, Layer::Policy, Layer::Act] {
                let lap = laps().find(|lap| lap.layer == layer).unwrap();
                assert!(lap.took_ns > 0 && lap.at_ns > 0, "{direction:?}: {lap:?}");
            }
            assert!(laps().all(|lap| lap.at_ns + lap.took_ns <= trace.took_ns));
        }
        // Layers take turns: together they take no longer than the exchange.
        assert!(trace.layers.iter().map(|lap| lap.took_ns).sum::<u64>() <= trace.took_ns);
    }
}

#[test]
fn without_being_asked_the_clock_is_not_read_and_nothing_else_changes() {
    let plain = exchange(&json!({}), no_clock, still, &[], WHOLE);
    let timed = exchange(&json!({"layers": true, "gen_ai": true}), clock, still, &[], WHOLE);
    assert_eq!((plain.trace.is_none(), plain.gen_ai.is_none()), (true, true));
    let same = Event { trace: None, gen_ai: None, policy: plain.policy.clone(), ..timed };
    assert_eq!(same, plain);
}

#[test]
fn the_model_and_its_tokens_are_named_where_policy_asks() {
    for (answer, input, output) in [(WHOLE, 19, 10), (STREAM, 5, 2)] {
        let known = exchange(&json!({"gen_ai": true}), no_clock, still, &[], answer).gen_ai.unwrap();
        assert_eq!((known.provider.as_deref(), known.operation.as_deref()), (Some("openai"), Some("chat")));
        assert_eq!(known.model.as_deref(), Some("gpt-4o-mini"));
        assert_eq!((known.input_tokens, known.output_tokens), (Some(input), Some(output)));
    }
}
