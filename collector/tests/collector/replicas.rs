//! Several collectors on one PostgreSQL: one log, whoever writes and whoever goes.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use sentinel_collector::audit::{Check, check};
use sentinel_collector::{Config, StoredEvidence};
use serde_json::Value;

use crate::durability::{on, send_until_refused, spawn_child};
use crate::support::{Folder, event, postgres, start, walk};

/// Both sign the log's checkpoints in turn: the one that leads is killed, and the other goes on.
#[tokio::test(flavor = "multi_thread")]
async fn the_leader_is_killed_under_load_and_no_entry_is_lost_doubled_or_out_of_order() {
    let Some(server) = postgres() else { return };
    let (folder, url) = (Folder::new(), server.database().unwrap());
    let config = || on(&folder, Some(url.clone()));
    let mut acknowledged = Vec::new();
    for round in 0..3 {
        // The first of them leads; the other one waits for it to go.
        let (mut leader, first) = spawn_child(&folder, Some(&url));
        let n_sent = Arc::new(AtomicUsize::new(0));
        let (mut other, second) = spawn_child(&folder, Some(&url));
        let senders: Vec<_> = [(&first, "x"), (&second, "y"), (&first, "z"), (&second, "w")]
            .into_iter()
            .map(|(client, name)| {
                let vm = format!("{name}{round}");
                tokio::spawn(send_until_refused(client.clone(), vm, Arc::clone(&n_sent)))
            })
            .collect();
        let reaches = async |least: usize| {
            let until = Instant::now() + Duration::from_secs(120);
            while n_sent.load(Ordering::Relaxed) < least && Instant::now() < until {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        reaches(1_000).await;
        leader.kill().unwrap();
        leader.wait().unwrap();
        let at_death = n_sent.load(Ordering::Relaxed);
        reaches(at_death + 1_000).await;
        assert!(n_sent.load(Ordering::Relaxed) >= at_death + 1_000, "the other one does not go on");
        // It signs what was written since, as soon as the leader's session is gone.
        let signed = async || {
            let note = second.get("/log/checkpoint").await.body();
            note.lines().nth(1).and_then(|size| size.parse::<usize>().ok()).unwrap_or(0)
        };
        let until = Instant::now() + Duration::from_secs(120);
        while signed().await < at_death && Instant::now() < until {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        assert!(signed().await >= at_death, "nothing was signed after the leader had gone");
        other.kill().unwrap();
        other.wait().unwrap();
        for sender in senders {
            acknowledged.push(sender.await.unwrap());
        }
    }
    let running = start(config()).await;
    let gaps = running.client.json("/v1/gaps?limit=100").await;
    for (vm, last) in &acknowledged {
        let account = gaps["vms"].as_array().unwrap().iter().find(|account| account["vm"] == **vm).unwrap();
        assert!(
            account["count"].as_i64() >= Some(*last) && account["missing"] == 0,
            "{vm} {last}: {account}"
        );
    }
    running.stop().await;
    let mut evidence = StoredEvidence::open(&config()).await.unwrap();
    let report = check(&Check::default(), &mut evidence).await.unwrap();
    assert!(report.is_good() && report.missing.is_empty(), "{report:?}");
    let n_acknowledged: i64 = acknowledged.iter().map(|(_, last)| last).sum();
    assert!(report.n_events >= n_acknowledged as u64 && report.n_opened == report.n_events);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_collectors_answer_alike_and_a_key_that_one_destroys_is_gone_for_the_other() {
    let Some(server) = postgres() else { return };
    let (folder, url) = (Folder::new(), server.database().unwrap());
    let admin = "an-admin-token-of-length";
    let config = || Config { admin_tokens: vec![admin.to_owned()], ..on(&folder, Some(url.clone())) };
    let (one, two) = (start(config()).await, start(config()).await);
    let about = |seq: i64, subject: &str| {
        let mut event = event("a", seq);
        event["subject"] = subject.into();
        event
    };
    let batch: Vec<Value> =
        (1..=40).map(|seq| about(seq, if seq % 2 == 0 { "ann" } else { "ben" })).collect();
    one.client.ingest(&batch[..20]).await;
    two.client.ingest(&batch).await;
    let walks = (walk(&one.client, "limit=7").await, walk(&two.client, "limit=7").await);
    assert_eq!(walks.0, walks.1);
    assert_eq!(walks.0.iter().collect::<BTreeSet<_>>().len(), 40);
    assert_eq!(walk(&two.client, "text=a-7&limit=50").await, ["a-7"]);
    let erased =
        one.client.with_token(admin).send("POST", "/v1/subjects/erase", b"{\"subject\":\"ann\"}").await.ok();
    assert_eq!(erased["events"], 20);
    assert_eq!(two.client.json("/v1/events/a-2").await["erased"], true);
    // A key that is held in memory elsewhere is forgotten there within a second or so, and never seals anything more.
    two.client.ingest(&[about(41, "ann")]).await;
    assert_eq!(one.client.json("/v1/events/a-41").await["subject"], "ann");
    one.stop().await;
    two.stop().await;
}
