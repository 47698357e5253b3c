//! The last step before an artefact ships: fewer steps of weight. The card says so, since its figures are from before.

use std::{fs, path::PathBuf};

use anyhow::{Context, Result};
use sentinel_model::compact::{
    Model,
    artifact::{Artifact, CARD, Tag, write},
    coarse::{Steps, coarser},
};
use serde_json::json;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// The artefact, `*.smdl`.
    input: PathBuf,
    /// Where the other one goes.
    output: PathBuf,
    /// The largest weight of stage 1; all are whole numbers.
    #[arg(long, default_value_t = 31, value_parser = clap::value_parser!(u8).range(1..=127))]
    ngrams: u8,
    /// The largest weight of a piece of stage 2.
    #[arg(long, default_value_t = 15, value_parser = clap::value_parser!(u8).range(1..=127))]
    pieces: u8,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    let whole = fs::read(&args.input).with_context(|| args.input.display().to_string())?;
    let rounded = coarser(&whole, Steps { ngrams: args.ngrams, pieces: args.pieces })?;
    let mut sections: Vec<(Tag, Vec<u8>)> =
        Artifact::open(&rounded)?.sections().map(|(tag, section)| (tag, section.to_vec())).collect();
    if let Some((_, card)) = sections.iter_mut().find(|(tag, _)| *tag == CARD) {
        let mut document: serde_json::Value = serde_json::from_slice(card).context("the card")?;
        if let Some(document) = document.as_object_mut() {
            let largest = json!({ "stage 1": args.ngrams, "pieces of stage 2": args.pieces });
            document.insert("rounded after these figures, largest weight".into(), largest);
        }
        *card = serde_json::to_vec(&document)?;
    }
    let rounded = write(&sections)?;
    Model::open(&rounded)?;
    fs::write(&args.output, rounded).with_context(|| args.output.display().to_string())
}
