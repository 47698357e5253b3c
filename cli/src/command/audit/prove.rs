//! `sentinel audit prove`.

use std::{fs, path::PathBuf};

use sentinel_ledger::{ProofFile, VerifierKey, leaf_hash};
use serde_json::Value;

use crate::{
    collector::{self, Collector},
    report::{Fault, Report},
};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    collector: collector::Args,
    /// The id of the event.
    event: String,
    /// The public key of the log; without it that which the collector names is taken.
    #[arg(long, value_name = "VKEY")]
    key: Option<String>,
    /// Where to keep the proof (C2SP tlog-proof): whoever has the key of the log checks it without the collector.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

pub(super) fn run(args: &Args) -> Result<Report, Fault> {
    let collector = Collector::new(&args.collector)?;
    let answer = collector.get(&format!("/v1/events/{}/proof", args.event))?;
    let text = |name: &str| {
        let text = answer.get(name).and_then(Value::as_str);
        text.ok_or_else(|| Fault::Internal(format!("the collector's answer has no {name}")))
    };
    let (proof, leaf) = (text("proof")?, text("leaf")?);
    let key = match &args.key {
        Some(key) => key.as_str(),
        None => text("key")?,
    };
    let key = VerifierKey::parse(key).map_err(|error| Fault::Input(format!("{key}: {error}")))?;
    let wrong = |error: &dyn std::fmt::Display| Fault::Internal(format!("the proof is wrong: {error}"));
    let file = ProofFile::parse(proof.as_bytes()).map_err(|error| wrong(&error))?;
    let signed = file
        .verify(&leaf_hash(leaf.as_bytes()), key.name(), std::slice::from_ref(&key))
        .map_err(|error| wrong(&error))?;
    if let Some(out) = &args.out {
        fs::write(out, proof).map_err(|error| Fault::Input(format!("{}: {error}", out.display())))?;
    }
    let (index, size) = (file.index(), signed.checkpoint().size());
    let text = format!("event {} is entry {index} of {size} in the log {}\n{leaf}", args.event, key.name());
    Ok(Report { text, json: answer, code: 0 })
}
