//! Stage 2: a small transformer over the pieces of a window. It is read where it lies in the artefact, and works in steps,
//! so that a host can go back to its other connections in between.
//!
//! Invariant: memory is asked for when a [`Scratch`] is made, and never while a window is read.

use alloc::{vec, vec::Vec};

use super::{
    HEADS, Speaker,
    artifact::{ArtifactError, ENCODER},
    bytes::{Cursor, RawF32, float_at},
    float::{greater, inverse_sqrt, largest, round},
    matrix::{GROUP, Matrix, OUTPUTS_STEP, ROWS, Rows, quantise, scale, to_floats},
    norm::Norm,
    softmax::shares,
    tokens::SPEAKERS,
    windows::PART_TOKENS,
};

/// Tokens are taken up to a multiple of it.
const TOKENS_STEP: usize = 8;
const TOKENS_MAX: usize = PART_TOKENS + 1;

const WIDTH_MAX: usize = 512;
const FFN_MAX: usize = 2048;
const LAYERS_MAX: usize = 12;
const IDS_MAX: usize = u16::MAX as usize;

#[derive(Clone, Debug)]
pub struct Encoder<'a> {
    width: usize,
    heads: usize,
    ffn: usize,
    positions: Table<'a>,
    pieces: Table<'a>,
    layers: Vec<Layer<'a>>,
    norm: Norm<'a>,
    head: &'a [RawF32],
    head_bias: &'a [RawF32],
}

/// Rows of eight bits.
#[derive(Clone, Copy, Debug)]
struct Table<'a> {
    worth: &'a [RawF32],
    rows: &'a [u8],
}

#[derive(Clone, Copy, Debug)]
struct Layer<'a> {
    before_attention: Norm<'a>,
    query: Matrix<'a>,
    key: Matrix<'a>,
    value: Matrix<'a>,
    output: Matrix<'a>,
    before_ffn: Norm<'a>,
    up: Matrix<'a>,
    down: Matrix<'a>,
}

impl<'a> Table<'a> {
    fn read(cursor: &mut Cursor<'a>, rows: usize, width: usize) -> Result<Self, ArtifactError> {
        Ok(Self { worth: cursor.floats(rows)?, rows: cursor.bytes(rows * width)? })
    }

    fn add(&self, row: usize, to: &mut [f32]) {
        let worth = float_at(self.worth, row);
        let row = self.rows.get(row * to.len()..(row + 1) * to.len()).unwrap_or_default();
        to.iter_mut().zip(row).for_each(|(to, weight)| *to += f32::from(*weight as i8) * worth);
    }
}

impl<'a> Encoder<'a> {
    /// Reads the section of an encoder for so many ids of pieces.
    pub(super) fn open(section: &'a [u8], n_ids: usize) -> Result<Self, ArtifactError> {
        let mut cursor = Cursor::new(ENCODER, section);
        let width = cursor.number_in(OUTPUTS_STEP..=WIDTH_MAX, "its width is not read")?;
        let n_layers = cursor.number_in(1..=LAYERS_MAX, "too many layers")?;
        let heads = cursor.number_in(1..=WIDTH_MAX, "its number of heads is not read")?;
        let ffn = cursor.number_in(OUTPUTS_STEP..=FFN_MAX, "its inner width is not read")?;
        let n_positions = cursor.number_in(TOKENS_MAX..=TOKENS_MAX, "its number of positions is not read")?;
        let n_rows = cursor.number_in(1..=IDS_MAX, "its number of pieces is not read")?;
        if n_rows != n_ids {
            return Err(cursor.wrong("it has not a row for each piece"));
        }
        if !width.is_multiple_of(heads * OUTPUTS_STEP) || !ffn.is_multiple_of(OUTPUTS_STEP) {
            return Err(cursor.wrong("a width is no multiple of eight"));
        }
        let positions = Table::read(&mut cursor, n_positions, width)?;
        let pieces = Table::read(&mut cursor, n_rows, width)?;
        let layers = (0..n_layers).map(|_| Layer::read(&mut cursor, width, ffn)).collect::<Result<_, _>>()?;
        let norm = Norm::read(&mut cursor, width)?;
        let (head, head_bias) = (cursor.floats(HEADS * 2 * width)?, cursor.floats(HEADS)?);
        cursor.end()?;
        Ok(Self { width, heads, ffn, positions, pieces, layers, norm, head, head_bias })
    }

