//! The witness as logs see it: through HTTP on a real socket, with a log that is made here.

use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::path::Path;

use sentinel_collector::{WitnessConfig, WitnessServer};
use sentinel_ledger::{
    AddCheckpoint, Checkpoint, Hash, Note, SignerKey, TileMap, Tree, VerifierKey, consistency_proof,
    cosignatures, leaf_hash,
};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::support::{Answer, Client};

/// Serves until it is stopped, or the test's runtime ends.
pub(crate) struct Witness {
    pub(crate) client: Client,
    pub(crate) key: VerifierKey,
    stop: oneshot::Sender<()>,
    served: JoinHandle<()>,
}

impl Witness {
    pub(crate) async fn start(folder: &Path, name: &str, logs: &[&VerifierKey]) -> Self {
        Self::start_at(SocketAddr::from(([127, 0, 0, 1], 0)), folder, name, logs, 60_000).await
    }

    pub(crate) async fn start_at(
        listen: SocketAddr,
        folder: &Path,
        name: &str,
        logs: &[&VerifierKey],
        per_minute: u32,
    ) -> Self {
        let config = WitnessConfig {
            name: Some(name.to_owned()),
            logs: logs.iter().map(ToString::to_string).collect(),
            per_minute: NonZeroU32::new(per_minute).unwrap(),
            ..WitnessConfig::new(listen, folder)
        };
        let server = WitnessServer::bind(config).await.unwrap();
        let client = Client::at(server.local_addr()).with_authorization(None);
        let key = server.key().clone();
        let (stop, stopped) = oneshot::channel();
        let served = tokio::spawn(server.run(async {
            if stopped.await.is_err() {
                std::future::pending::<()>().await;
            }
        }));
        Self { client, key, stop, served }
    }

    pub(crate) async fn stop(self) {
        self.stop.send(()).unwrap();
        self.served.await.unwrap();
    }

    pub(crate) fn place(&self) -> String {
        format!("http://{}={}", self.client.address, self.key)
    }

    async fn add(&self, request: &str) -> Answer {
        self.client.send("POST", "/add-checkpoint", request.as_bytes()).await
    }
}

/// Entries that differ from those of a log with another tag.
struct Log {
    key: SignerKey,
    tag: &'static str,
}

impl Log {
    fn new(tag: &'static str) -> Self {
        Self { key: SignerKey::from_seed("log.example", &[3; 32]).unwrap(), tag }
    }

    fn tree(&self, size: u64) -> (Hash, TileMap) {
        let mut tree = Tree::new();
        // The logs are the same to here, and then they are not.
        for entry in 0..size {
            let tag = if entry < 3 { "same" } else { self.tag };
            tree.push(leaf_hash(format!("{tag} {entry}").as_bytes()));
        }
        (tree.root(), tree.take_tiles().into_iter().collect())
    }

    fn checkpoint(&self, size: u64) -> Checkpoint {
        Checkpoint::new("log.example", size, self.tree(size).0, Vec::new()).unwrap()
    }

    fn note(&self, size: u64) -> Note {
        self.checkpoint(size).sign(&self.key).unwrap()
    }

    fn request(&self, old: u64, size: u64) -> String {
        let proof = consistency_proof(old, size, &mut self.tree(size).1).unwrap();
        AddCheckpoint::new(old, proof, self.note(size)).unwrap().to_string()
    }
}

