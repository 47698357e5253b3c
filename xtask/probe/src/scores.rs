//! What the model that is built in makes of texts: every window of them, both stages, bit for bit; and what it costs to judge
//! them as a proxy does.

use std::{hint::black_box, sync::Arc, time::Instant};

use sentinel_core::{Channel, CompactModel, Engine, Look, PatternSet, policy::Policy};
use serde::{Deserialize, Serialize};

use crate::mix;

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Text {
    pub channel: Channel,
    pub text: String,
    /// Harmless texts are what a proxy sees all day; what they cost is what counts.
    pub is_harmless: bool,
}

/// What one text came to.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Digest {
    pub windows: u32,
    /// All bits of all scores, mixed into one number.
    pub bits: u64,
    /// What it took, if it is harmless.
    pub cost: Option<Cost>,
}

/// Microseconds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Cost {
    /// Stage 1, and stage 2 where a proxy asks it.
    pub model: f64,
    /// The same with all rules and recognisers.
    pub all: f64,
}

/// `texts` is JSON; one digest for each of them, and none if they or the model cannot be read.
pub fn measure(texts: &str) -> Vec<Digest> {
    let (Ok(texts), Ok(model)) = (serde_json::from_str::<Vec<Text>>(texts), CompactModel::builtin()) else {
        return Vec::new();
    };
    let model = Arc::new(model);
    let Some(engine) = engine(Arc::clone(&model)) else { return Vec::new() };
    texts.iter().map(|text| digest(&model, &engine, text)).collect()
}

fn engine(model: Arc<CompactModel>) -> Option<Engine> {
    let engine = Engine::new(Policy::default(), Arc::new(PatternSet::builtin().ok()?)).ok()?;
    Some(engine.with_model(model))
}

fn digest(model: &CompactModel, engine: &Engine, text: &Text) -> Digest {
    let Text { channel, text, is_harmless } = text;
    let scores = model.scores(*channel, text, Look::All);
    let bits = scores.iter().fold(0, |bits, score| {
        let both = score.both.map_or(u32::MAX, f32::to_bits);
        [score.start, score.end, score.first.to_bits(), both].into_iter().fold(bits, mix)
    });
    let cost = is_harmless.then(|| Cost {
        model: micros(|| model.scores(*channel, text, Look::Open)),
        all: micros(|| engine.judge("default", *channel, text)),
    });
    Digest { windows: scores.len() as u32, bits, cost }
}

/// The better of two.
fn micros<T>(work: impl Fn() -> T) -> f64 {
    let once = || {
        let start = Instant::now();
        black_box(work());
        start.elapsed().as_secs_f64() * 1e6
    };
    once().min(once())
}