    /// Steps that a window takes.
    pub const fn steps(&self) -> usize {
        self.layers.len() * STEPS_OF_LAYER
    }

    /// Begins with the pieces of a window; what is more than a window has room for is left out.
    pub fn begin(&self, speaker: Speaker, ids: impl IntoIterator<Item = u16>, scratch: &mut Scratch) {
        let first = SPEAKERS + speaker.index() as u16;
        let ids = core::iter::once(first).chain(ids);
        scratch.step = 0;
        scratch.tokens = 0;
        for (at, (id, row)) in ids.zip(scratch.state.chunks_exact_mut(self.width)).enumerate() {
            row.fill(0.0);
            self.pieces.add(usize::from(id), row);
            self.positions.add(at, row);
            scratch.tokens = at + 1;
        }
        let rest = scratch.tokens * self.width;
        if let Some(rest) = scratch.state.get_mut(rest..) {
            rest.fill(0.0);
        }
    }

    /// Goes on; answers the logits once there is nothing left to do. Where nothing began they are zero.
    pub fn step(&self, scratch: &mut Scratch) -> Option<[f32; HEADS]> {
        if scratch.tokens == 0 {
            return Some([0.0; HEADS]);
        }
        let layer = self.layers.get(scratch.step / STEPS_OF_LAYER);
        if let Some(layer) = layer {
            match scratch.step % STEPS_OF_LAYER {
                0 => self.project(layer, scratch),
                1 => self.attend(layer, scratch),
                _ => self.think(layer, scratch),
            }
            scratch.step += 1;
        }
        (scratch.step >= self.steps()).then(|| self.logits(scratch))
    }

    /// A window at a stretch.
    pub fn logits_of(
        &self,
        speaker: Speaker,
        ids: impl IntoIterator<Item = u16>,
        scratch: &mut Scratch,
    ) -> [f32; HEADS] {
        self.begin(speaker, ids, scratch);
        loop {
            if let Some(logits) = self.step(scratch) {
                return logits;
            }
        }
    }

    const fn head_width(&self) -> usize {
        self.width / self.heads
    }

    /// Queries, keys and values of all tokens.
    fn project(&self, layer: &Layer<'_>, scratch: &mut Scratch) {
        let Scratch { state, queries, keys, values, quads, tokens, .. } = scratch;
        let quad = ROWS * self.width;
        let n_quads = tokens.next_multiple_of(TOKENS_STEP) / ROWS;
        let state = state.chunks_exact(quad).zip(queries.chunks_exact_mut(quad));
        let to = state.zip(keys.chunks_exact_mut(quad).zip(values.chunks_exact_mut(quad)));
        for ((state, queries), (keys, values)) in to.take(n_quads) {
            let worth = quads.normed(&layer.before_attention, state, self.width);
            let rows = Rows::new(&quads.pairs);
            for (matrix, to) in [(&layer.query, queries), (&layer.key, keys), (&layer.value, values)] {
                matrix.multiply(&rows, worth, |row, first, out| {
                    let at = row * self.width + first;
                    if let Some(to) = to.get_mut(at..).and_then(<[f32]>::first_chunk_mut) {
                        *to = out;
                    }
                });
            }
        }
        scratch.pack(self.width, self.head_width());
    }

