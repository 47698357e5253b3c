//! Numbers that stand for texts. Nothing leaves the exchange, so they need to be quick and spread well, not to keep a
//! secret; the seed of the exchange sees to it that they say nothing beside it.

/// Spreads every bit over the upper half of the others.
pub(super) const fn mix(value: u64) -> u64 {
    let value = (value ^ value >> 32).wrapping_mul(0xd6e8_feb8_6659_fd93);
    value ^ value >> 32
}

/// One number for some bytes.
pub(super) fn of(seed: u64, bytes: &[u8]) -> u64 {
    let (chunks, rest) = bytes.as_chunks::<8>();
    let start = seed ^ bytes.len() as u64;
    let hash =
        chunks.iter().fold(start, |hash, chunk| mix(hash ^ u64::from_le_bytes(*chunk)).rotate_left(23));
    mix(hash ^ rest.iter().fold(0, |tail, byte| tail << 8 | u64::from(*byte)))
}
