//! The probe as a native program: one line of JSON.
#![allow(clippy::print_stdout, reason = "xtask reads it")]

use std::{cell::RefCell, rc::Rc};

use sentinel_core::guard::{MemoryMap, SharedMemory, Stored};
use sentinel_probe::measure;

const MEMORY_BYTES: usize = 64 * 1024 * 1024;

#[derive(Clone, Debug)]
struct Memory(Rc<RefCell<MemoryMap>>);

impl SharedMemory for Memory {
    fn load(&self, key: &str) -> Option<(Vec<u8>, u32)> {
        self.0.load(key)
    }

    fn store(&self, key: &str, value: &[u8], version: Option<u32>) -> Stored {
        self.0.store(key, value, version)
    }
}

fn main() {
    let what = std::env::args().nth(1).unwrap_or_default();
    let memory = Memory(Rc::new(RefCell::new(MemoryMap::new(MEMORY_BYTES))));
    println!("{}", measure(&what, &memory));
}
