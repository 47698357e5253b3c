//! The table against maps without bounds, and against hosts that are not kind.

use alloc::{collections::BTreeMap, format, vec::Vec};
use core::cell::{Cell, RefCell};

use proptest::prelude::*;

use super::{super::MemoryMap, *};

const ENTRY: u16 = 8;

fn table(entries: u32) -> Table {
    Table::new("test", 1, HashKey::new([5; 16]), entries, ENTRY)
}

fn memory() -> RefCell<MemoryMap> {
    RefCell::new(MemoryMap::new(usize::MAX))
}

fn add(table: &Table, memory: &dyn SharedMemory, key: u64, amount: u64) -> (u64, Kept) {
    table.update(memory, table.id(&[&key.to_le_bytes()]), |entry| {
        let sum = read(entry) + amount;
        entry.copy_from_slice(&sum.to_le_bytes());
        (Change::Store, sum)
    })
}

fn read(entry: &[u8]) -> u64 {
    u64::from_le_bytes(entry.try_into().unwrap())
}

proptest! {
    /// What is there is what a map would say; an entry is missing only if eight of its set were changed since.
    #[test]
    fn it_is_a_map_that_forgets(steps in prop::collection::vec((0_u64..60, 1_u64..100), 1..400)) {
        let (table, memory) = (table(32), memory());
        let mut model: BTreeMap<u64, u64> = BTreeMap::new();
        // Keys of a set in the order of their last change, newest last.
        let mut sets: BTreeMap<u32, Vec<u64>> = BTreeMap::new();
        for (key, amount) in steps {
            let set = sets.entry(table.id(&[&key.to_le_bytes()]).set).or_default();
            let is_there = set.iter().rev().take(WAYS).any(|other| *other == key);
            set.retain(|other| *other != key);
            set.push(key);
            let sum = if is_there { model[&key] + amount } else { amount };
            model.insert(key, sum);
            prop_assert_eq!(add(&table, &memory, key, amount), (sum, Kept::Stored));
        }
        prop_assert!(memory.borrow().bytes() <= table.bytes_max());
    }

    #[test]
    fn garbage_is_an_empty_set(garbage in prop::collection::vec(any::<u8>(), 0..200)) {
        let (table, memory) = (table(8), memory());
        SharedMemory::store(&memory, "sentinel.test/0", &garbage, None);
        prop_assert_eq!(add(&table, &memory, 1, 5), (5, Kept::Stored));
        prop_assert_eq!(add(&table, &memory, 1, 5), (10, Kept::Stored));
    }
}

#[test]
fn a_million_keys_take_no_more_than_was_said() {
    let (table, memory) = (table(8192), memory());
    table.prepare(&memory);
    for key in 0..1_000_000 {
        add(&table, &memory, key, 1);
    }
    assert_eq!(memory.borrow().keys(), 1024);
    assert!(memory.borrow().bytes() <= table.bytes_max());
    assert_eq!(table.bytes_max(), 1024 * (4 + 8 * 16 + "sentinel.test/1024".len()));
    // The last ones are still known.
    let known = (999_000..1_000_000).filter(|key| add(&table, &memory, *key, 1).0 == 2).count();
    assert!(known > 990, "{known}");
}

#[test]
fn sets_are_used_evenly() {
    let table = table(8192);
    let mut per_set = [0_u32; 1024];
    (0..100_000_u64).for_each(|key| per_set[table.id(&[&key.to_le_bytes()]).set as usize] += 1);
    let (least, most) = (per_set.iter().min().unwrap(), per_set.iter().max().unwrap());
    assert!(*least > 50 && *most < 160, "{least} {most}");
}

#[test]
fn entries_of_another_layout_are_not_read() {
    let (ours, memory) = (table(8), memory());
    add(&ours, &memory, 1, 5);
    let other = Table::new("test", 2, HashKey::new([5; 16]), 8, ENTRY);
    assert_eq!(add(&other, &memory, 1, 7).0, 7);
    assert_eq!(add(&ours, &memory, 1, 5).0, 5);
}

#[test]
fn prepared_sets_keep_what_is_there() {
    let (table, memory) = (table(64), memory());
    add(&table, &memory, 1, 5);
    table.prepare(&memory);
    assert_eq!((memory.borrow().keys(), add(&table, &memory, 1, 5).0), (8, 10));
}

#[test]
fn names_of_any_length_are_taken() {
    let name = "é".repeat(60);
    let table = Table::new(&name, 1, HashKey::new([5; 16]), u32::MAX, ENTRY);
    let memory = memory();
    assert_eq!(add(&table, &memory, 1, 5), (5, Kept::Stored));
    assert_eq!(add(&table, &memory, 1, 5), (10, Kept::Stored));
    let key = format!("sentinel.{}/{}", "é".repeat(27), table.id(&[&1_u64.to_le_bytes()]).set);
    assert!(SharedMemory::load(&memory, &key).is_some());
}

/// A host on which somebody else is always faster, so many times.
#[derive(Debug)]
struct Contended {
    memory: RefCell<MemoryMap>,
    conflicts: Cell<u32>,
}

impl SharedMemory for Contended {
    fn load(&self, key: &str) -> Option<(Vec<u8>, u32)> {
        SharedMemory::load(&self.memory, key)
    }

    fn store(&self, key: &str, value: &[u8], version: Option<u32>) -> Stored {
        match self.conflicts.get().checked_sub(1) {
            Some(left) => {
                self.conflicts.set(left);
                Stored::Conflict
            }
            None => SharedMemory::store(&self.memory, key, value, version),
        }
    }
}

#[test]
fn a_change_that_is_always_too_late_is_lost_and_says_so() {
    let memory = Contended { memory: memory(), conflicts: Cell::new(TRIES_MAX - 1) };
    assert_eq!(add(&table(8), &memory, 1, 5), (5, Kept::Stored));
    memory.conflicts.set(TRIES_MAX);
    assert_eq!(add(&table(8), &memory, 1, 5), (10, Kept::Busy));
    assert_eq!(add(&table(8), &memory, 1, 5), (10, Kept::Stored));
    let full = RefCell::new(MemoryMap::new(0));
    assert_eq!(add(&table(8), &full, 1, 5), (5, Kept::Failed));
}
