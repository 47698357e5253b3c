//! The first page of the dashboard in a real Chromium, over a collector with as many events as a month of a busy place has:
//! how long until its chart is there, and how many bytes come.

use std::{
    io::{BufReader, Write},
    net::{SocketAddr, TcpStream},
    thread,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use anyhow::{Context, Result, anyhow, ensure};
use sentinel_harness::browser::Browser;
use serde_json::{Value, json};

use super::{collector_rate::answer, median};
use crate::{build, collector::Collector};

const TOKEN: &str = "a-token-of-the-bench";
const CONNECTIONS: u64 = 4;
const BATCH: u64 = 1_000;
const MONTH_MS: u64 = 30 * 86_400_000;
/// With the overview as it is opened, and over longer periods.
const PAGES: [&str; 3] = ["overview", "overview?last=7d", "overview?last=30d"];
const CHART: &str = "return document.querySelector('.chart svg rect') !== null";

pub(super) fn run(n_events: u64, rounds: usize) -> Result<()> {
    let collector = Collector::start(&build::sentinel()?, TOKEN)?;
    let begun = Instant::now();
    fill(collector.addr, n_events)?;
    let took = begun.elapsed().as_secs_f64();
    println!("{n_events} events stored in {took:.0} s");
    let first_token = collector.first_token().context("the collector has printed no first token")?;
    let address = format!("http://{}/", collector.addr);
    let key = first_key(&address, &first_token)?;

    // As somebody who was never here: every file comes over the network.
    let browser = Browser::start()?;
    let took = until_chart(&browser, &format!("{address}#sign-in={key}"))?;
    println!("first page, nothing cached  {:>6.0} ms, {:.1} KB", millis(took), kilobytes(&browser)?);
    for page in PAGES {
        let mut took: Vec<f64> = Vec::new();
        for _ in 0..rounds {
            took.push(millis(until_chart(&browser, &format!("{address}#/{page}"))?));
        }
        println!(
            "{page:<27} {:>6.0} ms in the middle of {rounds}, {:.1} KB",
            median(&mut took),
            kilobytes(&browser)?
        );
    }
    Ok(())
}

/// What the first token makes.
fn first_key(address: &str, first_token: &str) -> Result<String> {
    let browser = Browser::start()?;
    browser.open(&format!("{address}#sign-in={first_token}"))?;
    browser.until_there("dialog .secret code")
}

/// From another page, so that all of it is made anew.
fn until_chart(browser: &Browser, address: &str) -> Result<Duration> {
    browser.open("about:blank")?;
    let begun = Instant::now();
    browser.open(address)?;
    browser.until(CHART, &[])?;
    Ok(begun.elapsed())
}

/// What came for the page that is shown, its headers included.
fn kilobytes(browser: &Browser) -> Result<f64> {
    const SUM: &str =
        "return [...performance.getEntriesByType('navigation'), ...performance.getEntriesByType('resource')]
        .reduce((sum, { transferSize }) => sum + transferSize, 0)";
    Ok(browser.run(SUM, &[])?.as_f64().context("no sum of bytes")? / 1e3)
}

fn millis(took: Duration) -> f64 {
    took.as_secs_f64() * 1e3
}

/// Over the last month, on several connections.
fn fill(addr: SocketAddr, n_events: u64) -> Result<()> {
    let now_ms = u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis())?;
    let n_each = n_events.div_ceil(CONNECTIONS);
    thread::scope(|scope| {
        let one = |vm| scope.spawn(move || send(addr, vm, n_each, now_ms));
        let threads: Vec<_> = (0..CONNECTIONS).map(one).collect();
        threads.into_iter().try_for_each(|thread| thread.join().map_err(|_| anyhow!("a sender panicked"))?)
    })
}

fn send(addr: SocketAddr, vm: u64, n_events: u64, now_ms: u64) -> Result<()> {
    let mut stream = TcpStream::connect(addr)?;
    stream.set_nodelay(true)?;
    let mut answers = BufReader::new(stream.try_clone()?);
    for from in (0..n_events).step_by(BATCH as usize) {
        let seqs = from + 1..=(from + BATCH).min(n_events);
        let events: Vec<Value> =
            seqs.map(|seq| event(vm, seq, now_ms - MONTH_MS * (n_events - seq) / n_events)).collect();
        let n_sent = events.len();
        let body = json!({ "events": events }).to_string();
        let head = format!(
            "POST /v1/events HTTP/1.1\r\nhost: bench\r\nauthorization: Bearer {TOKEN}\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        stream.write_all(head.as_bytes())?;
        stream.write_all(body.as_bytes())?;
        let answer = answer(&mut answers)?;
        ensure!(answer.contains(&format!("\"accepted\":{n_sent}")), "not all was accepted: {answer}");
    }
    Ok(())
}

/// One in fifty is an attack.
fn event(vm: u64, seq: u64, time_ms: u64) -> Value {
    let is_attack = seq.is_multiple_of(50);
    let rule = format!("injection/rule-{}", seq % 7);
    json!({
        "schema": "sentinel.event/1", "vm": format!("bench-{vm}"), "seq": seq, "time_ms": time_ms,
        "request_id": format!("7f0c9a52-6a0e-4d0e-9a55-{seq:012x}"), "route": format!("route-{}", seq % 12),
        "method": "POST", "host": "api.example", "path": "/v1/chat/completions",
        "verdict": if is_attack { "malicious" } else { "clean" }, "action": if is_attack { "block" } else { "allow" },
        "score": if is_attack { 0.9 } else { 0.02 }, "direction": "request",
        "findings": if is_attack { json!([{"rule": rule, "family": "injection", "score": 0.9}]) } else { json!([]) },
        "receipt": {"request": {"bytes": 1830, "scanned": 1204, "structural": 626, "gaps": []}, "response": null},
        "status": 200, "latency_us": {"request": 310, "response": 240},
    })
}
