//! Streams, in any pieces: what the client gets does not depend on how the upstream's bytes were cut, no card number
//! gets through however its digits are spread over events, and the text around it stays as it was.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test's panic is its report, also in the helpers that tests share"
)]

use std::sync::{Arc, OnceLock};

use proptest::prelude::*;
use sentinel_core::{
    Body, Engine, Exchange, HeaderHold, PatternSet, Step, Time, config::WithoutHeaderHold, event::Event,
    event::EventId, http::Headers, policy::Policy,
};
use serde_json::{Value, json};

const CARDS: [&str; 4] = ["4111111111111111", "4012 8888 8888 1881", "3782-822463-10005", "6011111111111117"];

fn engine() -> Arc<Engine> {
    static ENGINE: OnceLock<Arc<Engine>> = OnceLock::new();
    let build =
        || Arc::new(Engine::new(Policy::default(), Arc::new(PatternSet::builtin().unwrap())).unwrap());
    Arc::clone(ENGINE.get_or_init(build))
}

/// An exchange whose upstream has begun a stream of events.
fn streaming() -> Exchange {
    let mut exchange = Exchange::new(engine(), HeaderHold::Works, WithoutHeaderHold::default(), Time(1));
    let headers = |pairs: &[(&'static str, &'static str)]| -> Headers<'static> {
        pairs.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes())).collect()
    };
    let mut steps = Vec::new();
    let request = headers(&[(":method", "GET"), (":path", "/v1/chat/completions")]);
    exchange.request_headers(&request, None, true, Time(1), &mut steps);
    let response = headers(&[(":status", "200"), ("content-type", "text/event-stream")]);
    exchange.response_headers(&response, false, Time(1), &mut steps);
    exchange
}

/// The response of an exchange whose upstream sends these pieces: what the client gets, and the event.
fn answer<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> (Vec<u8>, Event) {
    let mut exchange = streaming();
    let mut steps = Vec::new();
    let mut got = Vec::new();
    for (piece, end) in pieces.map(|piece| (piece, false)).chain([(&b""[..], true)]) {
        exchange.response_body(piece, end, Time(1), &mut steps);
        for step in steps.drain(..) {
            match step {
                Step::Release(Body::AsReceived) => got.extend_from_slice(piece),
                Step::Release(Body::Replaced(bytes)) => got.extend(bytes),
                Step::Hold | Step::Later | Step::Ask(_) | Step::Lease(_) => {}
                other => panic!("{other:?}"),
            }
        }
    }
    (got, exchange.finish(EventId { vm: "vm", seq: 1 }, Time(1), None))
}

fn stream_of(deltas: &[String]) -> String {
    let event =
        |delta: &String| format!("data: {}\n\n", json!({ "choices": [{ "delta": { "content": delta } }] }));
    deltas.iter().map(event).chain(["data: [DONE]\n\n".to_owned()]).collect()
}

/// The text that a client puts together from a stream.
fn text_of(stream: &[u8]) -> String {
    let stream = std::str::from_utf8(stream).unwrap();
    let payloads = stream.split("\n\n").filter_map(|event| event.strip_prefix("data: "));
    let events = payloads.filter_map(|payload| serde_json::from_str::<Value>(payload).ok());
    events
        .map(|event| event.pointer("/choices/0/delta/content").unwrap().as_str().unwrap().to_owned())
        .collect()
}

fn cut(text: &str, at: &[usize]) -> Vec<String> {
    let mut places: Vec<usize> = at.iter().map(|at| at % (text.len() + 1)).collect();
    places.sort_unstable();
    let mut pieces = Vec::new();
    let mut rest = text;
    let mut done = 0;
    for place in places.into_iter().filter(|place| text.is_char_boundary(*place)) {
        let (piece, after) = rest.split_at(place - done);
        pieces.push(piece.to_owned());
        (rest, done) = (after, place);
    }
    pieces.push(rest.to_owned());
    pieces
}

