//! How much of its memory the VM uses.

use sentinel_adapter::heap::Counted;

#[global_allocator]
static HEAP: Counted = Counted::new();

pub(crate) fn bytes_in_use() -> usize {
    HEAP.bytes_in_use()
}

/// The size of the module's memory, which never shrinks.
pub(crate) fn size_bytes() -> u64 {
    const PAGE_BYTES: u64 = 65_536;
    core::arch::wasm32::memory_size(0) as u64 * PAGE_BYTES
}