#[tokio::test]
async fn a_witness_answers_as_c2sp_says() {
    let folder = tempfile::tempdir().unwrap();
    let log = Log::new("a");
    let witness = Witness::start(folder.path(), "w.example/1", &[log.key.verifier()]).await;
    assert_eq!(witness.client.get(&format!("/{}/checkpoint", "0".repeat(64))).await.status, 404);

    let answer = witness.add(&log.request(0, 5)).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let signatures =
        cosignatures(&answer.bytes, &log.checkpoint(5), std::slice::from_ref(&witness.key)).unwrap();
    assert_eq!(signatures.len(), 1);
    let again = witness.add(&log.request(5, 5)).await;
    assert_eq!(again.status, 200, "the same again is signed again: {again:?}");

    for (what, request, status) in [
        ("what was seen is another size", log.request(0, 9), 409),
        ("a log that was set back", log.request(3, 4), 409),
        ("another past", Log::new("b").request(5, 9), 422),
        ("another past of the same size", Log::new("b").request(5, 5), 422),
        ("a proof that is none", log.request(5, 9).replacen("old 5\n", "old 5\nAAAA\n", 1), 400),
        ("nothing", String::new(), 400),
        ("an old size beyond the new one", log.request(4, 4).replacen("old 4", "old 5", 1), 400),
    ] {
        let answer = witness.add(&request).await;
        assert_eq!(answer.status, status, "{what}: {answer:?}");
        if status == 409 {
            assert_eq!(
                (answer.body(), answer.header("content-type")),
                ("5\n".into(), Some("text/x.tlog.size".into()))
            );
        }
    }
    let other = SignerKey::from_seed("log.example", &[4; 32]).unwrap();
    let forged = AddCheckpoint::new(5, Vec::new(), log.checkpoint(5).sign(&other).unwrap()).unwrap();
    assert_eq!(witness.add(&forged.to_string()).await.status, 403);
    let other = SignerKey::from_seed("other.example", &[4; 32]).unwrap();
    let unknown =
        Checkpoint::new("other.example", 5, log.tree(5).0, Vec::new()).unwrap().sign(&other).unwrap();
    let unknown = AddCheckpoint::new(0, Vec::new(), unknown).unwrap();
    assert_eq!(witness.add(&unknown.to_string()).await.status, 404);
    assert_eq!(witness.client.get("/add-checkpoint").await.status, 405);
    assert_eq!(witness.add(&"x".repeat(65 << 10)).await.status, 413);

    // Two roots for one size, each signed by the log, are kept: that is proof.
    let fork = std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().path());
    let forks: Vec<_> = fork.filter(|path| path.extension().is_some_and(|end| end == "fork")).collect();
    let text = std::fs::read_to_string(&forks[0]).unwrap();
    assert_eq!((forks.len(), text.matches("log.example\n5\n").count()), (1, 2), "{text}");

    // Whoever asks the witness sees what it has cosigned, by the hash of the origin.
    let about = witness.client.json("/health").await;
    assert_eq!((&about["logs"][0]["size"], &about["logs"][0]["contradictions"]), (&5.into(), &2.into()));
    let hash = forks[0].file_stem().unwrap().to_str().unwrap();
    let kept = witness.client.get(&format!("/{hash}/checkpoint")).await;
    let keys = [log.key.verifier().clone()];
    let kept = Checkpoint::open(&kept.bytes, "log.example", &keys).unwrap();
    assert_eq!((kept.checkpoint(), kept.note().signatures().len()), (&log.checkpoint(5), 2));
    assert_eq!(kept.cosignatures(std::slice::from_ref(&witness.key)).unwrap().len(), 1);
}

