//! Every text of a file of labelled texts through the core natively, the built module in this process, and the built module in
//! a real Envoy: the same findings, and scores with the same bits.
//!
//! ```text
//! SENTINEL_DEV_DATA=dev.jsonl.zst cargo test --release -p sentinel-tests --test labelled_texts
//! ```
//!
//! The file has JSON lines with `text` and, if it is known, `channel`, plain or packed with zstd. `SENTINEL_DEV_STRIDE=3` takes
//! one row in three. Without a file the test says that it was skipped.

use std::{
    env, fs,
    io::{Read, Write, stderr},
    path::Path,
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
    thread,
    time::Instant,
};

use anyhow::{Context, Result, anyhow, ensure};
use sentinel_core::{event::Event, receipt::GapReason};
use sentinel_harness::wire::{Request, Response};
use sentinel_tests::{
    case::{Case, Policies},
    engine::{Engine, InEnvoy, InWasmtime, Native},
    expect::{Expect, differences},
    folder,
};
use serde::Deserialize;
use serde_json::json;

const POLICY: &str = "model";

/// Requests that are under way at the same time. An event comes some time after its request; meanwhile others can run.
const CONNECTIONS: usize = 12;

/// Of more than so many rows that differ nothing new is learnt.
const SHOWN: usize = 10;

#[derive(Deserialize)]
struct Row {
    text: String,
    channel: Option<String>,
}

/// What was compared.
#[derive(Default)]
struct Tally {
    rows: AtomicUsize,
    with_findings: AtomicUsize,
    findings_of_the_model: AtomicUsize,
    left_open: AtomicUsize,
}

#[test]
fn findings_and_scores_of_a_file_of_texts_are_the_same_to_the_bit_on_every_engine() -> Result<()> {
    let Some(path) = env::var_os("SENTINEL_DEV_DATA") else {
        return say("SKIPPED: SENTINEL_DEV_DATA names no file of labelled texts; nothing was compared");
    };
    let stride: usize = env::var("SENTINEL_DEV_STRIDE").map_or(Ok(1), |stride| stride.parse())?;
    let rows: Vec<Row> = read(Path::new(&path))?.into_iter().step_by(stride).collect();
    ensure!(!rows.is_empty(), "no rows");

    let started = Instant::now();
    let policies = Policies::load(&folder().join("policies"))?.without_others(POLICY);
    let native = Native::new(&policies)?;
    let (wasmtime, envoy) = (InWasmtime::new(&policies)?, InEnvoy::new(&policies)?);
    let (next, tally) = (AtomicUsize::new(0), Tally::default());
    let work = || -> Result<Vec<String>> {
        let mut wrong = Vec::new();
        loop {
            let idx = next.fetch_add(1, Relaxed);
            let Some(row) = rows.get(idx) else { return Ok(wrong) };
            let case = case(idx, row)?;
            let outcome = native.run(&case)?;
            for (name, engine) in [("wasmtime", &wasmtime as &dyn Engine), ("envoy", &envoy)] {
                let other = engine.run(&case).with_context(|| format!("row {idx} in {name}"))?;
                let differences = differences(&other, &outcome);
                wrong.extend(differences.into_iter().map(|line| format!("row {idx} in {name}: {line}")));
            }
            tally.add(&outcome.event);
            if wrong.len() >= SHOWN {
                return Ok(wrong);
            }
        }
    };
    let wrong: Vec<String> = thread::scope(|scope| {
        let workers: Vec<_> = (0..CONNECTIONS).map(|_| scope.spawn(work)).collect();
        let joined =
            workers.into_iter().map(|worker| worker.join().map_err(|_| anyhow!("a thread panicked"))?);
        joined.collect::<Result<Vec<_>>>()
    })?
    .concat();
    let count = |number: &AtomicUsize| number.load(Relaxed);
    say(&format!(
        "{} texts in {:.0} s on three engines: {} with findings, {} findings of the model, {} with windows that stage 2 had \
         no time for; {} differences",
        count(&tally.rows),
        started.elapsed().as_secs_f64(),
        count(&tally.with_findings),
        count(&tally.findings_of_the_model),
        count(&tally.left_open),
        wrong.len(),
    ))?;
    ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
    ensure!(count(&tally.rows) == rows.len(), "{} of {} rows were compared", count(&tally.rows), rows.len());
    Ok(())
}

impl Tally {
    fn add(&self, event: &Event) {
        let of_model = event.findings.iter().filter(|finding| finding.rule.ends_with("/model")).count();
        self.rows.fetch_add(1, Relaxed);
        self.with_findings.fetch_add(usize::from(!event.findings.is_empty()), Relaxed);
        self.findings_of_the_model.fetch_add(of_model, Relaxed);
        let receipts = std::iter::once(&event.receipt.request).chain(&event.receipt.response);
        let is_open =
            receipts.flat_map(|receipt| &receipt.gaps).any(|gap| gap.reason == GapReason::SecondLook);
        self.left_open.fetch_add(usize::from(is_open), Relaxed);
    }
}

/// A test's own printing is kept back when it passes; this is not.
fn say(line: &str) -> Result<()> {
    Ok(writeln!(stderr().lock(), "\nlabelled_texts: {line}")?)
}

fn read(path: &Path) -> Result<Vec<Row>> {
    const ZSTD: &[u8] = &[0x28, 0xb5, 0x2f, 0xfd];
    let data = fs::read(path).with_context(|| path.display().to_string())?;
    let mut text = String::new();
    match data.starts_with(ZSTD) {
        true => {
            ruzstd::decoding::StreamingDecoder::new(data.as_slice())?.read_to_string(&mut text)?;
        }
        false => text = String::from_utf8(data)?,
    }
    let lines = text.lines().filter(|line| !line.trim().is_empty());
    lines
        .map(|line| serde_json::from_str(line).with_context(|| line.chars().take(80).collect::<String>()))
        .collect()
}

/// One exchange in which the text stands where its channel says.
fn case(idx: usize, row: &Row) -> Result<Case> {
    let user = |text: &str| json!({ "role": "user", "content": text });
    let channel = row.channel.as_deref().unwrap_or("user");
    let messages = match channel {
        "system" => json!([{ "role": "system", "content": row.text }, user("Go on.")]),
        "tool" => json!([
            user("Go on."),
            {
                "role": "assistant",
                "content": null,
                "tool_calls": [{ "id": "1", "type": "function", "function": { "name": "read", "arguments": "{}" } }],
            },
            { "role": "tool", "tool_call_id": "1", "content": row.text },
        ]),
        "response" => json!([user("Go on.")]),
        _ => json!([user(&row.text)]),
    };
    let answer = if channel == "response" { &row.text } else { "Fine." };
    let request = json!({ "model": "gpt-4o", "messages": messages });
    let response = json!({
        "id": "chatcmpl-1", "object": "chat.completion", "model": "gpt-4o",
        "choices": [{ "index": 0, "message": { "role": "assistant", "content": answer }, "finish_reason": "stop" }],
    });
    let id = format!("row-{idx}");
    Ok(Case {
        address: None,
        file: String::new(),
        name: id.clone(),
        policy: POLICY.to_owned(),
        before: Vec::new(),
        request: Request::json("/v1/chat/completions", serde_json::to_vec(&request)?)
            .with_header("x-request-id", id),
        response: Response::json(serde_json::to_vec(&response)?),
        expect: Expect::default(),
    })
}
