//! What the collector sustains: batches over HTTP, as fast as they are acknowledged and then at half of that, beside the
//! floor: the same bytes appended to one table of SQLite, a flushed commit for each batch.

use std::{
    fmt::Write as _,
    fs,
    io::{BufRead, BufReader, Write},
    net::{SocketAddr, TcpStream},
    path::Path,
    process::Command,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, anyhow, ensure};

use sentinel_harness::postgres::{Postgres, PostgresOptions};

use crate::{build, collector::Collector};

const TOKEN: &str = "a-token-of-the-bench";

/// One connection's part.
struct Sent {
    n_events: u64,
    /// Of each batch, in ms.
    took: Vec<f64>,
}

pub(super) struct Wanted<'a> {
    pub(super) time: Duration,
    pub(super) connections: usize,
    pub(super) batch: usize,
    pub(super) postgres: bool,
    /// Events per second of the second part.
    pub(super) rate: f64,
    /// Another build of `sentinel`, whose figures alternate with ours.
    pub(super) than: Option<&'a Path>,
    pub(super) rounds: usize,
}

pub(super) fn run(wanted: &Wanted<'_>) -> Result<()> {
    let sentinel = build::sentinel()?;
    let Wanted { connections, batch, .. } = *wanted;
    println!("{connections} connections, batches of {batch} events of {} bytes", event(0, 1).len());
    for _ in 0..wanted.rounds {
        let floor = floor(wanted.time.min(Duration::from_secs(10)), batch)?;
        println!("floor: plain append to SQLite       {floor:>8.0} events/s");
        if let Some(than) = wanted.than {
            println!("{}:", than.display());
            measure(wanted, than, floor)?;
            println!("ours:");
        }
        measure(wanted, &sentinel, floor)?;
    }
    Ok(())
}

fn measure(wanted: &Wanted<'_>, sentinel: &Path, floor: f64) -> Result<()> {
    let Wanted { time, connections, batch, rate: part, .. } = *wanted;
    let place = Place::new(wanted.postgres)?;
    let collector = place.start(sentinel)?;
    let begun = Instant::now();
    let cpu = cpu_seconds(collector.pid())?;
    let sent = send(collector.addr, connections, batch, time, None)?;
    let (took, cpu) = (begun.elapsed(), cpu_seconds(collector.pid())? - cpu);
    let n_events: u64 = sent.iter().map(|one| one.n_events).sum();
    let rate = n_events as f64 / took.as_secs_f64();
    println!(
        "as fast as acknowledged             {rate:>8.0} events/s, {:.2} of the floor, {}, {:.0} us of CPU an event",
        rate / floor,
        percentiles(sent),
        cpu * 1e6 / n_events as f64,
    );
    println!("memory at most {:.0} MiB", memory_kib(collector.pid())? as f64 / 1024.0);
    // What is in the journal is moved into the database when it is closed.
    let database = collector.stop()?;
    if let Some(bytes) = place.bytes(database.path())? {
        println!("{:.0} bytes an event on disk", bytes as f64 / n_events as f64);
    }

    let place = Place::new(wanted.postgres)?;
    let collector = place.start(sentinel)?;
    // What is made at first use (partitions, plans) is no part of what is sustained.
    one(collector.addr, connections, batch, Duration::from_millis(1), None)?;
    let sent = send(collector.addr, connections, batch, time, Some(part))?;
    let n_events: u64 = sent.iter().map(|one| one.n_events).sum();
    println!(
        "at {part:.0} events/s                {:>8.0} events/s, {}",
        n_events as f64 / time.as_secs_f64(),
        percentiles(sent)
    );
    Ok(())
}

/// Where a collector keeps its events: a file in its folder, or a server that really flushes.
struct Place(Option<(Postgres, String)>);

impl Place {
    fn new(postgres: bool) -> Result<Self> {
        if !postgres {
            return Ok(Self(None));
        }
        let server = Postgres::start(PostgresOptions { fsync: true, ..PostgresOptions::default() })?;
        let url = server.database()?;
        Ok(Self(Some((server, url))))
    }

    fn start(&self, sentinel: &Path) -> Result<Collector> {
        Collector::start_on(sentinel, TOKEN, self.0.as_ref().map(|(_, url)| url.as_str()))
    }

    /// Tables and indexes, without a journal.
    fn bytes(&self, folder: &Path) -> Result<Option<u64>> {
        match &self.0 {
            None => Ok(Some(fs::metadata(folder.join("sentinel.db"))?.len())),
            Some((server, url)) => {
                let name = url.rsplit('/').next().context("no name of a database")?;
                Ok(Some(server.sql(name, "SELECT pg_database_size(current_database())")?.parse()?))
            }
        }
    }
}

