//! Base58 with Bitcoin's alphabet, for values of a known length: 32 bytes of an address, 64 of a signature.
//!
//! There is one text for any value and one value for any text that is read, so an address cannot go by two names.

/// The number that a text stands for, if it has exactly `N` bytes.
pub(crate) fn decode<const N: usize>(text: &str) -> Option<[u8; N]> {
    // More signs than the greatest value has would be leading ones beyond its bytes. The bound also keeps the work small.
    if text.len() > signs_max(N) {
        return None;
    }
    let mut bytes = [0; N];
    for sign in text.bytes() {
        let mut carry = ALPHABET.iter().position(|known| *known == sign)?;
        for byte in bytes.iter_mut().rev() {
            carry += usize::from(*byte) * 58;
            *byte = carry as u8;
            carry >>= 8;
        }
        if carry != 0 {
            return None;
        }
    }
    // Each leading zero byte is a leading one, no more and no fewer.
    let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
    let ones = text.bytes().take_while(|sign| *sign == b'1').count();
    (zeros == ones).then_some(bytes)
}

pub(crate) fn encode<const N: usize>(bytes: &[u8; N]) -> String {
    let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
    // The least sign first.
    let mut digits: Vec<u8> = Vec::with_capacity(signs_max(N));
    for byte in bytes.iter().skip(zeros) {
        let mut carry = usize::from(*byte);
        for digit in &mut digits {
            carry += usize::from(*digit) << 8;
            *digit = (carry % 58) as u8;
            carry /= 58;
        }
        while carry > 0 {
            digits.push((carry % 58) as u8);
            carry /= 58;
        }
    }
    let signs = digits.iter().rev().filter_map(|digit| ALPHABET.get(usize::from(*digit)));
    std::iter::repeat_n(&b'1', zeros).chain(signs).map(|sign| char::from(*sign)).collect()
}

/// 8 / log2(58) is less than 1.3658.
const fn signs_max(n_bytes: usize) -> usize {
    (n_bytes * 13_658).div_ceil(10_000)
}

const ALPHABET: &[u8; 58] = b"123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The examples of draft-msporny-base58-03.
    #[test]
    fn the_examples_of_the_draft_go_both_ways() {
        assert_eq!(encode(b"Hello World!"), "2NEpo7TZRRrLZSi2U");
        assert_eq!(decode("2NEpo7TZRRrLZSi2U"), Some(*b"Hello World!"));
        let fox = *b"The quick brown fox jumps over the lazy dog.";
        let text = "USm3fpXnKG5EUBx2ndxBDMPVciP5hGey2Jh4NDv6gmeo1LkMeiKrLJUUBk6Z";
        assert_eq!((encode(&fox).as_str(), decode(text)), (text, Some(fox)));
        let zeros = [0, 0, 0x28, 0x7f, 0xb4, 0xcd];
        assert_eq!((encode(&zeros).as_str(), decode("11233QC4")), ("11233QC4", Some(zeros)));
    }

    /// Two programs of Solana: the system's, and the one for tokens.
    #[test]
    fn addresses_that_everybody_knows() {
        assert_eq!(encode(&[0; 32]), "1".repeat(32));
        assert_eq!(decode(&"1".repeat(32)), Some([0; 32]));
        let bytes: [u8; 32] = decode("TokenkegQfeZyiNwAJbNbGKPFXCWuBvf9Ss623VQ5DA").unwrap();
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, "06ddf6e1d765a193d9cbe146ceeb79ac1cb485ed5f5b37913a8cf5857eff00a9");
    }

    #[test]
    fn another_length_or_writing_is_refused() {
        let address = "TokenkegQfeZyiNwAJbNbGKPFXCWuBvf9Ss623VQ5DA";
        for text in [
            String::new(),
            "1".repeat(31),
            "1".repeat(33),
            format!("1{address}"),
            format!(" {address}"),
            format!("{address}1"),
            address.replace('k', "0"),
            address.replace('k', "O"),
            address.replace('k', "I"),
            address.replace('k', "l"),
            address.replace('k', "é"),
            "z".repeat(44),
            "z".repeat(1 << 20),
        ] {
            assert_eq!(decode::<32>(&text), None, "{:?}", text.get(..60));
        }
        assert_eq!(decode::<64>(address), None);
    }

    #[test]
    fn the_greatest_values_fit() {
        assert_eq!(decode(&encode(&[255; 32])), Some([255; 32]));
        assert_eq!(decode(&encode(&[255; 64])), Some([255; 64]));
        assert_eq!((encode(&[255; 32]).len(), signs_max(32)), (44, 44));
        assert_eq!((encode(&[255; 64]).len(), signs_max(64)), (88, 88));
    }

    proptest! {
        #[test]
        fn bytes_come_back(mut bytes in any::<[u8; 32]>(), zeros in 0usize..=32) {
            bytes.iter_mut().take(zeros).for_each(|byte| *byte = 0);
            prop_assert_eq!(decode(&encode(&bytes)), Some(bytes));
        }

        #[test]
        fn what_is_read_is_written_the_same(text in "[1-9A-HJ-NP-Za-km-z]{30,46}|[1Az]{0,48}|.{0,50}") {
            if let Some(bytes) = decode::<32>(&text) {
                prop_assert_eq!(encode(&bytes), text);
            }
        }
    }
}
