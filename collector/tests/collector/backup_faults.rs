//! Backups when something is wrong: it is named, and nothing half is left.

use std::fs;
use std::path::Path;
use std::process::Command;

use sentinel_collector::backup::{Failure, Kind, list, verify};
use sentinel_collector::{Collector, Config};

use crate::backup::{NOW_MS, backups, created, created_with, elsewhere, ingest, names, restored};
use crate::durability::spawn_child;
use crate::support::{Folder, config, start, walk};

async fn with_events() -> Folder {
    let folder = Folder::new();
    let running = folder.start().await;
    ingest(&running.client, "a", 1..301).await;
    running.stop().await;
    folder
}

#[track_caller]
fn damaged<T: std::fmt::Debug>(found: Result<T, Failure>, what: &str) -> String {
    match found {
        Err(Failure::Damaged(why)) => why,
        other => panic!("{what}: {other:?}"),
    }
}

#[track_caller]
fn refused<T: std::fmt::Debug>(found: Result<T, Failure>, expected: &str) {
    match found {
        Err(Failure::Input(why)) => assert!(why.contains(expected), "{why}"),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn flipped_bits_and_cut_files_are_named_and_restore_nothing() {
    let folder = with_events().await;
    let made = created(&folder, Kind::Database, NOW_MS).await.unwrap();
    let whole = fs::read(&made.path).unwrap();
    let there = elsewhere(&folder, "there.db");
    let before = names(folder.path());
    let last = whole.len() - 1;
    // The magic, the sealed key, the label, the manifest, chunks, their tags, the last byte.
    for at in [0, 20, 60, 88, 95, 130, 1_000, 65_650, 200_000, last / 2, last] {
        let mut bytes = whole.clone();
        bytes[at] ^= 0x10;
        fs::write(&made.path, &bytes).unwrap();
        let why = match verify(&made.path, &there, &backups(&folder)).await {
            // The id of the key that wraps stands in the open.
            Err(Failure::Damaged(why) | Failure::Input(why)) => why,
            other => panic!("byte {at}: {other:?}"),
        };
        assert!(why.starts_with(&made.path.display().to_string()), "byte {at}: {why}");
        assert!(restored(&made.path, &there, false).await.is_err(), "byte {at}");
    }
    for length in [0, 7, 50, 300, 65_536, 131_272, last] {
        fs::write(&made.path, &whole[..length]).unwrap();
        damaged(verify(&made.path, &there, &backups(&folder)).await, &format!("cut at {length}"));
        damaged(restored(&made.path, &there, false).await, &format!("cut at {length}"));
    }
    fs::write(&made.path, [whole.as_slice(), b"more"].concat()).unwrap();
    damaged(verify(&made.path, &there, &backups(&folder)).await, "with bytes behind");
    assert_eq!(names(folder.path()), before);
    assert_eq!(names(&backups(&folder)).len(), 1);
    fs::write(&made.path, &whole).unwrap();
    assert!(verify(&made.path, &there, &backups(&folder)).await.unwrap().is_good());
}

#[tokio::test]
async fn with_other_keys_nothing_opens_and_without_any_none_are_made() {
    let folder = with_events().await;
    let made = created(&folder, Kind::Database, NOW_MS).await.unwrap();
    let stranger = Folder::new();
    stranger.start().await.stop().await;
    let keys = stranger.path().join("events.db.keys");
    let there = Config { key_file: Some(keys), ..config(&folder.path().join("there.db")) };
    refused(verify(&made.path, &there, &backups(&folder)).await, "which is not configured");
    refused(restored(&made.path, &there, false).await, "which is not configured");
    let listed = list(&backups(&folder), &there).await.unwrap();
    assert!(listed[0].manifest.as_ref().unwrap_err().contains("which is not configured"));
    let without = config(&folder.path().join("without.db"));
    refused(restored(&made.path, &without, false).await, "without.db.keys");
    assert_eq!(names(folder.path()), ["backups", "events.db", "events.db.keys"]);
}

#[tokio::test]
async fn keys_are_not_taken_into_a_backup() {
    let folder = with_events().await;
    let keys = folder.path().join("events.db.keys");
    let hidden = folder.path().join("service.env");
    fs::write(&hidden, format!("SENTINEL_KEYS={}", fs::read_to_string(&keys).unwrap())).unwrap();
    for file in [keys, hidden] {
        refused(created_with(&folder, Kind::Full, NOW_MS, &[file], None).await, "key-encryption key");
    }
    // Nor when they lie among the logs.
    refused(created_with(&folder, Kind::Logs, NOW_MS, &[], Some(folder.path())).await, "among the logs");
    assert_eq!(names(&backups(&folder)), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_is_there_is_not_overwritten_and_with_force_gets_another_name() {
    let folder = with_events().await;
    let made = created(&folder, Kind::Database, NOW_MS).await.unwrap();
    let target = config(&folder.database());
    let before = fs::read(folder.database()).unwrap();
    refused(restored(&made.path, &target, false).await, "it is there already");
    assert_eq!(fs::read(folder.database()).unwrap(), before);
    // A journal that somebody left is not mixed with the new database either.
    let alone = elsewhere(&folder, "alone.db");
    fs::write(folder.path().join("alone.db-wal"), "left behind").unwrap();
    refused(restored(&made.path, &alone, false).await, "alone.db-wal");

    let done = restored(&made.path, &target, true).await.unwrap();
    let aside = folder.path().join("events.db.before-20260921T141320000Z");
    assert_eq!(done.moved, std::slice::from_ref(&aside));
    let old = Config { key_file: elsewhere(&folder, "x").key_file, ..config(&aside) };
    for config in [target, old] {
        let running = start(config).await;
        assert_eq!(walk(&running.client, "limit=1000").await.len(), 300);
        running.stop().await;
    }
    // What is no database any more is in the way, too, and is kept.
    fs::write(folder.database(), "no database").unwrap();
    let done = restore_again(&made.path, &config(&folder.database())).await;
    assert_eq!(fs::read(&done).unwrap(), b"no database");
}

async fn restore_again(file: &Path, config: &Config) -> std::path::PathBuf {
    let wanted = sentinel_collector::backup::Restore {
        file,
        config,
        scratch: None,
        files_to: None,
        force: true,
        now_ms: NOW_MS + 1,
    };
    sentinel_collector::backup::restore(&wanted).await.unwrap().moved.swap_remove(0)
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_restored_under_a_collector_that_runs_and_all_of_it_after_its_crash() {
    let folder = Folder::new();
    let (mut process, client) = spawn_child(&folder, None);
    ingest(&client, "a", 1..101).await;
    let made = created(&folder, Kind::Database, NOW_MS).await.unwrap();
    ingest(&client, "a", 101..151).await;
    let before = names(folder.path());
    let target = config(&folder.database());
    refused(restored(&made.path, &target, true).await, "stop the collector");
    ingest(&client, "a", 151..161).await;
    assert_eq!(names(folder.path()), before);
    process.kill().unwrap();
    process.wait().unwrap();
    let done = restored(&made.path, &target, true).await.unwrap();
    assert!(done.moved.len() >= 2, "the journal goes with its database: {:?}", done.moved);
    let running = folder.start().await;
    assert_eq!(walk(&running.client, "limit=1000").await.len(), 100);
    running.stop().await;
    // The old files are a whole database by their new name.
    let old = start(Config { key_file: elsewhere(&folder, "x").key_file, ..config(&done.moved[0]) }).await;
    assert_eq!(walk(&old.client, "limit=1000").await.len(), 160);
    old.stop().await;
    // In this process, too.
    let collector = Collector::bind(config(&folder.database())).await.unwrap();
    refused(restored(&made.path, &target, true).await, "stop the collector");
    drop(collector);
}

/// The child is this test binary, which may not write files of more than 100 KiB.
#[cfg(unix)]
#[tokio::test]
async fn without_space_nothing_half_is_left_and_the_reason_is_said() {
    let folder = with_events().await;
    let made = created(&folder, Kind::Database, NOW_MS).await.unwrap();
    assert!(made.bytes > 200_000);
    fs::write(folder.path().join("policy.yaml"), vec![b'#'; 500_000]).unwrap();
    let before = (names(folder.path()), names(&backups(&folder)));
    for (what, said) in [
        ("database", "the database was not copied"),
        ("configuration", "/sealed"),
        ("restore", "could not be written"),
    ] {
        let child = Command::new("sh")
            .args([
                "-c",
                "trap '' XFSZ; ulimit -f 100; exec \"$0\" --exact backup_faults::child --ignored --nocapture",
            ])
            .arg(std::env::current_exe().unwrap())
            .env(CHILD_FOLDER, folder.path())
            .env(CHILD_TASK, what)
            .output()
            .unwrap();
        let said_there = String::from_utf8_lossy(&child.stdout);
        assert!(said_there.contains("Machine(") && said_there.contains(said), "{what}: {said_there}");
        assert_eq!((names(folder.path()), names(&backups(&folder))), before, "{what}");
    }
}

#[tokio::test]
#[ignore = "not a test: the process that has no space"]
async fn child() {
    let Some(path) = std::env::var_os(CHILD_FOLDER) else { return };
    let folder = Folder::at(path.as_ref());
    let failed = match std::env::var(CHILD_TASK).unwrap().as_str() {
        "database" => created(&folder, Kind::Database, NOW_MS + 1).await.unwrap_err(),
        "configuration" => {
            let policy = [folder.path().join("policy.yaml")];
            created_with(&folder, Kind::Configuration, NOW_MS + 1, &policy, None).await.unwrap_err()
        }
        _ => {
            let made = backups(&folder).join(&names(&backups(&folder))[0]);
            restored(&made, &elsewhere(&folder, "there.db"), false).await.unwrap_err()
        }
    };
    println!("\n{failed:?}");
}

const CHILD_FOLDER: &str = "SENTINEL_BACKUP_TEST_FOLDER";
const CHILD_TASK: &str = "SENTINEL_BACKUP_TEST_TASK";