/// Each connection sends a batch, waits for its acknowledgement, and sends the next: at once, or when its turn comes.
fn send(
    addr: SocketAddr,
    connections: usize,
    batch: usize,
    time: Duration,
    rate: Option<f64>,
) -> Result<Vec<Sent>> {
    let pause = rate.map(|rate| Duration::from_secs_f64((connections * batch) as f64 / rate));
    thread::scope(|scope| {
        let threads: Vec<_> = (0..connections)
            .map(|vm| {
                // Not all at the same moment.
                let late = pause.unwrap_or_default().mul_f64(vm as f64 / connections as f64);
                scope.spawn(move || one(addr, vm, batch, time, pause.map(|pause| (pause, late))))
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().map_err(|_| anyhow!("a sender panicked"))?).collect()
    })
}

/// `turns`: the pause between two batches, and how late the first one is.
fn one(
    addr: SocketAddr,
    vm: usize,
    batch: usize,
    time: Duration,
    turns: Option<(Duration, Duration)>,
) -> Result<Sent> {
    let mut stream = TcpStream::connect(addr)?;
    stream.set_nodelay(true)?;
    let mut answers = BufReader::new(stream.try_clone()?);
    let begun = Instant::now();
    let mut sent = Sent { n_events: 0, took: Vec::new() };
    let mut request = String::new();
    let mut turn = begun + turns.map(|(_, late)| late).unwrap_or_default();
    while begun.elapsed() < time {
        let mut body = String::from("{\"events\":[");
        for seq in 0..batch as u64 {
            body += if seq == 0 { "" } else { "," };
            body += &event(vm, sent.n_events + seq + 1);
        }
        body += "]}";
        request.clear();
        write!(
            request,
            "POST /v1/events HTTP/1.1\r\nhost: bench\r\nauthorization: Bearer {TOKEN}\r\ncontent-length: {}\r\n\r\n",
            body.len()
        )?;
        request += &body;
        if let Some((pause, _)) = turns {
            thread::sleep(turn.saturating_duration_since(Instant::now()));
            turn += pause;
        }
        let asked = Instant::now();
        stream.write_all(request.as_bytes())?;
        let answer = answer(&mut answers)?;
        sent.took.push(asked.elapsed().as_secs_f64() * 1e3);
        ensure!(answer.contains(&format!("\"accepted\":{batch}")), "not all was accepted: {answer}");
        sent.n_events += batch as u64;
    }
    Ok(sent)
}

pub(super) fn answer(stream: &mut impl BufRead) -> Result<String> {
    let (mut head, mut length) = (String::new(), 0);
    loop {
        head.clear();
        stream.read_line(&mut head)?;
        let line = head.trim_end();
        if line.is_empty() {
            break;
        }
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length: ") {
            length = value.parse()?;
        }
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body)?;
    Ok(String::from_utf8(body)?)
}

/// An event as the filter sends it for a request that was looked at and let through with a finding.
fn event(vm: usize, seq: u64) -> String {
    let time_ms = 1_790_000_000_000 + seq;
    format!(
        r#"{{"schema":"sentinel.event/1","id":"bench{vm}-{seq}","vm":"bench{vm}","seq":{seq},"time_ms":{time_ms},"request_id":"7f0c9a52-6a0e-4d0e-9a55-{seq:012x}","trace_id":"4bf92f3577b34da6a3ce929d0e0e4736","route":"chat","profile":"default","method":"POST","host":"api.example","path":"/v1/chat/completions","verdict":"suspicious","action":"tag","would":null,"direction":"request","score":0.62,"findings":[{{"rule":"injection/ignore-instructions","version":3,"family":"injection","channel":"user","direction":"request","view":"plain","start":10,"end":42,"score":0.6,"moved":0.6}}],"findings_total":1,"gaps":[],"receipt":{{"request":{{"bytes":4096,"scanned":4000,"structural":96,"gaps":[]}},"response":null}},"policy":"3f6c1f8a0b7e4cf2a81d4ad5f3b0b8b67c1dfe4be6d1e7f3a3a0d54f8f0e6c11","packs":[{{"name":"sentinel-core","version":7,"hash":"9d3e5c1a2b4f60718293a4b5c6d7e8f90123456789abcdef0123456789abcdef"}}],"status":200,"latency_us":{{"request":120,"response":0}},"degraded":null}}"#
    )
}

fn percentiles(sent: Vec<Sent>) -> String {
    let mut took: Vec<f64> = sent.into_iter().flat_map(|one| one.took).collect();
    took.sort_by(f64::total_cmp);
    let at = |part: f64| took.get(((took.len() as f64 * part) as usize).min(took.len().saturating_sub(1)));
    let ms = |part| at(part).copied().unwrap_or(0.0);
    format!("acknowledged in {:.1} ms (p50), {:.1} ms (p99), {:.1} ms at most", ms(0.5), ms(0.99), ms(1.0))
}

/// Python's SQLite: what it does for a row is a small part of what SQLite does.
fn floor(time: Duration, batch: usize) -> Result<f64> {
    let folder = tempfile::tempdir()?;
    let script = r#"
import sqlite3, sys, time
path, batch, seconds, body = sys.argv[1], int(sys.argv[2]), float(sys.argv[3]), sys.argv[4]
db = sqlite3.connect(path, isolation_level=None)
db.execute("PRAGMA journal_mode=WAL")
db.execute("PRAGMA synchronous=FULL")
db.execute("CREATE TABLE events (id INTEGER PRIMARY KEY, body TEXT NOT NULL)")
rows, n, begun = [(body,)] * batch, 0, time.monotonic()
while time.monotonic() - begun < seconds:
    db.execute("BEGIN")
    db.executemany("INSERT INTO events (body) VALUES (?)", rows)
    db.execute("COMMIT")
    n += batch
print(n / (time.monotonic() - begun))
"#;
    let output = Command::new("python3")
        .args(["-c", script])
        .arg(folder.path().join("floor.db"))
        .args([batch.to_string(), time.as_secs_f64().to_string(), event(0, 1)])
        .output()
        .context("python3, for the floor, does not start")?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8(output.stdout)?.trim().parse()?)
}

/// User and system time of a process.
fn cpu_seconds(pid: u32) -> Result<f64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let fields: Vec<&str> = stat.rsplit_once(')').map_or("", |(_, rest)| rest).split_whitespace().collect();
    let ticks = |idx: usize| fields.get(idx).and_then(|field| field.parse::<f64>().ok()).unwrap_or(0.0);
    Ok((ticks(11) + ticks(12)) / 100.0)
}

/// The most that it ever had.
fn memory_kib(pid: u32) -> Result<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).context("no VmHWM")?;
    Ok(line.trim().trim_end_matches(" kB").parse()?)
}
