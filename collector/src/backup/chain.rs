//! Whether one log is the beginning of another, and what the other has more.

use sentinel_ledger::{
    Checkpoint, Hash, Note, TileMap, consistency_proof, tiles_for_consistency, verify_consistency,
};
use serde::Deserialize;

use super::manifest::LogState;
use crate::StoredEvidence;

/// What one log has after the end of the other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct More {
    pub(super) entries: u64,
    pub(super) events: u64,
    /// From the last entry of the one to the last of the other.
    pub(super) ms: i64,
}

/// What of a leaf tells when it came.
#[derive(Deserialize)]
struct When {
    received_ms: Option<i64>,
    at_ms: Option<i64>,
}

/// Says what is wrong. `Err` is a database that does not answer.
pub(super) async fn faults(
    log: &LogState,
    backup: &StoredEvidence,
    live: &StoredEvidence,
) -> Result<Vec<String>, String> {
    let n_live = size(live).await?;
    if n_live < log.entries {
        let entries = log.entries;
        return Ok(vec![format!(
            "the live log has {n_live} entries and the backup {entries}: the live one was set back"
        )]);
    }
    let mut wrong = Vec::new();
    if let Some(signed) = &log.checkpoint {
        wrong.extend(grown_from(&signed.note, live).await?);
    }
    // What the backup has after its checkpoint has no signature yet, so it is compared itself.
    let mut from = log.checkpoint.as_ref().map_or(0, |signed| signed.size);
    while from < log.entries {
        let n = usize::try_from(log.entries - from).unwrap_or(LEAVES_AT_ONCE).min(LEAVES_AT_ONCE);
        let (ours, theirs) = (leaves(backup, from, n).await?, leaves(live, from, n).await?);
        if let Some(at) = ours.iter().zip(&theirs).position(|(a, b)| a != b) {
            wrong.push(format!("entry {} is another in the live log than in the backup", from + at as u64));
            break;
        }
        if ours.len() < n || theirs.len() < n {
            wrong.push(format!("entries are missing after {from}"));
            break;
        }
        from += n as u64;
    }
    Ok(wrong)
}

/// Whether the newest checkpoint of the live log is over a tree that grew out of the one that is given.
async fn grown_from(note: &str, live: &StoredEvidence) -> Result<Option<String>, String> {
    let newest = live.store().newest_checkpoint().await.map_err(|error| error.to_string())?;
    let Some(newest) = newest else {
        return Ok(Some("the live log has no checkpoint, and the backup has one".to_owned()));
    };
    let (Ok((old, old_root)), Ok((new, new_root))) = (checkpoint(note), checkpoint(&newest.note)) else {
        return Ok(Some("a checkpoint cannot be read".to_owned()));
    };
    if new < old {
        return Ok(Some(format!("the live log is signed up to {new}, and the backup up to {old}")));
    }
    let mut tiles = TileMap::default();
    for id in tiles_for_consistency(old, new) {
        let index = i64::try_from(id.index()).unwrap_or(i64::MAX);
        let row = live.store().tile(id.level(), index).await.map_err(|error| error.to_string())?;
        if let Some(bytes) = row.as_ref().and_then(|row| row.hashes.get(..id.n_bytes())) {
            tiles.insert(id, bytes.to_vec());
        }
    }
    let proof = match consistency_proof(old, new, &mut tiles) {
        Ok(proof) => proof,
        Err(error) => return Ok(Some(format!("the live log does not prove that it grew: {error}"))),
    };
    let verified = verify_consistency(old, &old_root, new, &new_root, &proof);
    Ok(verified.err().map(|error| format!("the live log did not grow out of the one in the backup: {error}")))
}

fn checkpoint(note: &str) -> Result<(u64, Hash), String> {
    let note = Note::parse(note.as_bytes()).map_err(|error| error.to_string())?;
    let checkpoint = Checkpoint::parse(note.text()).map_err(|error| error.to_string())?;
    Ok((checkpoint.size(), *checkpoint.root()))
}

/// What a log has after its first `n_known` entries.
pub(super) async fn more(n_known: u64, live: &StoredEvidence) -> Result<More, String> {
    let mut more = More::default();
    let mut from = n_known;
    let mut last_ms = match n_known.checked_sub(1) {
        Some(last) => leaves(live, last, 1).await?.first().and_then(|leaf| when(leaf)),
        None => None,
    };
    let known_ms = last_ms;
    let end = size(live).await?;
    while from < end {
        let n = usize::try_from(end - from).unwrap_or(LEAVES_AT_ONCE).min(LEAVES_AT_ONCE);
        let found = leaves(live, from, n).await?;
        if found.is_empty() {
            return Err(format!("entry {from} is not there"));
        }
        more.entries += found.len() as u64;
        more.events += found.iter().filter(|leaf| is_event(leaf)).count() as u64;
        let first_ms = found.first().and_then(|leaf| when(leaf));
        last_ms = found.last().and_then(|leaf| when(leaf)).or(last_ms);
        if let (Some(last), Some(first)) = (last_ms, known_ms.or(first_ms)) {
            more.ms = more.ms.max(last - first);
        }
        from += found.len() as u64;
    }
    Ok(more)
}

pub(super) async fn size(evidence: &StoredEvidence) -> Result<u64, String> {
    let size = evidence.store().log_size().await.map_err(|error| error.to_string())?;
    Ok(u64::try_from(size).unwrap_or(0))
}

async fn leaves(evidence: &StoredEvidence, from: u64, n: usize) -> Result<Vec<Vec<u8>>, String> {
    let from = i64::try_from(from).unwrap_or(i64::MAX);
    evidence.store().leaves(from, n).await.map_err(|error| error.to_string())
}

fn when(leaf: &[u8]) -> Option<i64> {
    let when: When = serde_json::from_slice(leaf).ok()?;
    when.received_ms.or(when.at_ms)
}

fn is_event(leaf: &[u8]) -> bool {
    serde_json::from_slice::<When>(leaf).is_ok_and(|when| when.received_ms.is_some())
}

const LEAVES_AT_ONCE: usize = 4_096;
