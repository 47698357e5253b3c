//! `sentinel bundle inspect`, and how all commands show a bundle.

use std::{
    fmt::Write,
    path::{Path, PathBuf},
};

use sentinel_bundle::Contents;
use serde_json::json;

use super::{at, moment, read};
use crate::report::{Fault, Report, as_json};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    file: PathBuf,
}

pub(super) fn run(args: &Args) -> Result<Report, Fault> {
    let bytes = read(&args.file)?;
    let contents = Contents::read(&bytes).map_err(|e| at(&args.file, &e))?;
    report(&args.file, bytes.len(), &contents)
}

pub(super) fn report(path: &Path, bytes: usize, contents: &Contents<'_>) -> Result<Report, Fault> {
    let manifest = contents.manifest();
    let keys: Vec<String> = contents.signature_keys().map(|key| key.to_string()).collect();
    let mut text = format!(
        "{}: {} version {}, {bytes} bytes\nid          {}\nvalid       {} to {}\nsignatures  {}\n",
        path.display(),
        manifest.name,
        manifest.version,
        contents.id(),
        moment::show(manifest.not_before),
        moment::show(manifest.expires),
        keys.join(", ")
    );
    // Writing to a string cannot fail.
    if let Some(evaluation) = &manifest.evaluation {
        let _ = writeln!(text, "evaluation  {evaluation}");
    }
    for part in &manifest.parts {
        let (kind, name) = (part.kind.name(), &part.name);
        let _ = writeln!(text, "{kind:<8} {:>9} bytes  sha256 {}  {name}", part.bytes, part.sha256);
    }
    let json = json!({
        "file": path, "bytes": bytes, "id": contents.id().to_string(),
        "manifest": as_json(manifest)?, "signatures": keys,
    });
    Ok(Report { text, json, code: 0 })
}
