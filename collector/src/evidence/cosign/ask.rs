//! Asking one witness, again and again.

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::time::Duration;

use hyper::header::CONTENT_TYPE;
use sentinel_ledger::{
    AddCheckpoint, Checkpoint, Hash, Note, NoteSignature, TileMap, consistency_proof, cosignatures,
    parse_conflict, tiles_for_consistency,
};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use super::place::WitnessPlace;
use super::standing::{Board, Outcome};
use crate::domain::CheckpointRow;
use crate::outgoing::{Answer, Outgoing, Request};
use crate::store::{Store, StoreError};

pub(super) struct Asker {
    store: Arc<dyn Store>,
    outgoing: Arc<Outgoing>,
    place: WitnessPlace,
    board: Arc<Board>,
    /// The size that the witness cosigned last, as far as it is known; the witness corrects it.
    seen: u64,
    now_ms: fn() -> i64,
}

struct Cosigned {
    size: i64,
    /// And not before the witness was asked.
    now: bool,
}

/// Why there is no cosignature.
enum Trouble {
    Witness(Outcome, String),
    /// This collector's own store; nothing of it is the witness's fault.
    Own(StoreError),
}

impl From<StoreError> for Trouble {
    fn from(error: StoreError) -> Self {
        Self::Own(error)
    }
}

impl Asker {
    pub(super) fn new(
        store: Arc<dyn Store>,
        outgoing: Arc<Outgoing>,
        place: WitnessPlace,
        board: Arc<Board>,
        now_ms: fn() -> i64,
    ) -> Self {
        Self { store, outgoing, place, board, seen: 0, now_ms }
    }

    /// Ends when nobody publishes any more.
    pub(super) async fn run(mut self, mut published: watch::Receiver<i64>, every: Duration) {
        let mut n_failed = 0_u32;
        let mut next = Instant::now();
        // None is cosigned yet: what was published before is asked about, too.
        let mut cosigned = -1;
        loop {
            if published.wait_for(|size| *size > cosigned).await.is_err() {
                return;
            }
            sleep_until(next).await;
            let begun = Instant::now();
            match self.ask().await {
                Ok(Cosigned { size, now }) => {
                    (cosigned, n_failed) = (cosigned.max(size), 0);
                    self.board.cosigned(size, now.then(|| (self.now_ms)()));
                    next = begun + every;
                }
                Err(trouble) => {
                    match trouble {
                        Trouble::Witness(outcome, problem) => {
                            self.board.failed(outcome, problem, (self.now_ms)());
                        }
                        Trouble::Own(error) => tracing::warn!(%error, "a witness could not be asked"),
                    }
                    n_failed = n_failed.saturating_add(1);
                    next = Instant::now() + rest(n_failed, every);
                }
            }
        }
    }

    /// About the newest checkpoint, until its cosignature is kept.
    async fn ask(&mut self) -> Result<Cosigned, Trouble> {
        for _ in 0..ROUNDS_MAX {
            let Some(newest) = self.store.newest_checkpoint().await? else {
                return Err(StoreError("there is no checkpoint yet".to_owned()).into());
            };
            let (note, checkpoint) = read(&newest)?;
            let size = checkpoint.size();
            if note.verify(std::slice::from_ref(&self.place.key)).is_ok() {
                self.seen = self.seen.max(size);
                return Ok(Cosigned { size: newest.size, now: false });
            }
            if self.seen > size {
                let problem =
                    format!("it has cosigned {} entries, and the log has {size}: it was set back", self.seen);
                // Perhaps it is the witness that is wrong, and says so the next time.
                self.seen = 0;
                return Err(Trouble::Witness(Outcome::Contradicted, problem));
            }
            let proof = self.proof(size).await?;
            let request = AddCheckpoint::new(self.seen, proof, note)
                .map_err(|error| StoreError(format!("a witness cannot be asked: {error}")))?
                .to_string();
            let request = Request::post(self.place.add_checkpoint.clone(), REQUEST_TYPE, request);
            let answer = self.outgoing.send(request, ANSWER_WAIT).await;
            let answer = answer.map_err(|error| Trouble::Witness(Outcome::Away, error.to_string()))?;
            if let Some(signatures) = self.judge(&answer, &checkpoint)? {
                self.keep(newest.size, signatures).await?;
                self.seen = size;
                return Ok(Cosigned { size: newest.size, now: true });
            }
        }
        let problem = format!("it named {ROUNDS_MAX} sizes and was content with none");
        Err(Trouble::Witness(Outcome::Wrong, problem))
    }

