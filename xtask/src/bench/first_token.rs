//! How late the events of a stream come: one upstream that sends a chat completion event by event, a real Envoy without
//! a filter and one with Sentinel. Upstream and client are in this process, so both ends of each event are one clock's.
//! Rounds are interleaved so that whatever else the machine does hits all variants alike.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use sentinel_harness::{
    bootstrap::{Bootstrap, WasmFilter},
    envoy::Envoy,
    http1::Connection,
    upstream::Upstream,
    wire::{Request, Response, UpstreamSaw},
};
use serde_json::json;

use super::median;
use crate::build;

const CARD: &str = "4111 1111 1111 1111";
const DEADLINE: Duration = Duration::from_secs(30);

/// What the upstream's events say.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Text {
    Words,
    /// Words, with the placeholder of the request's card in three events of every ten.
    Placeholder,
    /// Every event ends in a digit, so more digits could follow.
    DigitsLast,
    /// One digit in each event, and nothing between them.
    DigitsOnly,
}

/// Where one write of the upstream ends and the next begins.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Cut {
    BetweenEvents,
    /// As proxies on the way and encodings may cut them.
    InEvents,
}

struct Variant {
    name: &'static str,
    is_filtered: bool,
    text: Text,
    cut: Cut,
    /// The request has a card, which is masked: so its text is looked for in the answer.
    has_card: bool,
    seen: Vec<Delays>,
}

/// One stream, in milliseconds.
struct Delays {
    first: f64,
    last: f64,
    /// From the upstream's write to the client, for each event with text.
    on_the_way: Vec<f64>,
    /// How many later events the upstream had sent when the client got one.
    behind: Vec<f64>,
}

pub(super) fn run(rounds: usize, events: usize, interval: u64) -> Result<()> {
    let filter = build::filter()?;
    let interval = Duration::from_millis(interval);
    let upstream = Upstream::start(move |saw| answer(saw, events, interval))?;
    let plain = Envoy::run(&Bootstrap::new(upstream.addr(), None))?;
    let guarded = Envoy::run(&Bootstrap::new(upstream.addr(), Some(WasmFilter::new(&filter, ""))))?;
    let variant = |name, is_filtered, text, cut, has_card| Variant {
        name,
        is_filtered,
        text,
        cut,
        has_card,
        seen: Vec::new(),
    };
    use {Cut::*, Text::*};
    let mut variants = [
        variant("no filter", false, Words, BetweenEvents, false),
        variant("sentinel", true, Words, BetweenEvents, false),
        variant("a card was masked", true, Words, BetweenEvents, true),
        variant("and is given back", true, Placeholder, BetweenEvents, true),
        variant("digits end each event", true, DigitsLast, BetweenEvents, false),
        variant("nothing but digits", true, DigitsOnly, BetweenEvents, false),
        variant("no filter, cut events", false, Words, InEvents, false),
        variant("sentinel, cut events", true, Words, InEvents, false),
    ];
    println!("{events} events with text, one each {interval:?}, {rounds} rounds");
    for round in 0..=rounds {
        for variant in &mut variants {
            let envoy = if variant.is_filtered { &guarded } else { &plain };
            let delays = stream(envoy, &upstream, variant, events).context(variant.name)?;
            // The first round warms connections and caches.
            if round > 0 {
                variant.seen.push(delays);
            }
        }
    }
    print(&variants);
    Ok(())
}

fn print(variants: &[Variant]) {
    // What is cut in its events is later by one write, with a filter or without.
    let base = |cut| {
        let none = variants.iter().find(|variant| !variant.is_filtered && variant.cut == cut);
        none.map_or(0.0, |none| at(none, 50, |delays| vec![delays.first]))
    };
    println!(
        "{:<22} {:^26}  {:^17}  {:^14}  {:>9}",
        "", "first text, ms", "on the way, ms", "events behind", "last, ms"
    );
    println!(
        "{:<22} {:>8} {:>8} {:>8}  {:>8} {:>8}  {:>4} {:>4} {:>4}  {:>9}",
        "", "median", "p95", "added", "median", "p95", "50%", "95%", "max", "median"
    );
    for variant in variants {
        let of = |percent, values: fn(&Delays) -> Vec<f64>| at(variant, percent, values);
        let first = of(50, |delays| vec![delays.first]);
        println!(
            "{:<22} {first:>8.2} {:>8.2} {:>8.2}  {:>8.2} {:>8.2}  {:>4} {:>4} {:>4}  {:>9.1}",
            variant.name,
            of(95, |delays| vec![delays.first]),
            first - base(variant.cut),
            of(50, |delays| delays.on_the_way.clone()),
            of(95, |delays| delays.on_the_way.clone()),
            of(50, |delays| delays.behind.clone()),
            of(95, |delays| delays.behind.clone()),
            of(100, |delays| delays.behind.clone()),
            of(50, |delays| vec![delays.last]),
        );
    }
}

