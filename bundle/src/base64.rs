//! Base64 with the common alphabet and padding. There is one text for any bytes: what is written another way is refused,
//! so that a key or a bundle cannot go by two names.

use alloc::{string::String, vec::Vec};

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

pub fn encode(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for group in bytes.chunks(3) {
        let bits = group.iter().fold(0, |bits, byte| bits << 8 | u32::from(*byte)) << (8 * (3 - group.len()));
        for (idx, shift) in [18, 12, 6, 0].into_iter().enumerate() {
            let sign = ALPHABET.get((bits >> shift & 63) as usize).filter(|_| idx <= group.len());
            text.push(sign.map_or('=', |sign| char::from(*sign)));
        }
    }
    text
}

pub fn decode(text: &str) -> Option<Vec<u8>> {
    if !text.len().is_multiple_of(4) {
        return None;
    }
    let signs = text.strip_suffix("==").or_else(|| text.strip_suffix('=')).unwrap_or(text);
    let mut bytes = Vec::with_capacity(text.len() / 4 * 3);
    for group in signs.as_bytes().chunks(4) {
        let bits = group.iter().try_fold(0u32, |bits, sign| Some(bits << 6 | value(*sign)?))?;
        let n_bytes = group.len() * 6 / 8;
        let spare = group.len() * 6 - n_bytes * 8;
        if bits & ((1 << spare) - 1) != 0 {
            return None;
        }
        bytes.extend((bits >> spare).to_be_bytes().iter().skip(4 - n_bytes));
    }
    Some(bytes)
}

const fn value(sign: u8) -> Option<u32> {
    let value = match sign {
        b'A'..=b'Z' => sign - b'A',
        b'a'..=b'z' => sign - b'a' + 26,
        b'0'..=b'9' => sign - b'0' + 52,
        b'+' => 62,
        b'/' => 63,
        _ => return None,
    };
    Some(value as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_vectors_of_rfc_4648_go_both_ways() {
        for (bytes, text) in [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
            ("fooba", "Zm9vYmE="),
            ("foobar", "Zm9vYmFy"),
        ] {
            assert_eq!(encode(bytes.as_bytes()), text);
            assert_eq!(decode(text).as_deref(), Some(bytes.as_bytes()));
        }
    }

    #[test]
    fn what_is_written_another_way_is_refused() {
        for text in [
            "Zg", "Zg=", "Zg===", "Zh==", "Zm9=", "Z===", "====", "Zm 9v", "Zm9v\n", "Zm-v", "Z=9v",
            "Zg==Zg==",
        ] {
            assert_eq!(decode(text), None, "{text:?}");
        }
    }
}
