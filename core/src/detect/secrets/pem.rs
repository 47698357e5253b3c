//! Private keys in their armour: `-----BEGIN … PRIVATE KEY-----` up to the end of the block.
//!
//! Bounded work: a block is read to the next dashes, however it goes on there.

use super::{
    chars::{Set, byte_at, byte_before, contains, contains_folded, slice},
    jwt::decode64,
    random::Letters,
    token::Seen,
};

const BEGIN: &[u8] = b"-----begin ";
const DASHES: &[u8] = b"-----";
/// `ENCRYPTED PRIVATE KEY` and the like.
const LABEL_MAX: usize = 40;
/// A key of 8192 bits takes 6.3 KiB.
const BLOCK_MAX: usize = 8 * 1024;
/// A stream does not wait for more than this.
pub(super) const OPEN_MAX: usize = 4 * 1024;
/// The shortest key, of an elliptic curve, has more letters; a sample has dots.
const KEY_MIN: usize = 40;

/// Reads the block whose dashes begin at `at`. What follows is told from what was before: a block that breaks off
/// is a key as far as it goes.
pub(super) fn read(text: &[u8], cased: &[u8], at: usize) -> Seen {
    let head = slice(text, at, at + BEGIN.len());
    if head != BEGIN {
        let is_start = at + head.len() == text.len() && BEGIN.starts_with(head);
        return if is_start { Seen::Open } else { Seen::Nothing };
    }
    let label = at + BEGIN.len();
    let Some(label_len) = find_dashes(text, label, LABEL_MAX) else {
        return if text.len() < label + LABEL_MAX { Seen::Open } else { Seen::Nothing };
    };
    if !contains(slice(text, label, label + label_len), b"private key") {
        return Seen::Nothing;
    }
    let body = label + label_len + DASHES.len();
    let block = find_dashes(text, body, BLOCK_MAX);
    let body_end = block.map_or_else(|| body + encoded_len(text, body), |len| body + len);
    let is_cut = body_end == text.len() && text.len() - at < OPEN_MAX;
    if !is_key(slice(cased, body, body_end)) {
        return if is_cut { Seen::Open } else { Seen::Nothing };
    }
    let footer = body_end + DASHES.len();
    match slice(text, footer, footer + 4) == b"end " {
        true => {
            let label_end = find_dashes(text, footer, LABEL_MAX).map(|len| footer + len + DASHES.len());
            Seen::Token(label_end.unwrap_or(footer + 3))
        }
        false => Seen::Token(body_end),
    }
}

/// Where a block has begun that the end of the text cuts off.
pub(super) fn open(text: &[u8]) -> Option<usize> {
    let from = text.len().saturating_sub(OPEN_MAX);
    let tail = slice(text, from, text.len());
    let n_dashes = tail.iter().rev().take_while(|b| **b == b'-').count();
    let before = tail.len() - n_dashes;
    let begins = n_dashes > 0 && n_dashes <= DASHES.len() && byte_before(tail, before) <= b' ';
    // The last one that begins: whatever came before has ended.
    let last = tail.windows(BEGIN.len()).rposition(|window| window == BEGIN).filter(|at| {
        let block = slice(tail, *at, tail.len());
        !contains(block, b"-----end ") && (block.len() < LABEL_MAX || contains(block, b"private key"))
    });
    last.or(begins.then_some(before)).map(|at| from + at)
}

/// Base64 of a block, as configurations and manifests carry keys.
pub(super) fn is_encoded_key(text: &[u8]) -> bool {
    let mut decoded = [0_u8; BEGIN.len() + LABEL_MAX];
    let len = decode64(text, &mut decoded);
    contains_folded(slice(&decoded, 0, len), b"private key")
}

/// How far away the next dashes are.
fn find_dashes(text: &[u8], at: usize, max: usize) -> Option<usize> {
    let rest = slice(text, at, at + max + DASHES.len());
    rest.windows(DASHES.len()).position(|window| window == DASHES)
}

/// How long the lines of base64 go on where no end was found.
fn encoded_len(text: &[u8], at: usize) -> usize {
    let is_line = |byte: &u8| Set::BASE64.has(*byte) || byte.is_ascii_whitespace() || *byte == b'\\';
    let rest = slice(text, at, at + BLOCK_MAX);
    let len = rest.iter().take_while(|b| is_line(b)).count();
    len - rest.get(..len).unwrap_or_default().iter().rev().take_while(|b| b.is_ascii_whitespace()).count()
}

fn is_key(body: &[u8]) -> bool {
    // The first lines tell, behind what an encrypted key says about itself.
    const LOOKED_AT: usize = 512;
    let body = slice(body, 0, LOOKED_AT);
    let n_encoded = body.iter().filter(|b| Set::ALNUM.has(**b)).count();
    let letters = Letters::of(body);
    n_encoded >= KEY_MIN && letters.distinct > 12 && !contains(body, b"....") && byte_at(body, 0) != b'`'
}

#[cfg(test)]
mod tests {
    use alloc::{format, string::String};

    use super::*;

    fn block(label: &str, body: &str) -> String {
        let dashes = "-".repeat(5);
        format!("{dashes}BEGIN {label}{dashes}\n{body}\n{dashes}END {label}{dashes}")
    }

    #[track_caller]
    fn check(text: &str, expected: Seen) {
        assert_eq!(read(text.to_ascii_lowercase().as_bytes(), text.as_bytes(), 0), expected, "{text}");
    }

    const BODY: &str = "MIIBfakefakeQ7xW2kLm9Vb4Tz8Rp1Nc6Yd3Hg5Js0\nAa2Bb4Cc6Dd8Ee1Ff3Gg5Hh7";

    #[test]
    fn whole_blocks_are_keys() {
        for label in ["PRIVATE KEY", "RSA PRIVATE KEY", "OPENSSH PRIVATE KEY", "PGP PRIVATE KEY BLOCK"] {
            let text = block(label, BODY);
            check(&text, Seen::Token(text.len()));
            check(&format!("{text}\nand more"), Seen::Token(text.len()));
        }
    }

    #[test]
    fn public_parts_and_samples_are_not() {
        check(&block("CERTIFICATE", BODY), Seen::Nothing);
        check(&block("PUBLIC KEY", BODY), Seen::Nothing);
        check(&block("PRIVATE KEY", "..."), Seen::Nothing);
        check(&block("PRIVATE KEY", &"x".repeat(64)), Seen::Nothing);
    }

    #[test]
    fn a_block_that_breaks_off_is_a_key_as_far_as_it_goes() {
        let text = block("PRIVATE KEY", BODY);
        let cut = text.split("\n-----END").next().unwrap();
        check(cut, Seen::Token(cut.len()));
        check(&format!("{cut}\n\n\"more\""), Seen::Token(cut.len()));
        check("-----BEG", Seen::Open);
        check("-----BEGIN PRIVATE KEY-----\nMII", Seen::Open);
    }
}
