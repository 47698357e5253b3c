//! Keccak-256 of short messages, as Ethereum has it: what the case of letters in an address is derived from.

const RATE: usize = 136;
const LANES: usize = 25;

/// The first twenty bytes of the hash of a message that is shorter than one block.
pub(super) fn keccak_256_head(message: &[u8]) -> [u8; 20] {
    let mut block = [0_u8; RATE];
    for (slot, byte) in block.iter_mut().zip(message) {
        *slot = *byte;
    }
    if let Some(slot) = block.get_mut(message.len().min(RATE - 1)) {
        *slot ^= 0x01;
    }
    if let Some(slot) = block.last_mut() {
        *slot ^= 0x80;
    }
    let mut state = [0_u64; LANES];
    let (words, _) = block.as_chunks::<8>();
    for (lane, word) in state.iter_mut().zip(words) {
        *lane = u64::from_le_bytes(*word);
    }
    permute(&mut state);
    let mut head = [0; 20];
    let bytes = state.iter().flat_map(|lane| lane.to_le_bytes());
    for (slot, byte) in head.iter_mut().zip(bytes) {
        *slot = byte;
    }
    head
}

/// Keccak-f[1600].
#[expect(clippy::indexing_slicing, reason = "every index is a constant or taken modulo the size")]
fn permute(state: &mut [u64; LANES]) {
    for round in ROUNDS {
        let mut parity = [0_u64; 5];
        for x in 0..5 {
            parity[x] = state[x] ^ state[x + 5] ^ state[x + 10] ^ state[x + 15] ^ state[x + 20];
        }
        for (idx, lane) in state.iter_mut().enumerate() {
            *lane ^= parity[(idx + 4) % 5] ^ parity[(idx + 1) % 5].rotate_left(1);
        }
        let mut moved = [0_u64; LANES];
        for y in 0..5 {
            for x in 0..5 {
                moved[y + 5 * ((2 * x + 3 * y) % 5)] = state[x + 5 * y].rotate_left(ROTATIONS[x + 5 * y]);
            }
        }
        for y in 0..5 {
            for x in 0..5 {
                state[x + 5 * y] =
                    moved[x + 5 * y] ^ (!moved[(x + 1) % 5 + 5 * y] & moved[(x + 2) % 5 + 5 * y]);
            }
        }
        state[0] ^= round;
    }
}

const ROTATIONS: [u32; LANES] =
    [0, 1, 62, 28, 27, 36, 44, 6, 55, 20, 3, 10, 43, 25, 39, 41, 45, 15, 21, 8, 18, 2, 61, 56, 14];

const ROUNDS: [u64; 24] = [
    0x0000_0000_0000_0001,
    0x0000_0000_0000_8082,
    0x8000_0000_0000_808a,
    0x8000_0000_8000_8000,
    0x0000_0000_0000_808b,
    0x0000_0000_8000_0001,
    0x8000_0000_8000_8081,
    0x8000_0000_0000_8009,
    0x0000_0000_0000_008a,
    0x0000_0000_0000_0088,
    0x0000_0000_8000_8009,
    0x0000_0000_8000_000a,
    0x0000_0000_8000_808b,
    0x8000_0000_0000_008b,
    0x8000_0000_0000_8089,
    0x8000_0000_0000_8003,
    0x8000_0000_0000_8002,
    0x8000_0000_0000_0080,
    0x0000_0000_0000_800a,
    0x8000_0000_8000_000a,
    0x8000_0000_8000_8081,
    0x8000_0000_0000_8080,
    0x0000_0000_8000_0001,
    0x8000_0000_8000_8008,
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_of_nothing_is_known() {
        let known = [0xc5, 0xd2, 0x46, 0x01, 0x86, 0xf7, 0x23, 0x3c, 0x92, 0x7e];
        assert_eq!(keccak_256_head(b"")[..10], known);
    }
}
