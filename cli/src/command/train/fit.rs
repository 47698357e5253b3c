//! Teaching stage 1: logistic regression over the windows of texts, from the weights that it has on.
//!
//! The label of a text is that of its most suspicious window. Weights are drawn back to where they began, so that what the
//! texts say nothing about stays what it was, and they keep the steps that they are stored in, so that a weight nobody
//! touched is the same to the bit.

use sentinel_core::FoldedText;
use sentinel_model::compact::{
    HEADS, Model, Speaker,
    artifact::{Artifact, CALIBRATION, CARD, NGRAMS, write},
    calibration::Scale,
    ngrams::{Common, Kind, Reader, Sink},
    pack::{self, NgramWeights},
    windows::{Block, windows},
};
use serde_json::{Value, json};

use super::rows::Row;
use crate::report::Fault;

#[derive(Clone, Copy, Debug)]
pub(super) struct Lesson {
    pub(super) epochs: u32,
}

/// Of the first step that a weight takes, in units of its logit.
const RATE: f32 = 0.08;

/// How strongly a weight is drawn back to where it began, at each step.
const PULL: f32 = 0.02;

/// The share of harmless texts that may be taken for attacks, where the model did better before.
const FALSE_ALARMS: f64 = 0.005;

/// One text in so many only says whether alarms became too many.
const TUNING: u64 = 4;

/// A window as the table sees it.
struct Window {
    rows: Vec<u32>,
    norm: f32,
}

struct Text {
    windows: Vec<Window>,
    speaker: Speaker,
    is_attack: bool,
}

struct Student {
    weights: NgramWeights,
    start: Vec<f32>,
    /// Sums of squared steps, by row.
    steps: Vec<f32>,
    scales: Vec<Scale>,
}

pub(super) fn teach(
    start: &'static [u8],
    rows: &[Row],
    lesson: Lesson,
    parent: &str,
) -> Result<Vec<u8>, Fault> {
    let fault = |e: &dyn std::fmt::Display| Fault::Input(format!("the model to begin with: {e}"));
    let model = Model::open(start).map_err(|e| fault(&e))?;
    let (Some(ngrams), Some(calibration)) = (&model.ngrams, &model.calibration) else {
        return Err(fault(&"it has no stage 1, or no calibration"));
    };
    let weights = ngrams.weights();
    let scales = Speaker::ALL.map(|speaker| calibration.scale(speaker)).to_vec();
    let common = Common::default();
    let texts: Vec<(u64, Text)> =
        rows.iter().map(|row| (row.key() / 7, Text::of(row, &weights, &common))).collect();
    let (tuning, taught): (Vec<_>, Vec<_>) = texts.into_iter().partition(|(key, _)| key % TUNING == 0);
    let tuning: Vec<Text> = tuning.into_iter().map(|(_, text)| text).collect();
    let taught: Vec<Text> = taught.into_iter().map(|(_, text)| text).collect();
    let mut student = Student::new(weights, scales);
    let before = student.false_alarms(&tuning);
    student.learn(&taught, lesson);
    student.calm(&tuning, &before);
    let card = card(model.card, parent, rows.len());
    let artifact = Artifact::open(start).map_err(|e| fault(&e))?;
    let sections: Vec<_> = artifact
        .sections()
        .map(|(tag, bytes)| match tag {
            CARD => (tag, card.clone().into_bytes()),
            NGRAMS => (tag, pack::ngrams(&student.weights)),
            CALIBRATION => (tag, pack::calibration(&student.scales)),
            _ => (tag, bytes.to_vec()),
        })
        .collect();
    write(&sections).map_err(|e| Fault::Internal(format!("writing the artefact: {e}")))
}

/// The card of the parent, with what was done to it.
fn card(parent_card: &str, parent: &str, rows: usize) -> String {
    let mut card: Value = serde_json::from_str(parent_card).unwrap_or_else(|_| json!({}));
    if let Some(card) = card.as_object_mut() {
        card.insert("adapted".into(), json!({ "parent": parent, "rows": rows }));
    }
    card.to_string()
}

impl Text {
    fn of(row: &Row, weights: &NgramWeights, common: &Common) -> Self {
        let folded = FoldedText::new(&row.text);
        let bytes = folded.text().as_bytes();
        let mut taken = Taken { mask: (1 << weights.bits) - 1, kinds: weights.kinds, ..Taken::default() };
        let mut reader = Reader::new(common);
        folded.for_each_word(|start, end| reader.word(bytes, start, end, &mut taken));
        reader.end(bytes, &mut taken);
        let window = |range: std::ops::Range<usize>| {
            let blocks = taken.blocks.get(range).unwrap_or_default();
            let words: u32 = blocks.iter().map(|(words, _)| words).sum();
            Window {
                rows: blocks.iter().flat_map(|(_, rows)| rows.iter().copied()).collect(),
                norm: weights.norm.get(words as usize).or(weights.norm.last()).copied().unwrap_or(1.0),
            }
        };
        Self {
            windows: windows(taken.blocks.len()).map(window).collect(),
            speaker: Speaker::from(row.channel),
            is_attack: row.is_attack,
        }
    }
}