    /// Each token takes from the others what it asks for.
    fn attend(&self, layer: &Layer<'_>, scratch: &mut Scratch) {
        let Scratch { state, queries, quads, packed, tokens, .. } = scratch;
        let padded = tokens.next_multiple_of(TOKENS_STEP);
        let quad = ROWS * self.width;
        let all = state.chunks_exact_mut(quad).zip(queries.chunks_exact(quad)).take(padded / ROWS);
        for (state, queries) in all {
            quads.attend(queries, packed, *tokens, self.width, self.head_width());
            let worth = quantise_rows(&quads.context, &mut quads.pairs);
            let rows = Rows::new(&quads.pairs);
            layer.output.multiply(&rows, worth, |row, first, out| add(state, row * self.width + first, out));
        }
    }

    /// Each token by itself.
    fn think(&self, layer: &Layer<'_>, scratch: &mut Scratch) {
        let Scratch { state, quads, tokens, .. } = scratch;
        let quad = ROWS * self.width;
        for state in state.chunks_exact_mut(quad).take(tokens.next_multiple_of(TOKENS_STEP) / ROWS) {
            let worth = quads.normed(&layer.before_ffn, state, self.width);
            quads.widen(&layer.up, worth, self.ffn);
            let worth = quantise_rows(&quads.inner, &mut quads.inner_pairs);
            let rows = Rows::new(&quads.inner_pairs);
            layer.down.multiply(&rows, worth, |row, first, out| add(state, row * self.width + first, out));
        }
    }

    /// What the heads make of the mean and the largest of all tokens.
    fn logits(&self, scratch: &mut Scratch) -> [f32; HEADS] {
        let Scratch { state, tokens, row, pooled, .. } = scratch;
        let Some((mean, most)) = pooled.split_at_mut_checked(self.width) else { return [0.0; HEADS] };
        let share = 1.0 / *tokens as f32;
        mean.fill(0.0);
        most.fill(f32::MIN);
        for state in state.chunks_exact(self.width).take(*tokens) {
            self.norm.apply(state, row);
            mean.iter_mut().zip(&*row).for_each(|(mean, value)| *mean += value);
            most.iter_mut().zip(&*row).for_each(|(most, value)| *most = greater(*most, *value));
        }
        mean.iter_mut().for_each(|mean| *mean *= share);
        let mut logits = [0.0; HEADS];
        for (head, logit) in logits.iter_mut().enumerate() {
            let weights = self.head.get(head * pooled.len()..).unwrap_or_default();
            let mut sum = float_at(self.head_bias, head);
            for (value, weight) in pooled.iter().zip(weights) {
                sum += value * f32::from_le_bytes(*weight);
            }
            *logit = bounded(sum);
        }
        logits
    }
}

/// Weights that nobody trained may lead anywhere; no score is larger than this, and each is a number.
fn bounded(logit: f32) -> f32 {
    const LARGEST: f32 = 100.0;
    match logit {
        _ if logit > LARGEST => LARGEST,
        _ if logit < -LARGEST => -LARGEST,
        _ if logit.is_nan() => 0.0,
        _ => logit,
    }
}

fn add(to: &mut [f32], at: usize, out: [f32; OUTPUTS_STEP]) {
    if let Some(to) = to.get_mut(at..).and_then(<[f32]>::first_chunk_mut::<OUTPUTS_STEP>) {
        to.iter_mut().zip(out).for_each(|(to, more)| *to += more);
    }
}

impl<'a> Layer<'a> {
    fn read(cursor: &mut Cursor<'a>, width: usize, ffn: usize) -> Result<Self, ArtifactError> {
        Ok(Self {
            before_attention: Norm::read(cursor, width)?,
            query: Matrix::read(cursor, width, width)?,
            key: Matrix::read(cursor, width, width)?,
            value: Matrix::read(cursor, width, width)?,
            output: Matrix::read(cursor, width, width)?,
            before_ffn: Norm::read(cursor, width)?,
            up: Matrix::read(cursor, ffn, width)?,
            down: Matrix::read(cursor, width, ffn)?,
        })
    }
}

