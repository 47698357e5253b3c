//! What the edge costs: in workerd a worker that passes everything on and one with Sentinel, in Viceroy two such programs, each
//! in a process of its own, with one upstream; rounds are interleaved so that whatever else the machine does hits all alike.

mod instances;

use std::{
    net::SocketAddr,
    path::PathBuf,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use sentinel_harness::{
    http1::{self, Connection},
    load::{self, Bound},
    npm::Packages,
    upstream::Upstream,
    viceroy::{self, Service, Viceroy},
    wire::{Request, Response, UpstreamSaw},
    worker::{Worker, WorkerHost, Workerd},
};

use super::{chat_body, least, median};
use crate::{build, compute, edge};

const PASS_THROUGH: [&str; 2] = ["workerd: pass-through", "viceroy: pass-through"];
const CONNECTIONS: usize = 8;
const STREAMS: usize = 100;
const EVENTS: usize = 50;
const INTERVAL: Duration = Duration::from_millis(40);
const DEADLINE: Duration = Duration::from_secs(60);

struct Variant {
    name: &'static str,
    host: Host,
    /// From the start of the process to the first answer.
    started: Duration,
    cpu_us: Vec<f64>,
    rps: Vec<f64>,
    first_ms: Vec<f64>,
}

enum Host {
    Workerd(WorkerHost),
    Viceroy(Viceroy),
}

impl Host {
    fn addr(&self) -> Result<SocketAddr> {
        match self {
            Self::Workerd(host) => host.addr("worker"),
            Self::Viceroy(host) => Ok(host.addr()),
        }
    }

    fn cpu_time(&self) -> Result<Duration> {
        match self {
            Self::Workerd(host) => host.cpu_time(),
            Self::Viceroy(host) => host.cpu_time(),
        }
    }

    fn rss_bytes(&self) -> Result<u64> {
        match self {
            Self::Workerd(host) => host.rss_bytes(),
            Self::Viceroy(host) => host.rss_bytes(),
        }
    }
}

pub(super) fn run(rounds: usize, seconds: u64, bytes: usize) -> Result<()> {
    let package = edge::build()?;
    let workerd = Packages::with(&build::root().join("tests/edge/workerd"))?
        .file("@cloudflare/workerd-linux-64/bin/workerd")?;
    let upstream = Upstream::start_unrecorded(answer)?;
    let body = chat_body(bytes);
    let request = Request::json("/v1/chat/completions", body.clone());
    let start = |name, host: &dyn Fn() -> Result<Host>| -> Result<Variant> {
        let began = Instant::now();
        let host = host()?;
        http1::exchange(host.addr()?, &request, DEADLINE)?.context("no answer")?;
        let started = began.elapsed();
        Ok(Variant { name, host, started, cpu_us: Vec::new(), rps: Vec::new(), first_ms: Vec::new() })
    };
    let worker = |script: &str| {
        let worker = Worker {
            name: "worker".to_owned(),
            script: script.to_owned(),
            outbound: "upstream".to_owned(),
            ..Worker::default()
        };
        let externals = vec![("upstream".to_owned(), upstream.addr())];
        let wanted = Workerd { workers: vec![worker], externals, modules: package.clone() };
        WorkerHost::workerd(&workerd, &wanted).map(Host::Workerd)
    };
    let mut variants = vec![
        start(PASS_THROUGH[0], &|| worker("export default { fetch: (request) => fetch(request) };\n"))?,
        start("workerd: sentinel", &|| {
            worker("import { sentinel } from \"./workerd.js\";\nexport default sentinel();\n")
        })?,
    ];
    match viceroy::find() {
        Ok(binary) => {
            let program = |module: PathBuf| {
                let backends = vec![("upstream".to_owned(), upstream.addr())];
                Viceroy::start(&binary, &Service { module, backends, ..Service::default() })
                    .map(Host::Viceroy)
            };
            let (pass, guard) = (compute::pass_through()?, compute::build()?);
            variants.push(start(PASS_THROUGH[1], &|| program(pass.clone()))?);
            variants.push(start("viceroy: sentinel", &|| program(guard.clone()))?);
            instances::run(&binary, upstream.addr(), rounds)?;
        }
        Err(error) => println!("SKIPPED: Viceroy: {error:#}"),
    }
    println!("body {} bytes, {CONNECTIONS} connections, {rounds} rounds of {seconds} s", body.len());
    let load = http1::request_bytes(&request);
    for round in 0..=rounds {
        for variant in &mut variants {
            measure(variant, &load, seconds, round > 0)?;
        }
    }
    print(&mut variants);
    println!("\n{STREAMS} streams at a time, {EVENTS} events each, one each {INTERVAL:?}");
    for variant in &variants {
        let (idle, busy) = streams(variant)?;
        let each = busy.saturating_sub(idle) as f64 / STREAMS as f64 / 1024.0;
        println!(
            "{:<22} {:>6.1} MiB before, {:>6.1} MiB at most, {each:>6.1} KiB for each",
            variant.name,
            mib(idle),
            mib(busy)
        );
    }
    Ok(())
}

fn measure(variant: &mut Variant, load: &[u8], seconds: u64, counts: bool) -> Result<()> {
    let addr = variant.host.addr()?;
    let before = variant.host.cpu_time()?;
    let report = load::run(addr, load, CONNECTIONS, Bound::For(Duration::from_secs(seconds)))?;
    let cpu = variant.host.cpu_time()?.saturating_sub(before);
    let all_well = report.errors == 0 && report.statuses.keys().all(|status| *status == 200);
    ensure!(all_well, "{}: {report:?}", variant.name);
    let mut connection = Connection::open(addr, DEADLINE)?;
    let asked = Instant::now();
    let mut streaming = connection.send(&stream_request())?.context("no answer")?;
    streaming.piece()?.context("no event")?;
    let first_ms = asked.elapsed().as_secs_f64() * 1e3;
    // The first round warms connections and caches.
    if counts {
        variant.cpu_us.push(cpu.as_secs_f64() * 1e6 / report.requests as f64);
        variant.rps.push(report.requests_per_second());
        variant.first_ms.push(first_ms);
    }
    Ok(())
}

fn print(variants: &mut [Variant]) {
    println!(
        "{:<22} {:>16} {:>8} {:>14} {:>8} {:>18} {:>20}",
        "", "CPU us/req (min)", "ratio", "req/s (median)", "ratio", "first event, ms", "start to answer, ms"
    );
    let (mut base_cpu, mut base_rps) = (1.0, 1.0);
    for Variant { name, started, cpu_us, rps, first_ms, .. } in variants {
        let (cpu, rps, first) = (least(cpu_us), median(rps), median(first_ms));
        // What follows on the same host is held against it.
        if PASS_THROUGH.contains(name) {
            (base_cpu, base_rps) = (cpu, rps);
        }
        println!(
            "{name:<22} {cpu:>16.1} {:>8.2} {rps:>14.0} {:>8.2} {first:>18.1} {:>20.0}",
            cpu / base_cpu,
            rps / base_rps,
            started.as_secs_f64() * 1e3
        );
    }
}

/// Resident memory of the process before, and at most while all streams are under way.
fn streams(variant: &Variant) -> Result<(u64, u64)> {
    let addr = variant.host.addr()?;
    let idle = variant.host.rss_bytes()?;
    let mut busy = idle;
    thread::scope(|scope| -> Result<()> {
        let clients: Vec<_> = (0..STREAMS)
            .map(|_| scope.spawn(move || http1::exchange(addr, &stream_request(), DEADLINE)))
            .collect();
        while clients.iter().any(|client| !client.is_finished()) {
            busy = busy.max(variant.host.rss_bytes()?);
            thread::sleep(Duration::from_millis(20));
        }
        for client in clients {
            let seen = client.join().map_err(|_| anyhow::anyhow!("a client panicked"))??;
            ensure!(seen.is_some_and(|seen| seen.complete), "a stream was cut");
        }
        Ok(())
    })?;
    Ok((idle, busy))
}

fn stream_request() -> Request {
    let body = r#"{"model":"demo","stream":true,"messages":[{"role":"user","content":"Good morning."}]}"#;
    Request::json("/v1/chat/completions", body)
}

fn answer(saw: &UpstreamSaw) -> Response {
    if !saw.text().contains("\"stream\":true") {
        return Response::json(super::CHAT_ANSWER);
    }
    let event = b"data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"word \"}}]}\n\n".to_vec();
    let answer = Response::chunked(200, vec![event; EVENTS]);
    answer.with_header("content-type", "text/event-stream").with_delay(INTERVAL)
}

fn mib(bytes: u64) -> f64 {
    bytes as f64 / (1024.0 * 1024.0)
}
