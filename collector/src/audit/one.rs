//! One event out of the evidence, with what proves that it is in the log: for whoever wants to look at that event alone.

use sentinel_ledger::{
    Checkpoint, TILE_WIDTH, TileMap, TilePath, VerifierKey, decode_entries, inclusion_proof, leaf_hash,
    tile_width, tiles_for_inclusion, verify_inclusion,
};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::Source;
use crate::vault::{Commitment, Salt};

/// An event that was found, proven, and is what its entry commits to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// The entry of the log.
    pub index: u64,
    /// Entries that the checkpoint signs.
    pub size: u64,
    /// What the log calls itself.
    pub log: String,
    /// The event, byte for byte.
    pub event: String,
}

#[derive(Deserialize)]
struct Line<'a> {
    index: u64,
    salt: Option<&'a str>,
    #[serde(borrow)]
    event: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Named<'a> {
    #[serde(borrow)]
    id: Option<std::borrow::Cow<'a, str>>,
}

/// Whether an entry of the log commits to this text with this salt.
pub fn commits_to(leaf: &str, salt: &str, text: &str) -> bool {
    #[derive(Deserialize)]
    struct Leaf<'a> {
        commitment: Option<&'a str>,
    }
    let Ok(Leaf { commitment: Some(expected) }) = serde_json::from_str(leaf) else { return false };
    let salt = u128::from_str_radix(salt, 16).map(|salt| Salt(salt.to_be_bytes()));
    salt.is_ok_and(|salt| Commitment::to(&salt, text.as_bytes()).to_string() == expected)
}

/// Looks through the events of a log for one, from the newest on, and proves it. An error says what is wrong; `None`: there
/// is no such event, or its text is gone.
pub async fn find<S: Source>(
    source: &mut S,
    key: Option<&VerifierKey>,
    id: &str,
) -> Result<Option<Found>, String> {
    let stored = source.get("key").await?.unwrap_or_default();
    let key = match key {
        Some(key) => key.clone(),
        None => {
            let text = String::from_utf8_lossy(&stored);
            VerifierKey::parse(text.trim()).map_err(|error| format!("the key of the log: {error}"))?
        }
    };
    let bytes = source.get("checkpoint").await?.ok_or("there is no checkpoint: nothing is signed")?;
    let signed = Checkpoint::open(&bytes, key.name(), std::slice::from_ref(&key))
        .map_err(|error| format!("the checkpoint is not signed by the log: {error}"))?;
    let (size, root) = (signed.checkpoint().size(), *signed.checkpoint().root());
    for index in (0..size.div_ceil(u64::from(TILE_WIDTH))).rev() {
        let Some(path) = tile_width(size, 0, index).and_then(|width| TilePath::entries(index, width)) else {
            continue;
        };
        let events = path.to_string().replacen("tile/entries/", "events/", 1);
        let Some(lines) = source.get(&events).await? else { continue };
        let Some((entry, salt, event)) = line_of(&lines, id) else { continue };
        let leaf = leaf(source, path, entry).await?;
        let mut tiles = TileMap::default();
        for tile in tiles_for_inclusion(size, entry) {
            let path = TilePath::Hashes(tile).to_string();
            tiles.insert(tile, source.get(&path).await?.ok_or_else(|| format!("{path} is not there"))?);
        }
        let proof = inclusion_proof(size, entry, &mut tiles).map_err(|error| error.to_string())?;
        verify_inclusion(&leaf_hash(&leaf), entry, size, &proof, &root).map_err(|error| error.to_string())?;
        if !commits_to(&String::from_utf8_lossy(&leaf), &salt, &event) {
            return Err(format!("the stored event was changed: it is not what entry {entry} commits to"));
        }
        return Ok(Some(Found { index: entry, size, log: key.name().to_owned(), event }));
    }
    Ok(None)
}

/// Entry, salt and text of the event of this id.
fn line_of(lines: &[u8], id: &str) -> Option<(u64, String, String)> {
    let lines = std::str::from_utf8(lines).ok()?.lines();
    let mut read = lines.filter_map(|line| serde_json::from_str::<Line<'_>>(line).ok());
    read.find_map(|line| {
        let text = line.event?.get();
        let Named { id: found } = serde_json::from_str(text).ok()?;
        (found.as_deref() == Some(id)).then(|| Some((line.index, line.salt?.to_owned(), text.to_owned())))?
    })
}

async fn leaf<S: Source>(source: &mut S, path: TilePath, entry: u64) -> Result<Vec<u8>, String> {
    let bundle = source.get(&path.to_string()).await?.ok_or_else(|| format!("{path} is not there"))?;
    let entries = decode_entries(&bundle).map_err(|error| format!("{path} cannot be read: {error}"))?;
    let at = usize::try_from(entry % u64::from(TILE_WIDTH)).unwrap_or(usize::MAX);
    let leaf = entries.get(at).ok_or_else(|| format!("{path} has no entry {entry}"))?;
    Ok(leaf.to_vec())
}
