//! Hashes of the tree as in RFC 6962: an entry and a pair of hashes are hashed with different first bytes, so that no
//! entry can pass for an inner node. In text a hash is 64 small hexadecimal digits, or base64 where C2SP asks for it.

use alloc::string::String;
use core::fmt;

use sentinel_bundle::base64;
use sha2::{Digest, Sha256};

pub(crate) const HASH_BYTES: usize = 32;
const LEAF: [u8; 1] = [0];
const NODE: [u8; 1] = [1];

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Hash(pub [u8; HASH_BYTES]);

/// The root of a tree without entries: SHA-256 of nothing.
pub const EMPTY_ROOT: Hash = Hash([
    0xe3, 0xb0, 0xc4, 0x42, 0x98, 0xfc, 0x1c, 0x14, 0x9a, 0xfb, 0xf4, 0xc8, 0x99, 0x6f, 0xb9, 0x24, 0x27,
    0xae, 0x41, 0xe4, 0x64, 0x9b, 0x93, 0x4c, 0xa4, 0x95, 0x99, 0x1b, 0x78, 0x52, 0xb8, 0x55,
]);

pub fn leaf_hash(entry: &[u8]) -> Hash {
    Hash(Sha256::new().chain_update(LEAF).chain_update(entry).finalize().into())
}

pub fn node_hash(left: &Hash, right: &Hash) -> Hash {
    Hash(Sha256::new().chain_update(NODE).chain_update(left.0).chain_update(right.0).finalize().into())
}

impl Hash {
    pub fn parse(hex: &str) -> Option<Self> {
        let mut hash = [0; HASH_BYTES];
        if hex.len() != 2 * hash.len() {
            return None;
        }
        for (byte, pair) in hash.iter_mut().zip(hex.as_bytes().chunks(2)) {
            *byte = pair.iter().try_fold(0, |byte, digit| Some(byte << 4 | value(*digit)?))?;
        }
        Some(Self(hash))
    }

    pub fn from_slice(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }

    pub fn from_base64(text: &str) -> Option<Self> {
        Self::from_slice(&base64::decode(text)?)
    }

    pub fn to_base64(&self) -> String {
        base64::encode(&self.0)
    }
}

/// Of a small hexadecimal digit.
pub(crate) const fn value(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    }
}

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
