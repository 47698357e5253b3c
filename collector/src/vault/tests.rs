//! What the vault promises, from outside its files. Chance is an argument, so every test can be repeated.

mod blinding;
mod data_keys;
mod entropies;
mod files;
mod formats;
mod keks;
mod keyrings;
mod payloads;
mod published;
mod speed;

use sha2::{Digest, Sha256};

use super::*;

/// Bytes that are different each time and the same for a seed.
#[derive(Clone, Debug)]
struct Seeded {
    seed: u64,
    drawn: u64,
}

fn seeded(seed: u64) -> Seeded {
    Seeded { seed, drawn: 0 }
}

impl Entropy for Seeded {
    fn fill(&mut self, bytes: &mut [u8]) -> Result<(), NoEntropy> {
        for part in bytes.chunks_mut(32) {
            let hash =
                Sha256::new().chain_update(self.seed.to_be_bytes()).chain_update(self.drawn.to_be_bytes());
            part.iter_mut().zip(hash.finalize()).for_each(|(byte, drawn)| *byte = drawn);
            self.drawn += 1;
        }
        Ok(())
    }
}

/// A system without chance.
struct Dry;

impl Entropy for Dry {
    fn fill(&mut self, _: &mut [u8]) -> Result<(), NoEntropy> {
        Err(NoEntropy)
    }
}

fn nonce(from: &mut Seeded) -> Nonce {
    Nonce::fresh(from).unwrap()
}

fn ring(seed: u64) -> Ring {
    Ring::of(Kek::fresh(&mut seeded(seed)).unwrap())
}

/// Keys of several rings in one, in this order.
fn joined(rings: &[&Ring]) -> Ring {
    let lines: Vec<String> = rings.iter().map(|ring| ring.first().to_text().to_string()).collect();
    Ring::parse(&lines.join("\n")).unwrap()
}

const TAG: SubjectTag = SubjectTag([0x5a; 16]);

fn scope(subject: Option<SubjectTag>) -> Scope {
    Scope { period: Period(1_699_920_000_000), subject }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Vec<u8> {
    text.as_bytes()
        .chunks(2)
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
        .collect()
}

/// The same bytes with one bit the other way.
fn flipped(bytes: &[u8], bit: usize) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    let n = bytes.len();
    bytes[bit / 8 % n] ^= 1 << (bit % 8);
    bytes
}
