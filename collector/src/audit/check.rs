//! The check as a whole: one walk over the entries, from the first to the last that was signed for.

use std::collections::BTreeMap;

use sentinel_ledger::{
    Checkpoint, Hash, Note, TILE_WIDTH, TilePath, Tree, Verified, VerifierKey, decode_entries, leaf_hash,
};

use super::events::{self, Gone, Leaf, Line};
use super::sequence::Sequence;
use super::tiles::{Above, Trees};
use super::{Report, Source, Suspect};

/// What the evidence is held against.
#[derive(Clone, Debug)]
pub struct Check {
    /// The key of the log; without it the one is taken that lies beside the log, which proves nothing against whoever
    /// has both.
    pub key: Option<VerifierKey>,
    /// Checkpoints that were seen before, signed.
    pub seen: Vec<String>,
    /// Keys of witnesses, and how many of them have to have cosigned.
    pub witnesses: Vec<VerifierKey>,
    pub cosignatures_min: usize,
    /// Whether events are there to be read; a log alone has none.
    pub with_events: bool,
}

impl Default for Check {
    fn default() -> Self {
        Self { key: None, seen: Vec::new(), witnesses: Vec::new(), cosignatures_min: 0, with_events: true }
    }
}

/// An error is a source that cannot be read; whatever is wrong with the evidence is in the report.
pub async fn check<S: Source>(check: &Check, source: &mut S) -> Result<Report, String> {
    let mut report = Report::default();
    let Some(key) = key(check, source, &mut report).await? else { return Ok(report) };
    let Some(signed) = checkpoint(&key, check, source, &mut report).await? else { return Ok(report) };
    let past = Past::read(check, &key, signed.size(), &mut report);
    let (mut trees, mut above) = (Trees::default(), Above::default());
    let (mut sequence, mut gone) = (Sequence::default(), Gone::default());
    past.meet(&trees.of_entries, &mut report);
    let mut from = 0;
    while from < signed.size() {
        let width = (signed.size() - from).min(u64::from(TILE_WIDTH)) as u16;
        let Some(path) = TilePath::entries(from / u64::from(TILE_WIDTH), width) else { break };
        let Some(entries) = entries(source, path, from, signed.size(), &mut report).await? else { break };
        let hashes: Vec<Hash> = entries.iter().map(|entry| leaf_hash(entry)).collect();
        let tile = stored_tile(source, path, &hashes, &mut report).await?;
        let stored = match check.with_events {
            true => source.get(&path.to_string().replacen("tile/entries/", "events/", 1)).await?,
            false => None,
        };
        let lines = lines(stored.as_deref().unwrap_or_default(), &mut report);
        for (entry, bytes) in (from..).zip(&entries) {
            let Ok(leaf) = serde_json::from_slice::<Leaf<'_>>(bytes) else {
                report.say(Suspect::Leaf, Some(entry), "the entry is not one of Sentinel");
                continue;
            };
            if !leaf.is_event() {
                report.n_accesses += 1;
                gone.hear(&leaf);
                continue;
            }
            report.n_events += 1;
            if let (Some(vm), Some(seq)) = (leaf.vm, leaf.seq) {
                sequence.add(vm, seq, entry, &mut report);
            }
            if check.with_events {
                events::check(entry, &leaf, lines.get(&entry), &mut gone, &mut report);
            }
        }
        for (idx, hash) in hashes.iter().enumerate() {
            trees.add(
                from + idx as u64,
                std::slice::from_ref(hash),
                tile.get(idx * 32..).unwrap_or_default(),
            );
            past.meet(&trees.of_entries, &mut report);
        }
        from += hashes.len() as u64;
        above.add(trees.of_entries.take_tiles(), source, &mut report).await?;
        if hashes.len() < usize::from(width) {
            break;
        }
    }
    if trees.of_entries.size() == signed.size() {
        above.finish(source, &mut report).await?;
        judge(&trees, signed.root(), &mut report);
    }
    sequence.finish(&mut report);
    gone.finish(&mut report);
    report.problems.sort_by_key(|problem| (problem.entry.unwrap_or(u64::MAX), problem.what));
    Ok(report)
}

