//! A table of a bounded size over a [`SharedMemory`] that never forgets anything by itself.
//!
//! It has a fixed number of sets, each one value of the memory, `sentinel.<name>/<set>`, and in each a fixed number of
//! entries of a fixed size. A key is a number of 128 bits: some of them choose the set, 64 are the entry's tag. Entries of
//! a set stand in the order of their last change, so the one that was not changed for longest gives way; no clock has a
//! part in it.
//!
//! Invariant: a change is made to what stands there, or not at all. When others are faster [`TRIES_MAX`] times, it is
//! lost and the caller is told.

#[cfg(test)]
mod tests;

use alloc::{format, string::String, vec::Vec};

use super::{HashKey, SharedMemory, Stored};

pub const WAYS: usize = 8;

/// How often a change is tried when others are faster. Each of them has got its own change done meanwhile.
pub const TRIES_MAX: u32 = 16;

/// From this place on an entry is behind. Two that are looked at in turn never are.
const BEHIND: usize = 2;

const TAG_BYTES: usize = 8;
const HEAD_BYTES: usize = 4;

/// Longer names of tables are cut, with what stands before them.
const NAME_BYTES_MAX: usize = 64;

#[derive(Debug)]
pub struct Table {
    /// What the names of all sets begin with.
    prefix: String,
    key: HashKey,
    sets: u32,
    entry_bytes: usize,
    /// What begins every value: entries of another size or another meaning are not read as ours.
    head: [u8; HEAD_BYTES],
}

/// Where an entry is to be found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Id {
    set: u32,
    tag: u64,
}

impl Id {
    pub const fn tag(self) -> u64 {
        self.tag
    }
}

/// The set of an entry as it was loaded, with this entry at its front. A new entry is all zeros.
#[derive(Debug)]
pub struct Slot {
    set: u32,
    version: Option<u32>,
    is_new: bool,
    is_behind: bool,
    bytes: Vec<u8>,
}

/// What became of a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kept {
    Stored,
    /// The change was to leave it as it is.
    Unchanged,
    /// Others were faster each time.
    Busy,
    /// The memory did not take it.
    Failed,
}

impl Kept {
    pub const fn is_lost(self) -> bool {
        matches!(self, Self::Busy | Self::Failed)
    }
}

/// Whether a change is to be stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    Store,
    Leave,
}

impl Table {
    /// `layout` numbers what the bytes of an entry mean. `entries` is rounded up to whole sets.
    pub fn new(name: &str, layout: u16, key: HashKey, entries: u32, entry_bytes: u16) -> Self {
        let mut end = name.len().min(NAME_BYTES_MAX - "sentinel./".len());
        while !name.is_char_boundary(end) {
            end -= 1;
        }
        let [a, b] = layout.to_le_bytes();
        let [c, d] = entry_bytes.to_le_bytes();
        Self {
            prefix: format!("sentinel.{}/", name.get(..end).unwrap_or_default()),
            key,
            sets: entries.div_ceil(WAYS as u32).max(1),
            entry_bytes: usize::from(entry_bytes),
            head: [a, b, c, d],
        }
    }

    pub fn id(&self, parts: &[&[u8]]) -> Id {
        self.id_of(self.key.of(parts))
    }

    /// From a number that was hashed with a key already.
    pub const fn id_of(&self, hash: u128) -> Id {
        // Not the remainder, which would need a division of 128 bits: the high half times the number of sets.
        let set = (((hash >> 96) * self.sets as u128) >> 32) as u32;
        Id { set, tag: hash as u64 }
    }

    /// The most that values of this table take, keys included.
    pub fn bytes_max(&self) -> usize {
        let value = HEAD_BYTES + WAYS * self.stride();
        self.sets as usize * (value + Name::of(&self.prefix, self.sets).as_str().len())
    }

    /// Makes every set that is not there. On a host whose first store of a key is not checked, two VMs that make the
    /// same set at once would lose what one of them counted; so this is called before there is traffic.
    pub fn prepare(&self, memory: &dyn SharedMemory) {
        for set in 0..self.sets {
            let name = Name::of(&self.prefix, set);
            if memory.load(name.as_str()).is_none() {
                memory.store(name.as_str(), &self.head, None);
            }
        }
    }

