//! Windows as arrays.

use std::{fs, path::PathBuf};

use anyhow::{Context, Result};
use sentinel_core::{FoldedText, PatternSet};
use sentinel_model::compact::{
    Speaker,
    ngrams::{Common, FEATURES_VERSION},
    pack,
    tokens::{SPEAKERS, Token, Vocabulary},
    windows::parts,
};
use serde_json::json;

use crate::{
    arrays::Array,
    rows,
    windows::{Features, Window},
};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Pieces of words, one a line, as BERT writes them (`ing`, `##ing`).
    #[arg(long)]
    vocab: PathBuf,
    /// The texts that are disguised in a text, too.
    #[arg(long)]
    views: bool,
    /// Only what stage 2 reads.
    #[arg(long)]
    no_ngrams: bool,
    /// JSON lines; `-` for standard input.
    input: PathBuf,
    /// A folder for the arrays.
    output: PathBuf,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    fs::create_dir_all(&args.output)?;
    let lines = fs::read_to_string(&args.vocab).with_context(|| args.vocab.display().to_string())?;
    let section =
        pack::vocabulary(&lines).map_err(|what| anyhow::anyhow!("{}: {what}", args.vocab.display()))?;
    let vocabulary = Vocabulary::open(&section)?;
    let patterns = PatternSet::builtin().map_err(|e| anyhow::anyhow!("the built-in packs: {e}"))?;
    let common = Common::default();
    let mut dump = Dump::create(args, &vocabulary)?;
    let n_rows = rows::for_each(&args.input, |row, speaker, text| {
        let folded = FoldedText::new(text);
        let others = if args.views { folded.uncovered(&patterns) } else { Vec::new() };
        for (view, view_text) in [folded].iter().chain(&others).enumerate() {
            let features = Features::of(view_text, &common);
            for (number, window) in features.windows().enumerate() {
                let place = Place {
                    row,
                    view: view as u8,
                    seen: view_text.seen() as u8,
                    number: number as u32,
                    speaker,
                };
                dump.window(&place, view_text, &features, &window)?;
            }
        }
        Ok(())
    })?;
    dump.finish(args, n_rows, vocabulary.n_ids())
}

struct Place {
    row: u32,
    view: u8,
    seen: u8,
    number: u32,
    speaker: Speaker,
}

struct Dump<'v> {
    vocabulary: &'v Vocabulary<'v>,
    with_ngrams: bool,
    row: Array,
    view: Array,
    seen: Array,
    window: Array,
    part: Array,
    span: Array,
    speaker: Array,
    words: Array,
    tokens: Array,
    tokens_at: Array,
    ngrams: Array,
    kinds: Array,
    ngrams_at: Array,
    n_windows: u64,
    n_tokens: u64,
    n_ngrams: u64,
}

impl<'v> Dump<'v> {
    fn create(args: &Args, vocabulary: &'v Vocabulary<'v>) -> Result<Self> {
        let array = |name| Array::create(&args.output, name);
        let mut dump = Self {
            vocabulary,
            with_ngrams: !args.no_ngrams,
            row: array("row.u32")?,
            view: array("view.u8")?,
            seen: array("seen.u8")?,
            window: array("window.u32")?,
            part: array("part.u16")?,
            span: array("span.u32")?,
            speaker: array("speaker.u8")?,
            words: array("words.u16")?,
            tokens: array("tokens.u16")?,
            tokens_at: array("tokens_at.u64")?,
            ngrams: array("ngrams.u32")?,
            kinds: array("kinds.u8")?,
            ngrams_at: array("ngrams_at.u64")?,
            n_windows: 0,
            n_tokens: 0,
            n_ngrams: 0,
        };
        dump.tokens_at.push(0_u64.to_le_bytes())?;
        dump.ngrams_at.push(0_u64.to_le_bytes())?;
        Ok(dump)
    }

    fn window(
        &mut self,
        place: &Place,
        text: &FoldedText,
        features: &Features,
        window: &Window,
    ) -> Result<()> {
        let read = text.text().get(window.bytes.clone()).context("a window cuts a character")?;
        let tokens: Vec<Token> = self.vocabulary.pieces(read).collect();
        let speaker = place.speaker.index() as u8 + 1;
        for (number, part) in parts(tokens.len()).enumerate() {
            let is_whole = part == (0..tokens.len());
            let tokens = tokens.get(part).unwrap_or_default();
            let bytes = match (is_whole, tokens.first(), tokens.last()) {
                (false, Some(first), Some(last)) => {
                    let from = read.floor_char_boundary(first.start as usize);
                    let to = read.ceil_char_boundary(last.end as usize);
                    window.bytes.start + from..window.bytes.start + to
                }
                _ => window.bytes.clone(),
            };
            let source = text.source(bytes.start, bytes.end);
            self.row.push(place.row.to_le_bytes())?;
            self.view.push([place.view])?;
            self.seen.push([place.seen])?;
            self.window.push(place.number.to_le_bytes())?;
            self.part.push((number as u16).to_le_bytes())?;
            self.span.push(source.start.to_le_bytes())?;
            self.span.push(source.end.to_le_bytes())?;
            self.speaker.push([speaker])?;
            self.words.push((window.words as u16).to_le_bytes())?;
            self.tokens.push((SPEAKERS + place.speaker.index() as u16).to_le_bytes())?;
            for token in tokens {
                self.tokens.push(token.id.to_le_bytes())?;
            }
            self.n_tokens += tokens.len() as u64 + 1;
            self.tokens_at.push(self.n_tokens.to_le_bytes())?;
            if number == 0 && self.with_ngrams {
                for (kind, hash) in features.list.get(window.features.clone()).unwrap_or_default() {
                    self.ngrams.push(hash.to_le_bytes())?;
                    self.kinds.push([*kind as u8])?;
                    self.n_ngrams += 1;
                }
            }
            self.ngrams_at.push(self.n_ngrams.to_le_bytes())?;
            self.n_windows += 1;
        }
        Ok(())
    }

    fn finish(self, args: &Args, n_rows: u32, n_ids: usize) -> Result<()> {
        let index = json!({
            "rows": n_rows,
            "windows": self.n_windows,
            "tokens": self.n_tokens,
            "ngrams": self.n_ngrams,
            "ids": n_ids,
            "features_version": FEATURES_VERSION,
            "views": args.views,
            "vocab": args.vocab.display().to_string(),
        });
        fs::write(args.output.join("index.json"), serde_json::to_vec_pretty(&index)?)?;
        let Self {
            row,
            view,
            seen,
            window,
            part,
            span,
            speaker,
            words,
            tokens,
            tokens_at,
            ngrams,
            kinds,
            ngrams_at,
            ..
        } = self;
        let all = [
            row, view, seen, window, part, span, speaker, words, tokens, tokens_at, ngrams, kinds, ngrams_at,
        ];
        all.into_iter().try_for_each(Array::finish)
    }
}
