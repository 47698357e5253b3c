//! Rows times a matrix, in integers: weights of eight bits, rows brought to twelve.
//!
//! Four outputs are added up in one vector, two inputs at a time. So the weights lie in groups of four rows, and in a group
//! pair by pair: what one step multiplies are eight bytes that stand together.

use super::{
    artifact::ArtifactError,
    bytes::{Cursor, RawF32},
    float::{largest, round},
    lanes::{Pair, Sums, Weights},
};

/// What the largest number of a row is brought to. Products with weights of eight bits add up in 32 bits for any width
/// that is read.
const WHOLE: f32 = 2047.0;

/// Rows that are multiplied at once.
pub(super) const ROWS: usize = 4;

/// Outputs that lie together, and so many of these groups are multiplied at once.
pub(super) const GROUP: usize = 4;
const GROUPS: usize = 2;

/// Outputs come in multiples of it.
pub(super) const OUTPUTS_STEP: usize = GROUP * GROUPS;

/// Two numbers of sixteen bits, the first in the lower half.
#[inline(always)]
pub(super) const fn pair(first: i32, second: i32) -> i32 {
    first & 0xffff | second << 16
}

/// Brings a row to whole numbers, two to each of `pairs`; answers what one of them is worth.
pub(super) fn quantise(row: &[f32], pairs: &mut [i32]) -> f32 {
    let (times, worth) = scale(largest(row));
    for (slot, [first, second]) in pairs.iter_mut().zip(row.as_chunks::<2>().0) {
        *slot = pair(round(first * times), round(second * times));
    }
    worth
}

/// By what to multiply, and what one is worth then.
pub(super) fn scale(largest: f32) -> (f32, f32) {
    /// Rows of less are nothing.
    const SMALLEST: f32 = 1e-20;
    if largest > SMALLEST { (WHOLE / largest, largest / WHOLE) } else { (0.0, 0.0) }
}

/// Four rows that lie behind one another, brought to whole numbers.
#[derive(Debug)]
pub(super) struct Rows<'r> {
    pairs: &'r [i32],
    len: usize,
}

impl<'r> Rows<'r> {
    pub(super) const fn new(pairs: &'r [i32]) -> Self {
        Self { pairs, len: pairs.len() / ROWS }
    }

    fn row(&self, idx: usize) -> &'r [i32] {
        self.pairs.get(idx * self.len..(idx + 1) * self.len).unwrap_or_default()
    }

    /// Four rows times two groups of outputs: for each row, eight sums.
    #[inline(always)]
    pub(super) fn times<W: Copy + Into<Weights>>(&self, groups: &[W]) -> [[Sums; GROUPS]; ROWS] {
        let mut sums = [[Sums::zero(); GROUPS]; ROWS];
        let [[a0, a1], [b0, b1], [c0, c1], [d0, d1]] = &mut sums;
        let (first, second) = groups.split_at_checked(self.len).unwrap_or_default();
        let rows = self.row(0).iter().zip(self.row(1)).zip(self.row(2)).zip(self.row(3));
        for ((((a, b), c), d), (first, second)) in rows.zip(first.iter().zip(second)) {
            let (first, second) = ((*first).into(), (*second).into());
            let (a, b) = (Pair::all(*a), Pair::all(*b));
            a0.add_products(a, first);
            a1.add_products(a, second);
            b0.add_products(b, first);
            b1.add_products(b, second);
            let (c, d) = (Pair::all(*c), Pair::all(*d));
            c0.add_products(c, first);
            c1.add_products(c, second);
            d0.add_products(d, first);
            d1.add_products(d, second);
        }
        sums
    }

    /// Two groups of weights at a time, as many as there are.
    pub(super) fn blocks<'w, W>(&self, weights: &'w [W]) -> core::slice::ChunksExact<'w, W> {
        weights.chunks_exact((self.len * GROUPS).max(1))
    }
}

/// The sums of two groups. Written so that compilers see vectors.
#[inline(always)]
pub(super) fn to_floats([first, second]: [Sums; GROUPS]) -> [f32; OUTPUTS_STEP] {
    let [a, b, c, d] = first.to_array().map(|sum| sum as f32);
    let [e, f, g, h] = second.to_array().map(|sum| sum as f32);
    [a, b, c, d, e, f, g, h]
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Matrix<'a> {
    weights: &'a [[u8; 2 * GROUP]],
    /// What a weight of each output is worth.
    worth: &'a [RawF32],
    bias: &'a [RawF32],
}

impl<'a> Matrix<'a> {
    /// Both numbers are multiples of [`OUTPUTS_STEP`].
    pub(super) fn read(
        cursor: &mut Cursor<'a>,
        outputs: usize,
        inputs: usize,
    ) -> Result<Self, ArtifactError> {
        let (worth, bias) = (cursor.floats(outputs)?, cursor.floats(outputs)?);
        Ok(Self { weights: cursor.chunks(outputs * inputs / (2 * GROUP))?, worth, bias })
    }

    /// Four rows times the matrix, each with what one of its numbers is worth. `put` gets the row's number, the first
    /// output, and eight outputs.
    pub(super) fn multiply(
        &self,
        rows: &Rows<'_>,
        row_worth: [f32; ROWS],
        mut put: impl FnMut(usize, usize, [f32; OUTPUTS_STEP]),
    ) {
        let scales =
            self.worth.as_chunks::<OUTPUTS_STEP>().0.iter().zip(self.bias.as_chunks::<OUTPUTS_STEP>().0);
        for (block, (groups, (worth, bias))) in rows.blocks(self.weights).zip(scales).enumerate() {
            let sums = rows.times(groups);
            for (row, (sums, row_worth)) in sums.into_iter().zip(row_worth).enumerate() {
                let mut out = to_floats(sums);
                for ((out, worth), bias) in out.iter_mut().zip(worth).zip(bias) {
                    *out = *out * (row_worth * f32::from_le_bytes(*worth)) + f32::from_le_bytes(*bias);
                }
                put(row, block * OUTPUTS_STEP, out);
            }
        }
    }
}

/// A matrix as it lies in an artefact: rows of outputs, each brought to eight bits by its largest weight.
#[cfg(feature = "pack")]
pub(super) fn write(weights: &[f32], bias: &[f32], to: &mut alloc::vec::Vec<u8>) {
    use alloc::vec::Vec;

    use super::pack::quantise_row;

    let inputs = weights.len() / bias.len().max(1);
    let rows: Vec<(Vec<i8>, f32)> = weights.chunks(inputs.max(1)).map(quantise_row).collect();
    to.extend(rows.iter().flat_map(|(_, worth)| worth.to_le_bytes()));
    to.extend(bias.iter().flat_map(|bias| bias.to_le_bytes()));
    for group in rows.chunks(GROUP) {
        for at in (0..inputs).step_by(2) {
            let of_row = |(row, _): &(Vec<i8>, f32)| row.get(at..at + 2).unwrap_or_default().to_vec();
            to.extend(group.iter().flat_map(of_row).map(|weight| weight as u8));
        }
    }
}
