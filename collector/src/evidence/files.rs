//! The evidence as files, by the paths of a C2SP tlog-tiles log: what is served over HTTP, what an export has in its
//! folder, and what a verifier asks for, wherever it stands.
//!
//! `checkpoint` is the newest that enough witnesses have cosigned, `checkpoint.unwitnessed` the newest of all.
//!
//! `checkpoint`, `key`, `tile/...` and `tile/entries/...` hold nothing private. `events/<N>` is as `tile/entries/<N>`, but
//! with the events themselves: a line of JSON for each entry that has one, with the salt of its commitment.

use std::fmt::Write as _;
use std::sync::Arc;

use sentinel_ledger::{
    ProofFile, TILE_WIDTH, TileId, TileMap, TilePath, encode_entries, inclusion_proof, tiles_for_inclusion,
};
use serde_json::json;
use serde_json::value::RawValue;

use super::cosign::Quorum;
use super::intake::place;
use super::keeper::{Content, Keeper, KeeperError};
use super::notary::Notary;
use crate::domain::{CheckpointRow, FoundEvent};
use crate::store::{Store, StoreError};

#[derive(Debug)]
pub(crate) struct Files {
    store: Arc<dyn Store>,
    keeper: Arc<Keeper>,
    notary: Arc<Notary>,
    quorum: Quorum,
}

/// What can be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FilePath {
    Checkpoint,
    Unwitnessed,
    Key,
    Tile(TilePath),
    /// Of the entries of a tile.
    Events(TileId),
}

impl FilePath {
    pub(crate) fn parse(path: &str) -> Option<Self> {
        match path {
            "checkpoint" => Some(Self::Checkpoint),
            "checkpoint.unwitnessed" => Some(Self::Unwitnessed),
            "key" => Some(Self::Key),
            _ => match path.strip_prefix("events/") {
                Some(rest) => match format!("tile/entries/{rest}").parse() {
                    Ok(TilePath::Entries(id)) => Some(Self::Events(id)),
                    _ => None,
                },
                None => path.parse().ok().map(Self::Tile),
            },
        }
    }

    /// Whether it tells what events say.
    pub(crate) const fn is_private(self) -> bool {
        matches!(self, Self::Events(_))
    }

    /// Whether it never changes.
    pub(crate) const fn is_final(self) -> bool {
        match self {
            Self::Checkpoint | Self::Unwitnessed | Self::Events(_) => false,
            Self::Key => true,
            Self::Tile(TilePath::Hashes(id) | TilePath::Entries(id)) => id.is_full(),
        }
    }
}

/// That an event is in the log.
#[derive(Debug)]
pub(crate) struct Proof {
    pub(crate) index: i64,
    pub(crate) leaf: String,
    /// A C2SP tlog-proof with the leaf as its extra data.
    pub(crate) file: String,
    /// What opens the commitment; `None` where the text is gone.
    pub(crate) salt: Option<String>,
}

/// Why there is no proof.
#[derive(Debug)]
pub(crate) enum NoProof {
    NoEvent,
    /// Its checkpoint is not signed yet.
    TooEarly,
    Failed(KeeperError),
}

impl<E: Into<KeeperError>> From<E> for NoProof {
    fn from(error: E) -> Self {
        Self::Failed(error.into())
    }
}

impl Files {
    pub(crate) fn new(
        store: Arc<dyn Store>,
        keeper: Arc<Keeper>,
        notary: Arc<Notary>,
        quorum: Quorum,
    ) -> Self {
        Self { store, keeper, notary, quorum }
    }

    pub(crate) fn require(&mut self, quorum: Quorum) {
        self.quorum = quorum;
    }

    /// The newest checkpoint that is shown.
    pub(crate) async fn witnessed(&self) -> Result<Option<CheckpointRow>, StoreError> {
        self.quorum.newest(&*self.store).await
    }

    /// `None` if there is no such file: nothing beyond the newest checkpoint exists.
    pub(crate) async fn get(&self, path: FilePath) -> Result<Option<Vec<u8>>, KeeperError> {
        let newest = self.store.newest_checkpoint().await?;
        match (path, newest) {
            (FilePath::Key, _) => Ok(Some(format!("{}\n", self.notary.key().verifier()).into_bytes())),
            (_, None) => Ok(None),
            (FilePath::Checkpoint, Some(_)) => Ok(self.witnessed().await?.map(|row| row.note.into_bytes())),
            (FilePath::Unwitnessed, Some(newest)) => Ok(Some(newest.note.into_bytes())),
            (FilePath::Tile(path), Some(newest)) => self.tile(path, newest.size).await,
            (FilePath::Events(id), Some(newest)) => self.events(id, newest.size).await,
        }
    }

    async fn tile(&self, path: TilePath, size: i64) -> Result<Option<Vec<u8>>, KeeperError> {
        match path {
            TilePath::Hashes(id) => {
                let row = self.store.tile(id.level(), to_i64(id.index())).await?;
                Ok(row.and_then(|row| row.hashes.get(..id.n_bytes()).map(<[u8]>::to_vec)))
            }
            TilePath::Entries(id) => {
                let Some((from, n)) = entries_of(id, size) else { return Ok(None) };
                let leaves = self.store.leaves(from, n).await?;
                if leaves.len() < n {
                    return Ok(None);
                }
                let bundle = encode_entries(&leaves)
                    .map_err(|error| StoreError(format!("the leaves from {from} on: {error}")))?;
                Ok(Some(bundle))
            }
        }
    }

