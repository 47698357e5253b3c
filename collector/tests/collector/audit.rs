//! The evidence against tampering: each way to change what is stored is found, named and placed.

use std::path::{Path, PathBuf};

use sentinel_collector::StoredEvidence;
use sentinel_collector::audit::{Check, Report, Source, Suspect, check};
use sentinel_ledger::{ProofFile, VerifierKey, leaf_hash};
use serde_json::Value;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions, Executor};

use crate::support::{Folder, config, event, finding};

/// Two full tiles of entries, and a part of one.
const N_EVENTS: i64 = 600;

/// A collector's database after it has stopped, for copies that are tampered with.
struct Original {
    folder: Folder,
    checkpoint: Vec<u8>,
    key: VerifierKey,
}

impl Original {
    async fn make() -> Self {
        let folder = Folder::new();
        let running = folder.start().await;
        for first in (1..=N_EVENTS / 2).step_by(100) {
            let mut batch: Vec<Value> = Vec::new();
            for seq in first..first + 100 {
                let mut one = event("a", seq);
                one["findings"] = serde_json::json!([finding("injection/ignore")]);
                batch.extend([one, event("b", seq)]);
            }
            running.client.ingest(&batch).await;
        }
        running.stop().await;
        let mut evidence = StoredEvidence::open(&config(&folder.database())).await.unwrap();
        let checkpoint = evidence.get("checkpoint").await.unwrap().unwrap();
        let key = String::from_utf8(evidence.get("key").await.unwrap().unwrap()).unwrap();
        evidence.close().await.unwrap();
        Self { folder, checkpoint, key: VerifierKey::parse(key.trim()).unwrap() }
    }

    fn check(&self) -> Check {
        let seen = String::from_utf8(self.checkpoint.clone()).unwrap();
        Check { key: Some(self.key.clone()), seen: vec![seen], ..Check::default() }
    }

    /// What a verifier says of a copy on which these statements were run.
    async fn with(&self, statements: &str) -> Report {
        let (_folder, database) = self.copy();
        run(&database, statements).await;
        verify(&database, &self.check()).await
    }

    fn copy(&self) -> (Folder, PathBuf) {
        let folder = Folder::new();
        for suffix in ["", ".keys"] {
            let name = |base: PathBuf| PathBuf::from(format!("{}{suffix}", base.display()));
            std::fs::copy(name(self.folder.database()), name(folder.database())).unwrap();
        }
        let database = folder.database();
        (folder, database)
    }
}

async fn run(database: &Path, statements: &str) {
    let mut connection = SqliteConnectOptions::new().filename(database).connect().await.unwrap();
    connection.execute(AssertSqlSafe(statements.to_owned())).await.unwrap();
    sqlx::Connection::close(connection).await.unwrap();
}

