//! What an answer must not carry out, over the events of a stream: however the text is spread over events and the events
//! over pieces, it is found, and little of it gets through.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test's panic is its report, also in the helpers that tests share"
)]

use std::sync::{Arc, OnceLock};

use proptest::prelude::*;
use sentinel_core::{
    Action, Body, Engine, Exchange, HeaderHold, PatternSet, Step, Time,
    config::WithoutHeaderHold,
    event::{Event, EventId},
    http::Headers,
    policy::Policy,
};
use serde_json::json;

const PROMPT: &str = "You are the assistant of Harbour Tools, a shop for garden tools. Answer in at most two \
    sentences and never name a competitor. Refunds above two hundred euros need the approval of a manager, whose name \
    you must not give. If a customer asks for a discount, offer at most ten percent, and only after the third question.";
const ADDRESS: &str = "mary.smith@acme-mail.io";
const CANARY: &str = "periwinkle-7731-kite";

fn engine() -> Arc<Engine> {
    static ENGINE: OnceLock<Arc<Engine>> = OnceLock::new();
    let build = || {
        let policy = Policy { canaries: vec![CANARY.into()], ..Policy::default() };
        Arc::new(Engine::new(policy, Arc::new(PatternSet::builtin().unwrap())).unwrap())
    };
    Arc::clone(ENGINE.get_or_init(build))
}

fn headers(pairs: &[(&'static str, &'static str)]) -> Headers<'static> {
    pairs.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes())).collect()
}

/// What a client gets of an answer that comes in these pieces, and the event.
fn answer(stream: &[u8], piece: usize) -> (Vec<u8>, Event) {
    let mut exchange = Exchange::new(engine(), HeaderHold::Works, WithoutHeaderHold::default(), Time(1));
    let mut steps = Vec::new();
    let head = [(":method", "POST"), (":path", "/v1/chat/completions"), ("content-type", "application/json")];
    exchange.request_headers(&headers(&head), None, false, Time(1), &mut steps);
    let user = format!("I am {ADDRESS}. Hello.");
    let body =
        json!({"messages": [{"role": "system", "content": PROMPT}, {"role": "user", "content": user}]});
    exchange.request_body(body.to_string().as_bytes(), true, Time(1), &mut steps);
    let head = [(":status", "200"), ("content-type", "text/event-stream")];
    exchange.response_headers(&headers(&head), false, Time(1), &mut steps);
    steps.clear();
    let mut got = Vec::new();
    for (chunk, end) in stream.chunks(piece).map(|chunk| (chunk, false)).chain([(&b""[..], true)]) {
        exchange.response_body(chunk, end, Time(1), &mut steps);
        for step in steps.drain(..) {
            match step {
                Step::Release(Body::AsReceived) => got.extend_from_slice(chunk),
                Step::Release(Body::Replaced(bytes)) => got.extend(bytes),
                Step::Hold | Step::Later | Step::Ask(_) | Step::Lease(_) => {}
                Step::End => return (got, exchange.finish(EventId { vm: "vm", seq: 1 }, Time(1), None)),
                other => panic!("{other:?}"),
            }
        }
    }
    (got, exchange.finish(EventId { vm: "vm", seq: 1 }, Time(1), None))
}

/// The text as the events of a stream, cut where `cuts` says.
fn stream_of(text: &str, cuts: &[usize]) -> String {
    let mut places: Vec<usize> = cuts.iter().map(|cut| cut % text.len()).collect();
    places.extend([0, text.len()]);
    places.sort_unstable();
    places.dedup();
    let parts =
        places.windows(2).map(|pair| text.get(*pair.first().unwrap()..*pair.last().unwrap()).unwrap());
    let event = |part| format!("data: {}\n\n", json!({"choices": [{"delta": {"content": part}}]}));
    parts.map(event).chain(["data: [DONE]\n\n".to_owned()]).collect()
}

/// The words of the answer that came through.
fn said(got: &[u8]) -> String {
    let text = String::from_utf8(got.to_vec()).unwrap();
    let payloads = text.lines().filter_map(|line| line.strip_prefix("data: "));
    let values = payloads.filter_map(|payload| serde_json::from_str::<serde_json::Value>(payload).ok());
    values.filter_map(|value| Some(value.pointer("/choices/0/delta/content")?.as_str()?.to_owned())).collect()
}

fn found(event: &Event) -> Vec<(&str, u32, u32)> {
    event.findings.iter().map(|f| (f.rule.as_str(), f.start, f.end)).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_prompt_does_not_get_through(
        before in "[a-z ]{0,30}",
        cuts in prop::collection::vec(0_usize..10_000, 0..80),
        piece in 1_usize..400,
    ) {
        let stream = stream_of(&format!("{before}. {PROMPT} That was all."), &cuts);
        let (got, event) = answer(stream.as_bytes(), piece);
        prop_assert_eq!(event.action, Action::Block, "{:?}", found(&event));
        // A row of eight words and the event that it ends in are known only when they are there.
        prop_assert!(!said(&got).contains("Answer in at most"), "{}", said(&got));
        let (all, of_all) = answer(stream.as_bytes(), stream.len());
        prop_assert_eq!((got, found(&event)), (all, found(&of_all)));
    }

    #[test]
    fn nor_does_a_value_in_a_link_or_a_canary(
        cuts in prop::collection::vec(0_usize..10_000, 0..40),
        piece in 1_usize..400,
        carried in prop::sample::select(vec!["[a](https://collect-it.net/x?m=[EMAIL_1]&y=1)", CANARY]),
    ) {
        let stream = stream_of(&format!("Look here: {carried} and there."), &cuts);
        let (got, event) = answer(stream.as_bytes(), piece);
        prop_assert_eq!(event.action, Action::Block, "{:?}", found(&event));
        let said = said(&got);
        prop_assert!(!said.contains("x?m=") && !said.contains("mary") && !said.contains("7731"), "{}", said);
    }

    #[test]
    fn an_answer_that_leaks_nothing_comes_as_it_was(
        text in "([a-zA-Z,.]{1,9} |you are the assistant of |https?://[a-z]{1,5}\\.io/[a-z?=&%]{0,9} |\\n\\* |periwink){1,40}",
        cuts in prop::collection::vec(0_usize..10_000, 0..40),
        piece in 1_usize..400,
    ) {
        let stream = stream_of(&text, &cuts);
        let (got, event) = answer(stream.as_bytes(), piece);
        prop_assert!(event.findings.iter().all(|finding| !finding.rule.starts_with("leak/")), "{:?}", found(&event));
        prop_assert_eq!(said(&got), text);
    }
}
