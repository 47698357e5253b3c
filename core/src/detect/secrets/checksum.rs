//! Tokens that carry a checksum of themselves: CRC32, written in base62.

use super::chars::slice;

const CHECKSUM_LEN: usize = 6;

/// Whether the last six letters and digits of a token's body are the checksum of those before, as tokens of GitHub
/// and npm have it.
pub(super) fn is_proven(body: &[u8]) -> bool {
    let Some(split) = body.len().checked_sub(CHECKSUM_LEN) else { return false };
    let entropy = slice(body, 0, split);
    base62(crc32fast::hash(entropy)) == slice(body, split, body.len())
}

fn base62(mut value: u32) -> [u8; CHECKSUM_LEN] {
    const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let mut out = [b'0'; CHECKSUM_LEN];
    for slot in out.iter_mut().rev() {
        *slot = DIGITS.get((value % 62) as usize).copied().unwrap_or(b'0');
        value /= 62;
    }
    out
}

#[cfg(test)]
pub(super) fn with_checksum(entropy: &str) -> alloc::string::String {
    let checksum = base62(crc32fast::hash(entropy.as_bytes()));
    alloc::format!("{entropy}{}", core::str::from_utf8(&checksum).unwrap())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_wrong_letter_proves_nothing() {
        let good = with_checksum("aB3dE6gH9jK2mN5pQ8sT1vW4yZ7bC0");
        assert!(is_proven(good.as_bytes()));
        assert!(!is_proven(good.replace('Q', "R").as_bytes()));
        assert!(!is_proven(b"abc"));
    }
}