const STEPS_OF_LAYER: usize = 3;

/// The memory of a window that is being read, to be used again for the next.
#[derive(Clone, Debug)]
pub struct Scratch {
    tokens: usize,
    step: usize,
    /// A row for each token.
    state: Vec<f32>,
    queries: Vec<f32>,
    keys: Vec<f32>,
    values: Vec<f32>,
    packed: Packed,
    quads: Quads,
    row: Vec<f32>,
    pooled: Vec<f32>,
}

/// Keys and values of all heads as whole numbers, lying as [`Rows::times`] takes them.
#[derive(Clone, Debug)]
struct Packed {
    keys: Vec<[i16; 2 * GROUP]>,
    /// What one is worth: of a key, for each head and token; of values, for each head.
    key_worth: Vec<f32>,
    values: Vec<[i16; 2 * GROUP]>,
    value_worth: Vec<f32>,
}

/// Four tokens at work.
#[derive(Clone, Debug)]
struct Quads {
    normed: Vec<f32>,
    pairs: Vec<i32>,
    inner: Vec<f32>,
    inner_pairs: Vec<i32>,
    query_pairs: Vec<i32>,
    scores: Vec<f32>,
    share_pairs: Vec<i32>,
    context: Vec<f32>,
}

impl Scratch {
    pub fn new(encoder: &Encoder<'_>) -> Self {
        let Encoder { width, heads, ffn, .. } = *encoder;
        let all = TOKENS_MAX * width;
        let floats = |len| vec![0.0; len];
        Self {
            tokens: 0,
            step: 0,
            state: floats(all),
            queries: floats(all),
            keys: floats(all),
            values: floats(all),
            packed: Packed {
                keys: vec![[0; 2 * GROUP]; all / (2 * GROUP)],
                key_worth: floats(heads * TOKENS_MAX),
                values: vec![[0; 2 * GROUP]; all / (2 * GROUP)],
                value_worth: floats(heads),
            },
            quads: Quads {
                normed: floats(ROWS * width),
                pairs: vec![0; ROWS * width / 2],
                inner: floats(ROWS * ffn),
                inner_pairs: vec![0; ROWS * ffn / 2],
                query_pairs: vec![0; ROWS * width / heads / 2],
                scores: floats(ROWS * TOKENS_MAX),
                share_pairs: vec![0; ROWS * TOKENS_MAX / 2],
                context: floats(ROWS * width),
            },
            row: floats(width),
            pooled: floats(2 * width),
        }
    }

    /// Keys and values as whole numbers.
    fn pack(&mut self, width: usize, head_width: usize) {
        let Self { keys, values, packed, tokens, .. } = self;
        let padded = tokens.next_multiple_of(TOKENS_STEP);
        let len = padded * head_width / (2 * GROUP);
        let heads = packed.keys.chunks_exact_mut(len).zip(packed.values.chunks_exact_mut(len));
        let worths = packed.key_worth.chunks_exact_mut(TOKENS_MAX).zip(&mut packed.value_worth);
        for (head, ((to_keys, to_values), (key_worth, value_worth))) in heads.zip(worths).enumerate() {
            let of_head = |all: &'_ [f32], token: usize| -> core::ops::Range<usize> {
                let at = token * width + head * head_width;
                at..(at + head_width).min(all.len())
            };
            let most = (0..*tokens)
                .map(|token| largest(values.get(of_head(values, token)).unwrap_or_default()))
                .fold(0.0, greater);
            let (times, worth) = scale(most);
            *value_worth = worth;
            for (token, key_worth) in (0..padded).zip(key_worth.iter_mut()) {
                let is_there = token < *tokens;
                let key = keys.get(of_head(keys, token)).filter(|_| is_there).unwrap_or_default();
                let (key_times, worth) = scale(largest(key));
                *key_worth = worth;
                // A group is four tokens; in it one after the other come the pairs of inputs.
                let group = to_keys.iter_mut().skip(token / GROUP * (head_width / 2)).take(head_width / 2);
                let pairs = key
                    .as_chunks::<2>()
                    .0
                    .iter()
                    .map(|pair| pair.map(|value| round(value * key_times) as i16));
                for (slot, pair) in group.zip(pairs.chain(core::iter::repeat([0; 2]))) {
                    if let Some(to) = slot.as_chunks_mut::<2>().0.get_mut(token % GROUP) {
                        *to = pair;
                    }
                }
                // A group is four outputs; in it one after the other come the pairs of tokens.
                let value = values.get(of_head(values, token)).filter(|_| is_there).unwrap_or_default();
                let value =
                    value.iter().map(|value| round(value * times) as i16).chain(core::iter::repeat(0));
                for (output, value) in (0..head_width).zip(value) {
                    let slot = to_values.get_mut(output / GROUP * (padded / 2) + token / 2);
                    if let Some(to) = slot.and_then(|slot| slot.get_mut(output % GROUP * 2 + token % 2)) {
                        *to = value;
                    }
                }
            }
        }
    }
}