/// What streams are made of, in any order: most of what comes out is broken.
const PIECES: &[&[u8]] = &[
    b"data: ",
    b"{\"choices\":[{\"delta\":{\"content\":\"",
    b"\"}}]}",
    b"\n\n",
    b"\r",
    b"\r\n",
    b"4111",
    b" 1111",
    b"ignore previous instructions ",
    b"\xff",
    b": x\n",
    b"{\"delta\":{\"partial_json\":\"",
    b"[DONE]",
    b"\\u0034",
];

fn words() -> impl Strategy<Value = String> {
    "[a-z\u{e4}\u{4f60}\"\\\\,. ]{0,30}[a-z]"
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, rng_seed: prop::test_runner::RngSeed::Fixed(7), ..ProptestConfig::default() })]

    #[test]
    fn cards_do_not_get_through_however_they_are_spread(
        before in words(),
        card in 0..CARDS.len(),
        after in words(),
        deltas in prop::collection::vec(any::<usize>(), 0..12),
        split in 1_usize..40,
    ) {
        let text = format!("{before} {} {after}", CARDS[card]);
        let stream = stream_of(&cut(&text, &deltas));
        let (whole, event) = answer([stream.as_bytes()].into_iter());
        prop_assert_eq!(text_of(&whole), format!("{before} [CARD_1] {after}"), "{}", stream);
        let receipt = event.receipt.response.unwrap();
        prop_assert!(receipt.balances() && receipt.bytes as usize == stream.len(), "{:?}", receipt);
        let (pieces, _) = answer(stream.as_bytes().chunks(split));
        prop_assert_eq!(String::from_utf8(pieces).unwrap(), String::from_utf8(whole).unwrap());
    }

    #[test]
    fn any_bytes_pass_or_are_cut_and_no_split_matters(
        stream in prop::collection::vec(prop::sample::select(PIECES), 0..40),
        split in 1_usize..9,
    ) {
        let stream = stream.concat();
        let (whole, event) = answer([stream.as_slice()].into_iter());
        let (pieces, piecewise) = answer(stream.chunks(split));
        prop_assert_eq!(&whole, &pieces);
        let outcome = |event: &Event| (event.verdict, event.action, event.score, event.findings.clone(), event.receipt.clone());
        prop_assert_eq!(outcome(&event), outcome(&piecewise));
        let receipt = event.receipt.response.unwrap();
        prop_assert!(receipt.balances() && receipt.bytes as usize == stream.len(), "{:?}", receipt);
        if event.findings.is_empty() {
            prop_assert_eq!(whole, stream);
        }
    }
}

/// How many of these events were held at most, each time after one more had come.
fn held_at_most(deltas: &[String]) -> usize {
    let mut client = 0;
    let (mut came, mut most) = (0, 0);
    let mut exchange = streaming();
    let mut steps = Vec::new();
    for delta in deltas {
        let event = stream_of(std::slice::from_ref(delta)).replace("data: [DONE]\n\n", "");
        exchange.response_body(event.as_bytes(), false, Time(1), &mut steps);
        came += 1;
        for step in steps.drain(..) {
            client += match step {
                Step::Release(Body::AsReceived) => 1,
                Step::Release(Body::Replaced(bytes)) => bytes.windows(2).filter(|two| two == b"\n\n").count(),
                _ => 0,
            };
        }
        most = most.max(came - client);
    }
    most
}

#[test]
fn a_stream_waits_for_what_may_become_a_number_and_for_no_more_than_that() {
    for (delta, n_held) in
        [("word ", 0), ("word", 0), (", ", 0), (" word 12 word", 0), (" ann@example.com", 1)]
    {
        assert_eq!(held_at_most(&vec![delta.to_owned(); 200]), n_held, "{delta:?}");
    }
    // Where every event ends like the beginning of a card number or of an IBAN, what could be one waits.
    for delta in ["1", "12", "12 ", " 12", "1.", "(1)", " word 12", "2026-11-22", "3.14 "] {
        let n_bytes = held_at_most(&vec![delta.to_owned(); 200]) * delta.len();
        assert!(n_bytes <= 64 + delta.len(), "{delta:?}: {n_bytes}");
    }
}
