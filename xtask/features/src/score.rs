//! What an artefact makes of texts: the logits of both stages for every window, as a proxy would come to them if it asked
//! stage 2 about all.

use std::{fs, path::PathBuf};

use anyhow::{Context, Result};
use sentinel_core::{FoldedText, PatternSet};
use sentinel_model::compact::{
    HEADS, Model, Speaker,
    encoder::Scratch,
    ngrams::{Adder, Sums},
    windows::parts,
};
use serde_json::json;

use crate::{arrays::Array, rows};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// The artefact.
    model: PathBuf,
    /// JSON lines; `-` for standard input.
    input: PathBuf,
    /// A folder for the arrays.
    output: PathBuf,
    /// The texts that are disguised in a text, too.
    #[arg(long)]
    views: bool,
    /// Only stage 1.
    #[arg(long)]
    first_only: bool,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    fs::create_dir_all(&args.output)?;
    let bytes = fs::read(&args.model).with_context(|| args.model.display().to_string())?;
    let model = Model::open(&bytes).with_context(|| args.model.display().to_string())?;
    let ngrams = model.ngrams.as_ref().context("the artefact has no stage 1")?;
    let patterns = PatternSet::builtin().map_err(|e| anyhow::anyhow!("the built-in packs: {e}"))?;
    let mut second = model.encoder.as_ref().filter(|_| !args.first_only).map(|(vocabulary, encoder)| {
        let mut scratch = Scratch::new(encoder);
        move |speaker: Speaker, text: &str| {
            let ids: Vec<u16> = vocabulary.pieces(text).map(|token| token.id).collect();
            let of_part = |part| {
                let ids: &[u16] = ids.get::<std::ops::Range<usize>>(part).unwrap_or_default();
                encoder.logits_of(speaker, ids.iter().copied(), &mut scratch)
            };
            parts(ids.len()).map(of_part).fold([f32::MIN; HEADS], larger)
        }
    });
    let array = |name| Array::create(&args.output, name);
    let (mut of_row, mut of_view) = (array("row.u32")?, array("view.u8")?);
    let (mut of_first, mut of_second) = (array("first.f32")?, array("second.f32")?);
    let (mut spans, mut n_windows) = (array("span.u32")?, 0_u64);
    let mut adder = Adder::new(ngrams);
    let n_rows = rows::for_each(&args.input, |row, speaker, text| {
        let folded = FoldedText::new(text);
        let others = if args.views { folded.uncovered(&patterns) } else { Vec::new() };
        for (view, folded) in [folded].iter().chain(&others).enumerate() {
            let bytes = folded.text().as_bytes();
            adder.clear();
            let mut reader = ngrams.reader();
            folded.for_each_word(|start, end| reader.word(bytes, start, end, &mut adder));
            reader.end(bytes, &mut adder);
            for sums in adder.windows() {
                let Sums { block, .. } = sums;
                let range = block.start as usize..block.end as usize;
                let source = folded.source(range.start, range.end);
                let window = folded.text().get(range).context("a window cuts a character")?;
                of_row.push(row.to_le_bytes())?;
                of_view.push([view as u8])?;
                spans.push(source.start.to_le_bytes())?;
                spans.push(source.end.to_le_bytes())?;
                for logit in ngrams.logits(speaker, &sums) {
                    of_first.push(logit.to_le_bytes())?;
                }
                if let Some(second) = &mut second {
                    for logit in second(speaker, window) {
                        of_second.push(logit.to_le_bytes())?;
                    }
                }
                n_windows += 1;
            }
        }
        Ok(())
    })?;
    [of_row, of_view, of_first, of_second, spans].into_iter().try_for_each(Array::finish)?;
    let index = json!({ "rows": n_rows, "windows": n_windows, "card": model.card });
    Ok(fs::write(args.output.join("index.json"), serde_json::to_vec_pretty(&index)?)?)
}

fn larger(mut all: [f32; HEADS], other: [f32; HEADS]) -> [f32; HEADS] {
    all.iter_mut().zip(other).for_each(|(logit, other)| *logit = logit.max(other));
    all
}