impl Quads {
    fn normed(&mut self, norm: &Norm<'_>, state: &[f32], width: usize) -> [f32; ROWS] {
        for (row, to) in state.chunks_exact(width).zip(self.normed.chunks_exact_mut(width)) {
            norm.apply(row, to);
        }
        quantise_rows(&self.normed, &mut self.pairs)
    }

    fn widen(&mut self, up: &Matrix<'_>, worth: [f32; ROWS], ffn: usize) {
        let Self { pairs, inner, .. } = self;
        let rows = Rows::new(pairs);
        up.multiply(&rows, worth, |row, first, out| {
            let at = row * ffn + first;
            if let Some(to) = inner.get_mut(at..).and_then(<[f32]>::first_chunk_mut) {
                *to = out.map(|value| greater(0.0, value));
            }
        });
    }

    /// What four tokens take from all, head by head.
    fn attend(&mut self, queries: &[f32], packed: &Packed, tokens: usize, width: usize, head_width: usize) {
        let Self { query_pairs, scores, share_pairs, context, .. } = self;
        let padded = tokens.next_multiple_of(TOKENS_STEP);
        let len = padded * head_width / (2 * GROUP);
        let stretch = inverse_sqrt(head_width as f32);
        let heads = packed.keys.chunks_exact(len).zip(packed.values.chunks_exact(len));
        let worths = packed.key_worth.chunks_exact(TOKENS_MAX).zip(&packed.value_worth);
        for (head, ((keys, values), (key_worth, value_worth))) in heads.zip(worths).enumerate() {
            let mut query_worth = [0.0; ROWS];
            let rows = queries.chunks_exact(width).zip(query_pairs.chunks_exact_mut(head_width / 2));
            for ((query, pairs), worth) in rows.zip(&mut query_worth) {
                let query = query.get(head * head_width..(head + 1) * head_width).unwrap_or_default();
                *worth = quantise(query, pairs) * stretch;
            }
            let rows = Rows::new(query_pairs);
            let key_worth = key_worth.as_chunks::<OUTPUTS_STEP>().0;
            for (block, (groups, key_worth)) in rows.blocks(keys).zip(key_worth).enumerate() {
                for (row, (sums, query_worth)) in rows.times(groups).into_iter().zip(query_worth).enumerate()
                {
                    let to = scores.get_mut(row * padded + block * OUTPUTS_STEP..);
                    let Some(to) = to.and_then(<[f32]>::first_chunk_mut) else { continue };
                    let mut out = to_floats(sums);
                    out.iter_mut().zip(key_worth).for_each(|(out, worth)| *out *= query_worth * worth);
                    *to = out;
                }
            }
            let mut parts = [0.0; ROWS];
            let rows = scores.chunks_exact_mut(padded).zip(share_pairs.chunks_exact_mut(padded / 2));
            for ((scores, pairs), part) in rows.zip(&mut parts) {
                let total = shares(scores, tokens, pairs);
                *part = value_worth / total.max(1) as f32;
            }
            let rows = Rows::new(share_pairs.get(..ROWS * padded / 2).unwrap_or_default());
            for (block, groups) in rows.blocks(values).enumerate() {
                for (row, (sums, part)) in rows.times(groups).into_iter().zip(parts).enumerate() {
                    let at = row * width + head * head_width + block * OUTPUTS_STEP;
                    let Some(to) = context.get_mut(at..).and_then(<[f32]>::first_chunk_mut) else { continue };
                    *to = to_floats(sums).map(|sum| sum * part);
                }
            }
        }
    }
}

