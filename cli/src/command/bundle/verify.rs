//! `sentinel bundle verify`: what a proxy would say.

use std::path::PathBuf;

use sentinel_bundle::{Bundle, Contents, Newest};

use super::{at, inspect, keys, moment, parts, read};
use crate::report::{Fault, Report};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    file: PathBuf,
    /// A public key that is trusted, or a file with one on each line; may be given several times.
    #[arg(long, value_name = "KEY", required = true)]
    trust: Vec<String>,
    /// A bundle that was used before: what is older than that is refused.
    #[arg(long, value_name = "FILE")]
    after: Option<PathBuf>,
    /// Check for this moment in place of now: a date, or seconds since 1970.
    #[arg(long, value_name = "TIME", value_parser = moment::parse)]
    at: Option<u64>,
}

pub(super) fn run(args: &Args) -> Result<Report, Fault> {
    let trusted = keys::read_trusted(&args.trust)?;
    let bytes = read(&args.file)?;
    let newest = args.after.as_ref().map(|path| {
        let before = read(path)?;
        let contents = Contents::read(&before).map_err(|e| at(path, &e))?;
        Ok(Newest { version: contents.manifest().version, id: contents.id() })
    });
    let newest = newest.transpose()?;
    let now = args.at.map_or_else(moment::now, Ok)?;
    let bundle = match Bundle::open(&bytes, &trusted, now, newest.as_ref()) {
        Ok(bundle) => bundle,
        Err(error) => return Ok(parts::refused(&args.file, error.label(), &error.to_string())),
    };
    if let Err(reason) = parts::check(bundle.contents()) {
        return Ok(parts::refused(&args.file, "unusable", &reason));
    }
    let mut report = inspect::report(&args.file, bytes.len(), bundle.contents())?;
    let signers: Vec<String> = bundle.signed_by().iter().map(ToString::to_string).collect();
    report.text =
        format!("{}\nvalid: signed by {}, which is trusted", report.text.trim_end(), signers.join(", "));
    if let Some(json) = report.json.as_object_mut() {
        json.insert("valid".into(), true.into());
        json.insert("trusted_signers".into(), signers.into());
    }
    Ok(report)
}
