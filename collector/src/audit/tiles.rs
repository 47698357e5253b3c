//! The stored hashes of the tree against those that the entries give.

use std::collections::BTreeMap;

use sentinel_ledger::{Hash, TILE_WIDTH, TileId, TilePath, Tree};

use super::{Report, Source, Suspect};

/// The two trees that have to be one: of the entries, and of the stored hashes of entries.
#[derive(Default)]
pub(super) struct Trees {
    pub(super) of_entries: Tree,
    pub(super) of_tiles: Tree,
    /// Entries whose stored hash is another.
    pub(super) differing: Vec<u64>,
}

impl Trees {
    /// Adds the entries of a tile, with the tile as it is stored.
    pub(super) fn add(&mut self, from: u64, hashes: &[Hash], tile: &[u8]) {
        for ((entry, hash), stored) in (from..).zip(hashes).zip(tile.chunks_exact(32)) {
            let stored = Hash::from_slice(stored).unwrap_or(*hash);
            if stored != *hash && self.differing.len() < super::PROBLEMS_MAX {
                self.differing.push(entry);
            }
            self.of_entries.push(*hash);
            self.of_tiles.push(stored);
        }
    }
}

/// The tiles above those of the entries.
#[derive(Default)]
pub(super) struct Above {
    /// The unfinished one of each level: what is stored of it is what it is at the end.
    unfinished: BTreeMap<u8, (TileId, Vec<u8>)>,
}

impl Above {
    /// Compares what has come into being with what is stored.
    pub(super) async fn add<S: Source>(
        &mut self,
        made: Vec<(TileId, Vec<u8>)>,
        source: &mut S,
        report: &mut Report,
    ) -> Result<(), String> {
        // The lowest are compared where they are read.
        for (id, hashes) in made.into_iter().filter(|(id, _)| id.level() > 0) {
            if id.is_full() {
                self.unfinished.remove(&id.level());
                compare(id, &hashes, source, report).await?;
            } else {
                self.unfinished.insert(id.level(), (id, hashes));
            }
        }
        Ok(())
    }

    pub(super) async fn finish<S: Source>(self, source: &mut S, report: &mut Report) -> Result<(), String> {
        for (id, hashes) in self.unfinished.into_values() {
            compare(id, &hashes, source, report).await?;
        }
        Ok(())
    }
}

async fn compare<S: Source>(
    id: TileId,
    hashes: &[u8],
    source: &mut S,
    report: &mut Report,
) -> Result<(), String> {
    let path = TilePath::Hashes(id).to_string();
    match source.get(&path).await? {
        None => report.say(Suspect::Tile, None, format!("{path} is not there")),
        Some(stored) if stored != hashes => {
            let mut pairs = stored.chunks(32).zip(hashes.chunks(32));
            let at = pairs.position(|(stored, made)| stored != made).unwrap_or(0);
            let width = u64::from(TILE_WIDTH).saturating_pow(u32::from(id.level()));
            let nth = id.index().saturating_mul(u64::from(TILE_WIDTH)).saturating_add(at as u64);
            let first = nth.saturating_mul(width);
            report.say(
                Suspect::Tile,
                None,
                format!("{path} has a wrong hash for the entries from {first} on"),
            );
        }
        Some(_) => {}
    }
    Ok(())
}
