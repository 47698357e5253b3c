//! Artefacts that the detection core carries: rule packs, and the compact model.
//!
//! A pack is written as YAML in `model/patterns/`, checked and turned into one JSON artefact by the build
//! script, and read back here. The same artefact form can travel in a policy bundle, so nothing in this
//! crate depends on where a pack came from.
//!
//! Invariant: no host, no clock, no file. `#![no_std]` keeps those out of reach.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

mod channel;
pub mod compact;
mod family;
pub mod fold;
mod invisible;
pub mod pack;
pub mod phrase;
pub mod rarity;
#[cfg(feature = "source")]
pub mod source;

pub use channel::{Channel, ChannelSet};
pub use family::Family;
pub use pack::{Pack, PackError, Rule};

/// The packs built into this version: what [`Pack::read_all`] reads, compressed with zlib.
pub const BUILTIN_PACKS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/packs.zlib"));

/// The model built into this version: what [`compact::Model::open`] opens.
pub const BUILTIN_MODEL: &[u8] = include_bytes!("../artifacts/compact.smdl");

#[cfg(feature = "source")]
include!(concat!(env!("OUT_DIR"), "/sources.rs"));
