//! `sentinel train`: the built-in model, or one of one's own, taught with one's own texts.
//!
//! Only stage 1 learns, since it learns in seconds and says the first word about every text; the second stage stays what it
//! is. A fifth of the rows is held back. The new model is kept only if it is better on those and no worse on texts that it
//! is never taught with, the *frozen* ones: the examples and twins of all rules, and what `--frozen` names. Otherwise the
//! command says by how much it falls short, and leaves everything as it was.

mod fit;
mod gate;
mod rows;
mod shelf;

use std::{fmt::Write, path::PathBuf};

use sentinel_core::{CompactModel, hash};
use serde_json::json;

use self::{
    fit::Lesson,
    gate::{Figures, Gate},
    rows::Row,
    shelf::Shelf,
};
use crate::{
    document,
    report::{Fault, Report, as_json},
};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Labelled texts: CSV with a header, or JSON lines (plain, zstd, gzip or xz). `text` and `label` (1 attack, 0
    /// harmless) are needed, `channel` is read if it is there.
    #[arg(required_unless_present_any = ["rollback", "history"])]
    data: Option<PathBuf>,
    /// Where versions are kept; the newest good one is named in `current`.
    #[arg(long, value_name = "DIR", default_value = "models")]
    out: PathBuf,
    /// The artefact to begin with; without it the current version, or the built-in model.
    #[arg(long, value_name = "FILE")]
    model: Option<PathBuf>,
    /// Further texts that the new model must not be worse on.
    #[arg(long, value_name = "FILE")]
    frozen: Option<PathBuf>,
    /// How often every text is looked at.
    #[arg(long, default_value_t = 6, value_parser = clap::value_parser!(u32).range(1..=100))]
    epochs: u32,
    /// Make the version before the current one current again.
    #[arg(long)]
    rollback: bool,
    /// List all versions.
    #[arg(long, conflicts_with = "rollback")]
    history: bool,
}

/// Every so many texts one is held back.
const HELD_BACK: u64 = 5;

/// With fewer held back, a figure says nothing.
const HELD_BACK_MIN: usize = 20;

pub(crate) fn run(args: &Args) -> Result<Report, Fault> {
    let shelf = Shelf::new(&args.out);
    if args.rollback {
        return shelf.roll_back();
    }
    if args.history {
        return shelf.history();
    }
    let Some(data) = &args.data else { return Err(Fault::Input("no data".into())) };
    let rows = rows::read(data)?;
    let (held_back, lessons): (Vec<Row>, Vec<Row>) =
        rows.into_iter().partition(|row| row.key() % HELD_BACK == 0);
    for (name, rows) in [("to learn from", &lessons), ("held back", &held_back)] {
        for is_attack in [true, false] {
            let n = rows.iter().filter(|row| row.is_attack == is_attack).count();
            if n < HELD_BACK_MIN {
                let what = if is_attack { "attacks" } else { "harmless texts" };
                return Err(Fault::Input(format!(
                    "{}: {n} different {what} {name}; at least {HELD_BACK_MIN} are needed, which is about {} in all",
                    data.display(),
                    HELD_BACK_MIN as u64 * HELD_BACK
                )));
            }
        }
    }
    let mut frozen = rows::of_rules()?;
    if let Some(path) = &args.frozen {
        frozen.extend(rows::read(path)?);
    }
    let taught: std::collections::BTreeSet<u64> = lessons.iter().map(Row::key).collect();
    frozen.retain(|row| !taught.contains(&row.key()));
    let (start, parent) = shelf.start(args.model.as_deref())?;
    let artefact = fit::teach(start, &lessons, Lesson { epochs: args.epochs }, &parent)?;
    let (old, new) = (open(start)?, open(Vec::leak(artefact.clone()))?);
    let figures = |rows: &[Row]| [Figures::of(&old, rows), Figures::of(&new, rows)];
    let gate = Gate { held_back: figures(&held_back), frozen: figures(&frozen) };
    let objections = gate.objections();
    let kept = match objections.is_empty() {
        true => Some(shelf.keep(&artefact, &parent, &gate)?),
        false => None,
    };
    let mut text = gate.describe(held_back.len(), frozen.len());
    // Writing to a string cannot fail.
    let _ = match &kept {
        Some(path) => writeln!(text, "\nkept as {}", path.display()),
        None => writeln!(text, "\nrefused: {}", objections.join("; ")),
    };
    let json = json!({
        "kept": kept,
        "objections": objections,
        "parent": parent,
        "data": hash::sha256_hex(&std::fs::read(data).unwrap_or_default()),
        "rows": { "taught": lessons.len(), "held_back": held_back.len(), "frozen": frozen.len() },
        "gate": as_json(&gate)?,
    });
    Ok(Report { text, json, code: u8::from(kept.is_none()) })
}

fn open(artefact: &'static [u8]) -> Result<CompactModel, Fault> {
    CompactModel::open(artefact).map_err(|e| Fault::Internal(format!("the artefact that was made: {e}")))
}

/// An artefact from a file, for as long as the command runs.
fn read_artefact(path: &std::path::Path) -> Result<&'static [u8], Fault> {
    document::model(Some(path))?;
    let bytes = std::fs::read(path).map_err(|e| Fault::Input(format!("{}: {e}", path.display())))?;
    Ok(Vec::leak(bytes))
}
