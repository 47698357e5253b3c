//! Any bytes as a JSON request. What `serde_json` takes for JSON is read, and nothing else is.
//!
//! `serde_json` is asked for the grammar only, because that is what the core promises to know. So these are no
//! differences, though `serde_json::Value` refuses them: lone surrogates in escapes, and numbers beyond every float.
//! Where the two do differ on purpose:
//!
//! * an empty body is no JSON, and has nothing in it that could be missed: no gap;
//! * what is nested deeper than 128 is JSON, and a gap `depth`; so may be what is malformed behind that depth.

use sentinel_core::{
    Action, Direction, Format,
    receipt::{GapReason, Receipt},
};

use crate::{
    drive::{Kind, Message, Traffic},
    law::{self, is_json, shown},
    plant::{self, Way},
    source::Source,
};

/// As deep as the core follows.
const DEPTH_MAX: usize = 128;

pub fn run(data: &[u8]) {
    let (body, mut source) = Source::after_body(data);
    let (cuts, ending) = (source.cuts(), source.ending());
    let post = |body: &[u8]| Traffic::request(Message::post("/v1/fuzz", b"application/json", body));
    let outcome = law::run(&post(body), &cuts, ending);
    let receipt = &outcome.event.receipt.request;
    check_grammar(body, receipt);
    let scan = Kind::Default.engine().scan("default", Direction::Request, Format::Json, body);
    let scan = scan.expect("there is a default profile");
    let (event, scanned) = (&outcome.event, (scan.action, scan.verdict, scan.score, scan.receipt));
    if !body.is_empty() {
        assert_eq!(scanned, (event.action, event.verdict, event.score, receipt.clone()), "scan and exchange");
    }
    if !is_json(body) {
        return;
    }
    if event.action == Action::Mask {
        let passed = outcome.passed(Direction::Request);
        assert!(is_json(passed), "masked, and no JSON any more\n{}", shown(passed));
    }
    let (pick, way) = (usize::from(source.byte()), Way::pick(&mut source));
    let text = String::from_utf8_lossy(body);
    if !plant::strings(&text).is_empty() {
        let build =
            |planted: &str| post(plant::into_json(&text, pick, way, planted).unwrap_or_default().as_bytes());
        plant::check(Direction::Request, build, &cuts, ending);
    }
}

fn check_grammar(body: &[u8], receipt: &Receipt) {
    let has = |reason| receipt.gaps.iter().any(|gap| gap.reason == reason);
    let (unparsable, deep) = (has(GapReason::Unparsable), has(GapReason::Depth));
    match is_json(body) {
        _ if body.is_empty() => assert!(!unparsable && !deep),
        true if depth(body) > DEPTH_MAX => assert!(deep && !unparsable, "{receipt:?}"),
        true => assert!(!unparsable && !deep, "refused, and serde_json accepts it: {receipt:?}"),
        false => assert!(unparsable || deep, "accepted, and serde_json refuses it: {receipt:?}"),
    }
}

/// How deep a JSON text is nested.
fn depth(json: &[u8]) -> usize {
    let text = String::from_utf8_lossy(json);
    let strings = plant::strings(&text);
    let mut strings = strings.iter().peekable();
    let (mut depth, mut deepest) = (0_usize, 0);
    for (at, byte) in text.bytes().enumerate() {
        while strings.next_if(|string| string.end <= at).is_some() {}
        if strings.peek().is_some_and(|string| string.contains(&at)) {
            continue;
        }
        match byte {
            b'[' | b'{' => depth += 1,
            b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        deepest = deepest.max(depth);
    }
    deepest
}
