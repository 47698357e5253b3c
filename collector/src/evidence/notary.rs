//! Signing the log: about every second, what was appended since is added to the tree, and a checkpoint over all of it is
//! signed and published with the tiles that changed.
//!
//! Invariant: a checkpoint is signed only for a tree that grew out of the one before it, as far as this collector can
//! see: at every start the stored tiles have to give the root that was signed last. If they do not, somebody has changed
//! the evidence, and nothing is signed any more.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use sentinel_ledger::{Checkpoint, SignedCheckpoint, SignerKey, TileMap, Tree, leaf_hash, tiles_for_root};
use tokio::sync::watch;

use crate::domain::{CheckpointRow, TileRow};
use crate::store::{Publication, Store, StoreError};

pub(crate) struct Notary {
    store: Arc<dyn Store>,
    key: SignerKey,
    /// Of this collector alone; held while it publishes.
    tree: tokio::sync::Mutex<Option<Grown>>,
    standing: Mutex<Standing>,
    published: watch::Sender<i64>,
}

/// The tree up to the newest checkpoint, and perhaps further.
struct Grown {
    after: Option<i64>,
    tree: Tree,
}

/// How it stands with the log, for health and metrics.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Standing {
    /// The size of the newest checkpoint that this collector knows.
    pub(crate) size: i64,
    pub(crate) at_ms: i64,
    /// Why nothing is signed.
    pub(crate) broken: Option<String>,
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum NotaryError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("the stored log is not the one that was signed: {0}")]
    Broken(String),
}

impl Notary {
    pub(crate) fn new(store: Arc<dyn Store>, key: SignerKey) -> Self {
        let standing = Mutex::new(Standing::default());
        Self { store, key, tree: tokio::sync::Mutex::new(None), standing, published: watch::Sender::new(-1) }
    }

    pub(crate) const fn key(&self) -> &SignerKey {
        &self.key
    }

    pub(crate) fn standing(&self) -> Standing {
        self.standing.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The size of the newest checkpoint that this collector vouches for; -1 before the first.
    pub(crate) fn published(&self) -> watch::Receiver<i64> {
        self.published.subscribe()
    }

    /// Never ends.
    pub(crate) async fn run(&self, every: Duration, now_ms: impl Fn() -> i64) {
        let mut ticks = tokio::time::interval(every);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            if let Err(error) = self.publish(now_ms()).await {
                tracing::error!(%error, "no checkpoint was signed");
            }
        }
    }

    /// Signs a checkpoint over everything that is in the log now, if there is something new and this collector may.
    pub(crate) async fn publish(&self, now_ms: i64) -> Result<(), NotaryError> {
        let mut held = self.tree.lock().await;
        for _ in 0..TRIES {
            if !self.store.lead().await? {
                *held = None;
                return self.follow().await;
            }
            // Taken away, so that a failure makes the next time begin with what is stored.
            let published = match held.take() {
                Some(grown) => self.grow(grown, now_ms).await,
                None => match self.resume().await {
                    Ok(grown) => self.grow(grown, now_ms).await,
                    Err(error) => Err(error),
                },
            };
            let broken = match &published {
                Err(NotaryError::Broken(why)) => Some(why.clone()),
                _ => None,
            };
            self.standing.lock().unwrap_or_else(PoisonError::into_inner).broken = broken;
            *held = published?;
            if held.is_some() {
                break;
            }
            // Somebody was faster, perhaps this collector itself before it was told to stop.
        }
        Ok(())
    }

    /// `None` if another collector has published meanwhile.
    async fn grow(&self, mut grown: Grown, now_ms: i64) -> Result<Option<Grown>, NotaryError> {
        loop {
            let from = to_i64(grown.tree.size());
            let leaves = self.store.leaves(from, LEAVES_AT_ONCE).await?;
            leaves.iter().for_each(|leaf| {
                grown.tree.push(leaf_hash(leaf));
            });
            if leaves.len() < LEAVES_AT_ONCE {
                break;
            }
        }
        let size = to_i64(grown.tree.size());
        if grown.after == Some(size) {
            return Ok(Some(grown));
        }
        let tiles = grown.tree.take_tiles().into_iter().map(|(id, hashes)| TileRow {
            level: id.level(),
            idx: to_i64(id.index()),
            hashes,
        });
        let publication = Publication {
            after: grown.after,
            tiles: tiles.collect(),
            checkpoint: CheckpointRow { size, at_ms: now_ms, note: self.sign(&grown.tree)? },
        };
        if !self.store.publish(publication).await? {
            return Ok(None);
        }
        self.know(size, now_ms);
        self.published.send_replace(size);
        Ok(Some(Grown { after: Some(size), ..grown }))
    }