    pub fn open(&self, memory: &dyn SharedMemory, id: Id) -> Slot {
        let loaded = memory.load(Name::of(&self.prefix, id.set).as_str());
        let (mut bytes, version) = loaded.map_or((Vec::new(), None), |(bytes, v)| (bytes, Some(v)));
        let entries = bytes.strip_prefix(&self.head).unwrap_or_default();
        if entries.is_empty() || entries.len() % self.stride() != 0 {
            bytes.clear();
            bytes.extend_from_slice(&self.head);
        }
        let was_at = self.bring_to_front(&mut bytes, id.tag);
        let is_behind = was_at.is_some_and(|at| at >= BEHIND);
        Slot { set: id.set, version, is_new: was_at.is_none(), is_behind, bytes }
    }

    /// Stores a slot with what was made of its entry.
    pub fn close(&self, memory: &dyn SharedMemory, slot: &Slot) -> Stored {
        memory.store(Name::of(&self.prefix, slot.set).as_str(), &slot.bytes, slot.version)
    }

    /// Changes one entry. `change` may be called several times, each time with what stands there by then; what it said
    /// last comes back, and whether that is what is kept.
    pub fn update<T>(
        &self,
        memory: &dyn SharedMemory,
        id: Id,
        mut change: impl FnMut(&mut [u8]) -> (Change, T),
    ) -> (T, Kept) {
        let mut tries = 1;
        loop {
            let mut slot = self.open(memory, id);
            let (wanted, value) = change(slot.entry_mut());
            if wanted == Change::Leave {
                return (value, Kept::Unchanged);
            }
            match self.close(memory, &slot) {
                Stored::Done => return (value, Kept::Stored),
                Stored::Failed => return (value, Kept::Failed),
                Stored::Conflict if tries == TRIES_MAX => return (value, Kept::Busy),
                Stored::Conflict => tries += 1,
            }
        }
    }

    const fn stride(&self) -> usize {
        TAG_BYTES + self.entry_bytes
    }

    /// Answers where the entry was. If it was not there it is made, and the last one gives way if there is no room.
    fn bring_to_front(&self, bytes: &mut Vec<u8>, tag: u64) -> Option<usize> {
        let stride = self.stride();
        let tag = tag.to_le_bytes();
        let entries = bytes.get(HEAD_BYTES..).unwrap_or_default().chunks_exact(stride);
        let n = entries.len().min(WAYS - 1);
        let found = entries.into_iter().position(|entry| entry.starts_with(&tag));
        let at = found.unwrap_or_else(|| {
            bytes.truncate(HEAD_BYTES + n * stride);
            bytes.extend_from_slice(&tag);
            bytes.resize(HEAD_BYTES + (n + 1) * stride, 0);
            n
        });
        if let Some(moved) = bytes.get_mut(HEAD_BYTES..HEAD_BYTES + (at + 1) * stride) {
            moved.rotate_right(stride);
        }
        found
    }
}

impl Slot {
    pub const fn is_new(&self) -> bool {
        self.is_new
    }

    /// Others of its set were changed since, so it is worth storing to be kept, even if nothing of it has changed.
    pub const fn is_behind(&self) -> bool {
        self.is_behind
    }

    pub fn entry_mut(&mut self) -> &mut [u8] {
        let range = self.entry_range();
        self.bytes.get_mut(range).unwrap_or_default()
    }

    pub fn entry(&self) -> &[u8] {
        self.bytes.get(self.entry_range()).unwrap_or_default()
    }

    fn entry_range(&self) -> core::ops::Range<usize> {
        let [.., c, d] = self.bytes.first_chunk::<HEAD_BYTES>().copied().unwrap_or_default();
        let start = HEAD_BYTES + TAG_BYTES;
        start..start + usize::from(u16::from_le_bytes([c, d]))
    }
}

/// The name of a set, without an allocation.
struct Name {
    bytes: [u8; NAME_BYTES_MAX + DIGITS_MAX],
    len: usize,
}

const DIGITS_MAX: usize = 10;

impl Name {
    fn of(prefix: &str, set: u32) -> Self {
        let mut name = Self { bytes: [0; NAME_BYTES_MAX + DIGITS_MAX], len: 0 };
        let digits = set.checked_ilog10().unwrap_or(0) + 1;
        name.push(prefix.as_bytes());
        for place in (0..digits).rev() {
            name.push(&[b'0' + (set / 10_u32.pow(place) % 10) as u8]);
        }
        name
    }

    fn push(&mut self, bytes: &[u8]) {
        let end = self.len + bytes.len();
        // It has room for the longest.
        if let Some(place) = self.bytes.get_mut(self.len..end) {
            place.copy_from_slice(bytes);
            self.len = end;
        }
    }

    fn as_str(&self) -> &str {
        self.bytes.get(..self.len).and_then(|bytes| core::str::from_utf8(bytes).ok()).unwrap_or_default()
    }
}