fn quantise_rows(rows: &[f32], pairs: &mut [i32]) -> [f32; ROWS] {
    let mut worths = [0.0; ROWS];
    let all = rows
        .chunks_exact((rows.len() / ROWS).max(1))
        .zip(pairs.chunks_exact_mut((rows.len() / ROWS / 2).max(1)));
    for ((row, pairs), worth) in all.zip(&mut worths) {
        *worth = quantise(row, pairs);
    }
    worths
}

#[cfg(test)]
#[cfg(feature = "pack")]
mod tests {
    use alloc::{
        collections::BTreeMap,
        string::{String, ToString},
    };
    use core::convert::Infallible;

    use proptest::prelude::*;

    use super::*;
    use crate::compact::pack::{self, Shape};

    const SHAPE: Shape = Shape { width: 32, layers: 2, heads: 2, ffn: 40, ids: 300 };

    type Tensors = BTreeMap<String, Vec<f32>>;

    /// Weights of chance, and the section that they make.
    fn by_chance(seed: u64) -> (Tensors, Vec<u8>) {
        let mut tensors = Tensors::new();
        let mut chance = seed;
        let Ok(section) = pack::encoder(SHAPE, |name, len| {
            let mut next = || {
                chance =
                    chance.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                (chance >> 40) as f32 / (1 << 23) as f32 - 1.0
            };
            let middle = if name.ends_with("gain") { 1.0 } else { 0.0 };
            let tensor: Vec<f32> = (0..len).map(|_| middle + 0.3 * next()).collect();
            tensors.insert(name.to_string(), tensor.clone());
            Ok::<_, Infallible>(tensor)
        });
        (tensors, section)
    }

    /// The same network with the plainest of loops, in double precision, on the weights as they are kept.
    struct Plain(BTreeMap<String, Vec<f64>>);

    impl Plain {
        fn new(tensors: &Tensors) -> Self {
            let kept = |name: &str, tensor: &Vec<f32>| -> Vec<f64> {
                let width = match name {
                    "head.weight" => 0,
                    _ if name.ends_with("down.weight") => SHAPE.ffn,
                    _ if name.ends_with("weight") || name == "embed" || name == "position" => SHAPE.width,
                    _ => 0,
                };
                if width == 0 {
                    return tensor.iter().map(|weight| f64::from(*weight)).collect();
                }
                let row = |row: &[f32]| {
                    let (bytes, worth) = pack::quantise_row(row);
                    bytes.into_iter().map(move |byte| f64::from(byte) * f64::from(worth))
                };
                tensor.chunks(width).flat_map(row).collect()
            };
            Self(tensors.iter().map(|(name, tensor)| (name.clone(), kept(name, tensor))).collect())
        }

        fn norm(&self, name: &str, row: &[f64]) -> Vec<f64> {
            let (gain, bias) =
                (&self.0[&alloc::format!("{name}.gain")], &self.0[&alloc::format!("{name}.bias")]);
            let mean = row.iter().sum::<f64>() / row.len() as f64;
            let variance = row.iter().map(|x| (x - mean) * (x - mean)).sum::<f64>() / row.len() as f64;
            row.iter()
                .zip(gain)
                .zip(bias)
                .map(|((x, g), b)| (x - mean) / (variance + 1e-5).sqrt() * g + b)
                .collect()
        }

