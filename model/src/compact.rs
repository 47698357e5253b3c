//! The compact model: what a proxy carries of a trained model, and the arithmetic that reads a text with it.
//!
//! [`ngrams`] looks at every text: sums of small integers, one for each word and each part of a word. [`encoder`] looks
//! again at the windows that the first left open: a small transformer over [`tokens`]. [`calibration`] makes one number of
//! both. All of it is opened where it lies in an [`artifact`].
//!
//! Invariant: the same artefact and the same text give the same bits everywhere. Sums are of integers; what is not, is
//! added up in one fixed order, with functions of our own ([`float`]).

pub mod artifact;
mod bytes;
pub mod calibration;
#[cfg(feature = "pack")]
pub mod coarse;
pub mod encoder;
mod float;
mod lanes;
mod matrix;
mod model;
pub mod ngrams;
mod norm;
#[cfg(feature = "pack")]
pub mod pack;
mod softmax;
mod speaker;
pub mod tokens;
pub mod windows;

pub use artifact::ArtifactError;
pub use model::Model;
pub use speaker::Speaker;

/// What a window is scored for.
pub const HEADS: usize = 4;

/// The heads in order.
pub const HEAD_NAMES: [&str; HEADS] = ["attack", "injection", "jailbreak", "leak"];
