//! Backups: taken from a collector that is busy, and back again.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use sentinel_collector::audit::{Check, check};
use sentinel_collector::backup::{
    Create, Drill, Drilled, Failure, Kind, Made, Part, Restore, Restored, create, drill, list, restore,
    verify,
};
use sentinel_collector::{Config, StoredEvidence};
use serde_json::Value;
use tokio::sync::Mutex;
use tokio::task::JoinHandle;

use crate::support::{Client, Folder, config, event, start, walk};

pub(crate) const NOW_MS: i64 = 1_790_000_000_000;
const DAY_MS: i64 = 86_400_000;

pub(crate) fn backups(folder: &Folder) -> PathBuf {
    folder.path().join("backups")
}

pub(crate) async fn created(folder: &Folder, kind: Kind, now_ms: i64) -> Result<Made, Failure> {
    created_with(folder, kind, now_ms, &[], None).await
}

pub(crate) async fn created_with(
    folder: &Folder,
    kind: Kind,
    now_ms: i64,
    configuration: &[PathBuf],
    logs: Option<&Path>,
) -> Result<Made, Failure> {
    create(&Create {
        folder: &backups(folder),
        kind,
        config: &config(&folder.database()),
        configuration,
        options: None,
        logs,
        keep_days: 30,
        now_ms,
    })
    .await
}

/// Another database with the keys of this one.
pub(crate) fn elsewhere(folder: &Folder, name: &str) -> Config {
    let keys = PathBuf::from(format!("{}.keys", folder.database().display()));
    Config { key_file: Some(keys), ..config(&folder.path().join(name)) }
}

pub(crate) async fn restored(file: &Path, config: &Config, force: bool) -> Result<Restored, Failure> {
    restore(&Restore { file, config, scratch: None, files_to: None, force, now_ms: NOW_MS }).await
}

async fn drilled(folder: &Folder) -> Result<Drilled, Failure> {
    let (backups, config) = (backups(folder), config(&folder.database()));
    drill(&Drill { folder: &backups, config: &config, scratch: &backups, now_ms: NOW_MS }).await
}

/// What is in a folder, by name.
pub(crate) fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

pub(crate) fn occurs(needle: &[u8], file: &Path) -> bool {
    fs::read(file).unwrap().windows(needle.len()).any(|window| window == needle)
}

pub(crate) async fn ingest(client: &Client, vm: &str, seqs: std::ops::Range<i64>) {
    for first in seqs.clone().step_by(100) {
        let batch: Vec<Value> = (first..seqs.end.min(first + 100)).map(|seq| event(vm, seq)).collect();
        assert_eq!(client.ingest(&batch).await["accepted"], batch.len());
    }
}

/// Who send events to a collector all the time.
pub(crate) struct Senders {
    acknowledged: Arc<Mutex<BTreeSet<String>>>,
    stop: Arc<AtomicBool>,
    tasks: Vec<JoinHandle<()>>,
}

impl Senders {
    pub(crate) fn start(client: &Client, n: usize) -> Self {
        let (acknowledged, stop) = (Arc::default(), Arc::default());
        let send = |vm: usize| {
            let (client, acknowledged, stop) = (client.clone(), Arc::clone(&acknowledged), Arc::clone(&stop));
            tokio::spawn(send_until(client, format!("vm{vm}"), acknowledged, stop))
        };
        let tasks = (0..n).map(send).collect();
        Self { acknowledged, stop, tasks }
    }