async fn verify(database: &Path, wanted: &Check) -> Report {
    let mut evidence = StoredEvidence::open(&config(database)).await.unwrap();
    let report = check(wanted, &mut evidence).await.unwrap();
    evidence.close().await.unwrap();
    report
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_not_touched_is_verified_with_every_event() {
    let original = Original::make().await;
    let report = original.with("SELECT 1").await;
    assert!(report.is_good(), "{report:?}");
    assert_eq!((report.size, report.n_events, report.n_opened), (600, 600, 600));
    assert!(report.missing.is_empty() && !report.key_was_found);
    let nobody = verify(&original.folder.database(), &Check::default()).await;
    assert!(nobody.is_good() && nobody.key_was_found);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_kind_of_change_is_found_and_named() {
    let original = Original::make().await;
    let flip = |table: &str, column: &str, at: usize, place: &str| {
        format!(
            "UPDATE {table} SET {column} = CAST(substr({column}, 1, {at}) || x'5a' || substr({column}, {at} + 2) AS BLOB)
             WHERE {place}"
        )
    };
    let both = "UPDATE leaves SET leaf = CAST(replace(CAST(leaf AS TEXT), '\"allow\"', '\"block\"') AS BLOB)";
    for (what, statements, expected, entry) in [
        ("an event's ciphertext", flip("events", "payload", 90, "idx = 5"), Suspect::Event, Some(5)),
        (
            "two events exchanged",
            "UPDATE events SET payload = (SELECT payload FROM events WHERE idx = 8) WHERE idx = 7".to_owned(),
            Suspect::Event,
            Some(7),
        ),
        ("an event deleted", "DELETE FROM events WHERE idx = 300".to_owned(), Suspect::Event, Some(300)),
        (
            "an event emptied",
            "UPDATE events SET payload = NULL WHERE idx = 301".to_owned(),
            Suspect::Event,
            Some(301),
        ),
        ("a leaf", format!("{both} WHERE idx = 256"), Suspect::Leaf, Some(256)),
        ("the first leaf", flip("leaves", "leaf", 30, "idx = 0"), Suspect::Leaf, Some(0)),
        (
            "a leaf in the middle deleted",
            "DELETE FROM leaves WHERE idx = 255".to_owned(),
            Suspect::Tail,
            Some(255),
        ),
        (
            "the tail deleted",
            "DELETE FROM leaves WHERE idx >= 590; DELETE FROM events WHERE idx >= 590".to_owned(),
            Suspect::Tail,
            Some(590),
        ),
        ("a hash", flip("tiles", "hashes", 32 * 3, "level = 0 AND idx = 1"), Suspect::Tile, Some(259)),
        ("a hash above", flip("tiles", "hashes", 40, "level = 1 AND idx = 0"), Suspect::Tile, None),
        ("a tile deleted", "DELETE FROM tiles WHERE level = 0 AND idx = 0".to_owned(), Suspect::Tile, None),
        (
            "the root in the checkpoint",
            "UPDATE checkpoints SET note = replace(note, substr(note, instr(note, '600') + 4, 4), 'AAAA')"
                .to_owned(),
            Suspect::Signature,
            None,
        ),
        (
            "the signature",
            "UPDATE checkpoints SET note = substr(note, 1, length(note) - 12) || 'AAAAAAAAAA=' || char(10)"
                .to_owned(),
            Suspect::Signature,
            None,
        ),
        (
            "garbage for a checkpoint",
            "UPDATE checkpoints SET note = 'nothing'".to_owned(),
            Suspect::Checkpoint,
            None,
        ),
        ("no checkpoint", "DELETE FROM checkpoints".to_owned(), Suspect::Checkpoint, None),
    ] {
        let report = original.with(&statements).await;
        let found = report.problems.iter().find(|problem| problem.what == expected);
        assert_eq!(found.map(|problem| problem.entry), Some(entry), "{what}: {report:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_was_set_back_or_forked_is_known_by_what_was_seen_before() {
    let original = Original::make().await;
    // Yesterday's copy goes on, with other events: signed by the same key, and not the log that was seen.
    let (folder, database) = original.copy();
    let all = "DELETE FROM leaves; DELETE FROM events; DELETE FROM tiles; DELETE FROM checkpoints; DELETE FROM vm_gaps;
               DELETE FROM vms";
    run(&database, all).await;
    let running = folder.start().await;
    for first in (1..=200).step_by(100) {
        running.client.ingest(&(first..first + 100).map(|seq| event("c", seq)).collect::<Vec<_>>()).await;
    }
    running.stop().await;
    let set_back = verify(&database, &original.check()).await;
    assert_eq!(kinds(&set_back), [Suspect::Rollback], "{set_back:?}");
    let running = folder.start().await;
    for first in (201..=700).step_by(100) {
        running.client.ingest(&(first..first + 100).map(|seq| event("c", seq)).collect::<Vec<_>>()).await;
    }
    running.stop().await;
    let forked = verify(&database, &original.check()).await;
    assert_eq!(kinds(&forked), [Suspect::Fork], "{forked:?}");
    // In itself it is whole: only memory knows better.
    assert!(verify(&database, &Check { seen: Vec::new(), ..original.check() }).await.is_good());
}

fn kinds(report: &Report) -> Vec<Suspect> {
    report.problems.iter().map(|problem| problem.what).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_log_is_not_signed_any_more_and_health_says_so() {
    let original = Original::make().await;
    let (folder, database) = original.copy();
    run(&database, "UPDATE tiles SET hashes = zeroblob(length(hashes)) WHERE level = 0 AND idx = 2").await;
    let running = folder.start().await;
    running.client.ingest(&[event("c", 1)]).await;
    let health = running.client.get("/health/ready").await;
    running.stop().await;
    let report = verify(&database, &original.check()).await;
    assert_eq!(report.size, 600, "nothing was signed over a log that is not the one that was signed");
    assert_eq!(health.status, 200, "events are taken in all the same: {health:?}");
}

#[tokio::test]
async fn what_is_missing_of_a_vm_is_told() {
    let folder = Folder::new();
    let running = folder.start().await;
    running.client.ingest(&[event("a", 1), event("a", 4), event("b", 3)]).await;
    running.stop().await;
    let report = verify(&folder.database(), &Check::default()).await;
    assert!(report.is_good());
    let missing: Vec<_> = report.missing.iter().map(|run| (run.vm.as_str(), run.first, run.last)).collect();
    assert_eq!(missing, [("a", 2, 3), ("b", 1, 2)]);
}

#[tokio::test]
async fn an_event_is_proven_as_soon_as_it_is_acknowledged() {
    let folder = Folder::new();
    let running = folder.start().await;
    running.client.ingest(&[event("a", 1), event("a", 2)]).await;
    let proof = running.client.json("/v1/events/a-2/proof").await;
    let key = VerifierKey::parse(proof["key"].as_str().unwrap()).unwrap();
    let file = ProofFile::parse(proof["proof"].as_str().unwrap().as_bytes()).unwrap();
    let leaf = proof["leaf"].as_str().unwrap();
    let hash = leaf_hash(leaf.as_bytes());
    let signed = file.verify(&hash, key.name(), std::slice::from_ref(&key)).unwrap();
    assert_eq!((signed.checkpoint().size(), file.extra()), (2, Some(leaf.as_bytes())));
    let entry: Value = serde_json::from_str(leaf).unwrap();
    assert_eq!((&entry["vm"], &entry["seq"], &entry["policy"]), (&"a".into(), &2.into(), &"0123abcd".into()));
    running.client.get("/v1/events/a-3/proof").await.refused(404, "not_found");
    running.client.get("/log/tile/0/000").await.refused(404, "not_found");
    assert_eq!(running.client.get("/log/tile/0/000.p/2").await.bytes.len(), 64);
}
