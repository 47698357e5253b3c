//! A log that was restored without its last entries, under the name that witnesses take it for a new one by.

use std::time::{Duration, Instant};

use sentinel_collector::audit::{Check, check};
use sentinel_collector::backup::{Kind, verify};
use sentinel_collector::{Config, StoredEvidence};
use sentinel_ledger::VerifierKey;

use crate::backup::{NOW_MS, backups, created, ingest, restored};
use crate::support::{Client, Folder, config, event, start};
use crate::witness::Witness;

const OLD: &str = "shop.example/log";
const NEW: &str = "shop.example/log-2";

fn named(folder: &Folder, name: &str, witness: Option<&Witness>) -> Config {
    Config {
        log_name: name.to_owned(),
        witnesses: witness.iter().map(|witness| witness.place()).collect(),
        witness_quorum: usize::from(witness.is_some()),
        checkpoint_every: Duration::from_millis(20),
        witness_every: Duration::from_millis(20),
        ..config(&folder.database())
    }
}

async fn key(config: &Config) -> VerifierKey {
    let evidence = StoredEvidence::open(config).await.unwrap();
    let key = evidence.log_key();
    evidence.close().await.unwrap();
    VerifierKey::parse(&key).unwrap()
}

/// Until a checkpoint of this name and at least this size is shown, which only a cosigned one is.
async fn until_cosigned(client: &Client, name: &str, size: u64) {
    let begun = Instant::now();
    loop {
        let answer = client.get("/log/checkpoint").await;
        let note = if answer.status == 200 { answer.body() } else { String::new() };
        let mut lines = note.lines();
        let is_named = lines.next() == Some(name);
        let found = lines.next().and_then(|line| line.parse::<u64>().ok()).unwrap_or(0);
        if is_named && found >= size && note.matches("— ").count() == 2 {
            return;
        }
        assert!(begun.elapsed() < Duration::from_secs(60), "{note}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn rename(config: &Config, from: &str) -> Result<(), String> {
    let evidence = StoredEvidence::open(config).await.unwrap();
    let renamed = evidence.rename_log(from).await.map_err(|error| error.to_string());
    evidence.close().await.unwrap();
    renamed
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restored_log_is_cosigned_again_under_another_name() {
    let (folder, keys) = (Folder::new(), tempfile::tempdir().unwrap());
    let old_key = key(&named(&folder, OLD, None)).await;
    let new_key = key(&named(&folder, NEW, None)).await;
    let witness = Witness::start(keys.path(), "one.example", &[&old_key, &new_key]).await;
    let running = start(named(&folder, OLD, Some(&witness))).await;
    ingest(&running.client, "a", 1..51).await;
    until_cosigned(&running.client, OLD, 50).await;
    let made = created(&folder, Kind::Database, NOW_MS).await.unwrap();
    ingest(&running.client, "a", 51..101).await;
    until_cosigned(&running.client, OLD, 101).await;
    running.stop().await;
    // Whatever the log is called, its backup tells.
    let verified = verify(&made.path, &config(&folder.database()), &backups(&folder)).await.unwrap();
    assert!(verified.is_good() && verified.audit.as_ref().unwrap().origin == OLD, "{verified:?}");
    restored(&made.path, &config(&folder.database()), true).await.unwrap();

    // A name alone is not enough: nobody signs for a log that another has signed.
    let running = start(named(&folder, "other.example", None)).await;
    ingest(&running.client, "b", 1..2).await;
    assert_ne!(running.client.get("/v1/events/b-1/proof").await.status, 200);
    running.stop().await;

    let new = named(&folder, NEW, None);
    let refused = rename(&new, "other.example").await.unwrap_err();
    assert!(refused.contains("not ours"), "{refused}");
    rename(&new, OLD).await.unwrap();
    let running = start(named(&folder, NEW, Some(&witness))).await;
    let client = &running.client;
    assert_eq!(client.ingest(&[event("a", 51)]).await["accepted"], 1);
    until_cosigned(client, NEW, 54).await;
    let journal = client.json("/v1/journal?limit=1000").await.to_string();
    assert!(journal.contains("shop.example/log is now shop.example/log-2"), "{journal}");
    running.stop().await;
    let mut evidence = StoredEvidence::open(&new).await.unwrap();
    let wanted =
        Check { seen: vec![made.manifest.log.unwrap().checkpoint.unwrap().note], ..Check::default() };
    let audited = check(&wanted, &mut evidence).await.unwrap();
    assert!(audited.origin == NEW && audited.n_events == 52, "{audited:?}");
    evidence.close().await.unwrap();
    witness.stop().await;
}
