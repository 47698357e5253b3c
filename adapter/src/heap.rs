//! How much memory is in use, counted allocation by allocation: that is what ceilings are held against, and what falls again.
//! The memory of a wasm module itself only ever grows.
#![allow(
    unsafe_code,
    reason = "an allocator has to be; it hands everything on to the one of the standard library"
)]

use std::{
    alloc::{GlobalAlloc, Layout, System},
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
};

/// The standard allocator, and how many bytes it has given out.
#[derive(Debug, Default)]
pub struct Counted {
    in_use: AtomicUsize,
}

impl Counted {
    #[must_use]
    pub const fn new() -> Self {
        Self { in_use: AtomicUsize::new(0) }
    }

    pub fn bytes_in_use(&self) -> usize {
        self.in_use.load(Relaxed)
    }
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