    fn sign(&self, tree: &Tree) -> Result<String, NotaryError> {
        let unsigned =
            |error: &dyn std::fmt::Display| StoreError(format!("a checkpoint was not signed: {error}"));
        let origin = self.key.verifier().name();
        let checkpoint = Checkpoint::new(origin, tree.size(), tree.root(), Vec::new())
            .map_err(|error| unsigned(&error))?;
        Ok(checkpoint.sign(&self.key).map_err(|error| unsigned(&error))?.to_string())
    }

    /// The tree as the newest checkpoint says, from the stored tiles.
    async fn resume(&self) -> Result<Grown, NotaryError> {
        let Some(newest) = self.store.newest_checkpoint().await? else {
            return Ok(Grown { after: None, tree: Tree::new() });
        };
        let broken = NotaryError::Broken;
        let signed = self.open(&newest.note).map_err(broken)?;
        let (size, root) = (signed.checkpoint().size(), *signed.checkpoint().root());
        if to_i64(size) != newest.size {
            return Err(broken(format!("the checkpoint of size {} says {size}", newest.size)));
        }
        if self.store.log_size().await? < newest.size {
            return Err(broken(format!("there are fewer leaves than the {size} that were signed")));
        }
        let mut tiles = TileMap::default();
        for id in tiles_for_root(size) {
            let row = self.store.tile(id.level(), to_i64(id.index())).await?;
            let row = row.ok_or_else(|| broken(format!("the tile {id:?} is not there")))?;
            tiles.insert(id, row.hashes.get(..id.n_bytes()).unwrap_or(&row.hashes).to_vec());
        }
        let tree = Tree::resume(size, &mut tiles).map_err(|error| broken(error.to_string()))?;
        if tree.root() != root {
            return Err(broken(format!("the tiles of size {size} do not give the root that was signed")));
        }
        self.know(newest.size, newest.at_ms);
        self.published.send_replace(newest.size);
        Ok(Grown { after: Some(newest.size), tree })
    }

    /// Whether the stored log is the one that this key has signed.
    pub(crate) async fn check(&self) -> Result<(), NotaryError> {
        self.resume().await.map(drop)
    }

    /// Signs, from the next entry on, a log that another name has signed until now. What was signed before is checked first,
    /// and stays as it is.
    pub(crate) async fn succeed(&self, old: SignerKey, now_ms: i64) -> Result<(), NotaryError> {
        let grown = Self::new(Arc::clone(&self.store), old).resume().await?;
        let busy = || StoreError("a collector signs the log just now; stop it first".to_owned());
        if !self.store.lead().await? {
            return Err(busy().into());
        }
        self.grow(grown, now_ms).await?.map(drop).ok_or_else(|| busy().into())
    }

    pub(crate) fn open(&self, note: &str) -> Result<SignedCheckpoint, String> {
        let verifier = self.key.verifier();
        Checkpoint::open(note.as_bytes(), verifier.name(), std::slice::from_ref(verifier))
            .map_err(|error| format!("the newest checkpoint is not ours: {error}"))
    }

    /// Another collector signs; what it has published is known all the same.
    async fn follow(&self) -> Result<(), NotaryError> {
        if let Some(newest) = self.store.newest_checkpoint().await? {
            self.know(newest.size, newest.at_ms);
        }
        Ok(())
    }

    fn know(&self, size: i64, at_ms: i64) {
        let mut standing = self.standing.lock().unwrap_or_else(PoisonError::into_inner);
        (standing.size, standing.at_ms) = (size, at_ms);
    }
}

impl std::fmt::Debug for Notary {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Notary").field("standing", &self.standing()).finish_non_exhaustive()
    }
}

fn to_i64(size: u64) -> i64 {
    i64::try_from(size).unwrap_or(i64::MAX)
}

const TRIES: usize = 3;
const LEAVES_AT_ONCE: usize = 4_096;
