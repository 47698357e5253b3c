//! Artefacts of models. Bytes are refused or read; a model that was changed in any place, and sealed again, is refused or
//! scores any text with numbers, the same ones every time.

use sentinel_core::FoldedText;
use sentinel_model::compact::{
    HEADS, Model, Speaker,
    artifact::{Artifact, CALIBRATION, Tag, write},
    calibration::Scale,
    encoder::Scratch,
    ngrams::Adder,
    pack::{self, Shape},
    tokens::PIECES,
};

use crate::source::Source;

const WORDS: [&str; 8] = ["ig", "##nore", "##e", "all", "previous", "!", "\u{43f}\u{440}", "\u{4f60}"];

/// A text and changes, or an artefact as it is.
pub fn run(data: &[u8]) {
    if let Ok(artifact) = Artifact::open(data) {
        let sections: Vec<(Tag, Vec<u8>)> =
            artifact.sections().map(|(tag, section)| (tag, section.to_vec())).collect();
        assert_eq!(write(&sections).as_deref(), Ok(data), "there are two ways to write one artefact");
    }
    score(data, "an artefact as it is");
    let (text, mut source) = Source::after_body(data);
    let mut sections = sections();
    while !source.is_empty() {
        let idx = source.below(sections.len());
        let (_, section) = &mut sections[idx];
        match source.below(4) {
            0 => section.truncate(source.below(1 << 13)),
            1 => section.extend(source.bytes(16)),
            _ => {
                let at = source.below(1 << 13).min(section.len().saturating_sub(1));
                let bytes = source.bytes(8);
                section.iter_mut().skip(at).zip(bytes).for_each(|(to, byte)| *to = *byte);
            }
        }
    }
    let sealed = write(&sections).expect("sections are few and small");
    score(&sealed, &String::from_utf8_lossy(text));
}

fn sections() -> Vec<(Tag, Vec<u8>)> {
    let ids = usize::from(PIECES) + WORDS.len();
    let whole = pack::by_chance(Shape { width: 16, layers: 1, heads: 2, ffn: 8, ids }, 6, &WORDS);
    let artifact = Artifact::open(&whole).expect("a model of chance is one");
    let mut sections: Vec<_> = artifact.sections().map(|(tag, section)| (tag, section.to_vec())).collect();
    let scale =
        Scale { first_slope: 1.0, both_first: 0.5, both_second: 0.5, grey_to: 3.0, ..Scale::default() };
    sections.push((CALIBRATION, pack::calibration(&[scale; 5])));
    sections
}

fn score(artifact: &[u8], text: &str) {
    let Ok(model) = Model::open(artifact) else { return };
    let folded = FoldedText::new(text);
    if let Some(ngrams) = &model.ngrams {
        let mut adder = Adder::new(ngrams);
        let mut reader = ngrams.reader();
        folded.for_each_word(|start, end| reader.word(folded.text().as_bytes(), start, end, &mut adder));
        reader.end(folded.text().as_bytes(), &mut adder);
        let mut end = 0;
        for sums in adder.windows() {
            assert!(sums.block.start <= end, "a window leaves out what stands before it");
            end = sums.block.end;
            for speaker in Speaker::ALL {
                let logits = ngrams.logits(speaker, &sums);
                assert!(logits.iter().all(|logit| logit.is_finite()), "{logits:?}");
            }
        }
        assert_eq!(end as usize, folded.text().len(), "the windows do not reach the end");
    }
    let Some((vocabulary, encoder)) = &model.encoder else { return };
    let ids: Vec<u16> = vocabulary.pieces(folded.text()).map(|token| token.id).collect();
    assert!(ids.iter().all(|id| usize::from(*id) < vocabulary.n_ids()), "a piece that there is not");
    let (mut scratch, mut other) = (Scratch::new(encoder), Scratch::new(encoder));
    let logits = encoder.logits_of(Speaker::Tool, ids.iter().copied(), &mut scratch);
    assert!(logits.iter().all(|logit| logit.abs() <= 100.0), "{logits:?}");
    encoder.logits_of(Speaker::User, [3, 500], &mut other);
    let again: [f32; HEADS] = encoder.logits_of(Speaker::Tool, ids.iter().copied(), &mut other);
    assert_eq!(logits.map(f32::to_bits), again.map(f32::to_bits), "what was read before shows");
}
