//! Addresses of wallets. Bitcoin's carry checksums (base58check, bech32, bech32m), Ethereum's in the case of their
//! letters; what has none needs to be called a wallet.

use sha2::{Digest, Sha256};

use super::{
    Candidate, Entity, Evidence, Scan, Token,
    context::{CRYPTO, SOLANA},
    keccak::keccak_256_head,
};
use crate::detect::Budget;

/// What a hash costs, beside which comparing words is nothing.
const HASH_WORK: u32 = 32;

/// The fewest characters of any address.
const LEN_MIN: usize = 26;

pub(super) fn offer(scan: &mut Scan<'_>, token: Token) {
    let Token { start, end, .. } = token;
    if end - start < LEN_MIN || !scan.text.stands_alone(start, end) {
        return;
    }
    let (folded, cased) = (scan.text.range(start, end), scan.cased.range(start, end));
    let offer =
        |scan: &mut Scan<'_>, entity, evidence| scan.offer(Candidate::new(entity, start, end, evidence));
    if is_base58check(cased, scan.budget) || is_segwit(folded, cased) {
        offer(scan, Entity::Btc, Evidence::Checksum);
    } else if is_ethereum(folded, cased, scan.budget) {
        offer(scan, Entity::Eth, Evidence::Checksum);
    } else {
        let is_solana = (32..=44).contains(&cased.len()) && cased.iter().all(|c| base58_value(*c).is_some());
        let looks_so = looks_like_bitcoin(folded);
        if (is_solana && !is_hex(folded) && scan.says(start, end, SOLANA))
            || (looks_so && scan.says(start, end, CRYPTO))
        {
            offer(scan, Entity::Wallet, Evidence::Context);
        }
    }
}

fn is_hex(text: &[u8]) -> bool {
    text.iter().all(u8::is_ascii_hexdigit)
}

/// Where the case of the letters is lost there is no checksum left, and a typing error leaves the form.
fn looks_like_bitcoin(folded: &[u8]) -> bool {
    let is_legacy =
        matches!(folded, [b'1' | b'3', ..]) && (26..=35).contains(&folded.len()) && !is_hex(folded);
    is_legacy || (folded.starts_with(b"bc1") && (32..=62).contains(&folded.len()))
}

/// `0x` and forty hexadecimal digits. In mixed case, capitals stand where the hash says so.
fn is_ethereum(folded: &[u8], cased: &[u8], budget: &mut Budget) -> bool {
    const DIGITS: usize = 40;
    let Some(digits) = folded.strip_prefix(b"0x").filter(|digits| digits.len() == DIGITS && is_hex(digits))
    else {
        return false;
    };
    let cased = cased.get(2..).unwrap_or_default();
    let has = |is: fn(&u8) -> bool| cased.iter().any(is);
    if !(has(u8::is_ascii_uppercase) && has(u8::is_ascii_lowercase)) {
        return digits.iter().any(|digit| Some(digit) != digits.first());
    }
    if !budget.spend(2 * HASH_WORK) {
        return false;
    }
    let hash = keccak_256_head(digits);
    let nibbles = hash.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    cased.iter().zip(nibbles).all(|(c, nibble)| c.is_ascii_digit() || c.is_ascii_uppercase() == (nibble > 7))
}

fn base58_value(c: u8) -> Option<u32> {
    const NONE: u8 = u8::MAX;
    const VALUES: [u8; 128] = {
        let alphabet = b"123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";
        let mut values = [NONE; 128];
        let mut value = 0;
        while value < alphabet.len() {
            #[expect(clippy::indexing_slicing, reason = "evaluated by the compiler, within bounds")]
            {
                values[alphabet[value] as usize] = value as u8;
            }
            value += 1;
        }
        values
    };
    VALUES.get(usize::from(c)).filter(|value| **value != NONE).map(|value| u32::from(*value))
}

/// One byte of version, twenty of hash, four of checksum.
fn is_base58check(cased: &[u8], budget: &mut Budget) -> bool {
    const BYTES: usize = 25;
    const LIMBS: usize = BYTES.div_ceil(4);
    if !(26..=35).contains(&cased.len()) || !matches!(cased, [b'1' | b'3', ..]) {
        return false;
    }
    // The number in limbs of 32 bits, the lowest first.
    let mut limbs = [0_u32; LIMBS];
    for c in cased {
        let Some(value) = base58_value(*c) else { return false };
        let mut carry = u64::from(value);
        for limb in &mut limbs {
            carry += u64::from(*limb) * 58;
            *limb = carry as u32;
            carry >>= 32;
        }
        if carry != 0 {
            return false;
        }
    }
    let mut bytes = [0_u8; LIMBS * 4];
    for (slot, byte) in bytes.iter_mut().zip(limbs.iter().rev().flat_map(|limb| limb.to_be_bytes())) {
        *slot = byte;
    }
    let (above, number) = bytes.split_at(LIMBS * 4 - BYTES);
    let (payload, checksum) = number.split_at(BYTES - 4);
    let fits = above.iter().all(|byte| *byte == 0) && budget.spend(2 * HASH_WORK);
    fits && Sha256::digest(Sha256::digest(payload)).starts_with(checksum)
}

/// Bech32 for the first version of witness programs, bech32m for the later ones.
fn is_segwit(folded: &[u8], cased: &[u8]) -> bool {
    const ALPHABET: &[u8] = b"qpzry9x8gf2tvdw0s3jn54khce6mua7l";
    const BECH32: u32 = 1;
    const BECH32M: u32 = 0x2bc8_30a3;
    let Some(data) = folded.strip_prefix(b"bc1").or_else(|| folded.strip_prefix(b"tb1")) else {
        return false;
    };
    let is_mixed = cased.iter().any(u8::is_ascii_uppercase) && cased.iter().any(u8::is_ascii_lowercase);
    let Some(version) = data.first().filter(|_| !is_mixed && (11..=87).contains(&data.len())) else {
        return false;
    };
    let prefix = [
        3,
        3,
        0,
        folded.first().map_or(0, |c| u32::from(c & 31)),
        folded.get(1).map_or(0, |c| u32::from(c & 31)),
    ];
    let mut sum = prefix.into_iter().fold(1, bech32_step);
    for c in data {
        let Some(value) = ALPHABET.iter().position(|known| known == c) else { return false };
        sum = bech32_step(sum, value as u32);
    }
    sum == if *version == b'q' { BECH32 } else { BECH32M }
}

fn bech32_step(sum: u32, value: u32) -> u32 {
    const GENERATOR: [u32; 5] = [0x3b6a_57b2, 0x2650_8e6d, 0x1ea1_19fa, 0x3d42_33dd, 0x2a14_62b3];
    let top = sum >> 25;
    let shifted = (sum & 0x01ff_ffff) << 5 ^ value;
    GENERATOR
        .iter()
        .enumerate()
        .filter(|(bit, _)| top >> bit & 1 == 1)
        .fold(shifted, |sum, (_, mask)| sum ^ mask)
}