    /// `None` if it is to be asked again, now that it is known what it has seen.
    fn judge(
        &mut self,
        answer: &Answer,
        checkpoint: &Checkpoint,
    ) -> Result<Option<Vec<NoteSignature>>, Trouble> {
        let trouble = |outcome, problem: String| Err(Trouble::Witness(outcome, problem));
        match answer.status {
            200 => match cosignatures(&answer.body, checkpoint, std::slice::from_ref(&self.place.key)) {
                Ok(signatures) => Ok(Some(signatures)),
                Err(error) => trouble(Outcome::Wrong, format!("its answer is no cosignature: {error}")),
            },
            409 => match parse_conflict(&answer.body).filter(|_| answer.header(&CONTENT_TYPE) == SIZE_TYPE) {
                // Some witnesses say so if they have seen another root of this size.
                Some(seen) if seen == self.seen && seen == checkpoint.size() => {
                    trouble(Outcome::Contradicted, format!("it has cosigned other entries of size {seen}"))
                }
                Some(seen) => {
                    self.seen = seen;
                    Ok(None)
                }
                None => trouble(Outcome::Wrong, "it names a conflict without a size".to_owned()),
            },
            422 => {
                let (seen, size) = (self.seen, checkpoint.size());
                let problem = format!(
                    "size {size} does not continue the {seen} entries that it cosigned: {}",
                    answer.said()
                );
                trouble(Outcome::Contradicted, problem)
            }
            status @ (400..=428 | 431..=499) => {
                trouble(Outcome::Refused, format!("it answers {status}: {}", answer.said()))
            }
            status @ (429 | 500..=599) => {
                trouble(Outcome::Away, format!("it answers {status}: {}", answer.said()))
            }
            status => trouble(Outcome::Wrong, format!("it answers {status}, which no witness does")),
        }
    }

    async fn proof(&self, size: u64) -> Result<Vec<Hash>, StoreError> {
        let mut tiles = TileMap::default();
        for id in tiles_for_consistency(self.seen, size) {
            let idx = i64::try_from(id.index()).unwrap_or(i64::MAX);
            if let Some(row) = self.store.tile(id.level(), idx).await? {
                tiles.insert(id, row.hashes);
            }
        }
        consistency_proof(self.seen, size, &mut tiles)
            .map_err(|error| StoreError(format!("what a witness has seen cannot be continued: {error}")))
    }

    async fn keep(&self, size: i64, signatures: Vec<NoteSignature>) -> Result<(), StoreError> {
        for _ in 0..ROUNDS_MAX {
            let row = self.store.checkpoint(size).await?;
            let row = row.ok_or_else(|| StoreError(format!("the checkpoint of size {size} is gone")))?;
            let (mut note, _) = read(&row)?;
            for signature in &signatures {
                note.add(signature.clone()).map_err(|error| StoreError(error.to_string()))?;
            }
            let note = note.to_string();
            if note == row.note || self.store.add_signatures(size, note).await? {
                return Ok(());
            }
            // Another witness's was added meanwhile.
        }
        Err(StoreError("a cosignature was not kept: others are always faster".to_owned()))
    }
}

fn read(row: &CheckpointRow) -> Result<(Note, Checkpoint), StoreError> {
    let wrong = |error: &dyn std::fmt::Display| {
        StoreError(format!("the checkpoint of size {} cannot be read: {error}", row.size))
    };
    let note = Note::parse(row.note.as_bytes()).map_err(|error| wrong(&error))?;
    let checkpoint = Checkpoint::parse(note.text()).map_err(|error| wrong(&error))?;
    Ok((note, checkpoint))
}

/// Longer each time and less up to a half by chance, so that the collectors of a witness that is back do not all come at
/// once.
fn rest(n_failed: u32, every: Duration) -> Duration {
    let first = every.max(REST_MIN);
    let longest =
        first.saturating_mul(2_u32.saturating_pow(n_failed.saturating_sub(1).min(16))).min(REST_MAX);
    let random = RandomState::new().hash_one(n_failed) % 1_000;
    longest / 2 + longest.mul_f64(random as f64 / 2_000.0)
}

const REQUEST_TYPE: &str = "text/plain; charset=utf-8";
const SIZE_TYPE: &str = "text/x.tlog.size";
/// The first learns what the witness has seen, the second is right unless another collector asks meanwhile.
const ROUNDS_MAX: usize = 4;
const ANSWER_WAIT: Duration = Duration::from_secs(10);
const REST_MIN: Duration = Duration::from_millis(100);
const REST_MAX: Duration = Duration::from_secs(120);
