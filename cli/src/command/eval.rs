//! `sentinel eval`: what the detectors find in labelled texts, held against the labels.
//!
//! The data are JSON lines, each with `text` and `spans` (`start`, `end` in characters, `type`), as in
//! `{"text":"call +1 212 555 0143","spans":[{"start":5,"end":20,"type":"PHONE"}]}`. Compressed data come as they
//! are (`.zst`, `.gz`, `.xz`), from a file or through a pipe.
//!
//! A find is right if it overlaps a label of its type, and a label is found if a find of its type overlaps it. Types
//! and rules meet by name: the last part of a rule's id, or what [`NAMES`] says. Of secrets the kind does not matter:
//! one that is found as another is found.
//!
//! `"spans":null` says that nobody marked where in the text something is. Such a row counts by its `label` alone: 1,
//! something is in it, 0, nothing is. Without a label it is skipped.
//!
//! Rules against attacks judge whole texts: see [`attacks`]; so do the stages of the model: see [`stages`].

mod attacks;
pub(crate) mod packed;
pub(crate) mod quality;
mod scores;
mod stages;
mod third;

pub(crate) use attacks::channel;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write,
    fs::File,
    io::{self, BufRead, BufReader},
    num::NonZeroUsize,
    path::{Path, PathBuf},
};

use clap::ValueEnum;
use sentinel_core::{
    Channel, Engine, Family, Sighting, Span,
    policy::{Policy, Profile},
};
use serde::{Deserialize, Serialize};

use crate::{
    document,
    report::{Fault, Report, as_json},
};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// JSON lines with `text`, and `spans` or `label`; plain or as zstd, gzip or xz; `-` for standard input.
    #[arg(long)]
    data: PathBuf,
    /// Judge whole texts by a stage of the model, or by all that a proxy has, instead of by a detector.
    #[arg(long, value_enum, conflicts_with = "detector")]
    stage: Option<stages::Stage>,
    /// For `--stage`: an artefact instead of the model that is built in.
    #[arg(long, value_name = "FILE", requires = "stage")]
    model: Option<PathBuf>,
    /// For `--stage 3` and `asked`: an ONNX file instead of the encoder that is built in.
    #[arg(long, value_name = "FILE", requires = "stage")]
    deep_model: Option<PathBuf>,
    /// For `--stage`: judge only every so many rows.
    #[arg(long, value_name = "N", requires = "stage", default_value = "1")]
    every: NonZeroUsize,
    /// For `--stage`: write what each row came to, as JSON lines; never its text.
    #[arg(long, value_name = "FILE", requires = "stage")]
    scores: Option<PathBuf>,
    /// Whose finds count.
    #[arg(long, value_enum, default_value_t = DetectorArg::Pii)]
    detector: DetectorArg,
    /// Rules above this level do not count.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=4))]
    level: u8,
    /// Print so many mistakes of each entity, or of each rule.
    #[arg(long, default_value_t = 0)]
    mistakes: usize,
    /// For `patterns` and `--stage`: what the figures are broken down by.
    #[arg(long, value_enum, default_value_t = attacks::By::Source)]
    by: attacks::By,
    /// For `patterns` and `--stage`: print so many attacks that are not seen.
    #[arg(long, default_value_t = 0)]
    missed: usize,
    /// For `patterns`: a folder of packs (*.yaml) instead of those that are built in.
    #[arg(long, value_name = "DIR")]
    packs: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum DetectorArg {
    Pii,
    Secrets,
    /// Rules against attacks.
    Patterns,
    /// Rules about harmful topics.
    Topics,
}

impl DetectorArg {
    fn counts(self, sighting: &Sighting<'_>) -> bool {
        match self {
            Self::Pii => sighting.family == Family::Pii,
            Self::Secrets => sighting.rule.starts_with("secret"),
            Self::Patterns => sighting.family.is_attack(),
            Self::Topics => sighting.family == Family::Harmful,
        }
    }
}

/// Types of labels, each with the rules that find it, by the last part of their ids.
const NAMES: &[(&str, &[&str])] = &[
    ("CREDIT_CARD", &["card"]),
    ("IP_ADDRESS", &["ip"]),
    ("MAC_ADDRESS", &["mac"]),
    ("US_SSN", &["ssn", "itin"]),
    ("DATE_OF_BIRTH", &["birth-date"]),
    ("MEDICAL_RECORD", &["mrn"]),
    ("DRIVER_LICENSE", &["licence"]),
    ("CRYPTO_ADDRESS", &["btc", "eth", "wallet"]),
    (
        "TAX_ID",
        &[
            "tax-id",
            "steuer-id",
            "cpf",
            "cnpj",
            "pesel",
            "bsn",
            "sin",
            "tfn",
            "itin",
            "nhs",
            "fiscale",
            "insee",
        ],
    ),
];

