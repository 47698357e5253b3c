//! SipHash with one round for a word and three at the end, to 128 bits: names that nobody can choose to collide without
//! the key. The key comes from the host.

use core::fmt;

#[derive(Clone, Copy, PartialEq, Eq)]
pub struct HashKey(u64, u64);

impl fmt::Debug for HashKey {
    /// The key is a secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HashKey")
    }
}

impl HashKey {
    pub fn new(bytes: [u8; 16]) -> Self {
        let whole = u128::from_le_bytes(bytes);
        Self(whole as u64, (whole >> 64) as u64)
    }

    /// One number for several parts. Each is hashed with its length, so that no two lists of parts are the same text.
    pub fn of(self, parts: &[&[u8]]) -> u128 {
        let mut hasher = self.hasher();
        parts.iter().for_each(|part| hasher.part(part));
        hasher.finish()
    }

    pub(super) const fn hasher(self) -> KeyedHasher {
        KeyedHasher { sip: Sip::new(self) }
    }
}

/// Parts that come one after another. A copy goes on from where it was taken.
#[derive(Clone, Debug)]
pub(super) struct KeyedHasher {
    sip: Sip<1, 3>,
}

impl KeyedHasher {
    pub(super) fn part(&mut self, part: &[u8]) {
        self.sip.write(&(part.len() as u64).to_le_bytes());
        self.sip.write(part);
    }

    pub(super) fn finish(self) -> u128 {
        self.sip.finish()
    }
}

/// `C` rounds for each word, `D` at the end. The rounds are parameters so that the tests can hold the 2-4 form to the
/// vectors that its authors published.
#[derive(Clone)]
struct Sip<const C: usize, const D: usize> {
    v: [u64; 4],
    /// Bytes that do not fill a word yet, the first one lowest.
    tail: u64,
    bytes: u64,
}

impl<const C: usize, const D: usize> fmt::Debug for Sip<C, D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sip")
    }
}

impl<const C: usize, const D: usize> Sip<C, D> {
    const fn new(HashKey(k0, k1): HashKey) -> Self {
        let v = [
            0x736f_6d65_7073_6575 ^ k0,
            0x646f_7261_6e64_6f6d ^ k1 ^ 0xee,
            0x6c79_6765_6e65_7261 ^ k0,
            0x7465_6462_7974_6573 ^ k1,
        ];
        Self { v, tail: 0, bytes: 0 }
    }

    fn write(&mut self, mut bytes: &[u8]) {
        while !self.bytes.is_multiple_of(8)
            && let [byte, rest @ ..] = bytes
        {
            self.byte(*byte);
            bytes = rest;
        }
        let (words, rest) = bytes.as_chunks::<8>();
        for word in words {
            self.word(u64::from_le_bytes(*word));
        }
        self.bytes = self.bytes.wrapping_add(8 * words.len() as u64);
        rest.iter().for_each(|byte| self.byte(*byte));
    }

    fn byte(&mut self, byte: u8) {
        self.tail |= u64::from(byte) << (8 * (self.bytes % 8));
        self.bytes = self.bytes.wrapping_add(1);
        if self.bytes.is_multiple_of(8) {
            let word = core::mem::take(&mut self.tail);
            self.word(word);
        }
    }

    fn word(&mut self, word: u64) {
        let [.., v3] = &mut self.v;
        *v3 ^= word;
        self.rounds(C);
        let [v0, ..] = &mut self.v;
        *v0 ^= word;
    }

    fn rounds(&mut self, n: usize) {
        let [mut a, mut b, mut c, mut d] = self.v;
        for _ in 0..n {
            a = a.wrapping_add(b);
            c = c.wrapping_add(d);
            b = b.rotate_left(13) ^ a;
            d = d.rotate_left(16) ^ c;
            a = a.rotate_left(32);
            c = c.wrapping_add(b);
            a = a.wrapping_add(d);
            b = b.rotate_left(17) ^ c;
            d = d.rotate_left(21) ^ a;
            c = c.rotate_left(32);
        }
        self.v = [a, b, c, d];
    }

    fn finish(mut self) -> u128 {
        let last = self.tail | self.bytes << 56;
        self.word(last);
        let [_, _, v2, _] = &mut self.v;
        *v2 ^= 0xee;
        self.rounds(D);
        let low = self.v.iter().fold(0, |all, v| all ^ v);
        let [_, v1, _, _] = &mut self.v;
        *v1 ^= 0xdd;
        self.rounds(D);
        let high = self.v.iter().fold(0, |all, v| all ^ v);
        u128::from(high) << 64 | u128::from(low)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The key of the published vectors: 00 01 02 … 0f.
    fn key() -> HashKey {
        HashKey::new(core::array::from_fn(|idx| idx as u8))
    }

    fn sip<const C: usize, const D: usize>(input: &[u8]) -> [u8; 16] {
        let mut sip = Sip::<C, D>::new(key());
        sip.write(input);
        sip.finish().to_le_bytes()
    }

    /// The first vectors of the reference implementation, for inputs 00 01 02 … of 0, 1, 2 bytes; its last one has 63.
    #[test]
    fn the_published_vectors_come_out() {
        let input: [u8; 63] = core::array::from_fn(|idx| idx as u8);
        let vector = |hex: &str| u128::from_str_radix(hex, 16).unwrap().to_be_bytes();
        assert_eq!(sip::<2, 4>(&[]), vector("a3817f04ba25a8e66df67214c7550293"));
        assert_eq!(sip::<2, 4>(&input[..1]), vector("da87c1d86b99af44347659119b22fc45"));
        assert_eq!(sip::<2, 4>(&input[..2]), vector("8177228da4a45dc7fca38bdef60affe4"));
        assert_eq!(sip::<2, 4>(&input), vector("5150d1772f50834a503e069a973fbd7c"));
    }

    #[test]
    fn how_bytes_come_in_does_not_matter() {
        let input: [u8; 63] = core::array::from_fn(|idx| idx as u8);
        for cut in 0..=input.len() {
            let mut sip = Sip::<1, 3>::new(key());
            sip.write(&input[..cut]);
            sip.write(&input[cut..]);
            let mut whole = Sip::<1, 3>::new(key());
            whole.write(&input);
            assert_eq!(sip.finish(), whole.finish(), "{cut}");
        }
    }

    #[test]
    fn lists_of_parts_are_told_apart() {
        let all = [
            key().of(&[b"ab", b"c"]),
            key().of(&[b"a", b"bc"]),
            key().of(&[b"abc"]),
            key().of(&[b"abc", b""]),
            HashKey::new([0; 16]).of(&[b"abc"]),
        ];
        for (idx, one) in all.iter().enumerate() {
            assert!(!all[..idx].contains(one));
        }
    }
}