    async fn events(&self, id: TileId, size: i64) -> Result<Option<Vec<u8>>, KeeperError> {
        let Some((from, n)) = entries_of(id, size) else { return Ok(None) };
        let mut text = String::new();
        for event in self.store.events_at(from, n).await? {
            // Writing to a text does not fail.
            let _ = writeln!(text, "{}", self.event_line(event).await?);
        }
        Ok(Some(text.into_bytes()))
    }

    async fn event_line(&self, event: FoundEvent) -> Result<String, KeeperError> {
        let FoundEvent { idx: index, vm, seq, sealed } = event;
        let content = match &sealed {
            None => Ok(Content::Gone),
            Some(sealed) => self.keeper.unseal(&place(&vm, seq), sealed).await,
        };
        let line = match content {
            Ok(Content::Gone) => json!({"index": index, "gone": true}),
            // A verifier has to know which one it is; that the others are whole is a part of the evidence.
            Err(KeeperError::Key { reason, .. }) => {
                json!({"index": index, "unreadable": reason.to_string()})
            }
            Err(error) => return Err(error),
            Ok(Content::Open(payload)) => {
                let salt = hex(&payload.salt.0);
                let body = String::from_utf8(payload.body).ok().map(RawValue::from_string);
                match body {
                    Some(Ok(body)) => {
                        return Ok(format!("{{\"index\":{index},\"salt\":\"{salt}\",\"event\":{body}}}"));
                    }
                    _ => json!({"index": index, "unreadable": "it is not JSON"}),
                }
            }
        };
        Ok(line.to_string())
    }

    pub(crate) async fn prove(&self, event: String, now_ms: i64) -> Result<Proof, NoProof> {
        let found = self.store.event(event).await?.ok_or(NoProof::NoEvent)?;
        let newest = self.checkpoint_with(found.idx, now_ms).await?.ok_or(NoProof::TooEarly)?;
        let checkpoint = self.notary.open(&newest.note).map_err(StoreError)?;
        let leaf = self.store.leaves(found.idx, 1).await?.pop().ok_or(NoProof::NoEvent)?;
        let size = checkpoint.checkpoint().size();
        let index = u64::try_from(found.idx).unwrap_or(u64::MAX);
        let mut tiles = TileMap::default();
        for id in tiles_for_inclusion(size, index) {
            let row = self.store.tile(id.level(), to_i64(id.index())).await?;
            let bytes = row.and_then(|row| row.hashes.get(..id.n_bytes()).map(<[u8]>::to_vec));
            tiles.insert(id, bytes.ok_or_else(|| StoreError(format!("the tile {id:?} is not there")))?);
        }
        let wrong =
            |error: &dyn std::fmt::Display| StoreError(format!("entry {index} cannot be proven: {error}"));
        let path = inclusion_proof(size, index, &mut tiles).map_err(|error| wrong(&error))?;
        let file = ProofFile::new(Some(leaf.clone()), index, path, checkpoint.note().clone());
        let file = file.map_err(|error| wrong(&error))?.to_string();
        let salt = match &found.sealed {
            Some(sealed) => match self.keeper.unseal(&place(&found.vm, found.seq), sealed).await? {
                Content::Open(payload) => Some(hex(&payload.salt.0)),
                Content::Gone => None,
            },
            None => None,
        };
        Ok(Proof { index: found.idx, leaf: String::from_utf8_lossy(&leaf).into_owned(), file, salt })
    }

    /// The newest checkpoint that is shown, if it is over this entry; else the newest, and one is signed now where that is
    /// what it takes.
    async fn checkpoint_with(&self, idx: i64, now_ms: i64) -> Result<Option<CheckpointRow>, StoreError> {
        let covers = |newest: &CheckpointRow| idx < newest.size;
        let witnessed = self.witnessed().await?.filter(covers);
        if witnessed.is_some() {
            return Ok(witnessed);
        }
        let newest = self.store.newest_checkpoint().await?.filter(covers);
        if newest.is_some() {
            return Ok(newest);
        }
        if let Err(error) = self.notary.publish(now_ms).await {
            return Err(StoreError(error.to_string()));
        }
        Ok(self.store.newest_checkpoint().await?.filter(covers))
    }
}

/// The first entry of a tile and how many it has, if all of them are signed for.
fn entries_of(id: TileId, size: i64) -> Option<(i64, usize)> {
    let from = to_i64(id.index()).checked_mul(i64::from(TILE_WIDTH))?;
    let to = from.checked_add(i64::from(id.width()))?;
    (to <= size).then_some((from, usize::from(id.width())))
}

fn to_i64(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn hex(bytes: &[u8; 16]) -> String {
    format!("{:032x}", u128::from_be_bytes(*bytes))
}
