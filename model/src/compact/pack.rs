//! Writing what a proxy reads, from weights as they were trained: for training and for tests.

use alloc::{format, string::String, vec::Vec};

use super::{
    HEADS,
    calibration::Scale,
    matrix,
    ngrams::FEATURES_VERSION,
    tokens,
    windows::{PART_TOKENS, WORDS_MAX},
};

pub(super) const WHOLE: f32 = 127.0;

/// The vocabulary of these lines, each a piece as BERT writes it.
pub fn vocabulary(lines: &str) -> Result<Vec<u8>, &'static str> {
    tokens::write(lines.lines())
}

/// The sizes of an encoder.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    pub width: usize,
    pub layers: usize,
    pub heads: usize,
    pub ffn: usize,
    /// Rows in the table of pieces.
    pub ids: usize,
}

/// Positions that an encoder has.
pub const POSITIONS: usize = PART_TOKENS + 1;

/// The section of an encoder. `tensor` gives the weights of a name, which are to be so many.
pub fn encoder<E>(
    shape: Shape,
    mut tensor: impl FnMut(&str, usize) -> Result<Vec<f32>, E>,
) -> Result<Vec<u8>, E> {
    let Shape { width, layers, heads, ffn, ids } = shape;
    let mut section = Vec::new();
    for number in [width, layers, heads, ffn, POSITIONS, ids] {
        section.extend((number as u32).to_le_bytes());
    }
    table(&tensor("position", POSITIONS * width)?, width, &mut section);
    table(&tensor("embed", ids * width)?, width, &mut section);
    for layer in 0..layers {
        let mut part = |name: &str, len| tensor(&format!("{layer}.{name}"), len);
        floats(&part("norm1.gain", width)?, &mut section);
        floats(&part("norm1.bias", width)?, &mut section);
        for name in ["q", "k", "v", "o"] {
            let weights = part(&format!("{name}.weight"), width * width)?;
            matrix::write(&weights, &part(&format!("{name}.bias"), width)?, &mut section);
        }
        floats(&part("norm2.gain", width)?, &mut section);
        floats(&part("norm2.bias", width)?, &mut section);
        matrix::write(&part("up.weight", ffn * width)?, &part("up.bias", ffn)?, &mut section);
        matrix::write(&part("down.weight", width * ffn)?, &part("down.bias", width)?, &mut section);
    }
    floats(&tensor("norm.gain", width)?, &mut section);
    floats(&tensor("norm.bias", width)?, &mut section);
    floats(&tensor("head.weight", HEADS * 2 * width)?, &mut section);
    floats(&tensor("head.bias", HEADS)?, &mut section);
    Ok(section)
}

/// Numbers to bytes, the largest of them to 127; and what one is worth.
pub(super) fn quantise_row(row: &[f32]) -> (Vec<i8>, f32) {
    let worth = row.iter().fold(0.0, |most: f32, weight| most.max(weight.abs())) / WHOLE;
    (row.iter().map(|weight| to_byte(*weight, worth)).collect(), worth)
}

fn to_byte(weight: f32, worth: f32) -> i8 {
    if worth > 0.0 { super::float::round((weight / worth).clamp(-WHOLE, WHOLE)) as i8 } else { 0 }
}

fn table(rows: &[f32], width: usize, to: &mut Vec<u8>) {
    let rows: Vec<_> = rows.chunks(width).map(quantise_row).collect();
    to.extend(rows.iter().flat_map(|(_, worth)| worth.to_le_bytes()));
    to.extend(rows.iter().flat_map(|(row, _)| row).map(|weight| *weight as u8));
}

fn floats(values: &[f32], to: &mut Vec<u8>) {
    to.extend(values.iter().flat_map(|value| value.to_le_bytes()));
}

/// What stage 1 learnt.
#[derive(Clone, Debug)]
pub struct NgramWeights {
    /// The table has two to the power of it rows.
    pub bits: u32,
    /// A bit for each kind of feature that is used.
    pub kinds: u32,
    pub table: Vec<f32>,
    /// Weights are cut off here, for each head, so that a few large ones do not make all others coarse.
    pub clip: Option<[f32; HEADS]>,
    pub bias: Vec<f32>,
    pub norm: Vec<f32>,
}

/// Floats in the norm of stage 1.
pub const NORM_LEN: usize = WORDS_MAX + 1;

/// The section of stage 1.
pub fn ngrams(weights: &NgramWeights) -> Vec<u8> {
    let NgramWeights { bits, kinds, table, clip, bias, norm } = weights;
    let rows = table.as_chunks::<HEADS>().0;
    let mut largest = [0.0_f32; HEADS];
    for row in rows {
        largest.iter_mut().zip(row).for_each(|(most, weight)| *most = most.max(weight.abs()));
    }
    if let Some(clip) = clip {
        largest.iter_mut().zip(clip).for_each(|(most, clip)| *most = most.min(*clip));
    }
    let worth = largest.map(|most| most / WHOLE);
    let mut section = Vec::new();
    for number in [FEATURES_VERSION, *bits, *kinds] {
        section.extend(number.to_le_bytes());
    }
    floats(&worth, &mut section);
    floats(bias, &mut section);
    floats(norm, &mut section);
    for row in rows {
        section.extend(row.iter().zip(worth).map(|(weight, worth)| to_byte(*weight, worth) as u8));
    }
    section
}

/// The section of a calibration.
pub fn calibration(scales: &[Scale]) -> Vec<u8> {
    scales.iter().flat_map(Scale::fields).flat_map(f32::to_le_bytes).collect()
}

/// A model of chance weights, for tests and for measuring: as large and as slow as a trained one.
pub fn by_chance(shape: Shape, bits: u32, pieces: &[&str]) -> Vec<u8> {
    use super::artifact::{CARD, ENCODER, NGRAMS, VOCABULARY, write};

    let mut chance = 1_u64;
    let mut next = move || {
        chance = chance.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (chance >> 40) as f32 / (1 << 23) as f32 - 1.0
    };
    let mut tensor = |name: &str, len: usize| {
        let (middle, spread) = match name {
            _ if name.ends_with("gain") => (1.0, 0.2),
            _ if name.ends_with("weight") => (0.0, 0.15),
            _ if name.ends_with("bias") => (0.0, 0.1),
            _ => (0.0, 1.0),
        };
        Ok::<_, core::convert::Infallible>((0..len).map(|_| middle + spread * next()).collect::<Vec<f32>>())
    };
    let Ok(section) = encoder(shape, &mut tensor);
    let Ok(table) = tensor("table", HEADS << bits);
    let stage_1 = NgramWeights {
        bits,
        kinds: u32::MAX,
        table,
        clip: None,
        bias: alloc::vec![0.0; 5 * HEADS],
        norm: alloc::vec![1.0; NORM_LEN],
    };
    let words: String = pieces.join("\n");
    let sections = [
        (CARD, b"{}".to_vec()),
        (NGRAMS, ngrams(&stage_1)),
        (VOCABULARY, vocabulary(&words).unwrap_or_default()),
        (ENCODER, section),
    ];
    write(&sections).unwrap_or_default()
}