    /// The ids of all that was acknowledged, once it is so many.
    pub(crate) async fn acknowledged(&self, at_least: usize) -> BTreeSet<String> {
        loop {
            let now = self.acknowledged.lock().await.clone();
            if now.len() >= at_least {
                return now;
            }
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    }

    pub(crate) async fn stop(self) {
        self.stop.store(true, Ordering::Relaxed);
        for task in self.tasks {
            task.await.unwrap();
        }
    }
}

async fn send_until(
    client: Client,
    vm: String,
    acknowledged: Arc<Mutex<BTreeSet<String>>>,
    stop: Arc<AtomicBool>,
) {
    for first in (1_i64..).step_by(50) {
        if stop.load(Ordering::Relaxed) {
            return;
        }
        let batch: Vec<Value> = (first..first + 50).map(|seq| event(&vm, seq)).collect();
        assert_eq!(client.ingest(&batch).await["accepted"], 50);
        acknowledged.lock().await.extend((first..first + 50).map(|seq| format!("{vm}-{seq}")));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_of_a_busy_collector_has_all_that_was_acknowledged_before_it_was_begun() {
    let folder = Folder::new();
    let running = folder.start().await;
    let senders = Senders::start(&running.client, 4);
    let mut taken = Vec::new();
    for n in 0..2 {
        let before = senders.acknowledged(500 * (n + 1)).await;
        let made = created(&folder, Kind::Database, NOW_MS + i64::try_from(n).unwrap()).await.unwrap();
        let after = senders.acknowledged(0).await.len();
        taken.push((before, made, after));
    }
    senders.stop().await;
    running.stop().await;
    assert!(taken.iter().any(|(before, _, after)| *after > before.len()), "nothing came in meanwhile");
    for (n, (before, made, _)) in taken.into_iter().enumerate() {
        let verified = verify(&made.path, &config(&folder.database()), &backups(&folder)).await.unwrap();
        assert!(verified.is_good(), "{verified:?}");
        let log = made.manifest.log.unwrap();
        assert!(
            log.entries >= before.len() as u64
                && verified.audit.unwrap().size == log.checkpoint.unwrap().size
        );

        let there = elsewhere(&folder, &format!("restored-{n}.db"));
        restored(&made.path, &there, false).await.unwrap();
        let again = start(there.clone()).await;
        let found: BTreeSet<String> = walk(&again.client, "limit=1000").await.into_iter().collect();
        // The journal has a line about the backup before.
        assert_eq!((found.len() + n) as u64, log.entries);
        assert!(
            before.is_subset(&found),
            "{:?} are missing",
            before.difference(&found).take(5).collect::<Vec<_>>()
        );
        ingest(&again.client, "new", 1..11).await;
        again.stop().await;
        let mut evidence = StoredEvidence::open(&there).await.unwrap();
        let audited = check(&Check::default(), &mut evidence).await.unwrap();
        assert!(audited.is_good() && audited.n_events == found.len() as u64 + 10, "{audited:?}");
        evidence.close().await.unwrap();
    }
    assert!(names(&backups(&folder)).iter().all(|name| name.ends_with(".backup")));
}

#[tokio::test]
async fn configuration_and_logs_come_back_as_they_were_and_only_for_their_owner() {
    let folder = Folder::new();
    folder.start().await.stop().await;
    let logs = folder.path().join("logs");
    fs::create_dir_all(logs.join("2026/09")).unwrap();
    fs::create_dir(folder.path().join("other")).unwrap();
    for (name, text) in [
        ("policy.yaml", "profiles: {}"),
        ("other/policy.yaml", "other: {}"),
        ("logs/now.log", "a line\n"),
        ("logs/2026/09/old.log", ""),
    ] {
        fs::write(folder.path().join(name), text).unwrap();
    }
    let policies = [folder.path().join("policy.yaml"), folder.path().join("other/policy.yaml")];
    let made = created_with(&folder, Kind::Full, NOW_MS, &policies, Some(&logs)).await.unwrap();
    assert!(
        [Part::Database, Part::Configuration, Part::Logs].into_iter().all(|part| made.manifest.has(part))
    );
    let (to, there) = (folder.path().join("files"), elsewhere(&folder, "there.db"));
    let wanted = Restore {
        file: &made.path,
        config: &there,
        scratch: None,
        files_to: Some(&to),
        force: false,
        now_ms: NOW_MS,
    };
    restore(&wanted).await.unwrap();
    for (name, text) in [
        ("configuration/policy.yaml", "profiles: {}"),
        ("configuration/2-policy.yaml", "other: {}"),
        ("logs/now.log", "a line\n"),
        ("logs/2026/09/old.log", ""),
    ] {
        assert_eq!(fs::read_to_string(to.join(name)).unwrap(), text, "{name}");
    }
    #[cfg(unix)]
    for path in
        [&made.path, &there.database, &to.join("logs/now.log"), &backups(&folder), &to.join("logs/2026")]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = fs::metadata(path).unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0, "{} has {mode:o}", path.display());
    }
    // A folder that is there is not written into.
    let again = Restore { config: &elsewhere(&folder, "third.db"), ..wanted };
    assert!(matches!(restore(&again).await, Err(Failure::Input(_))));
    assert!(!folder.path().join("third.db").exists());
}

#[tokio::test]
async fn no_text_of_an_event_can_be_read_in_a_backup_nor_in_what_is_restored() {
    const TEXT: &str = "marigold-under-the-seventh-stair";
    let folder = Folder::new();
    let running = folder.start().await;
    let mut one = event("a", 1);
    one["request_id"] = TEXT.into();
    assert_eq!(running.client.ingest(&[one]).await["accepted"], 1);
    assert_eq!(walk(&running.client, &format!("request_id={TEXT}")).await, ["a-1"]);
    let policy = folder.path().join("policy.yaml");
    fs::write(&policy, format!("# {TEXT}")).unwrap();
    let made = created_with(&folder, Kind::Full, NOW_MS, &[policy], None).await.unwrap();
    assert!(!occurs(TEXT.as_bytes(), &made.path) && !occurs(b"sentinel.event", &made.path));
    let there = elsewhere(&folder, "there.db");
    restored(&made.path, &there, false).await.unwrap();
    assert!(!occurs(TEXT.as_bytes(), &there.database) && occurs(b"sentinel.event/1", &there.database));
    let again = start(there).await;
    assert_eq!(walk(&again.client, &format!("request_id={TEXT}")).await, ["a-1"]);
    again.stop().await;
    running.stop().await;
}

#[tokio::test]
async fn old_backups_go_with_the_next_one_and_others_files_stay() {
    let folder = Folder::new();
    folder.start().await.stop().await;
    let first = created(&folder, Kind::Database, NOW_MS - 40 * DAY_MS).await.unwrap();
    // The last good one stays, whatever its age.
    let logs = folder.path().join("logs");
    fs::create_dir(&logs).unwrap();
    fs::write(logs.join("a.log"), "a line").unwrap();
    let of_logs = created_with(&folder, Kind::Logs, NOW_MS - 39 * DAY_MS, &[], Some(&logs)).await.unwrap();
    assert!(of_logs.deleted.is_empty());
    fs::write(backups(&folder).join("notes.txt"), "mine").unwrap();
    let second = created(&folder, Kind::Database, NOW_MS).await.unwrap();
    assert_eq!(second.deleted, std::slice::from_ref(&first.path));
    let mut expected = vec!["notes.txt".to_owned()];
    expected
        .extend([&of_logs, &second].map(|made| made.path.file_name().unwrap().to_str().unwrap().to_owned()));
    assert_eq!(names(&backups(&folder)), expected);
    let listed = list(&backups(&folder), &config(&folder.database())).await.unwrap();
    let found: Vec<_> = listed.iter().map(|one| (&one.path, one.manifest.as_ref().unwrap().kind)).collect();
    assert_eq!(found, [(&of_logs.path, Kind::Logs), (&second.path, Kind::Database)]);
    assert_eq!(listed[1].bytes, fs::metadata(&second.path).unwrap().len());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drill_measures_what_is_missing_and_leaves_nothing() {
    let folder = Folder::new();
    let running = folder.start().await;
    ingest(&running.client, "a", 1..301).await;
    // It makes the first one itself.
    let first = drilled(&folder).await.unwrap();
    assert!(first.is_good() && first.was_made, "{first:?}");
    // Only the line about the backup itself.
    assert_eq!((first.rpo.entries, first.rpo.events, first.rpo.ms), (1, 0, 0));
    tokio::time::sleep(std::time::Duration::from_millis(30)).await;
    ingest(&running.client, "a", 301..351).await;
    let second = drilled(&folder).await.unwrap();
    assert!(second.is_good() && !second.was_made, "{second:?}");
    // And that about the first drill.
    assert_eq!((second.rpo.entries, second.rpo.events, second.live_entries), (52, 50, 352));
    assert!((30..60_000).contains(&second.rpo.ms), "{:?}", second.rpo);
    assert!(second.rto.as_nanos() > 0);
    assert_eq!(names(&backups(&folder)).len(), 1);
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drill_finds_a_live_log_that_was_set_back_or_has_another_past() {
    let folder = Folder::new();
    let running = folder.start().await;
    ingest(&running.client, "a", 1..301).await;
    running.stop().await;
    let early = created(&folder, Kind::Database, NOW_MS).await.unwrap();
    let running = folder.start().await;
    ingest(&running.client, "a", 301..401).await;
    running.stop().await;
    created(&folder, Kind::Database, NOW_MS + 1).await.unwrap();
    assert!(drilled(&folder).await.unwrap().is_good());
    // The live database is now the early one.
    let back = restored(&early.path, &config(&folder.database()), true).await.unwrap();
    assert_eq!(back.moved.len(), 1);
    let set_back = drilled(&folder).await.unwrap();
    assert!(!set_back.is_good() && set_back.wrong[0].contains("was set back"), "{:?}", set_back.wrong);
    // And goes on otherwise, further than before.
    let running = folder.start().await;
    ingest(&running.client, "b", 1..201).await;
    running.stop().await;
    let forked = drilled(&folder).await.unwrap();
    assert!(!forked.is_good() && forked.wrong[0].contains("did not grow"), "{:?}", forked.wrong);
}
