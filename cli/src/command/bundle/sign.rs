//! `sentinel bundle sign`.

use std::path::PathBuf;

use sentinel_bundle::{Contents, add_signatures};

use super::{at, inspect, keys, parts, read, write};
use crate::report::{Fault, Report};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    file: PathBuf,
    /// A secret key to sign with; may be given several times.
    #[arg(long = "key", value_name = "FILE", required = true)]
    keys: Vec<PathBuf>,
    /// Where the signed bundle goes; without it, into the same file.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

pub(super) fn run(args: &Args) -> Result<Report, Fault> {
    let keys = keys::read_secrets(&args.keys)?;
    let before = read(&args.file)?;
    let contents = Contents::read(&before).map_err(|e| at(&args.file, &e))?;
    // A signature is a promise that proxies can use it.
    parts::check(&contents).map_err(|e| at(&args.file, &e))?;
    let bytes = add_signatures(&before, &keys).map_err(|e| at(&args.file, &e))?;
    let contents = Contents::read(&bytes).map_err(|e| Fault::Internal(e.to_string()))?;
    let out = args.out.as_ref().unwrap_or(&args.file);
    write(out, &bytes)?;
    inspect::report(out, bytes.len(), &contents)
}
