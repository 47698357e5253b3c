//! Weights that were trained, to an artefact. The folder has `model.json` and a file of floats for each tensor; their names
//! and sizes stand in [`run`] and in `sentinel_model::compact::pack`.

use std::{fs, path::PathBuf};

use anyhow::{Context, Result, anyhow, ensure};
use sentinel_model::compact::{
    HEADS, Model, Speaker,
    artifact::{CALIBRATION, CARD, ENCODER, NGRAMS, VOCABULARY, write},
    calibration::Scale,
    ngrams::FEATURES_VERSION,
    pack::{self, NORM_LEN, NgramWeights, Shape},
    tokens::PIECES,
};
use serde::Deserialize;

use crate::arrays::read_floats;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// The folder.
    input: PathBuf,
    /// The artefact, `*.smdl`.
    output: PathBuf,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    card: serde_json::Value,
    ngrams: Option<NgramShape>,
    encoder: Option<EncoderShape>,
    /// For each speaker, the user first.
    calibration: Option<Vec<Calibrated>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NgramShape {
    /// What `index.json` of the dump says that the table was trained with.
    features_version: u32,
    bits: u32,
    kinds: u32,
    clip: Option<[f32; HEADS]>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct EncoderShape {
    width: usize,
    layers: usize,
    heads: usize,
    ffn: usize,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Calibrated {
    stage1: First,
    both: Both,
    grey: [f32; 2],
    threshold: f32,
    long: Long,
}

/// What a window loses with every doubling of the windows of its text.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Long {
    stage1: f32,
    both: f32,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct First {
    bias: f32,
    slope: f32,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Both {
    bias: f32,
    stage1: f32,
    stage2: f32,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    let path = args.input.join("model.json");
    let text = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
    let document: Document = serde_json::from_str(&text).with_context(|| path.display().to_string())?;
    let floats = |name: &str, len| read_floats(&args.input, &format!("{name}.f32"), len);
    let mut sections = vec![(CARD, serde_json::to_vec(&document.card)?)];
    if let Some(NgramShape { features_version, bits, kinds, clip }) = document.ngrams {
        ensure!(
            features_version == FEATURES_VERSION,
            "the table was trained with features of version {features_version}; {FEATURES_VERSION} is what is read now: \
             dump and train again"
        );
        ensure!(bits <= 20, "a table of 2^{bits} rows is too large");
        let weights = NgramWeights {
            bits,
            kinds,
            clip,
            table: floats("ngrams.table", HEADS << bits)?,
            bias: floats("ngrams.bias", Speaker::ALL.len() * HEADS)?,
            norm: floats("ngrams.norm", NORM_LEN)?,
        };
        sections.push((NGRAMS, pack::ngrams(&weights)));
    }
    if let Some(EncoderShape { width, layers, heads, ffn }) = document.encoder {
        let path = args.input.join("vocab.txt");
        let lines = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        let vocabulary = pack::vocabulary(&lines).map_err(|what| anyhow!("{}: {what}", path.display()))?;
        let shape = Shape { width, layers, heads, ffn, ids: usize::from(PIECES) + lines.lines().count() };
        sections.push((VOCABULARY, vocabulary));
        sections.push((ENCODER, pack::encoder(shape, |name, len| floats(&format!("encoder.{name}"), len))?));
    }
    if let Some(scales) = document.calibration {
        ensure!(scales.len() == Speaker::ALL.len(), "a calibration for each of the five speakers is needed");
        let scales: Vec<Scale> = scales.iter().map(Calibrated::scale).collect();
        sections.push((CALIBRATION, pack::calibration(&scales)));
    }
    for (tag, section) in &sections {
        eprintln!("{}  {:>9} bytes", tag.map(char::from).iter().collect::<String>(), section.len());
    }
    let artifact = write(&sections)?;
    Model::open(&artifact)?;
    fs::write(&args.output, artifact).with_context(|| args.output.display().to_string())
}

impl Calibrated {
    fn scale(&self) -> Scale {
        let Self { stage1, both, grey: [grey_from, grey_to], threshold, long } = self;
        Scale {
            first_bias: stage1.bias,
            first_slope: stage1.slope,
            both_bias: both.bias,
            both_first: both.stage1,
            both_second: both.stage2,
            grey_from: *grey_from,
            grey_to: *grey_to,
            threshold: *threshold,
            first_long: long.stage1,
            both_long: long.both,
        }
    }
}
