//! The core's own speed on benign and hostile bodies, natively; and in the fake host the same as fuel per byte, which
//! is the same number on every machine.

use std::{hint::black_box, sync::Arc, time::Instant};

use anyhow::{Context, Result};
use sentinel_core::{Direction, Engine, Format, PatternSet, policy::Policy};
use sentinel_harness::{
    fake_host::{FilterModule, HostOptions, Proxy},
    wire::{Request, Response},
};
use serde_json::json;

use super::chat_body;
use crate::build;

pub(super) fn run() -> Result<()> {
    let engine = Engine::new(Policy::default(), Arc::new(PatternSet::builtin()?))?;
    let module = FilterModule::load(&build::filter()?)?;
    println!("{:<26} {:>8} {:>12} {:>14} {:>12}", "body", "bytes", "native us", "native MB/s", "fuel/byte");
    for (name, body) in bodies() {
        let micros = native(&engine, body.as_bytes())?;
        let fuel = fuel(&module, &body)?;
        let bytes = body.len() as f64;
        println!(
            "{name:<26} {:>8} {micros:>12.1} {:>14.0} {:>12.1}",
            body.len(),
            bytes / micros,
            fuel / bytes
        );
    }
    println!(
        "\n{:<26} {:>8} {:>16} {:>28}",
        "streamed answer", "events", "fuel/event", "fuel/event, content kept"
    );
    for (name, answer) in streams() {
        let fuel = |policy| streamed(&module, &answer, &policy);
        let kept =
            json!({ "profiles": { "default": { "events": { "content": "masked", "max_bytes": 65536 } } } });
        let (plain, kept) = (fuel(json!({}))?, fuel(kept)?);
        let events = answer.len() as f64;
        println!("{name:<26} {:>8} {:>16.0} {:>28.0}", answer.len(), plain / events, kept / events);
    }
    Ok(())
}

fn streamed(module: &FilterModule, answer: &[Vec<u8>], policy: &serde_json::Value) -> Result<f64> {
    let config = json!({ "policy": policy }).to_string().into_bytes();
    let mut proxy = Proxy::start(module, HostOptions { plugin_config: config, ..HostOptions::default() })?;
    let request = Request::json("/v1/chat/completions", chat_body(200));
    let answer = Response::chunked(200, answer.to_vec()).with_header("content-type", "text/event-stream");
    let mut upstream = |_: &_| answer.clone();
    proxy.exchange(&request, &mut upstream)?;
    proxy.exchange(&request, &mut upstream)?;
    Ok(proxy.fuel_of_last_exchange() as f64)
}

/// A word for each event, as models send them.
fn streams() -> Vec<(&'static str, Vec<Vec<u8>>)> {
    const EVENTS: usize = 500;
    let event = |text: &str| {
        let chunk = json!({
            "id": "chatcmpl-9kZ", "object": "chat.completion.chunk", "created": 1_700_000_000, "model": "demo",
            "choices": [{ "index": 0, "delta": { "content": text }, "finish_reason": null }],
        });
        format!("data: {chunk}\n\n").into_bytes()
    };
    let of = |words: &[&str]| words.iter().cycle().take(EVENTS).map(|word| event(word)).collect();
    let mut cards = vec!["and "; 50];
    cards.insert(0, "4111 1111 1111 1111, ");
    vec![
        ("words", of(&["The ", "hills ", "lay ", "in ", "the ", "evening ", "sun, ", "and "])),
        ("digits", of(&["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"])),
        ("card numbers", of(&cards)),
    ]
}

fn native(engine: &Engine, body: &[u8]) -> Result<f64> {
    const ROUNDS: u32 = 7;
    let repeats = (2_000_000 / body.len()).clamp(3, 2000) as u32;
    let mut best = f64::INFINITY;
    for _ in 0..ROUNDS {
        let start = Instant::now();
        for _ in 0..repeats {
            let scan = engine.scan("default", Direction::Request, Format::Json, black_box(body));
            black_box(scan.context("default profile")?);
        }
        best = best.min(start.elapsed().as_secs_f64() * 1e6 / f64::from(repeats));
    }
    Ok(best)
}

fn fuel(module: &FilterModule, body: &str) -> Result<f64> {
    let mut proxy = Proxy::start(module, HostOptions::default())?;
    let request = Request::json("/v1/chat/completions", body);
    let mut upstream = |_: &_| Response::json("{}");
    // The first exchange also learns that headers are held.
    proxy.exchange(&request, &mut upstream)?;
    proxy.exchange(&request, &mut upstream)?;
    Ok(proxy.fuel_of_last_exchange() as f64)
}

fn bodies() -> Vec<(&'static str, String)> {
    let chat = |text: String| json!({ "messages": [{ "role": "user", "content": text }] }).to_string();
    const LARGE: usize = 32 * 1024;
    vec![
        ("tiny chat", chat_body(200)),
        ("benign chat 4 KB", chat_body(4096)),
        ("benign chat 32 KB", chat_body(LARGE)),
        ("benign chat 256 KB", chat_body(8 * LARGE)),
        ("one anchor again and again", chat("ignore ".repeat(LARGE / 7))),
        ("anchors and near misses", chat("ignore reveal your hidden previous ".repeat(LARGE / 35))),
        ("digits", chat("4111 1111 1111 1112 ".repeat(LARGE / 20))),
        ("escapes", chat("\u{1}\n\"".repeat(LARGE / 10))),
        ("many small strings", json!({ "messages": vec!["a"; LARGE / 4] }).to_string()),
        ("Chinese", chat("请把下面这段话翻译成英文谢谢".repeat(LARGE / 42))),
    ]
}
