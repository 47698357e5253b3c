//! The allocator. While the program prepares itself, what is given back is made zeros, since a snapshot would ship it, and what
//! is left of it between what stays is never given out again.
#![allow(unsafe_code, reason = "an allocator has to be; it hands everything on to one that counts")]

use std::{
    alloc::{GlobalAlloc, Layout, System},
    arch::wasm32::memory_size,
    sync::atomic::{AtomicBool, Ordering::Relaxed},
};

use sentinel_adapter::heap::Counted;

pub(crate) struct Heap {
    counted: Counted,
    wipes: AtomicBool,
}

#[global_allocator]
pub(crate) static HEAP: Heap = Heap { counted: Counted::new(), wipes: AtomicBool::new(false) };

impl Heap {
    pub(crate) fn bytes_in_use(&self) -> usize {
        self.counted.bytes_in_use()
    }

    /// For what is to stay as long as the program.
    pub(crate) fn settling<T>(&self, act: impl FnOnce() -> T) -> T {
        self.wipes.store(true, Relaxed);
        let result = act();
        self.wipes.store(false, Relaxed);
        fill_holes();
        result
    }
}

/// Instances have pages of a snapshot in common until they write to them. An allocator that goes from hole to hole would write to
/// nearly all of them, so all holes are taken here, the large ones first; instances then begin where nothing was before.
fn fill_holes() {
    let (smallest, largest) = (8, 256 * 1024);
    let layout = |size| Layout::from_size_align(size, 1).unwrap_or(Layout::new::<u8>());
    // SAFETY: no layout is of nothing, and what is given back was given out with the same one.
    unsafe {
        // What memory had to grow for is above all holes.
        let mut roof = System.alloc_zeroed(layout(largest));
        let bytes = memory_size::<0>();
        while !roof.is_null() && memory_size::<0>() == bytes {
            roof = System.alloc_zeroed(layout(largest));
        }
        if roof.is_null() {
            return;
        }
        let mut size = largest;
        while size >= smallest {
            let mut block = System.alloc_zeroed(layout(size));
            while !block.is_null() && block < roof {
                block = System.alloc_zeroed(layout(size));
            }
            if !block.is_null() {
                System.dealloc(block, layout(size));
            }
            size /= 2;
        }
        // Nothing is left of all that above it, either.
        let above = System.alloc_zeroed(layout(largest));
        if !above.is_null() {
            System.dealloc(above, layout(largest));
        }
        System.dealloc(roof, layout(largest));
    }
}

// SAFETY: every call goes on to `Counted` as it came, or as the calls that `realloc` is made of.
unsafe impl GlobalAlloc for Heap {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promises are those that `Counted` asks for.
        unsafe { self.counted.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as above.
        unsafe { self.counted.alloc_zeroed(layout) }
    }

    // Out of line, as below: there are thousands of places that give something back.
    #[inline(never)]
    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        if self.wipes.load(Relaxed) {
            // SAFETY: the caller gives up so many bytes from there on.
            unsafe { wipe(ptr, layout.size()) };
        }
        // SAFETY: as above.
        unsafe { self.counted.dealloc(ptr, layout) }
    }

    #[inline(never)]
    unsafe fn realloc(&self, ptr: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        if !self.wipes.load(Relaxed) {
            // SAFETY: as above.
            return unsafe { self.counted.realloc(ptr, layout, new_size) };
        }
        // SAFETY: the caller promises that this is a layout; the old block has `layout.size()` bytes, the new one, where there
        // is one, `new_size`, and the two have nothing in common. Then the old one is given up.
        unsafe {
            let new = self.alloc(Layout::from_size_align_unchecked(new_size, layout.align()));
            if !new.is_null() {
                new.copy_from_nonoverlapping(ptr, layout.size().min(new_size));
                self.dealloc(ptr, layout);
            }
            new
        }
    }
}

/// Volatile, since a compiler may leave out writes to what is freed next.
///
/// # Safety
/// So many bytes from `ptr` on may be written to.
unsafe fn wipe(ptr: *mut u8, bytes: usize) {
    for idx in 0..bytes {
        // SAFETY: as the caller promises.
        unsafe { ptr.add(idx).write_volatile(0) };
    }
}