#[derive(Deserialize)]
struct Row {
    text: String,
    /// Nothing is in a text whose row does not speak of spans; nobody knows where there is `null`.
    #[serde(default = "no_spans")]
    spans: Option<Vec<Label>>,
    label: Option<u8>,
}

fn no_spans() -> Option<Vec<Label>> {
    Some(Vec::new())
}

#[derive(Deserialize)]
struct Label {
    start: usize,
    end: usize,
    r#type: String,
}

/// Counts of one entity.
#[derive(Default, Serialize)]
struct Count {
    labels: usize,
    found: usize,
    finds: usize,
    right: usize,
}

#[derive(Serialize)]
struct Line<'a> {
    entity: &'a str,
    #[serde(flatten)]
    count: &'a Count,
    precision: Option<f64>,
    recall: Option<f64>,
}

#[derive(Default)]
struct Tally {
    rows: usize,
    /// Rows without labels, and how many of them something was found in.
    rows_clean: usize,
    rows_clean_hit: usize,
    /// Rows that only say that something is in them, and in how many of them something was found.
    rows_unmarked: usize,
    rows_unmarked_hit: usize,
    rows_skipped: usize,
    counts: BTreeMap<String, Count>,
    mistakes: BTreeMap<String, Vec<String>>,
}

pub(crate) fn run(args: &Args) -> Result<Report, Fault> {
    if let Some(stage) = args.stage {
        return stages::run(args, stage);
    }
    if matches!(args.detector, DetectorArg::Patterns | DetectorArg::Topics) {
        return attacks::run(args);
    }
    let profile = Profile { level: args.level, ..Profile::default() };
    let policy = Policy { profiles: BTreeMap::from([("default".to_owned(), profile)]), ..Policy::default() };
    let engine = Engine::new(policy, document::builtin_patterns()?)
        .map_err(|e| Fault::Internal(format!("built-in policy: {e}")))?;
    let mut tally = Tally::default();
    for (idx, line) in lines(&args.data)?.enumerate() {
        let fault = |why: String| Fault::Input(format!("{}:{}: {why}", args.data.display(), idx + 1));
        let line = line.map_err(|e| fault(e.to_string()))?;
        let row: Row = serde_json::from_str(&line).map_err(|e| fault(e.to_string()))?;
        tally.add(&engine, args, &row);
    }
    let total = tally.total();
    let lines: Vec<Line<'_>> = tally
        .counts
        .iter()
        .map(|(entity, count)| Line::new(entity, count))
        .chain([Line::new("overall", &total)])
        .collect();
    let json = serde_json::json!({
        "rows": tally.rows,
        "rows_without_labels": tally.rows_clean,
        "rows_without_labels_hit": tally.rows_clean_hit,
        "rows_without_spans": tally.rows_unmarked,
        "rows_without_spans_hit": tally.rows_unmarked_hit,
        "rows_skipped": tally.rows_skipped,
        "entities": as_json(&lines)?,
    });
    Ok(Report { text: describe(&tally, &lines), json, code: 0 })
}

fn lines(path: &Path) -> Result<impl Iterator<Item = io::Result<String>>, Fault> {
    let fault = |e: io::Error| Fault::Input(format!("{}: {e}", path.display()));
    let raw: Box<dyn BufRead> = match path.as_os_str() == "-" {
        true => Box::new(io::stdin().lock()),
        false => Box::new(BufReader::new(File::open(path).map_err(fault)?)),
    };
    Ok(packed::unpack(raw).map_err(fault)?.lines())
}

