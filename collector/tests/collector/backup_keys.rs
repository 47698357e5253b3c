//! A new key-encryption key for backups that are there already, and the lines that the journal has of all of it.

use std::fs;

use sentinel_collector::backup::{Drill, Failure, Kind, Rewrap, Rewrapped, drill, rewrap, verify};
use sentinel_collector::{Config, StoredEvidence};
use serde_json::Value;

use crate::backup::{NOW_MS, backups, created, created_with, elsewhere, ingest, names, restored};
use crate::support::{Folder, config, start, walk};

fn key_file(folder: &Folder) -> std::path::PathBuf {
    folder.path().join("events.db.keys")
}

/// The keys of one more collector, of which each start makes one.
async fn fresh_key() -> String {
    let other = Folder::new();
    other.start().await.stop().await;
    let text = fs::read_to_string(key_file(&other)).unwrap();
    text.lines().find(|line| line.starts_with("kek:")).unwrap().to_owned()
}

fn key_of(folder: &Folder) -> String {
    let text = fs::read_to_string(key_file(folder)).unwrap();
    text.lines().find(|line| line.starts_with("kek:")).unwrap().to_owned()
}

async fn rewrapped(folder: &Folder) -> Result<Rewrapped, Failure> {
    let config = config(&folder.database());
    rewrap(&Rewrap { folder: &backups(folder), config: &config, now_ms: NOW_MS }).await
}

/// What was done by an operator, oldest first.
pub(crate) async fn deeds(client: &crate::support::Client) -> Vec<String> {
    let journal = client.json("/v1/journal?limit=1000").await;
    let lines = journal["entries"].as_array().unwrap().iter().rev().map(|line| &line["entry"]);
    let mine = lines.filter(|line| line["who"] == "operator");
    let word = |line: &Value, name: &str| line[name].as_str().unwrap().to_owned();
    mine.map(|line| format!("{} {} {}", word(line, "what"), word(line, "target"), line["outcome"])).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_rewrap_backups_need_the_new_key_alone() {
    let folder = Folder::new();
    let running = folder.start().await;
    ingest(&running.client, "a", 1..51).await;
    running.stop().await;
    let logs = folder.path().join("logs");
    fs::create_dir(&logs).unwrap();
    fs::write(logs.join("a.log"), "a line").unwrap();
    let of_logs = created_with(&folder, Kind::Logs, NOW_MS - 2, &[], Some(&logs)).await.unwrap();
    let full = created_with(&folder, Kind::Full, NOW_MS - 1, &[], Some(&logs)).await.unwrap();
    let (old, new) = (key_of(&folder), fresh_key().await);
    fs::write(key_file(&folder), format!("{new}\n{old}\n")).unwrap();
    // A backup that is new outside and old inside, because the database was not moved yet.
    let half = created(&folder, Kind::Database, NOW_MS).await.unwrap();
    let before = fs::read(&of_logs.path).unwrap();

    let done = rewrapped(&folder).await.unwrap();
    assert_eq!(done.moved, [&of_logs, &full, &half].map(|made| made.path.clone()), "{done:?}");
    assert!(done.is_good() && done.n_left == 0 && done.not_noted.is_none());
    let after = fs::read(&of_logs.path).unwrap();
    assert!(before != after && before.len() == after.len());
    let again = rewrapped(&folder).await.unwrap();
    assert_eq!((again.moved.len(), again.n_left), (0, 3));
    assert_eq!(names(&backups(&folder)).len(), 3, "nothing half is left");

    // The old key is gone for good.
    let alone = folder.path().join("new.keys");
    fs::write(&alone, &new).unwrap();
    for (n, made) in [&full, &half].into_iter().enumerate() {
        let there = Config { key_file: Some(alone.clone()), ..elsewhere(&folder, &format!("there-{n}.db")) };
        assert!(verify(&made.path, &there, folder.path()).await.unwrap().is_good());
        restored(&made.path, &there, false).await.unwrap();
        let running = start(there).await;
        assert_eq!(walk(&running.client, "limit=100").await.len(), 50);
        running.stop().await;
    }
    let with_old = folder.path().join("old.keys");
    fs::write(&with_old, &old).unwrap();
    let there = Config { key_file: Some(with_old), ..elsewhere(&folder, "none.db") };
    assert!(matches!(restored(&full.path, &there, false).await, Err(Failure::Input(_))));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_that_does_not_open_stays_as_it_is_and_keeps_no_other_from_it() {
    let folder = Folder::new();
    folder.start().await.stop().await;
    let damaged = created(&folder, Kind::Database, NOW_MS - 1).await.unwrap();
    let good = created(&folder, Kind::Database, NOW_MS).await.unwrap();
    let mut bytes = fs::read(&damaged.path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&damaged.path, &bytes).unwrap();
    let (old, new) = (key_of(&folder), fresh_key().await);
    fs::write(key_file(&folder), format!("{new}\n{old}\n")).unwrap();
    let done = rewrapped(&folder).await.unwrap();
    assert!(!done.is_good());
    assert_eq!((done.failed[0].0.clone(), done.moved.clone()), (damaged.path.clone(), vec![good.path]));
    assert_eq!(fs::read(&damaged.path).unwrap(), bytes);
    // With neither key nothing is touched.
    fs::write(key_file(&folder), fresh_key().await).unwrap();
    let none = rewrapped(&folder).await.unwrap();
    assert_eq!((none.moved.len(), none.failed.len()), (0, 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_journal_has_a_line_about_each_beside_a_collector_that_runs() {
    let folder = Folder::new();
    let running = folder.start().await;
    ingest(&running.client, "a", 1..11).await;
    let made = created(&folder, Kind::Database, NOW_MS).await.unwrap();
    // The collector's own next entry comes behind the line that it did not write.
    ingest(&running.client, "a", 11..21).await;
    assert!(rewrapped(&folder).await.unwrap().is_good());
    let (backups, live) = (backups(&folder), config(&folder.database()));
    let wanted = Drill { folder: &backups, config: &live, scratch: folder.path(), now_ms: NOW_MS };
    assert!(drill(&wanted).await.unwrap().not_noted.is_none());
    ingest(&running.client, "a", 21..31).await;
    let database = StoredEvidence::open(&config(&folder.database())).await.unwrap();
    database.rewrap().await.unwrap();
    database.close().await.unwrap();
    let name = made.path.file_name().unwrap().to_str().unwrap().to_owned();
    let expected = [
        format!("backup.create {name} of 10 entries 200"),
        "backup.rewrap 0 of 1 backups 200".to_owned(),
        format!("drill {name} 200"),
        "db.rewrap 0 data keys 200".to_owned(),
    ];
    assert_eq!(deeds(&running.client).await, expected);
    running.stop().await;

    let there = elsewhere(&folder, "there.db");
    restored(&made.path, &there, false).await.unwrap();
    let running = start(there).await;
    assert_eq!(deeds(&running.client).await, [format!("backup.restore {name} 200")]);
    running.stop().await;
}
