//! From scores to a decision, speaker by speaker: what a logit is worth, which windows stage 2 looks at, and from where on a
//! text counts as an attack.
//!
//! Invariant: a higher score of a stage never makes the result lower.

use super::{
    HEADS, Speaker,
    artifact::{ArtifactError, CALIBRATION},
    bytes::{Cursor, RawF32, float_at},
    float::exp,
};

/// Numbers for each speaker, in this order in the section.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Scale {
    /// The logit of stage 1 alone: `bias + slope * logit`.
    pub first_bias: f32,
    pub first_slope: f32,
    /// The logit of both: `bias + slope * first + slope * second`.
    pub both_bias: f32,
    pub both_first: f32,
    pub both_second: f32,
    /// Below, stage 1 has the last word; above, too.
    pub grey_from: f32,
    pub grey_to: f32,
    /// A text with this or more counts.
    pub threshold: f32,
}

const FIELDS: usize = 8;

#[derive(Clone, Copy, Debug)]
pub struct Calibration<'a> {
    scales: &'a [RawF32],
}

impl<'a> Calibration<'a> {
    pub(super) fn open(section: &'a [u8]) -> Result<Self, ArtifactError> {
        let mut cursor = Cursor::new(CALIBRATION, section);
        let calibration = Self { scales: cursor.floats(Speaker::ALL.len() * FIELDS)? };
        cursor.end()?;
        let is_monotone = |speaker| {
            let Scale { first_slope, both_first, both_second, .. } = calibration.scale(speaker);
            first_slope >= 0.0 && both_first >= 0.0 && both_second >= 0.0
        };
        match Speaker::ALL.into_iter().all(is_monotone) {
            true => Ok(calibration),
            false => Err(cursor.wrong("a higher score would count for less")),
        }
    }

    pub fn scale(&self, speaker: Speaker) -> Scale {
        let field = |idx| float_at(self.scales, speaker.index() * FIELDS + idx);
        Scale {
            first_bias: field(0),
            first_slope: field(1),
            both_bias: field(2),
            both_first: field(3),
            both_second: field(4),
            grey_from: field(5),
            grey_to: field(6),
            threshold: field(7),
        }
    }
}

/// The logit of 0.4, from which on a policy tags by default.
const AT_THRESHOLD: f32 = -0.405_465_1;

impl Scale {
    /// What stage 1 says by itself, as a logit.
    pub fn first(&self, logit: f32) -> f32 {
        self.first_bias + self.first_slope * logit
    }

    /// What both say.
    pub fn both(&self, first: f32, second: f32) -> f32 {
        self.both_bias + self.both_first * first + self.both_second * second
    }

    /// The same, from what the heads of each stage say.
    pub fn both_of(&self, first: &[f32; HEADS], second: &[f32; HEADS]) -> f32 {
        let ([first, ..], [second, ..]) = (first, second);
        self.both(*first, *second)
    }

    /// What a logit is worth as a score: 0.4 at the threshold, and the nearer to 1 the further above.
    pub fn score(&self, logit: f32) -> f32 {
        let logit = logit - self.threshold + AT_THRESHOLD;
        let small = exp(-logit.abs());
        if logit < 0.0 { small / (1.0 + small) } else { 1.0 / (1.0 + small) }
    }

    /// Whether stage 2 has to look, going by what stage 1 says by itself.
    pub fn is_grey(&self, first: f32) -> bool {
        (self.grey_from..self.grey_to).contains(&first)
    }

    #[cfg(feature = "pack")]
    pub(super) const fn fields(&self) -> [f32; FIELDS] {
        let Self {
            first_bias,
            first_slope,
            both_bias,
            both_first,
            both_second,
            grey_from,
            grey_to,
            threshold,
        } = *self;
        [first_bias, first_slope, both_bias, both_first, both_second, grey_from, grey_to, threshold]
    }
}
