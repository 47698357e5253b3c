//! `sentinel audit verify`.

use std::{fmt::Write as _, path::PathBuf};

use sentinel_collector::audit::{Check, Report as Found, Source, check};
use sentinel_ledger::VerifierKey;

use super::{Place, seen, source::Evidence};
use crate::report::{Fault, Report, as_json};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    place: Place,
    /// The public key of the log (`name+id+key`), from whoever runs it. Without it the key beside the log is taken, and
    /// whoever could change the log could have changed that, too.
    #[arg(long, value_name = "VKEY")]
    key: Option<String>,
    /// A file that remembers the newest checkpoint seen, to notice a log that was set back or forked; made at the first
    /// time, renewed when all is well.
    #[arg(long, value_name = "FILE")]
    seen: Option<PathBuf>,
    /// The public key of a witness; several are allowed.
    #[arg(long = "witness", value_name = "VKEY")]
    witnesses: Vec<String>,
    /// How many of the witnesses have to have cosigned.
    #[arg(long, default_value_t = 0, value_name = "N")]
    cosignatures: usize,
    /// Check the log alone, where the events themselves may not be read.
    #[arg(long)]
    log_only: bool,
}

pub(super) async fn run(args: &Args) -> Result<Report, Fault> {
    let parse = |text: &String| {
        VerifierKey::parse(text).map_err(|error| Fault::Input(format!("{text}: not a verifier key: {error}")))
    };
    let remembered = args.seen.as_deref().map(seen::read).transpose()?.flatten();
    let wanted = Check {
        key: args.key.as_ref().map(parse).transpose()?,
        seen: remembered.into_iter().collect(),
        witnesses: args.witnesses.iter().map(parse).collect::<Result<_, _>>()?,
        cosignatures_min: args.cosignatures,
        with_events: !args.log_only,
    };
    let mut evidence = Evidence::open(&args.place).await?;
    evidence.require_cosignatures(&wanted.witnesses, wanted.cosignatures_min);
    let found = check(&wanted, &mut evidence).await.map_err(Fault::Internal)?;
    if found.is_good()
        && let Some(path) = &args.seen
    {
        let newest = evidence.get("checkpoint").await.map_err(Fault::Internal)?;
        // A running log may have grown since, by what the next verification looks at.
        seen::write(path, &newest.unwrap_or_default())?;
    }
    evidence.close().await;
    let code = u8::from(!found.is_good());
    Ok(Report { text: text(&found), json: as_json(&found)?, code })
}

fn text(found: &Found) -> String {
    let mut text = String::new();
    let Found { size, origin, root, key, n_events, n_accesses, n_opened, n_gone, .. } = found;
    // Writing to a text does not fail.
    let _ = writeln!(text, "log {origin}, {size} entries, root {root}");
    let _ = writeln!(text, "key {key}{}", if found.key_was_found { " (found beside the log)" } else { "" });
    if !found.cosigned_by.is_empty() {
        let _ = writeln!(text, "cosigned by {}", found.cosigned_by.join(", "));
    }
    let _ = writeln!(
        text,
        "{n_events} events, {n_opened} of them read and as committed, {n_gone} deleted as the log says; {n_accesses} accesses"
    );
    let n_missing: u64 = found.missing.iter().map(|run| run.last - run.first + 1).sum();
    if n_missing > 0 {
        let _ = writeln!(text, "{n_missing} events never arrived, in {} runs:", found.missing.len());
        for run in found.missing.iter().take(LINES_MAX) {
            let _ = writeln!(text, "  vm {} numbers {} to {}", run.vm, run.first, run.last);
        }
    }
    for problem in found.problems.iter().take(LINES_MAX) {
        let place = problem.entry.map_or(String::new(), |entry| format!("entry {entry}: "));
        let _ = writeln!(text, "WRONG {place}{}", problem.text);
    }
    match found.n_problems {
        0 => text += "verified",
        n => {
            let _ = write!(text, "NOT verified: {n} problems");
        }
    }
    text
}

const LINES_MAX: usize = 100;