#[tokio::test]
async fn a_witness_that_starts_again_is_the_same_and_remembers() {
    let folder = tempfile::tempdir().unwrap();
    let (log, fork) = (Log::new("a"), Log::new("b"));
    let keys = [log.key.verifier()];
    let witness = Witness::start(folder.path(), "w.example/1", &keys).await;
    assert_eq!(witness.add(&log.request(0, 5)).await.status, 200);
    let config = WitnessConfig {
        logs: vec![log.key.verifier().to_string()],
        ..WitnessConfig::new(SocketAddr::from(([127, 0, 0, 1], 0)), folder.path())
    };
    let two = WitnessServer::bind(config.clone()).await.unwrap_err().to_string();
    assert!(two.contains("another witness works in this folder"), "{two}");
    let key = witness.key.clone();
    witness.stop().await;

    let renamed = WitnessConfig { name: Some("w.example/2".to_owned()), ..config.clone() };
    let renamed = WitnessServer::bind(renamed).await.unwrap_err().to_string();
    assert!(renamed.contains("is w.example/1, not w.example/2"), "{renamed}");
    let witness = Witness::start(folder.path(), "w.example/1", &keys).await;
    assert_eq!(witness.key, key);
    assert_eq!(witness.add(&fork.request(0, 5)).await.body(), "5\n");
    assert_eq!(witness.add(&fork.request(5, 8)).await.status, 422);
    assert_eq!(witness.add(&log.request(5, 8)).await.status, 200);
    witness.stop().await;

    // What cannot be read is not taken for nothing: that would be a second past.
    let state = |end: &str| {
        let mut paths = std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().path());
        paths.find(|path| path.extension().is_some_and(|found| found == end)).unwrap()
    };
    let path = state("checkpoint");
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, text.replacen("\n8\n", "\n7\n", 1)).unwrap();
    let broken = WitnessServer::bind(config).await.unwrap_err().to_string();
    assert!(broken.contains("not as it was written"), "{broken}");
}

#[cfg(unix)]
#[tokio::test]
async fn nothing_is_signed_that_cannot_be_written_and_the_key_is_private() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let log = Log::new("a");
    let witness = Witness::start(folder.path(), "w.example/1", &[log.key.verifier()]).await;
    let mode = std::fs::metadata(folder.path().join("key")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert_eq!(witness.add(&log.request(0, 5)).await.status, 200);
    let away = folder.path().with_extension("away");
    std::fs::rename(folder.path(), &away).unwrap();
    assert_eq!(witness.add(&log.request(5, 8)).await.status, 500);
    std::fs::rename(&away, folder.path()).unwrap();
    assert_eq!(witness.add(&Log::new("b").request(5, 8)).await.status, 422);
    assert_eq!(witness.add(&log.request(5, 8)).await.status, 200);
}

#[tokio::test]
async fn a_log_has_its_share_and_others_cannot_use_it_up() {
    let folder = tempfile::tempdir().unwrap();
    let log = Log::new("a");
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    let witness = Witness::start_at(any, folder.path(), "w.example/1", &[log.key.verifier()], 1).await;
    for size in 1..=10 {
        assert_eq!(witness.add(&log.request(size - 1, size)).await.status, 200, "{size}");
        // Whoever sees a checkpoint may send it again, and again.
        for _ in 0..3 {
            assert_eq!(witness.add(&log.request(size, size)).await.status, 200);
        }
    }
    let answer = witness.add(&log.request(10, 11)).await;
    assert_eq!((answer.status, answer.header("retry-after")), (429, Some("60".to_owned())));
    assert_eq!(witness.add(&log.request(10, 10)).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_pasts_that_come_at_once_one_is_signed() {
    let folder = tempfile::tempdir().unwrap();
    let (one, two) = (Log::new("a"), Log::new("b"));
    let witness = Witness::start(folder.path(), "w.example/1", &[one.key.verifier()]).await;
    assert_eq!(witness.add(&one.request(0, 3)).await.status, 200);
    let mut seen = 3;
    let (mut n_one, mut n_two) = (0, 0);
    // Each time both go on from what was seen; the first that is signed decides for good.
    for size in 4..40 {
        let (left, right) = (one.request(seen, size), two.request(seen, size));
        let (left, right) = tokio::join!(witness.add(&left), witness.add(&right));
        let signed = [left.status == 200, right.status == 200];
        assert!(signed != [true, true], "{size}");
        n_one += u32::from(signed[0]);
        n_two += u32::from(signed[1]);
        if signed != [false, false] {
            seen = size;
        }
    }
    assert_eq!((n_one.min(n_two), n_one.max(n_two)), (0, 36));
}
