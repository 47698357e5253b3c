//! From scores to a decision, speaker by speaker: what a logit is worth, which windows stage 2 looks at, and from where on a
//! text counts as an attack.
//!
//! A text of many windows has many chances of a high one, so its windows count for less: a little for every doubling of their
//! number.
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
    /// What the logit of stage 1 alone loses with every doubling of the windows of a text, beyond [`FEW_WINDOWS`].
    pub first_long: f32,
    /// The same for the logit of both.
    pub both_long: f32,
}

const FIELDS: usize = 10;

/// Texts of so many windows (about 1 KB) and less are judged as they are.
const FEW_WINDOWS: u32 = 4;

/// Texts of so many windows (about 32 KB) lose the most, so that no amount of padding hides what is sure.
const MANY_WINDOWS: u32 = 128;

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
            let Scale { first_slope, both_first, both_second, first_long, both_long, .. } =
                calibration.scale(speaker);
            [first_slope, both_first, both_second, first_long, both_long].iter().all(|slope| *slope >= 0.0)
        };
        match Speaker::ALL.into_iter().all(is_monotone) {
            true => Ok(calibration),
            false => Err(cursor.wrong("a higher score or a shorter text would count for less")),
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
            first_long: field(8),
            both_long: field(9),
        }
    }
}

/// How often [`FEW_WINDOWS`] doubles up to so many windows, with parts of a doubling in a straight line from one power of two
/// to the next. Every step is exact, so that all hosts agree.
fn doublings(windows: usize) -> f32 {
    let windows = u32::try_from(windows).unwrap_or(MANY_WINDOWS).clamp(FEW_WINDOWS, MANY_WINDOWS);
    let whole = windows.ilog2();
    let part = (windows - (1 << whole)) as f32 / (1 << whole) as f32;
    (whole - FEW_WINDOWS.ilog2()) as f32 + part
}

/// The logit of 0.4, from which on a policy tags by default.
const AT_THRESHOLD: f32 = -0.405_465_1;

impl Scale {
    /// The scale for the windows of a text that has so many of them.
    #[must_use]
    pub fn among(self, windows: usize) -> Self {
        let doublings = doublings(windows);
        Self {
            first_bias: self.first_bias - self.first_long * doublings,
            both_bias: self.both_bias - self.both_long * doublings,
            ..self
        }
    }

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
            first_long,
            both_long,
        } = *self;
        [
            first_bias,
            first_slope,
            both_bias,
            both_first,
            both_second,
            grey_from,
            grey_to,
            threshold,
            first_long,
            both_long,
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doublings_grow_from_few_windows_to_many_and_no_further() {
        let known = [
            (0, 0.0),
            (4, 0.0),
            (5, 0.25),
            (6, 0.5),
            (8, 1.0),
            (12, 1.5),
            (64, 4.0),
            (128, 5.0),
            (1 << 40, 5.0),
        ];
        known.iter().for_each(|(windows, expected)| assert_eq!(doublings(*windows), *expected, "{windows}"));
        assert!((0..200).all(|windows| doublings(windows) <= doublings(windows + 1)));
    }

    #[test]
    fn windows_of_longer_texts_count_for_less() {
        let scale = Scale {
            first_slope: 1.0,
            both_first: 0.5,
            both_second: 0.5,
            first_long: 0.25,
            both_long: 0.5,
            ..Scale::default()
        };
        assert_eq!(scale.among(4), scale);
        let long = scale.among(16);
        assert_eq!((long.first(3.0), long.both(3.0, 1.0)), (2.5, 1.0));
        assert_eq!(long.threshold, scale.threshold);
    }
}