        fn times(&self, name: &str, row: &[f64]) -> Vec<f64> {
            let (weight, bias) =
                (&self.0[&alloc::format!("{name}.weight")], &self.0[&alloc::format!("{name}.bias")]);
            let dot = |weights: &[f64]| weights.iter().zip(row).map(|(w, x)| w * x).sum::<f64>();
            weight.chunks(row.len()).map(dot).zip(bias).map(|(sum, bias)| sum + bias).collect()
        }

        fn logits(&self, ids: &[usize]) -> Vec<f64> {
            let Shape { width, layers, heads, .. } = SHAPE;
            let of = |name: &str, row: usize| self.0[name][row * width..(row + 1) * width].to_vec();
            let plus = |a: &[f64], b: &[f64]| -> Vec<f64> { a.iter().zip(b).map(|(a, b)| a + b).collect() };
            let mut state: Vec<Vec<f64>> =
                ids.iter().enumerate().map(|(at, id)| plus(&of("embed", *id), &of("position", at))).collect();
            for layer in 0..layers {
                let name = |part: &str| alloc::format!("{layer}.{part}");
                let normed: Vec<_> = state.iter().map(|row| self.norm(&name("norm1"), row)).collect();
                let project = |part: &str| -> Vec<_> {
                    normed.iter().map(|row| self.times(&name(part), row)).collect()
                };
                let (q, k, v) = (project("q"), project("k"), project("v"));
                for (at, row) in state.iter_mut().enumerate() {
                    let mut context = vec![0.0; width];
                    for head in 0..heads {
                        let part = head * width / heads..(head + 1) * width / heads;
                        let score = |key: &Vec<f64>| {
                            let dot: f64 =
                                q[at][part.clone()].iter().zip(&key[part.clone()]).map(|(a, b)| a * b).sum();
                            (dot / ((width / heads) as f64).sqrt()).exp()
                        };
                        let scores: Vec<f64> = k.iter().map(score).collect();
                        let total: f64 = scores.iter().sum();
                        for (value, score) in v.iter().zip(scores) {
                            part.clone().for_each(|idx| context[idx] += value[idx] * score / total);
                        }
                    }
                    *row = plus(row, &self.times(&name("o"), &context));
                }
                for row in &mut state {
                    let inner = self.times(&name("up"), &self.norm(&name("norm2"), row));
                    let inner: Vec<f64> = inner.into_iter().map(|x| x.max(0.0)).collect();
                    *row = plus(row, &self.times(&name("down"), &inner));
                }
            }
            let normed: Vec<_> = state.iter().map(|row| self.norm("norm", row)).collect();
            let mean =
                (0..width).map(|idx| normed.iter().map(|row| row[idx]).sum::<f64>() / normed.len() as f64);
            let most = (0..width).map(|idx| normed.iter().map(|row| row[idx]).fold(f64::MIN, f64::max));
            let pooled: Vec<f64> = mean.chain(most).collect();
            self.times("head", &pooled)
        }
    }

    fn ids(n: usize, seed: usize) -> Vec<u16> {
        (0..n).map(|idx| (16 + (idx * 37 + seed * 91) % 284) as u16).collect()
    }

    #[test]
    fn it_comes_near_the_same_network_in_double_precision() {
        let (tensors, section) = by_chance(5);
        let (encoder, plain) = (Encoder::open(&section, SHAPE.ids).unwrap(), Plain::new(&tensors));
        let mut scratch = Scratch::new(&encoder);
        for n in [0, 1, 2, 3, 4, 6, 7, 8, 9, 31, 64, 99, 126, 127] {
            for speaker in Speaker::ALL {
                let ids = ids(n, speaker.index());
                let all: Vec<usize> = core::iter::once(1 + speaker.index())
                    .chain(ids.iter().map(|id| usize::from(*id)))
                    .collect();
                let logits = encoder.logits_of(speaker, ids, &mut scratch);
                for (logit, right) in logits.into_iter().zip(plain.logits(&all)) {
                    assert!((f64::from(logit) - right).abs() < 4e-3, "{n} {speaker:?}: {logit} and {right}");
                }
            }
        }
    }

