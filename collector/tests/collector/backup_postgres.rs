//! Backups of a real PostgreSQL, while collectors write to it, and back into PostgreSQL or into a file.

use std::collections::BTreeSet;
use std::path::PathBuf;

use sentinel_collector::audit::{Check, check};
use sentinel_collector::backup::{
    Create, Drill, Failure, Kind, Made, Restore, Restored, create, drill, restore, verify,
};
use sentinel_collector::{Config, StoredEvidence};

use crate::backup::{NOW_MS, Senders, backups, elsewhere, ingest, names};
use crate::backup_keys::deeds;
use crate::support::{Folder, config, postgres, start, walk};

fn on(folder: &Folder, url: &str) -> Config {
    let keys = PathBuf::from(format!("{}.keys", folder.database().display()));
    Config { postgres: Some(url.to_owned()), key_file: Some(keys), ..config(&folder.database()) }
}

async fn created(folder: &Folder, config: &Config, now_ms: i64) -> Result<Made, Failure> {
    let (backups, kind) = (backups(folder), Kind::Database);
    create(&Create {
        folder: &backups,
        kind,
        config,
        configuration: &[],
        options: None,
        logs: None,
        keep_days: 30,
        now_ms,
    })
    .await
}

async fn restored(made: &Made, config: &Config, force: bool) -> Result<Restored, Failure> {
    let (file, scratch, files_to) = (made.path.as_path(), None, None);
    restore(&Restore { file, config, scratch, files_to, force, now_ms: NOW_MS }).await
}

/// What a collector on a restored database has, which takes in more and verifies.
async fn goes_on(config: Config) -> BTreeSet<String> {
    let running = start(config.clone()).await;
    let found: BTreeSet<String> = walk(&running.client, "limit=1000").await.into_iter().collect();
    assert!(deeds(&running.client).await.last().unwrap().starts_with("backup.restore sentinel-"));
    ingest(&running.client, "new", 1..11).await;
    running.stop().await;
    let mut evidence = StoredEvidence::open(&config).await.unwrap();
    let audited = check(&Check::default(), &mut evidence).await.unwrap();
    assert!(audited.is_good() && audited.n_events == found.len() as u64 + 10, "{audited:?}");
    evidence.close().await.unwrap();
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_of_a_busy_server_has_all_that_was_acknowledged_and_goes_back_into_either_database() {
    let Some(server) = postgres() else { return };
    let folder = Folder::new();
    let config = on(&folder, &server.database().unwrap());
    let running = start(config.clone()).await;
    let senders = Senders::start(&running.client, 3);
    let mut n_made = 0;
    let (before, made) = loop {
        let before = senders.acknowledged(1_500).await;
        let made = created(&folder, &config, NOW_MS + n_made).await.unwrap();
        n_made += 1;
        if senders.acknowledged(0).await.len() > before.len() {
            break (before, made);
        }
        assert!(n_made < 5, "nothing ever came in meanwhile");
    };
    senders.stop().await;
    assert!(made.not_noted.is_none() && deeds(&running.client).await.len() as i64 == n_made, "{made:?}");
    let verified = verify(&made.path, &config, &backups(&folder)).await.unwrap();
    assert!(verified.is_good() && verified.audit.is_some(), "{verified:?}");

    // The live log goes on from the one in the backup.
    let (backups, config_there) = (backups(&folder), config.clone());
    let wanted =
        Drill { folder: &backups, config: &config_there, scratch: folder.path(), now_ms: NOW_MS + n_made };
    let drilled = drill(&wanted).await.unwrap();
    assert!(drilled.is_good() && !drilled.was_made && drilled.rpo.events > 0, "{drilled:?}");
    running.stop().await;

    let there = on(&folder, &server.database().unwrap());
    let told = restored(&made, &there, false).await.unwrap();
    assert_eq!(told.database.as_deref(), Some("PostgreSQL"));
    let file = elsewhere(&folder, "there.db");
    restored(&made, &file, false).await.unwrap();
    let (in_server, in_file) = (goes_on(there).await, goes_on(file).await);
    assert_eq!(in_server, in_file);
    // The journal has a line about each backup before.
    let n_entries = in_file.len() as u64 + n_made as u64 - 1;
    assert!(before.is_subset(&in_file) && n_entries == made.manifest.log.unwrap().entries);
    assert!(names(&backups).iter().all(|name| name.ends_with(".backup")), "nothing half is left");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_is_not_empty_is_not_restored_into_and_keys_have_to_be_named() {
    let Some(server) = postgres() else { return };
    let folder = Folder::new();
    let config = on(&folder, &server.database().unwrap());
    let running = start(config.clone()).await;
    ingest(&running.client, "a", 1..11).await;
    let made = created(&folder, &config, NOW_MS).await.unwrap();
    for force in [false, true] {
        match restored(&made, &config, force).await {
            Err(Failure::Input(why)) => assert!(why.contains("not empty"), "{why}"),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(walk(&running.client, "limit=100").await.len(), 10);
    running.stop().await;
    let without = Config { key_file: None, ..config };
    match created(&folder, &without, NOW_MS + 1).await {
        Err(Failure::Input(why)) => assert!(why.contains("name the key file"), "{why}"),
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_of_a_file_goes_into_a_server_too() {
    let Some(server) = postgres() else { return };
    let folder = Folder::new();
    let running = folder.start().await;
    ingest(&running.client, "a", 1..301).await;
    running.stop().await;
    let made = crate::backup::created(&folder, Kind::Database, NOW_MS).await.unwrap();
    let there = on(&folder, &server.database().unwrap());
    restored(&made, &there, false).await.unwrap();
    assert_eq!(goes_on(there).await.len(), 300);
}
