//! Acknowledged is on disk: after a shutdown, after a drop, after `kill -9`.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::bundles::{ADMIN, operator, sealed};
use crate::support::{Client, Folder, config, event, walk};
use sentinel_collector::Collector;

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
    let folder = Folder::new();
    for round in 0..3 {
        let (mut process, client) = spawn_child(&folder);
        let n_sent = Arc::new(AtomicUsize::new(0));
        let senders: Vec<_> = (0..4)
            .map(|sender| {
                let vm = format!("r{round}-{sender}");
                tokio::spawn(send_until_refused(client.clone(), vm, Arc::clone(&n_sent)))
            })
            .collect();
        let until = Instant::now() + Duration::from_secs(30);
        while n_sent.load(Ordering::Relaxed) < 20 * (round + 1) && Instant::now() < until {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        process.kill().unwrap();
        process.wait().unwrap();
        let mut acknowledged = Vec::new();
        for sender in senders {
            acknowledged.extend(sender.await.unwrap());
        }
        assert!(acknowledged.len() > 10, "only {} events were sent", acknowledged.len());
        let running = folder.start().await;
        let stored = walk(&running.client, "limit=1000").await;
        for id in acknowledged {
            assert!(stored.contains(&id), "{id} was acknowledged and is gone");
        }
        running.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deployment_that_was_answered_outlives_kill_9() {
    let folder = Folder::new();
    let mut ids = Vec::new();
    for version in 1..=4 {
        let (mut process, client) = spawn_child(&folder);
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

/// Sends batches of five until the other side is gone; gives the ids that were acknowledged.
async fn send_until_refused(client: Client, vm: String, n_sent: Arc<AtomicUsize>) -> Vec<String> {
    let mut acknowledged = Vec::new();
    for first in (1..).step_by(5) {
        let batch: Vec<Value> = (first..first + 5).map(|seq| event(&vm, seq)).collect();
        let client = client.clone();
        // The helper panics when the connection breaks, which is how this ends.
        match tokio::spawn(async move { client.ingest(&batch).await }).await {
            Ok(report) => assert_eq!(report["accepted"], 5),
            Err(_) => break,
        }
        n_sent.fetch_add(5, Ordering::Relaxed);
        acknowledged.extend((first..first + 5).map(|seq| format!("{vm}-{seq}")));
    }
    acknowledged
}

fn spawn_child(folder: &Folder) -> (Child, Client) {
    let mut process = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "durability::child", "--ignored", "--nocapture"])
        .env(CHILD_DATABASE, folder.database())
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

const CHILD_DATABASE: &str = "SENTINEL_COLLECTOR_TEST_DATABASE";
