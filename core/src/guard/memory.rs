//! What a host lends so that the VMs of one proxy know of each other, and a map that does the same in one process.

use alloc::{collections::BTreeMap, string::String, vec::Vec};
use core::{cell::RefCell, fmt};

/// What the VMs of one proxy share. Values are swapped only if nobody else was faster.
pub trait SharedMemory: fmt::Debug {
    /// The value and its version.
    fn load(&self, key: &str) -> Option<(Vec<u8>, u32)>;

    /// Stores a value if its version is still the one that was loaded. Without a version nothing was there when the
    /// caller looked. A host that cannot make sure of that (Envoy) stores it in any case; [`Table::prepare`] is for it.
    ///
    /// [`Table::prepare`]: super::Table::prepare
    fn store(&self, key: &str, value: &[u8], version: Option<u32>) -> Stored;
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stored {
    Done,
    /// Somebody else was faster. Load again.
    Conflict,
    /// The host cannot keep it now, and perhaps never.
    Failed,
}

/// A map with versions and a bound, for a host in one process. It is a [`SharedMemory`] in a `RefCell`; a host with
/// threads puts it behind its own lock and implements the trait in two lines.
#[derive(Debug)]
pub struct MemoryMap {
    values: BTreeMap<String, (Vec<u8>, u32)>,
    bytes: usize,
    bytes_max: usize,
    /// No two values ever have the same one, even if one is taken out in between.
    next: u32,
}

impl MemoryMap {
    /// `bytes_max`: keys and values together. What does not fit is not stored, as nothing may give way here.
    pub const fn new(bytes_max: usize) -> Self {
        Self { values: BTreeMap::new(), bytes: 0, bytes_max, next: 1 }
    }

    pub fn load(&self, key: &str) -> Option<(Vec<u8>, u32)> {
        self.values.get(key).cloned()
    }

    pub fn store(&mut self, key: &str, value: &[u8], version: Option<u32>) -> Stored {
        let next = self.next;
        if let Some((old, current)) = self.values.get_mut(key) {
            if version != Some(*current) {
                return Stored::Conflict;
            }
            let bytes = self.bytes - old.len() + value.len();
            if bytes > self.bytes_max {
                return Stored::Failed;
            }
            old.clear();
            old.extend_from_slice(value);
            *current = next;
            self.bytes = bytes;
        } else {
            if version.is_some() {
                return Stored::Conflict;
            }
            let bytes = self.bytes.saturating_add(key.len()).saturating_add(value.len());
            if bytes > self.bytes_max {
                return Stored::Failed;
            }
            self.values.insert(key.into(), (value.to_vec(), next));
            self.bytes = bytes;
        }
        self.next = next.wrapping_add(1);
        Stored::Done
    }

    /// Forgets everything, as a proxy does that starts again.
    pub fn clear(&mut self) {
        self.values.clear();
        self.bytes = 0;
    }

    pub fn keys(&self) -> usize {
        self.values.len()
    }

    /// Bytes of keys and values.
    pub const fn bytes(&self) -> usize {
        self.bytes
    }
}

impl SharedMemory for RefCell<MemoryMap> {
    fn load(&self, key: &str) -> Option<(Vec<u8>, u32)> {
        self.try_borrow().ok()?.load(key)
    }

    fn store(&self, key: &str, value: &[u8], version: Option<u32>) -> Stored {
        self.try_borrow_mut().map_or(Stored::Failed, |mut map| map.store(key, value, version))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_slower_one_has_to_look_again() {
        let memory = RefCell::new(MemoryMap::new(100));
        assert_eq!(memory.store("k", b"1", None), Stored::Done);
        let (_, version) = SharedMemory::load(&memory, "k").unwrap();
        assert_eq!(memory.store("k", b"2", None), Stored::Conflict);
        assert_eq!(memory.store("k", b"2", Some(version)), Stored::Done);
        assert_eq!(memory.store("k", b"3", Some(version)), Stored::Conflict);
        assert_eq!(SharedMemory::load(&memory, "k").unwrap().0, b"2");
        assert_eq!(memory.store("other", b"1", Some(7)), Stored::Conflict);
    }

    #[test]
    fn what_does_not_fit_is_not_kept() {
        let mut map = MemoryMap::new(10);
        assert_eq!(map.store("abcd", b"123456", None), Stored::Done);
        assert_eq!(map.bytes(), 10);
        assert_eq!(map.store("e", b"", None), Stored::Failed);
        let (_, version) = map.load("abcd").unwrap();
        assert_eq!(map.store("abcd", b"1234567", Some(version)), Stored::Failed);
        assert_eq!(map.store("abcd", b"1", Some(version)), Stored::Done);
        assert_eq!((map.bytes(), map.keys()), (5, 1));
        map.clear();
        assert_eq!((map.bytes(), map.keys()), (0, 0));
    }
}
