//! How long the compact model takes, with weights of chance: what it costs does not depend on what it learnt. The same rows
//! carry a digest of every bit that came out, so that two builds can be told apart.

use std::{hint::black_box, time::Instant};

use sentinel_core::FoldedText;
use sentinel_model::compact::{
    HEADS, Model, Speaker,
    encoder::Scratch,
    ngrams::Adder,
    pack::{Shape, by_chance},
};
use serde::{Deserialize, Serialize};

use crate::judge::{log_lines, prose};

const ROUNDS: usize = 400;
const BITS: u32 = 18;

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Row {
    pub what: String,
    /// Microseconds.
    pub median: f64,
    pub least: f64,
    /// The longest step at a time, where there are several.
    pub longest_step: f64,
    /// All bits that came out, mixed into one number.
    pub digest: u64,
}

pub fn measure() -> Vec<Row> {
    let mut rows = Vec::new();
    for ffn in [256, 384] {
        let ids = sentinel_model::compact::tokens::PIECES as usize + PIECES.len();
        let bytes = by_chance(Shape { width: 128, layers: 2, heads: 4, ffn, ids }, BITS, &PIECES);
        let Ok(model) = Model::open(&bytes) else { return rows };
        if rows.is_empty() {
            rows.push(timed("open an artefact", || {
                Model::open(black_box(&bytes)).map_or(0, |m| m.card.len() as u64)
            }));
            rows.extend(texts().into_iter().filter_map(|(name, text)| first_stage(&model, name, &text)));
        }
        rows.extend([32, 64, 128].into_iter().filter_map(|tokens| second_stage(&model, ffn, tokens)));
    }
    rows
}

/// A few pieces, so that texts are cut into some and into bytes.
const PIECES: [&str; 12] =
    ["the", "##ing", "##s", "and", "of", "re", "##port", "to", "in", "count", "##er", "with"];

fn texts() -> Vec<(&'static str, String)> {
    let cut = |mut text: String| {
        text.truncate(text.floor_char_boundary(4096));
        text
    };
    vec![
        ("stage 1, prose 4 KB", cut(prose(4096))),
        ("stage 1, log lines 4 KB", cut(log_lines(4096))),
        ("stage 1, code 4 KB", cut(crate::judge::CODE.repeat(20))),
        ("stage 1, Chinese 4 KB", cut(crate::judge::CHINESE.repeat(60))),
        ("stage 1, Russian 4 KB", cut(crate::judge::RUSSIAN.repeat(60))),
        ("stage 1, signs 4 KB", cut("a.".repeat(2048))),
        ("stage 1, one word 4 KB", cut("abcdefgh".repeat(512))),
    ]
}

fn first_stage(model: &Model<'_>, name: &str, text: &str) -> Option<Row> {
    let ngrams = model.ngrams.as_ref()?;
    let folded = FoldedText::new(text);
    let mut adder = Adder::new(ngrams);
    Some(timed(name, || {
        let text = black_box(folded.text()).as_bytes();
        adder.clear();
        let mut reader = ngrams.reader();
        folded.for_each_word(|start, end| reader.word(text, start, end, &mut adder));
        reader.end(text, &mut adder);
        adder.windows().fold(0, |digest, sums| mix(digest, ngrams.logits(Speaker::User, &sums)))
    }))
}

fn second_stage(model: &Model<'_>, ffn: usize, tokens: u16) -> Option<Row> {
    let (_, encoder) = model.encoder.as_ref()?;
    let mut scratch = Scratch::new(encoder);
    let ids = || (1..tokens).map(|idx| 16 + idx.wrapping_mul(37) % 260);
    let mut longest: f64 = f64::INFINITY;
    let mut row = timed(&format!("stage 2, {tokens} tokens, inner width {ffn}"), || {
        encoder.begin(Speaker::Tool, ids(), &mut scratch);
        let mut longest_here: f64 = 0.0;
        loop {
            let start = Instant::now();
            let logits = encoder.step(&mut scratch);
            longest_here = longest_here.max(start.elapsed().as_secs_f64() * 1e6);
            if let Some(logits) = logits {
                longest = longest.min(longest_here);
                return mix(0, logits);
            }
        }
    });
    row.longest_step = longest;
    Some(row)
}

fn mix(digest: u64, logits: [f32; HEADS]) -> u64 {
    logits.iter().fold(digest, |digest, logit| crate::mix(digest, logit.to_bits()))
}

fn timed(what: &str, mut work: impl FnMut() -> u64) -> Row {
    let digest = work();
    let mut times: Vec<f64> = (0..ROUNDS)
        .map(|_| {
            let start = Instant::now();
            black_box(work());
            start.elapsed().as_secs_f64() * 1e6
        })
        .collect();
    times.sort_by(f64::total_cmp);
    let at = |idx: usize| times.get(idx).copied().unwrap_or(0.0);
    Row { what: what.to_owned(), median: at(ROUNDS / 2), least: at(0), longest_step: 0.0, digest }
}
