//! Base64 with the alphabet for URLs and without padding, as tokens are written. There is one text for any bytes: spare
//! bits, padding and the signs of the other alphabet are refused, so that a token cannot be changed and stay valid.

use sentinel_bundle::base64;

pub(crate) fn encode(bytes: &[u8]) -> String {
    let common = base64::encode(bytes);
    let signs = common.trim_end_matches('=').chars();
    signs
        .map(|sign| {
            if sign == '+' {
                '-'
            } else if sign == '/' {
                '_'
            } else {
                sign
            }
        })
        .collect()
}

pub(crate) fn decode(text: &str) -> Option<Vec<u8>> {
    let mut common = String::with_capacity(text.len() + 2);
    for sign in text.chars() {
        common.push(match sign {
            '-' => '+',
            '_' => '/',
            '+' | '/' | '=' => return None,
            other => other,
        });
    }
    while !common.len().is_multiple_of(4) {
        common.push('=');
    }
    base64::decode(&common)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// RFC 7515, appendix C.
    #[test]
    fn the_vector_of_the_rfc_goes_both_ways() {
        assert_eq!(encode(&[3, 236, 255, 224, 193]), "A-z_4ME");
        assert_eq!(decode("A-z_4ME"), Some(vec![3, 236, 255, 224, 193]));
    }

    #[test]
    fn another_writing_is_refused() {
        for text in ["A+z/4ME", "A-z_4ME=", "A-z_4MF", "A", "AAAAA", "A-z_4M E", "A-z_4Mé", "=", "Zg=="] {
            assert_eq!(decode(text), None, "{text:?}");
        }
        assert_eq!(decode(""), Some(Vec::new()));
    }

    proptest! {
        #[test]
        fn bytes_come_back(bytes in proptest::collection::vec(any::<u8>(), 0..100)) {
            prop_assert_eq!(decode(&encode(&bytes)), Some(bytes));
        }

        #[test]
        fn what_is_read_is_written_the_same(text in "[A-Za-z0-9_=+/-]{0,40}|.{0,40}") {
            if let Some(bytes) = decode(&text) {
                prop_assert_eq!(encode(&bytes), text);
            }
        }
    }
}