/// The rows of the table that each block asks for.
#[derive(Default)]
struct Taken {
    mask: u32,
    kinds: u32,
    open: Vec<u32>,
    blocks: Vec<(u32, Vec<u32>)>,
}

impl Sink for Taken {
    fn feature(&mut self, kind: Kind, hash: u32) {
        if self.kinds >> kind as u32 & 1 == 1 {
            self.open.push(hash & self.mask);
        }
    }

    fn block(&mut self, block: Block) {
        self.blocks.push((block.words, std::mem::take(&mut self.open)));
    }
}

impl Student {
    fn new(weights: NgramWeights, scales: Vec<Scale>) -> Self {
        let start: Vec<f32> = weights.table.iter().step_by(HEADS).copied().collect();
        Self { steps: vec![0.0; start.len()], start, weights, scales }
    }

    fn scale(&self, speaker: Speaker) -> Scale {
        self.scales.get(speaker.index()).copied().unwrap_or_default()
    }

    /// The calibrated logit of a text, and the window that it is of.
    fn judge<'t>(&self, text: &'t Text) -> Option<(f32, &'t Window)> {
        let scale = self.scale(text.speaker).among(text.windows.len());
        let bias = self.weights.bias.get(text.speaker.index() * HEADS).copied().unwrap_or(0.0);
        let logit = |window: &Window| {
            let sum: f32 = window.rows.iter().map(|row| self.weight(*row)).sum();
            scale.first(bias + sum * window.norm)
        };
        let judged = text.windows.iter().map(|window| (logit(window), window));
        judged.max_by(|a, b| a.0.total_cmp(&b.0))
    }

    fn weight(&self, row: u32) -> f32 {
        self.weights.table.get(row as usize * HEADS).copied().unwrap_or(0.0)
    }

    fn learn(&mut self, texts: &[Text], lesson: Lesson) {
        let n_attacks = texts.iter().filter(|text| text.is_attack).count().max(1) as f32;
        let n = texts.len() as f32;
        let weight_of = |is_attack: bool| {
            if is_attack { n / (2.0 * n_attacks) } else { n / (2.0 * (n - n_attacks).max(1.0)) }
        };
        let mut order: Vec<usize> = (0..texts.len()).collect();
        let mut chance = 0x5e17_1e57_u64;
        for _ in 0..lesson.epochs {
            for at in (1..order.len()).rev() {
                chance =
                    chance.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                order.swap(at, (chance >> 33) as usize % (at + 1));
            }
            for text in order.iter().filter_map(|idx| texts.get(*idx)) {
                let Some((logit, window)) = self.judge(text) else { continue };
                let share = 1.0 / (1.0 + (-logit).exp());
                let wrong = share - f32::from(u8::from(text.is_attack));
                self.step(window, wrong * weight_of(text.is_attack));
            }
        }
    }

    /// Adagrad: what has moved much moves less.
    fn step(&mut self, window: &Window, wrong: f32) {
        let slope = wrong * window.norm.max(f32::MIN_POSITIVE);
        for row in &window.rows {
            let row = *row as usize;
            let (Some(steps), Some(start)) = (self.steps.get_mut(row), self.start.get(row)) else { continue };
            let Some(weight) = self.weights.table.get_mut(row * HEADS) else { continue };
            *steps += slope * slope;
            *weight -= RATE * slope / (steps.sqrt() + 1e-6) / (window.rows.len() as f32).sqrt();
            *weight -= PULL * (*weight - start) * wrong.abs();
        }
    }

    /// For each speaker, the share of harmless texts at or above the threshold.
    fn false_alarms(&self, texts: &[Text]) -> Vec<f64> {
        Speaker::ALL
            .iter()
            .map(|speaker| {
                let logits = self.harmless(texts, *speaker);
                let threshold = self.scale(*speaker).threshold;
                let n_alarms = logits.iter().filter(|logit| **logit >= threshold).count();
                n_alarms as f64 / logits.len().max(1) as f64
            })
            .collect()
    }

    /// Logits of harmless texts, falling.
    fn harmless(&self, texts: &[Text], speaker: Speaker) -> Vec<f32> {
        let texts = texts.iter().filter(|text| text.speaker == speaker && !text.is_attack);
        let mut logits: Vec<f32> =
            texts.filter_map(|text| self.judge(text)).map(|(logit, _)| logit).collect();
        logits.sort_by(|a, b| b.total_cmp(a));
        logits
    }

    /// Lowers the scores of a speaker whose harmless texts are taken for attacks more often than before, and too often.
    fn calm(&mut self, tuning: &[Text], before: &[f64]) {
        for (speaker, before) in Speaker::ALL.into_iter().zip(before) {
            let logits = self.harmless(tuning, speaker);
            let allowed = (before.max(FALSE_ALARMS) * logits.len() as f64) as usize;
            let Some(first_below) = logits.get(allowed) else { continue };
            let Some(scale) = self.scales.get_mut(speaker.index()) else { continue };
            let excess = first_below - (scale.threshold - 1e-3);
            if excess > 0.0 {
                scale.first_bias -= excess;
                scale.both_bias -= excess * scale.both_first / scale.first_slope.max(f32::MIN_POSITIVE);
            }
        }
    }
}
