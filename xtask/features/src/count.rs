//! Words and how common they are: what a vocabulary is chosen from.

use std::{
    collections::{HashMap, HashSet},
    fs::File,
    io::{BufWriter, Write},
    path::PathBuf,
};

use anyhow::Result;
use sentinel_core::FoldedText;
use sentinel_model::compact::tokens;

use crate::rows;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// JSON lines; `-` for standard input.
    input: PathBuf,
    /// Word, occurrences and rows, with tabs between them; the most common first.
    output: PathBuf,
}

#[derive(Default)]
struct Count {
    occurrences: u64,
    rows: u64,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    let mut counts: HashMap<String, Count> = HashMap::new();
    rows::for_each(&args.input, |_, _, text| {
        let folded = FoldedText::new(text);
        let mut in_row = HashSet::new();
        for word in tokens::words(folded.text()) {
            let is_new = in_row.insert(word);
            match counts.get_mut(word) {
                Some(count) => {
                    count.occurrences += 1;
                    count.rows += u64::from(is_new);
                }
                None => {
                    counts.insert(word.to_owned(), Count { occurrences: 1, rows: 1 });
                }
            }
        }
        Ok(())
    })?;
    let mut counts: Vec<_> = counts.into_iter().collect();
    counts.sort_by(|a, b| (b.1.occurrences, &a.0).cmp(&(a.1.occurrences, &b.0)));
    let mut out = BufWriter::new(File::create(&args.output)?);
    for (word, Count { occurrences, rows }) in counts {
        writeln!(out, "{word}\t{occurrences}\t{rows}")?;
    }
    Ok(out.flush()?)
}
