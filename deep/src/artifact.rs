//! What travels beside the network in one ONNX file, in its metadata: the vocabulary, what the tokenizer does with
//! characters, and a card with the thresholds.

use std::collections::BTreeMap;

use sentinel_model::compact::{HEAD_NAMES, Speaker};
use serde::{Deserialize, Serialize};
use tract_onnx::pb::ModelProto;

use crate::{Error, characters::Characters, windows::PIECES, wordpiece::Wordpiece};

const CARD: &str = "sentinel.card";
const VOCABULARY: &str = "sentinel.vocabulary";
const CHARACTERS: &str = "sentinel.characters";

/// What the model is and how well it does, as training wrote it.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Card {
    pub schema: String,
    pub heads: Vec<String>,
    /// Pieces of a text in a window.
    pub pieces: usize,
    /// From which logit on a text of each speaker counts as an attack.
    pub thresholds: BTreeMap<String, f32>,
    /// On the rows that the thresholds were set on.
    pub figures: Figures,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Figures {
    /// SHA-256 of the file of rows.
    pub rows_sha256: String,
    pub rows: usize,
    pub auc: f64,
    pub recall_at_1_percent: f64,
    pub recall_at_0_1_percent: f64,
}

/// Everything in the file but the network.
pub(crate) struct Parts {
    pub(crate) card: Card,
    pub(crate) thresholds: [f32; Speaker::ALL.len()],
    pub(crate) pieces: Wordpiece,
    pub(crate) frame: Frame,
}

/// The pieces around those of a text: a window begins with who speaks, in a word that the network knows.
pub(crate) struct Frame {
    begin: u32,
    colon: u32,
    end: u32,
    speakers: [u32; Speaker::ALL.len()],
}

impl Frame {
    pub(crate) fn around(&self, speaker: Speaker, pieces: &[u32]) -> Vec<u32> {
        let word = self.speakers.get(speaker.index()).copied().unwrap_or(self.begin);
        let mut ids = Vec::with_capacity(pieces.len() + 4);
        ids.extend([self.begin, word, self.colon]);
        ids.extend_from_slice(pieces);
        ids.push(self.end);
        ids
    }
}

impl Parts {
    pub(crate) fn read(model: &ModelProto) -> Result<Self, Error> {
        let wrong = |part| move |why: String| Error::Metadata(part, why);
        let card: Card = serde_json::from_str(part(model, CARD)?).map_err(|e| wrong(CARD)(e.to_string()))?;
        let thresholds = check(&card).map_err(wrong(CARD))?;
        let characters: Characters =
            serde_json::from_str(part(model, CHARACTERS)?).map_err(|e| wrong(CHARACTERS)(e.to_string()))?;
        characters.check().map_err(wrong(CHARACTERS))?;
        let pieces = Wordpiece::new(part(model, VOCABULARY)?, characters).map_err(wrong(VOCABULARY))?;
        let id =
            |piece: &str| pieces.id(piece).ok_or_else(|| wrong(VOCABULARY)(format!("it has no {piece:?}")));
        let mut frame =
            Frame { begin: id("[CLS]")?, colon: id(":")?, end: id("[SEP]")?, speakers: Default::default() };
        for (slot, speaker) in frame.speakers.iter_mut().zip(Speaker::ALL) {
            *slot = id(speaker.name())?;
        }
        Ok(Self { card, thresholds, pieces, frame })
    }
}

fn part<'m>(model: &'m ModelProto, key: &'static str) -> Result<&'m str, Error> {
    let found = model.metadata_props.iter().find(|prop| prop.key == key);
    found.map(|prop| prop.value.as_str()).ok_or(Error::Missing(key))
}

fn check(card: &Card) -> Result<[f32; Speaker::ALL.len()], String> {
    if card.schema != "sentinel.deep/1" {
        return Err(format!("schema is {:?}, expected \"sentinel.deep/1\"", card.schema));
    }
    if card.heads != HEAD_NAMES {
        return Err(format!("heads are {:?}, expected {HEAD_NAMES:?}", card.heads));
    }
    if card.pieces != PIECES {
        return Err(format!("pieces are {}, expected {PIECES}", card.pieces));
    }
    let mut thresholds = [0.0; Speaker::ALL.len()];
    for (slot, speaker) in thresholds.iter_mut().zip(Speaker::ALL) {
        let threshold = card.thresholds.get(speaker.name()).copied();
        *slot = threshold
            .filter(|threshold| threshold.is_finite())
            .ok_or_else(|| format!("there is no threshold of {}", speaker.name()))?;
    }
    Ok(thresholds)
}
