//! A model, opened. What an artefact has no section for is not there; what it has must be right.

use super::{
    artifact::{Artifact, ArtifactError, CALIBRATION, CARD, ENCODER, NGRAMS, Tag, VOCABULARY},
    calibration::Calibration,
    encoder::Encoder,
    ngrams::Ngrams,
    tokens::Vocabulary,
};

#[derive(Clone, Debug)]
pub struct Model<'a> {
    /// JSON: what the model is, what it was trained with, how well it does.
    pub card: &'a str,
    pub ngrams: Option<Ngrams<'a>>,
    pub encoder: Option<(Vocabulary<'a>, Encoder<'a>)>,
    pub calibration: Option<Calibration<'a>>,
}

impl<'a> Model<'a> {
    pub fn open(bytes: &'a [u8]) -> Result<Self, ArtifactError> {
        const KNOWN: [Tag; 5] = [CARD, NGRAMS, VOCABULARY, ENCODER, CALIBRATION];
        let artifact = Artifact::open(bytes)?;
        if let Some((tag, _)) = artifact.sections().find(|(tag, _)| !KNOWN.contains(tag)) {
            return Err(ArtifactError::Section(tag, "what it is for is not known"));
        }
        let card = artifact.section(CARD).ok_or(ArtifactError::Missing(CARD))?;
        let encoder = match (artifact.section(VOCABULARY), artifact.section(ENCODER)) {
            (Some(vocabulary), Some(encoder)) => {
                let vocabulary = Vocabulary::open(vocabulary)?;
                let encoder = Encoder::open(encoder, vocabulary.n_ids())?;
                Some((vocabulary, encoder))
            }
            (None, None) => None,
            (None, Some(_)) => return Err(ArtifactError::Missing(VOCABULARY)),
            (Some(_), None) => return Err(ArtifactError::Missing(ENCODER)),
        };
        Ok(Self {
            card: core::str::from_utf8(card).map_err(|_| ArtifactError::Section(CARD, "it is no text"))?,
            ngrams: artifact.section(NGRAMS).map(Ngrams::open).transpose()?,
            encoder,
            calibration: artifact.section(CALIBRATION).map(Calibration::open).transpose()?,
        })
    }
}
