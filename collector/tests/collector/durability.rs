//! Acknowledged is on disk: after a shutdown, after a drop, after `kill -9`.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::bundles::{ADMIN, operator, sealed};
use crate::support::{Client, Folder, config, event, postgres, start, walk};
use sentinel_collector::audit::{Check, check};
use sentinel_collector::{Collector, Config, StoredEvidence};

#[tokio::test]
async fn events_outlive_a_shutdown() {
    let folder = Folder::new();
    let running = folder.start().await;
    running.client.ingest(&[event("a", 1), event("a", 2)]).await;
    running.stop().await;
    let running = folder.start().await;
    assert_eq!(walk(&running.client, "").await, ["a-2", "a-1"]);
    assert_eq!(running.client.ingest(&[event("a", 1), event("a", 3)]).await["accepted"], 1);
    assert_eq!(running.client.json("/v1/gaps").await["vms"][0]["count"], 3);
}

#[test]
fn events_outlive_a_runtime_that_is_dropped_in_mid_air() {
    let folder = Folder::new();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async { folder.start().await.client.ingest(&[event("a", 1)]).await });
    runtime.shutdown_background();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async { assert_eq!(walk(&folder.start().await.client, "").await, ["a-1"]) });
}

/// The child is this test binary itself, told to run [`child`].
#[tokio::test(flavor = "multi_thread")]
async fn everything_acknowledged_outlives_kill_9_in_the_middle_of_ingest() {
    kill_again_and_again(3, None).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_acknowledged_outlives_kill_9_on_postgresql() {
    let Some(server) = postgres() else { return };
    kill_again_and_again(3, Some(server.database().unwrap())).await;
}

/// `cargo test --release -p sentinel-collector two_hundred -- --ignored --nocapture`
#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes minutes"]
async fn two_hundred_kills_lose_nothing_and_leave_evidence_that_verifies() {
    kill_again_and_again(200, None).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes minutes"]
async fn two_hundred_kills_on_postgresql_lose_nothing_and_leave_evidence_that_verifies() {
    let Some(server) = postgres() else { return };
    kill_again_and_again(200, Some(server.database().unwrap())).await;
}

/// The disk is as full as it gets when no file may grow any more.
#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread")]
async fn on_a_full_disk_nothing_is_acknowledged_and_it_recovers_by_itself() {
    let folder = Folder::new();
    let mut command = Command::new("sh");
    let this = std::env::current_exe().unwrap();
    // Blocks of 512 bytes; without the trap the signal for it would end the process.
    command.args(["-c", "trap '' XFSZ; ulimit -S -f 4096; exec \"$0\" \"$@\""]).arg(this);
    let (mut process, client) = spawn_with(command, &folder, None);
    let mut acknowledged = 0;
    let refusal = loop {
        let batch: Vec<Value> = (acknowledged + 1..=acknowledged + 100).map(|seq| event("a", seq)).collect();
        let answer = client.post(&serde_json::json!({ "events": batch }).to_string()).await;
        if answer.status != 200 {
            break answer;
        }
        acknowledged += 100;
        assert!(acknowledged < 20_000, "2 MiB are never full");
    };
    assert!(acknowledged > 0);
    refusal.refused(503, "store_unavailable");
    assert_eq!(client.get("/health/live").await.status, 200);
    let freed =
        Command::new("prlimit").args(["--pid", &process.id().to_string(), "--fsize=unlimited"]).status();
    assert!(freed.unwrap().success());
    let batch: Vec<Value> = (1..=acknowledged + 100).map(|seq| event("a", seq)).collect();
    for part in batch.chunks(500) {
        let until = Instant::now() + Duration::from_secs(120);
        let body = serde_json::json!({ "events": part }).to_string();
        while client.post(&body).await.status != 200 {
            assert!(Instant::now() < until, "it does not recover");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
    assert_eq!(client.get("/health/ready").await.status, 200);
    let account = &client.json("/v1/gaps").await["vms"][0];
    assert_eq!((&account["count"], &account["missing"]), (&Value::from(acknowledged + 100), &Value::from(0)));
    process.kill().unwrap();
    process.wait().unwrap();
    let mut evidence = StoredEvidence::open(&on(&folder, None)).await.unwrap();
    let report = check(&Check::default(), &mut evidence).await.unwrap();
    assert!(report.is_good() && report.n_opened == report.n_events, "{report:?}");
}

/// Each VM sends its numbers without a gap, so that its account says whether what was acknowledged is there, once.
async fn kill_again_and_again(rounds: usize, postgres: Option<String>) {
    let folder = Folder::new();
    let config = || on(&folder, postgres.clone());
    let mut acknowledged: BTreeMap<String, i64> = BTreeMap::new();
    let (mut n_sent, mut sending) = (0, Duration::ZERO);
    for round in 0..rounds {
        let (mut process, client) = spawn_child(&folder, postgres.as_deref());
        let begun = Instant::now();
        let n_now = Arc::new(AtomicUsize::new(0));
        let senders: Vec<_> = (0..8)
            .map(|sender| {
                let vm = format!("r{round}-{sender}");
                tokio::spawn(send_until_refused(client.clone(), vm, Arc::clone(&n_now)))
            })
            .collect();
        // Not a round number, and another one each time, so that it falls anywhere between two commits.
        let pause = Duration::from_micros(40_000 + (round as u64).wrapping_mul(7_919) % 400_000);
        let until = begun + Duration::from_secs(120);
        while n_now.load(Ordering::Relaxed) == 0 && Instant::now() < until {
            tokio::time::sleep(Duration::from_micros(500)).await;
        }
        tokio::time::sleep(pause).await;
        process.kill().unwrap();
        sending += begun.elapsed();
        process.wait().unwrap();
        n_sent += n_now.load(Ordering::Relaxed);
        for sender in senders {
            let (vm, last) = sender.await.unwrap();
            acknowledged.insert(vm, last);
        }
    }
    assert!(acknowledged.values().sum::<i64>() > 100 * rounds as i64 / 2, "{acknowledged:?}");
    println!("{rounds} kills at {:.0} events/s", n_sent as f64 / sending.as_secs_f64());
    let running = start(config()).await;
    let mut after = String::new();
    let mut n_stored = 0;
    loop {
        let page = running.client.json(&format!("/v1/gaps?limit=100{after}")).await;
        for vm in page["vms"].as_array().unwrap() {
            let (name, count) = (vm["vm"].as_str().unwrap(), vm["count"].as_i64().unwrap());
            assert_eq!(vm["missing"], 0, "{vm}");
            assert!(count >= acknowledged.remove(name).unwrap(), "{vm}");
            n_stored += count;
        }
        match page["next"].as_str() {
            Some(next) => after = format!("&after={next}"),
            None => break,
        }
    }
    acknowledged.retain(|_, last| *last > 0);
    assert!(acknowledged.is_empty(), "nothing is there of {acknowledged:?}");
    running.stop().await;
    let mut evidence = StoredEvidence::open(&config()).await.unwrap();
    let report = check(&Check::default(), &mut evidence).await.unwrap();
    assert!(report.is_good(), "{report:?}");
    assert_eq!((report.n_events, report.n_opened), (n_stored as u64, n_stored as u64));
    assert!(report.missing.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deployment_that_was_answered_outlives_kill_9() {
    let folder = Folder::new();
    let mut ids = Vec::new();
    for version in 1..=4 {
        let (mut process, client) = spawn_child(&folder, None);
        let admin = client.with_token(ADMIN);
        let pushed = admin.send("POST", "/v1/bundles", &sealed(version)).await;
        assert_eq!(pushed.status, 201, "{pushed:?}");
        let info: Value = serde_json::from_slice(&pushed.bytes).unwrap();
        let request = serde_json::json!({"bundle": info["id"], "mode": "active"}).to_string();
        let begun = admin.send("POST", "/v1/deployments", request.as_bytes()).await;
        process.kill().unwrap();
        process.wait().unwrap();
        assert_eq!(begun.status, 201, "{begun:?}");
        ids.insert(0, info["id"].clone());
        let operator = operator(&folder).await;
        assert_eq!(operator.filter.get("/v1/bundle").await.bytes, sealed(version));
        let shown = operator.admin.json("/v1/deployments").await;
        let found: Vec<&Value> =
            shown["deployments"].as_array().unwrap().iter().map(|one| &one["candidate"]["id"]).collect();
        assert_eq!(found, ids.iter().collect::<Vec<_>>());
        operator.running.stop().await;
    }
}

/// Sends batches until the other side is gone; gives the last number that was acknowledged.
pub(crate) async fn send_until_refused(
    client: Client,
    vm: String,
    n_sent: Arc<AtomicUsize>,
) -> (String, i64) {
    let mut last = 0;
    for first in (1..).step_by(BATCH) {
        let batch: Vec<Value> = (first..first + BATCH as i64).map(|seq| event(&vm, seq)).collect();
        let client = client.clone();
        // The helper panics when the connection breaks, which is how this ends.
        match tokio::spawn(async move { client.ingest(&batch).await }).await {
            Ok(report) => assert_eq!(report["accepted"], BATCH),
            Err(_) => break,
        }
        n_sent.fetch_add(BATCH, Ordering::Relaxed);
        last = first + BATCH as i64 - 1;
    }
    (vm, last)
}

pub(crate) fn on(folder: &Folder, postgres: Option<String>) -> Config {
    let key_file = Some(format!("{}.keys", folder.database().display()).into());
    Config { postgres, key_file, ..config(&folder.database()) }
}

pub(crate) fn spawn_child(folder: &Folder, postgres: Option<&str>) -> (Child, Client) {
    spawn_with(Command::new(std::env::current_exe().unwrap()), folder, postgres)
}

/// By a command that ends in this test binary.
fn spawn_with(mut command: Command, folder: &Folder, postgres: Option<&str>) -> (Child, Client) {
    let mut process = command
        .args(["--exact", "durability::child", "--ignored", "--nocapture"])
        .env(CHILD_DATABASE, folder.database())
        .env(CHILD_POSTGRES, postgres.unwrap_or_default())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let address = BufReader::new(process.stdout.take().unwrap())
        .lines()
        .find_map(|line| line.unwrap().split_once("listening on ")?.1.parse().ok())
        .unwrap();
    (process, Client::at(address))
}

#[test]
#[ignore = "not a test: the process that kill -9 is tried on"]
fn child() {
    let Some(database) = std::env::var_os(CHILD_DATABASE) else { return };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let mut config = config(database.as_ref());
        config.key_file = Some(format!("{}.keys", Path::new(&database).display()).into());
        config.postgres = std::env::var(CHILD_POSTGRES).ok().filter(|url| !url.is_empty());
        config.admin_tokens = vec![ADMIN.to_owned()];
        let collector = Collector::bind(config).await.unwrap();
        println!("\nlistening on {}", collector.local_addr());
        collector.run(std::future::pending()).await.unwrap();
    });
}

/// `cargo test --release -p sentinel-collector throughput -- --ignored --nocapture`
#[tokio::test(flavor = "multi_thread")]
#[ignore = "a measurement"]
async fn throughput() {
    for (n_senders, n_events) in [(1, 1), (1, 100), (8, 1), (8, 100), (8, 1_000)] {
        let folder = Folder::new();
        let client = folder.start().await.client;
        let begun = Instant::now();
        let senders: Vec<_> = (0..n_senders)
            .map(|sender| {
                let client = client.clone();
                tokio::spawn(async move {
                    let mut first = 1;
                    while begun.elapsed() < Duration::from_secs(2) {
                        let batch: Vec<Value> =
                            (first..first + n_events).map(|seq| event(&format!("vm{sender}"), seq)).collect();
                        client.ingest(&batch).await;
                        first += n_events;
                    }
                    first - 1
                })
            })
            .collect();
        let mut n_stored = 0;
        for sender in senders {
            n_stored += sender.await.unwrap();
        }
        let rate = n_stored as f64 / begun.elapsed().as_secs_f64();
        println!("{n_senders} senders, batches of {n_events}: {rate:.0} events/s");
    }
}

const CHILD_POSTGRES: &str = "SENTINEL_COLLECTOR_TEST_POSTGRES";
const BATCH: usize = 100;
const CHILD_DATABASE: &str = "SENTINEL_COLLECTOR_TEST_DATABASE";