/// A percentile over all streams of a variant.
fn at(variant: &Variant, percent: usize, values: fn(&Delays) -> Vec<f64>) -> f64 {
    let mut all: Vec<f64> = variant.seen.iter().flat_map(values).collect();
    if percent == 50 {
        return median(&mut all);
    }
    all.sort_by(f64::total_cmp);
    let idx = (all.len() * percent / 100).min(all.len().saturating_sub(1));
    all.get(idx).copied().unwrap_or(0.0)
}

fn stream(envoy: &Envoy, upstream: &Upstream, variant: &Variant, events: usize) -> Result<Delays> {
    let card = if variant.has_card { CARD } else { "of mine" };
    let body = json!({ "model": "demo", "stream": true, "messages": [
        { "role": "user", "content": format!("Please say something about the card {card} and about the weather.") },
    ] });
    let request = Request::json("/v1/chat/completions", body.to_string())
        .with_header("x-text", (variant.text as usize).to_string())
        .with_header("x-cut", (variant.cut as usize).to_string());
    let mut connection = Connection::open(envoy.addr("main")?, DEADLINE)?;
    let start = Instant::now();
    let mut streaming = connection.send(&request)?.context("no answer")?;
    let (mut bytes, mut arrived) = (Vec::new(), Vec::new());
    while let Some(piece) = streaming.piece()? {
        let now = Instant::now();
        bytes.extend(piece.bytes);
        let whole = bytes.windows(2).filter(|pair| *pair == b"\n\n").count();
        arrived.resize(whole, now);
    }
    // The role, the texts, the end, and `[DONE]`.
    ensure!(streaming.status == 200 && arrived.len() == events + 3, "{} events", arrived.len());
    let text = String::from_utf8_lossy(&bytes);
    ensure!(
        (variant.text == Text::Placeholder) == text.contains(CARD),
        "the card is not where it belongs: {text}"
    );
    // Where writes end in events, the first one ends none.
    let sent: Vec<Instant> = upstream.chunk_times().into_iter().skip(variant.cut as usize).collect();
    let ms = |time: Duration| time.as_secs_f64() * 1e3;
    let since_start = |at: Option<&Instant>| at.map_or(0.0, |at| ms(at.saturating_duration_since(start)));
    let texts = || sent.iter().zip(&arrived).enumerate().skip(1).take(events);
    let behind =
        |idx: usize, at: Instant| sent.partition_point(|sent| *sent <= at).saturating_sub(idx + 1) as f64;
    Ok(Delays {
        first: since_start(arrived.get(1)),
        last: since_start(arrived.last()),
        on_the_way: texts().map(|(_, (sent, at))| ms(at.saturating_duration_since(*sent))).collect(),
        behind: texts().map(|(idx, (_, at))| behind(idx, *at)).collect(),
    })
}

fn answer(saw: &UpstreamSaw, events: usize, interval: Duration) -> Response {
    let text = saw.header("x-text").unwrap_or_default();
    let body = saw.text();
    // What stands for the card in what the filter let through.
    let placeholder = body.split("card ").nth(1).and_then(|rest| rest.split_once(' '));
    let placeholder = placeholder.map_or("", |(name, _)| name);
    let (head, tail) = placeholder.split_at(placeholder.len() / 3);
    let (middle, tail) = tail.split_at(tail.len() / 2);
    let words = ["The", " weather", " will", " be", " fine", " in", " most", " places", ",", " and"];
    let say = |idx: usize| match (text, idx % 10) {
        (b"1", 3) => head.to_owned(),
        (b"1", 4) => middle.to_owned(),
        (b"1", 5) => format!("{tail} "),
        (b"2", _) => format!(" item {}", idx % 10),
        (b"3", digit) => digit.to_string(),
        (_, word) => words.get(word).copied().unwrap_or_default().to_owned(),
    };
    let event = |delta: serde_json::Value, finish: Option<&str>| {
        let choice = json!({ "index": 0, "delta": delta, "finish_reason": finish });
        let chunk =
            json!({ "id": "c", "object": "chat.completion.chunk", "model": "demo", "choices": [choice] });
        format!("data: {chunk}\n\n").into_bytes()
    };
    let mut chunks = vec![event(json!({ "role": "assistant" }), None)];
    chunks.extend((0..events).map(|idx| event(json!({ "content": say(idx) }), None)));
    chunks.push(event(json!({}), Some("stop")));
    chunks.push(b"data: [DONE]\n\n".to_vec());
    if saw.header("x-cut") == Some(b"1") {
        chunks = cut_in_events(&chunks);
    }
    Response::chunked(200, chunks).with_header("content-type", "text/event-stream").with_delay(interval)
}

/// The same bytes, with each event's first bytes in the piece before.
fn cut_in_events(events: &[Vec<u8>]) -> Vec<Vec<u8>> {
    const MOVED: usize = 10;
    let cut: Vec<_> = events.iter().map(|event| event.split_at(MOVED.min(event.len()))).collect();
    let starts = cut.iter().map(|(start, _)| *start).chain([&b""[..]]);
    let ends = [&b""[..]].into_iter().chain(cut.iter().map(|(_, end)| *end));
    ends.zip(starts).map(|(end, start)| [end, start].concat()).collect()
}