async fn key<S: Source>(
    check: &Check,
    source: &mut S,
    report: &mut Report,
) -> Result<Option<VerifierKey>, String> {
    if let Some(key) = &check.key {
        report.key = key.to_string();
        return Ok(Some(key.clone()));
    }
    report.key_was_found = true;
    let text = source.get("key").await?.unwrap_or_default();
    match std::str::from_utf8(&text)
        .map_err(|_| "it is not text".to_owned())
        .and_then(|text| VerifierKey::parse(text.trim()).map_err(|error| error.to_string()))
    {
        Ok(key) => {
            report.key = key.to_string();
            Ok(Some(key))
        }
        Err(error) => {
            report.say(Suspect::Signature, None, format!("no key of the log is known: {error}"));
            Ok(None)
        }
    }
}

/// What the newest checkpoint says, even where it is not signed well: it tells what ought to be there.
async fn checkpoint<S: Source>(
    key: &VerifierKey,
    check: &Check,
    source: &mut S,
    report: &mut Report,
) -> Result<Option<Checkpoint>, String> {
    let Some(bytes) = source.get("checkpoint").await? else {
        report.say(Suspect::Checkpoint, None, "there is no checkpoint: nothing is signed");
        return Ok(None);
    };
    let note = Note::parse(&bytes).map_err(|error| error.to_string());
    let read = note.and_then(|note| {
        let checkpoint = Checkpoint::parse(note.text()).map_err(|error| error.to_string())?;
        Ok((note, checkpoint))
    });
    let (note, checkpoint) = match read {
        Ok(read) => read,
        Err(error) => {
            report.say(Suspect::Checkpoint, None, format!("the checkpoint cannot be read: {error}"));
            return Ok(None);
        }
    };
    (report.size, report.root) = (checkpoint.size(), checkpoint.root().to_base64());
    checkpoint.origin().clone_into(&mut report.origin);
    if let Err(error) = Checkpoint::open(&bytes, key.name(), std::slice::from_ref(key)) {
        report.say(Suspect::Signature, None, format!("the checkpoint is not signed by the log: {error}"));
    }
    match cosignatures(&note, &check.witnesses) {
        Ok(verified) => report.cosigned_by = verified.into_iter().map(|one| one.name).collect(),
        Err(error) => report.say(Suspect::Cosignature, None, error),
    }
    if report.cosigned_by.len() < check.cosignatures_min {
        let found = report.cosigned_by.len();
        let text =
            format!("{found} witnesses have cosigned the checkpoint, expected {}", check.cosignatures_min);
        report.say(Suspect::Cosignature, None, text);
    }
    Ok(Some(checkpoint))
}

fn cosignatures(note: &Note, witnesses: &[VerifierKey]) -> Result<Vec<Verified>, String> {
    let found = note.signatures();
    let known: Vec<VerifierKey> = witnesses
        .iter()
        .filter(|key| found.iter().any(|one| one.name() == key.name() && one.id() == key.id()))
        .cloned()
        .collect();
    match known.is_empty() {
        true => Ok(Vec::new()),
        false => note.verify(&known).map_err(|error| format!("a cosignature is wrong: {error}")),
    }
}

/// The entries of a tile; where it is not whole, as many as there are from its beginning on. `None` if there is none.
async fn entries<S: Source>(
    source: &mut S,
    path: TilePath,
    from: u64,
    size: u64,
    report: &mut Report,
) -> Result<Option<Vec<Vec<u8>>>, String> {
    let mut width = path.id().width();
    let mut found = source.get(&path.to_string()).await?;
    while found.is_none() && width > 1 {
        width -= 1;
        let Some(narrower) = TilePath::entries(path.id().index(), width) else { break };
        found = source.get(&narrower.to_string()).await?;
    }
    let Some(bundle) = found else {
        report.say(Suspect::Tail, Some(from), format!("the entries {from} to {} are not there", size - 1));
        return Ok(None);
    };
    let entries = match decode_entries(&bundle) {
        Ok(entries) => entries.into_iter().map(<[u8]>::to_vec).collect::<Vec<_>>(),
        Err(error) => {
            report.say(Suspect::Leaf, Some(from), format!("{path} cannot be read: {error}"));
            return Ok(None);
        }
    };
    let n_wanted = usize::from(path.id().width());
    if entries.len() < n_wanted {
        let first = from + entries.len() as u64;
        report.say(Suspect::Tail, Some(first), format!("the entries {first} to {} are not there", size - 1));
    }
    Ok(Some(entries.into_iter().take(n_wanted).collect()))
}

