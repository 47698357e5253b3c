//! What backups are, in words and in JSON.

use std::{fmt::Write as _, path::PathBuf};

use sentinel_collector::backup::{Manifest, Part, Verified};
use serde_json::{Value, json};

pub(crate) fn size(bytes: u64) -> String {
    const STEPS: [(&str, u64); 3] = [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)];
    match STEPS.into_iter().find(|(_, step)| bytes >= *step) {
        Some((unit, step)) => format!("{:.1} {unit}", bytes as f64 / step as f64),
        None => format!("{bytes} bytes"),
    }
}

pub(crate) fn span(ms: i64) -> String {
    match ms.max(0) {
        ms @ 0..60_000 => format!("{}.{:03} s", ms / 1_000, ms % 1_000),
        ms @ 60_000..7_200_000 => format!("{} min", ms / 60_000),
        ms @ 7_200_000..172_800_000 => format!("{} h", ms / 3_600_000),
        ms => format!("{} days", ms / 86_400_000),
    }
}

/// What is inside, in one line.
pub(crate) fn content(manifest: &Manifest) -> String {
    let mut parts = Vec::new();
    if let Some(log) = &manifest.log {
        let signed = match &log.checkpoint {
            Some(signed) => format!("signed up to {} with root {}", signed.size, signed.root),
            None => "nothing signed yet".to_owned(),
        };
        parts.push(format!("database of {} entries, {signed}", log.entries));
    }
    for (part, word) in [(Part::Configuration, "configuration"), (Part::Logs, "logs")] {
        let n = manifest.files.iter().filter(|entry| entry.part == part).count();
        if n > 0 {
            parts.push(format!("{n} files of {word}"));
        }
    }
    parts.join("; ")
}

/// What is wrong, a line for each; nothing if all is well.
pub(crate) fn faults(verified: &Verified) -> String {
    let mut text = String::new();
    for line in &verified.wrong {
        // Writing to a text does not fail.
        let _ = writeln!(text, "WRONG {line}");
    }
    let problems = verified.audit.iter().flat_map(|audit| &audit.problems);
    for problem in problems.take(LINES_MAX) {
        let place = problem.entry.map_or(String::new(), |entry| format!("entry {entry}: "));
        let _ = writeln!(text, "WRONG {place}{}", problem.text);
    }
    text
}

pub(crate) fn audit(verified: &Verified) -> String {
    let n_entries = verified.manifest.log.as_ref().map_or(0, |log| log.entries);
    match &verified.audit {
        Some(audit) => format!(
            "log {} of {} signed entries: {} events, {} of them read and as committed, {} deleted as the log says; {} \
             entries wait for a signature and are not audited",
            audit.origin,
            audit.size,
            audit.n_events,
            audit.n_opened,
            audit.n_gone,
            n_entries.saturating_sub(audit.size)
        ),
        None => format!("no signed log to audit; {n_entries} entries wait for a signature"),
    }
}

pub(crate) fn verified_json(verified: &Verified) -> Value {
    json!({
        "manifest": verified.manifest,
        "audit": verified.audit,
        "wrong": verified.wrong,
        "good": verified.is_good(),
    })
}

/// For an operator who relies on the journal.
pub(crate) fn not_noted(why: Option<&str>) -> Option<String> {
    why.map(|why| format!("the journal of the database has no line about this: {why}"))
}

pub(crate) fn paths(paths: &[PathBuf]) -> Vec<String> {
    paths.iter().map(|path| path.display().to_string()).collect()
}

const LINES_MAX: usize = 100;
