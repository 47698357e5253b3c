//! The same model with fewer steps of weight. Weights stay bytes, so whoever reads it does what he did; but bytes that take
//! few values are short when a module is compressed.

use alloc::vec::Vec;

use super::{
    HEADS,
    artifact::{Artifact, ArtifactError, ENCODER, NGRAMS, Tag, write},
    bytes::Cursor,
    pack::{POSITIONS, WHOLE},
};

/// The largest weight after rounding, for the two large tables; the others are small, or need their eight bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Steps {
    pub ngrams: u8,
    pub pieces: u8,
}

/// `artifact` with its tables rounded. A weight moves by half of a new step at most.
pub fn coarser(artifact: &[u8], steps: Steps) -> Result<Vec<u8>, ArtifactError> {
    let sections: Result<Vec<(Tag, Vec<u8>)>, _> = Artifact::open(artifact)?
        .sections()
        .map(|(tag, section)| {
            let mut section = section.to_vec();
            match tag {
                NGRAMS => ngrams(&mut section, steps.ngrams)?,
                ENCODER => pieces(&mut section, steps.pieces)?,
                _ => {}
            }
            Ok((tag, section))
        })
        .collect();
    write(&sections?)
}

/// As [`super::ngrams::Ngrams`] reads it: numbers, what one is worth for each head, floats, and the table up to the end.
fn ngrams(section: &mut [u8], whole: u8) -> Result<(), ArtifactError> {
    let mut cursor = Cursor::new(NGRAMS, section);
    let (_version, bits, _kinds) = (cursor.number()?, cursor.number()?, cursor.number()?);
    let too_short = cursor.wrong("it is too short");
    let table = HEADS.checked_shl(bits).and_then(|len| section.len().checked_sub(len)).ok_or(too_short)?;
    round(section, 3 * NUMBER, HEADS, table, whole).ok_or(too_short)
}

/// As [`super::encoder::Encoder`] reads it: its shape, the table of positions, and the table of pieces.
fn pieces(section: &mut [u8], whole: u8) -> Result<(), ArtifactError> {
    let mut cursor = Cursor::new(ENCODER, section);
    let width = cursor.number()? as usize;
    let (_layers, _heads, _ffn, _positions) =
        (cursor.number()?, cursor.number()?, cursor.number()?, cursor.number()?);
    let ids = cursor.number()? as usize;
    let too_short = cursor.wrong("it is too short");
    let worth = 6 * NUMBER + POSITIONS * (NUMBER + width);
    let table = worth + ids * NUMBER;
    let end = table + ids * width;
    let section = section.get_mut(..end).ok_or(too_short)?;
    round(section, worth, ids, table, whole).ok_or(too_short)
}

const NUMBER: usize = 4;

/// The table from `table` to the end, and what its numbers are worth: so many floats from `worth` on.
fn round(section: &mut [u8], worth: usize, n_worth: usize, table: usize, whole: u8) -> Option<()> {
    let times = f32::from(whole) / WHOLE;
    for raw in section.get_mut(worth..worth + n_worth * NUMBER)?.as_chunks_mut().0 {
        *raw = (f32::from_le_bytes(*raw) / times).to_le_bytes();
    }
    for raw in section.get_mut(table..)? {
        let weight = f32::from(*raw as i8) * times;
        *raw = super::float::round(weight) as i8 as u8;
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use proptest::prelude::*;

    use super::*;
    use crate::BUILTIN_MODEL;

    #[test]
    fn what_has_these_steps_stays_as_it_is() {
        let same = coarser(BUILTIN_MODEL, Steps { ngrams: 127, pieces: 127 }).unwrap();
        assert!(same == BUILTIN_MODEL);
    }

    #[test]
    fn what_is_cut_off_is_refused() {
        let cut = |tag, len| {
            let section = Artifact::open(BUILTIN_MODEL).unwrap().section(tag).unwrap()[..len].to_vec();
            let cut = write(&[(tag, section)]).unwrap();
            coarser(&cut, Steps { ngrams: 31, pieces: 15 }).unwrap_err()
        };
        for (tag, len) in [(NGRAMS, 3), (NGRAMS, 4_000), (ENCODER, 20), (ENCODER, 100_000)] {
            assert_eq!(cut(tag, len), ArtifactError::Section(tag, "it is too short"), "{len}");
        }
    }

    proptest! {
        #[test]
        fn no_weight_moves_by_more_than_half_a_step(
            weights in proptest::collection::vec(-127_i8..=127, 1..60), whole in 1_u8..=127, worth in 0.001_f32..10.0,
        ) {
            let mut section = worth.to_le_bytes().to_vec();
            section.extend(weights.iter().map(|weight| *weight as u8));
            round(&mut section, 0, 1, NUMBER, whole).unwrap();
            let step = f32::from_le_bytes(*section.first_chunk().unwrap());
            for (before, after) in weights.iter().zip(&section[NUMBER..]) {
                let after = *after as i8;
                prop_assert!(after.unsigned_abs() <= whole);
                let moved = (f32::from(*before) * worth - f32::from(after) * step).abs();
                prop_assert!(moved <= step * 0.5001, "{} to {}", before, after);
            }
        }
    }

    #[test]
    fn tables_of_nothing_stay_nothing() {
        let mut nothing = vec![0; 12];
        round(&mut nothing, 0, 1, 4, 15).unwrap();
        assert_eq!(nothing, [0; 12]);
    }
}
