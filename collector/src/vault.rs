//! What keeps stored content private: keys, sealed payloads, blinded words, sealed backups. Pure: no clock and no file,
//! and the system's chance only in [`entropy`].
//!
//! Four layers of keys, each with one task. A *key-encryption key* ([`Kek`]) comes from outside, wraps, and is never
//! stored. *Data keys* seal payloads: one per period, and one per period and subject. A *file key* seals one backup. The
//! *root* is wrapped like them and stays the same for ever: from it comes what has to give the same answer tomorrow, the
//! blinding of subjects and of words. All but the first lie in the database or in the file, wrapped.
//!
//! Invariant: whoever has the database without a key-encryption key reads no payload, and a payload whose data key was
//! destroyed is read by nobody. Invariant: a ciphertext opens only at the place that it was sealed for. Invariant: no
//! secret is shown by `Debug` or by an error, and all are wiped from memory when they are dropped.

mod aead;
mod blind;
mod bound;
mod data_key;
mod derive;
mod entropy;
mod kek;
mod keyring;
mod payload;
mod refused;
mod root;
mod seal;
mod secret;
mod stream;
#[cfg(test)]
mod tests;
mod words;
mod wrap;

pub(crate) use blind::{Blinder, SubjectTag};
pub(crate) use data_key::{DataKey, KeyId, Period, Scope};
pub(crate) use entropy::{Entropy, NoEntropy, Pooled, System};
pub(crate) use kek::{Kek, Ring};
pub(crate) use keyring::{Erasures, Held, KeyRow, KeyState, Keyring, Lookup, NotAdmitted};
pub(crate) use payload::{Commitment, Payload, Salt};
pub(crate) use refused::Refused;
pub(crate) use root::Root;
pub(crate) use seal::Place;
pub(crate) use secret::Nonce;
pub(crate) use stream::{Label, Opener, Sealer, StreamRefused, kek_of, rewrapped_header};
pub(crate) use wrap::Wrapped;
#[cfg(test)]
pub(crate) use {seal::PAYLOAD_BYTES_MAX, wrap::WRAPPED_BYTES};