/// The stored hashes of these entries; what is not there is taken as it ought to be, and said.
async fn stored_tile<S: Source>(
    source: &mut S,
    path: TilePath,
    hashes: &[Hash],
    report: &mut Report,
) -> Result<Vec<u8>, String> {
    let tile_path = TilePath::Hashes(path.id()).to_string();
    let stored = source.get(&tile_path).await?;
    let whole = stored.filter(|tile| tile.len() == path.id().n_bytes());
    if whole.is_none() {
        report.say(Suspect::Tile, None, format!("{tile_path} is not there, or not whole"));
    }
    Ok(whole.unwrap_or_else(|| hashes.iter().flat_map(|hash| hash.0).collect()))
}

fn lines<'a>(stored: &'a [u8], report: &mut Report) -> BTreeMap<u64, Line<'a>> {
    let mut lines = BTreeMap::new();
    for line in stored.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
        match serde_json::from_slice::<Line<'_>>(line) {
            Ok(line) => {
                lines.insert(line.index, line);
            }
            Err(error) => {
                report.say(
                    Suspect::Event,
                    None,
                    format!("a line of the stored events cannot be read: {error}"),
                );
            }
        }
    }
    lines
}

/// Which side is wrong where an entry and its stored hash differ: the signed root knows.
fn judge(trees: &Trees, root: &Hash, report: &mut Report) {
    let entries_are_right = trees.of_entries.root() == *root;
    let tiles_are_right = trees.of_tiles.root() == *root;
    for entry in &trees.differing {
        let (what, text) = match (entries_are_right, tiles_are_right) {
            (true, _) => {
                (Suspect::Tile, "the stored hash of the entry was changed; the entry is what was signed")
            }
            (false, true) => (Suspect::Leaf, "the entry was changed; its stored hash is what was signed"),
            (false, false) => {
                (Suspect::Leaf, "the entry and its stored hash differ, and neither is what was signed")
            }
        };
        report.say(what, Some(*entry), text);
    }
    if !entries_are_right && !tiles_are_right {
        let text = "the entries have another root than the one that was signed: entries with their hashes, or the \
                    checkpoint, were changed";
        report.say(Suspect::Checkpoint, None, text);
    }
}

/// Checkpoints of before, each waiting for the tree to have its size.
struct Past(Vec<Checkpoint>);

impl Past {
    fn read(check: &Check, key: &VerifierKey, size: u64, report: &mut Report) -> Self {
        let mut past = Vec::new();
        for note in &check.seen {
            match Checkpoint::open(note.as_bytes(), key.name(), std::slice::from_ref(key)) {
                Err(error) => {
                    let text = format!("a checkpoint that was seen before is not of this log: {error}");
                    report.say(Suspect::Fork, None, text);
                }
                Ok(signed) if signed.checkpoint().size() > size => {
                    let was = signed.checkpoint().size();
                    let text =
                        format!("the log had {was} entries before and has {size} now: it was set back");
                    report.say(Suspect::Rollback, None, text);
                }
                Ok(signed) => past.push(signed.checkpoint().clone()),
            }
        }
        Self(past)
    }

    fn meet(&self, tree: &Tree, report: &mut Report) {
        let size = tree.size();
        for checkpoint in self.0.iter().filter(|checkpoint| checkpoint.size() == size) {
            if *checkpoint.root() != tree.root() {
                let text = format!(
                    "the first {size} entries are not those that were signed before: the log was forked"
                );
                report.say(Suspect::Fork, None, text);
            }
        }
    }
}
