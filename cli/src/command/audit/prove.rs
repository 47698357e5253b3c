//! `sentinel audit prove`.

use std::{fs, path::PathBuf};

use sentinel_ledger::{ProofFile, VerifierKey, leaf_hash};
use serde_json::Value;

use crate::{
    collector::{self, Collector},
    command::events::encoded,
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

/// What a collector has proven.
pub(super) struct Proven {
    pub(super) index: u64,
    /// Entries that the checkpoint signs.
    pub(super) size: u64,
    /// What the log calls itself.
    pub(super) log: String,
    pub(super) leaf: String,
    /// C2SP tlog-proof.
    proof: String,
    pub(super) answer: Value,
}

pub(super) fn run(args: &Args) -> Result<Report, Fault> {
    let collector = Collector::new(&args.collector)?;
    let Proven { index, size, log, leaf, proof, answer } =
        proven(&collector, &args.event, args.key.as_deref())?;
    if let Some(out) = &args.out {
        fs::write(out, proof).map_err(|error| Fault::Input(format!("{}: {error}", out.display())))?;
    }
    let text = format!("event {} is entry {index} of {size} in the log {log}\n{leaf}", args.event);
    Ok(Report { text, json: answer, code: 0 })
}

/// Gets the proof of an event and checks it, with the key that is named or that the collector names.
pub(super) fn proven(collector: &Collector, event: &str, key: Option<&str>) -> Result<Proven, Fault> {
    let answer = collector.get(&format!("/v1/events/{}/proof", encoded(event)))?;
    let text = |name: &str| {
        let text = answer.get(name).and_then(Value::as_str);
        text.ok_or_else(|| Fault::Internal(format!("the collector's answer has no {name}")))
    };
    let (proof, leaf) = (text("proof")?, text("leaf")?);
    let key = match key {
        Some(key) => key,
        None => text("key")?,
    };
    let key = VerifierKey::parse(key).map_err(|error| Fault::Input(format!("{key}: {error}")))?;
    let wrong = |error: &dyn std::fmt::Display| Fault::Internal(format!("the proof is wrong: {error}"));
    let file = ProofFile::parse(proof.as_bytes()).map_err(|error| wrong(&error))?;
    let signed = file
        .verify(&leaf_hash(leaf.as_bytes()), key.name(), std::slice::from_ref(&key))
        .map_err(|error| wrong(&error))?;
    let (index, size) = (file.index(), signed.checkpoint().size());
    let (log, leaf, proof) = (key.name().to_owned(), leaf.to_owned(), proof.to_owned());
    Ok(Proven { index, size, log, leaf, proof, answer })
}
