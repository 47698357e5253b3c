//! Layer normalisation: every row to mean zero and variance one, then stretched and moved by what was learnt.

use super::{
    artifact::ArtifactError,
    bytes::{Cursor, RawF32},
    float::{inverse_sqrt, sum, sum_of},
};

/// Keeps rows without any variance from being divided by nothing.
const EPSILON: f32 = 1e-5;

#[derive(Clone, Copy, Debug)]
pub(super) struct Norm<'a> {
    gain: &'a [RawF32],
    bias: &'a [RawF32],
}

impl<'a> Norm<'a> {
    pub(super) fn read(cursor: &mut Cursor<'a>, width: usize) -> Result<Self, ArtifactError> {
        Ok(Self { gain: cursor.floats(width)?, bias: cursor.floats(width)? })
    }

    pub(super) fn apply(&self, row: &[f32], to: &mut [f32]) {
        let share = 1.0 / row.len() as f32;
        let mean = sum(row) * share;
        let variance = sum_of(row, |value| (value - mean) * (value - mean)) * share;
        let stretch = inverse_sqrt(variance + EPSILON);
        for (((to, value), gain), bias) in to.iter_mut().zip(row).zip(self.gain).zip(self.bias) {
            *to = (value - mean) * stretch * f32::from_le_bytes(*gain) + f32::from_le_bytes(*bias);
        }
    }
}
