//! How much of its memory the VM uses, and what follows from that.
//!
//! The memory of a wasm module only ever grows, so its size says what was needed at worst. What is in use now is counted
//! here, allocation by allocation: that is what ceilings are held against, and what falls again.
#![allow(
    unsafe_code,
    reason = "an allocator has to be; it hands everything on to the one of the standard library"
)]

use std::{
    alloc::{GlobalAlloc, Layout, System},
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
};

use sentinel_core::{MemoryStrain, config::MemoryConfig};

#[global_allocator]
static HEAP: Counted = Counted { in_use: AtomicUsize::new(0) };

/// The standard allocator, and how many bytes it has given out.
struct Counted {
    in_use: AtomicUsize,
}

// SAFETY: every call goes on to `System` as it came; the count changes nothing about what is returned.
unsafe impl GlobalAlloc for Counted {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        self.in_use.fetch_add(layout.size(), Relaxed);
        // SAFETY: the caller's promises are those that `System` asks for.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        self.in_use.fetch_add(layout.size(), Relaxed);
        // SAFETY: as above.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        self.in_use.fetch_sub(layout.size(), Relaxed);
        // SAFETY: as above.
        unsafe { System.dealloc(ptr, layout) }
    }

    unsafe fn realloc(&self, ptr: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        self.in_use.fetch_add(new_size, Relaxed);
        self.in_use.fetch_sub(layout.size(), Relaxed);
        // SAFETY: as above.
        unsafe { System.realloc(ptr, layout, new_size) }
    }
}

pub(crate) fn bytes_in_use() -> usize {
    HEAP.in_use.load(Relaxed)
}

/// The size of the module's memory, which never shrinks.
pub(crate) fn size_bytes() -> u64 {
    const PAGE_BYTES: u64 = 65_536;
    core::arch::wasm32::memory_size(0) as u64 * PAGE_BYTES
}

/// Where a VM stands between its ceilings.
pub(crate) struct Ceilings {
    config: MemoryConfig,
    strain: MemoryStrain,
}

impl Ceilings {
    pub(crate) fn new() -> Self {
        Self { config: MemoryConfig::default(), strain: MemoryStrain::None }
    }

    pub(crate) const fn set(&mut self, config: MemoryConfig) {
        self.config = config;
    }

    /// As it is now. A ceiling that was reached counts until an eighth of it is free again, so that nobody goes in and out
    /// with every request.
    pub(crate) fn strain(&mut self) -> MemoryStrain {
        let used = bytes_in_use();
        let is_over = |ceiling_mib: u32, counts: bool| {
            let ceiling = (ceiling_mib as usize).saturating_mul(1024 * 1024);
            used > if counts { ceiling - ceiling / 8 } else { ceiling }
        };
        let before = self.strain;
        self.strain = if is_over(self.config.hard_mib, before == MemoryStrain::Refuses) {
            MemoryStrain::Refuses
        } else if is_over(self.config.soft_mib, before >= MemoryStrain::Sheds) {
            MemoryStrain::Sheds
        } else {
            MemoryStrain::None
        };
        self.strain
    }
}
