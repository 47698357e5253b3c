//! The shipped model as its users see it, held against what training said of the same texts; and the compact model's own
//! kernel against tract, on the same weights.
#![expect(clippy::unwrap_used, reason = "a test's panic is its report, also in the helpers that tests share")]
#![expect(clippy::indexing_slicing, reason = "an index that is not there fails the test, as it should")]

mod graph;
mod kernel;
mod opinions;

use std::sync::LazyLock;

use sentinel_deep::{BUILTIN, Model, Speaker};
use serde::Deserialize;

static MODEL: LazyLock<Model> = LazyLock::new(|| Model::open(BUILTIN).unwrap());

/// Texts of our own, written by `python -m train.deep_cases`: pieces by the tokenizer that the network was taught with, and
/// logits of the network in floats.
static CASES: LazyLock<Vec<Case>> = LazyLock::new(|| {
    include_str!("cases.jsonl").lines().map(|line| serde_json::from_str(line).unwrap()).collect()
});

#[derive(Deserialize)]
struct Case {
    text: String,
    speaker: String,
    windows: usize,
    logits: [f32; 4],
    ids: Vec<u32>,
}

impl Case {
    fn speaker(&self) -> Speaker {
        Speaker::ALL.into_iter().find(|speaker| speaker.name() == self.speaker).unwrap()
    }
}
