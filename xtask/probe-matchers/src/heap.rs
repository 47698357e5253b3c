//! Counts what is allocated: the one measure of tables that is the same for all engines.

use std::{
    alloc::{GlobalAlloc, Layout, System},
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
};

struct Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

static LIVE: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);

fn note(added: usize, freed: usize) {
    let live = LIVE.fetch_add(added, Relaxed) + added - freed;
    LIVE.fetch_sub(freed, Relaxed);
    PEAK.fetch_max(live, Relaxed);
}

// SAFETY: everything is passed on as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        note(layout.size(), 0);
        // SAFETY: as the caller promises.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        note(0, layout.size());
        // SAFETY: as the caller promises.
        unsafe { System.dealloc(block, layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        note(size, layout.size());
        // SAFETY: as the caller promises.
        unsafe { System.realloc(block, layout, size) }
    }
}

pub(crate) struct Mark(usize);

impl Mark {
    /// From here on.
    pub(crate) fn set() -> Self {
        let live = LIVE.load(Relaxed);
        PEAK.store(live, Relaxed);
        Self(live)
    }

    /// Bytes that are held more than then, and that were held at most.
    pub(crate) fn held_and_peak(&self) -> (usize, usize) {
        let of = |counter: &AtomicUsize| counter.load(Relaxed).saturating_sub(self.0);
        (of(&LIVE), of(&PEAK))
    }
}
