//! JSON web tokens: three parts in base64url, of which the first is a JSON object that names an algorithm.

use super::chars::{contains, slice};

/// So much of a header is decoded: its members come in any order, and keys and thumbprints may stand before.
const HEADER_MAX: usize = 1024;

pub(super) fn has_algorithm(token: &[u8]) -> bool {
    let header = token.split(|b| *b == b'.').next().unwrap_or_default();
    let mut decoded = [0_u8; HEADER_MAX];
    let len = decode64(header, &mut decoded);
    let decoded = slice(&decoded, 0, len);
    decoded.starts_with(b"{") && contains(decoded, b"\"alg\"")
}

/// Decodes as much as there is room for, and stops at what is not base64 of either alphabet.
pub(super) fn decode64(text: &[u8], out: &mut [u8]) -> usize {
    let mut len = 0;
    let (mut bits, mut n_bits) = (0_u32, 0);
    for &byte in text {
        let Some(value) = value64(byte) else { break };
        bits = bits << 6 | value;
        n_bits += 6;
        if n_bits >= 8 {
            n_bits -= 8;
            let Some(slot) = out.get_mut(len) else { break };
            *slot = (bits >> n_bits) as u8;
            len += 1;
        }
    }
    len
}

fn value64(byte: u8) -> Option<u32> {
    let value = match byte {
        b'A'..=b'Z' => byte - b'A',
        b'a'..=b'z' => byte - b'a' + 26,
        b'0'..=b'9' => byte - b'0' + 52,
        b'+' | b'-' => 62,
        b'/' | b'_' => 63,
        _ => return None,
    };
    Some(u32::from(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_names_an_algorithm() {
        assert!(has_algorithm(b"eyJhbGciOiJIUzI1NiJ9.e30.x"));
        assert!(!has_algorithm(b"eyJ0eXAiOiAiVENWMiJ9.e30.x"));
    }
}