impl Tally {
    fn add(&mut self, engine: &Engine, args: &Args, row: &Row) {
        let labels: Vec<(Span, &str)> = row
            .spans
            .iter()
            .flatten()
            .map(|label| (bytes_of(&row.text, label), label.r#type.as_str()))
            .collect();
        let sightings: Vec<(Span, &str)> = engine
            .sightings(Channel::User, &row.text)
            .iter()
            .filter(|sighting| args.detector.counts(sighting) && sighting.level <= args.level)
            .map(|sighting| (sighting.span, sighting.rule))
            .collect();
        self.rows += 1;
        match (&row.spans, row.label) {
            (None, None) => {
                self.rows_skipped += 1;
                return;
            }
            (None, Some(1..)) => {
                self.rows_unmarked += 1;
                self.rows_unmarked_hit += usize::from(!sightings.is_empty());
                return;
            }
            (None, Some(0)) | (Some(_), _) => {}
        }
        self.rows_clean += usize::from(labels.is_empty());
        self.rows_clean_hit += usize::from(labels.is_empty() && !sightings.is_empty());
        for (span, label) in &labels {
            let is_found = sightings.iter().any(|(found, rule)| found.overlaps(*span) && means(label, rule));
            let count = self.counts.entry((*label).to_owned()).or_default();
            count.labels += 1;
            count.found += usize::from(is_found);
            if !is_found {
                self.note(args, label, "missed", &row.text, *span);
            }
        }
        for (span, rule) in &sightings {
            let here: BTreeSet<&str> =
                labels.iter().filter(|(label, _)| label.overlaps(*span)).map(|(_, label)| *label).collect();
            let right = here.iter().find(|label| means(label, rule));
            let entity = right.map_or_else(|| type_of(rule), |label| (*label).to_owned());
            let count = self.counts.entry(entity.clone()).or_default();
            count.finds += 1;
            count.right += usize::from(right.is_some());
            if right.is_none() {
                self.note(args, &entity, "wrong", &row.text, *span);
            }
        }
    }

    fn note(&mut self, args: &Args, entity: &str, what: &str, text: &str, span: Span) {
        const AROUND: usize = 32;
        let list = self.mistakes.entry(format!("{entity} {what}")).or_default();
        if list.len() < args.mistakes {
            let cut = |from: usize, to: usize| {
                let bytes = text.as_bytes().get(from..to.min(text.len())).unwrap_or_default();
                String::from_utf8_lossy(bytes).replace('\n', " ")
            };
            let (start, end) = (span.start as usize, span.end as usize);
            let (before, after) = (cut(start.saturating_sub(AROUND), start), cut(end, end + AROUND));
            list.push(format!("{before}⟦{}⟧{after}", cut(start, end)));
        }
    }

    fn total(&self) -> Count {
        self.counts.values().fold(Count::default(), |total, count| Count {
            labels: total.labels + count.labels,
            found: total.found + count.found,
            finds: total.finds + count.finds,
            right: total.right + count.right,
        })
    }
}

impl<'a> Line<'a> {
    fn new(entity: &'a str, count: &'a Count) -> Self {
        let ratio = |part: usize, whole: usize| (whole > 0).then(|| part as f64 / whole as f64);
        let precision = ratio(count.right, count.finds);
        Self { entity, count, precision, recall: ratio(count.found, count.labels) }
    }
}

/// A label counts characters, a span bytes.
fn bytes_of(text: &str, label: &Label) -> Span {
    let byte = |n: usize| text.char_indices().nth(n).map_or(text.len(), |(at, _)| at);
    Span::new(byte(label.start), byte(label.end))
}

fn name(rule: &str) -> &str {
    rule.rsplit('/').next().unwrap_or(rule)
}

fn means(label: &str, rule: &str) -> bool {
    if rule.starts_with("secret/") {
        return true;
    }
    let listed = NAMES.iter().find(|(known, _)| *known == label);
    listed.map_or_else(
        || label.eq_ignore_ascii_case(&name(rule).replace('-', "_")),
        |(_, rules)| rules.contains(&name(rule)),
    )
}

/// The type that a find is counted under if no label says.
fn type_of(rule: &str) -> String {
    let listed = NAMES.iter().find(|(_, rules)| rules.contains(&name(rule)));
    listed.map_or_else(|| name(rule).to_ascii_uppercase().replace('-', "_"), |(label, _)| (*label).to_owned())
}

fn describe(tally: &Tally, lines: &[Line<'_>]) -> String {
    let mut text =
        format!("{:<18} {:>9} {:>9} {:>8} {:>8}\n", "entity", "precision", "recall", "labels", "finds");
    let percent =
        |ratio: Option<f64>| ratio.map_or_else(|| "-".to_owned(), |ratio| format!("{:.1} %", ratio * 100.0));
    for line in lines {
        // Writing to a string cannot fail.
        let _ = writeln!(
            text,
            "{:<18} {:>9} {:>9} {:>8} {:>8}",
            line.entity,
            percent(line.precision),
            percent(line.recall),
            line.count.labels,
            line.count.finds
        );
    }
    let Tally { rows, rows_clean, rows_clean_hit, rows_unmarked, rows_unmarked_hit, rows_skipped, .. } =
        tally;
    let _ =
        writeln!(text, "\n{rows} rows; something found in {rows_clean_hit} of {rows_clean} without labels");
    if rows_unmarked + rows_skipped > 0 {
        let _ = writeln!(
            text,
            "and in {rows_unmarked_hit} of {rows_unmarked} that are labelled as a whole; {rows_skipped} skipped"
        );
    }
    for (what, list) in tally.mistakes.iter().filter(|(_, list)| !list.is_empty()) {
        let _ = writeln!(text, "\n{what}");
        list.iter().for_each(|mistake| {
            let _ = writeln!(text, "  {mistake}");
        });
    }
    text
}