    #[test]
    fn a_window_does_not_depend_on_what_was_read_before_it_nor_on_pauses() {
        let (_, section) = by_chance(6);
        let encoder = Encoder::open(&section, SHAPE.ids).unwrap();
        let mut used = Scratch::new(&encoder);
        encoder.logits_of(Speaker::Document, ids(127, 1), &mut used);
        for n in [0, 5, 50] {
            let fresh = encoder.logits_of(Speaker::User, ids(n, 2), &mut Scratch::new(&encoder));
            encoder.begin(Speaker::User, ids(n, 2), &mut used);
            let mut steps = 1;
            let logits = loop {
                match encoder.step(&mut used) {
                    Some(logits) => break logits,
                    None => steps += 1,
                }
            };
            assert_eq!(logits.map(f32::to_bits), fresh.map(f32::to_bits));
            assert_eq!(steps, encoder.steps());
            assert_eq!(
                encoder.step(&mut used).map(|logits| logits.map(f32::to_bits)),
                Some(fresh.map(f32::to_bits))
            );
        }
    }

    /// The bits themselves, so that a machine that comes to others is noticed.
    #[test]
    fn logits_are_the_same_bits_everywhere() {
        let (_, section) = by_chance(7);
        let encoder = Encoder::open(&section, SHAPE.ids).unwrap();
        let logits = encoder.logits_of(Speaker::Tool, ids(77, 3), &mut Scratch::new(&encoder));
        assert_eq!(logits.map(f32::to_bits), [0x4003_c8e2, 0x404d_a68b, 0x3f72_52d0, 0x3fd5_6620]);
    }

    #[test]
    fn sizes_that_cannot_be_are_refused() {
        let (_, section) = by_chance(8);
        assert!(Encoder::open(&section, SHAPE.ids).is_ok());
        assert!(Encoder::open(&section, SHAPE.ids + 1).is_err());
        assert!(Encoder::open(&section[..section.len() - 1], SHAPE.ids).is_err());
        for (field, wrong) in
            [(0, 33_u32), (0, 0), (1, 0), (1, 3), (2, 3), (2, 0), (3, 41), (4, 64), (5, 299), (3, u32::MAX)]
        {
            let mut changed = section.clone();
            changed[4 * field..4 * field + 4].copy_from_slice(&wrong.to_le_bytes());
            assert!(Encoder::open(&changed, SHAPE.ids).is_err(), "{field} {wrong}");
        }
        let mut not_a_number = section.clone();
        not_a_number[24..28].copy_from_slice(&f32::NAN.to_le_bytes());
        assert!(Encoder::open(&not_a_number, SHAPE.ids).is_err());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]

        /// Ids that no vocabulary has, more of them than there is room for, and weights as large as they may be.
        #[test]
        fn nothing_leads_out_of_bounds(ids in proptest::collection::vec(any::<u16>(), 0..200), at in 0_usize..9000, large in any::<bool>()) {
            let (_, mut section) = by_chance(9);
            if large {
                let at = (24 + at) / 4 * 4;
                section[at..at + 4].copy_from_slice(&1e6_f32.to_le_bytes());
            }
            if let Ok(encoder) = Encoder::open(&section, SHAPE.ids) {
                let logits = encoder.logits_of(Speaker::System, ids, &mut Scratch::new(&encoder));
                prop_assert!(logits.iter().all(|logit| logit.abs() <= 100.0));
            }
        }
    }
}
