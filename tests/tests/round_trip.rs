//! What masks take out of a request comes back in an answer that repeats it: byte for byte in JSON, letter for letter in
//! a stream, however it is cut into events, and never to anyone but the client.
#![expect(clippy::unwrap_used, reason = "a test's panic is its report, also in the helpers that tests share")]
#![expect(clippy::panic, reason = "the same")]

use std::sync::{Arc, OnceLock};

use proptest::prelude::*;
use sentinel_core::{
    Action, Body, Engine, Exchange, HeaderHold, PatternSet, Step, Steps, Time,
    config::WithoutHeaderHold,
    event::{Event, EventId},
    http::Headers,
    policy::Policy,
};
use serde_json::{Value, json};

const CARDS: [&str; 4] = ["4111111111111111", "4012 8888 8888 1881", "3782-822463-10005", "6011111111111117"];

fn engine() -> Arc<Engine> {
    static ENGINE: OnceLock<Arc<Engine>> = OnceLock::new();
    let build =
        || Arc::new(Engine::new(Policy::default(), Arc::new(PatternSet::builtin().unwrap())).unwrap());
    Arc::clone(ENGINE.get_or_init(build))
}

fn headers<'h>(pairs: &[(&'h str, &'h str)]) -> Headers<'h> {
    pairs.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes())).collect()
}

/// An exchange whose upstream answers with what `reply` makes of the body that it got, in pieces of `split` bytes.
/// Gives what the upstream got, what the client got, and the event.
fn echo(
    body: &str,
    content_type: &str,
    reply: impl Fn(&str) -> String,
    split: usize,
) -> (String, String, Event) {
    let mut exchange = Exchange::new(engine(), HeaderHold::Works, WithoutHeaderHold::default(), Time(1));
    let mut steps = Steps::new();
    let request =
        [(":method", "POST"), (":path", "/v1/chat/completions"), ("content-type", "application/json")];
    exchange.request_headers(&headers(&request), None, false, Time(1), &mut steps);
    exchange.request_body(body.as_bytes(), true, Time(1), &mut steps);
    let upstream = released(&mut steps, body.as_bytes());
    let answer = reply(&upstream);
    let response = [(":status", "200"), ("content-type", content_type)];
    exchange.response_headers(&headers(&response), false, Time(1), &mut steps);
    steps.clear();
    let (mut client, mut held) = (String::new(), Vec::new());
    for (piece, end) in answer.as_bytes().chunks(split).map(|piece| (piece, false)).chain([(&b""[..], true)])
    {
        held.extend_from_slice(piece);
        exchange.response_body(piece, end, Time(1), &mut steps);
        if steps.iter().any(|step| matches!(step, Step::Release(_))) {
            client.push_str(&released(&mut steps, &held));
            held.clear();
        }
        steps.clear();
    }
    (upstream, client, exchange.finish(EventId { vm: "vm", seq: 1 }, Time(1), None))
}

fn released(steps: &mut Steps, as_received: &[u8]) -> String {
    let mut bytes = Vec::new();
    for step in steps.drain(..) {
        match step {
            Step::Release(Body::AsReceived) => bytes.extend_from_slice(as_received),
            Step::Release(Body::Replaced(replaced)) => bytes.extend(replaced),
            Step::Hold | Step::Later | Step::Ask(_) | Step::Lease(_) | Step::Headers(_) => {}
            other => panic!("{other:?}"),
        }
    }
    String::from_utf8(bytes).unwrap()
}

fn words() -> impl Strategy<Value = String> {
    "[a-z\u{e4}\u{4f60}\"\\\\\\n,.\\[\\] ]{0,30}[a-z.]"
}

/// Texts with card numbers in them, at every depth of some JSON.
fn document() -> impl Strategy<Value = Value> {
    let card = prop::sample::select(CARDS.to_vec());
    let leaf = prop_oneof![
        (words(), card, words()).prop_map(|(before, card, after)| json!(format!("{before} {card} {after}"))),
        words().prop_map(Value::from),
        // A document in a string, as the arguments of a tool are.
        (words(), prop::sample::select(CARDS.to_vec()))
            .prop_map(|(text, card)| json!({ "text": text, "card": card }).to_string().into()),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        let key =
            prop::sample::select(vec!["content", "messages", "arguments", "input", "text", "x", "result"]);
        prop_oneof![
            prop::collection::vec(inner.clone(), 1..4).prop_map(Value::from),
            prop::collection::btree_map(key.prop_map(String::from), inner, 1..4)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

/// The text of a stream's deltas, as a client puts it together.
fn text_of(stream: &str) -> String {
    let payloads = stream.split("\n\n").filter_map(|event| event.strip_prefix("data: "));
    let events = payloads.filter_map(|payload| serde_json::from_str::<Value>(payload).ok());
    events.map(|event| event.pointer("/delta/text").unwrap().as_str().unwrap().to_owned()).collect()
}

/// The text in deltas that are cut anywhere between two characters.
fn stream_of(text: &str, cuts: &[usize]) -> String {
    let chars: Vec<char> = text.chars().collect();
    let mut ends: Vec<usize> = cuts.iter().map(|cut| cut % (chars.len() + 1)).chain([chars.len()]).collect();
    ends.sort_unstable();
    let mut start = 0;
    let events = ends.into_iter().map(|end| {
        let delta: String = chars.iter().skip(start).take(end - start).collect();
        start = end;
        format!(
            "data: {}\n\n",
            json!({ "type": "content_block_delta", "delta": { "type": "text_delta", "text": delta } })
        )
    });
    events.collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, rng_seed: prop::test_runner::RngSeed::Fixed(11), failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn json_that_is_repeated_comes_back_byte_for_byte(document in document(), split in 1_usize..64) {
        let body = json!({ "model": "m", "messages": [{ "role": "user", "content": document }] }).to_string();
        let (upstream, client, event) = echo(&body, "application/json", str::to_owned, split);
        prop_assume!(event.receipt.request.gaps.is_empty());
        for card in CARDS {
            prop_assert!(!upstream.contains(card), "{upstream}");
        }
        prop_assert_eq!(&client, &body, "the upstream saw {}", upstream);
        prop_assert_eq!(event.action == Action::Mask, event.restored > 0);
    }

    #[test]
    fn text_that_is_repeated_in_a_stream_comes_back(
        before in words(),
        cards in prop::collection::vec(prop::sample::select(CARDS.to_vec()), 1..4),
        after in words(),
        cuts in prop::collection::vec(any::<usize>(), 0..24),
        split in 1_usize..64,
    ) {
        let said = format!("{before} {} {after}", cards.join(" and "));
        let body = json!({ "messages": [{ "role": "user", "content": said }] }).to_string();
        let repeat = |upstream: &str| {
            let got: Value = serde_json::from_str(upstream).unwrap();
            stream_of(got.pointer("/messages/0/content").unwrap().as_str().unwrap(), &cuts)
        };
        let (upstream, client, event) = echo(&body, "text/event-stream", repeat, split);
        prop_assert!(upstream.contains("[CARD_1]"), "{upstream}");
        prop_assert_eq!(text_of(&client), said, "{}", client);
        prop_assert_eq!(event.restored as usize, cards.len());
        let receipt = event.receipt.response.unwrap();
        prop_assert!(receipt.balances(), "{:?}", receipt);
    }
}
