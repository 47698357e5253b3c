//! `sentinel events export`: from the collector into a file, as it comes. A file has its name only when it is whole.

use std::{
    fs::{self, File, OpenOptions},
    io::Write as _,
    path::{Path, PathBuf},
};

use serde_json::json;

use super::question::{Query, Which};
use crate::{
    collector::{self, Collector},
    report::{Fault, Report},
};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    collector: collector::Args,
    #[command(flatten)]
    which: Which,
    #[arg(long, value_enum)]
    format: Format,
    /// A file that is not there yet.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
pub(crate) enum Format {
    /// One event on each line, as it came.
    Jsonl,
    /// A table for spreadsheets.
    Csv,
}

impl Format {
    const fn word(self) -> &'static str {
        match self {
            Self::Jsonl => "jsonl",
            Self::Csv => "csv",
        }
    }
}

pub(super) fn run(args: &Args) -> Result<Report, Fault> {
    into_file(&args.collector, args.which.parameters(), args.format, &args.out)
}

/// What the collector has for a question, in a file that was not there.
pub(crate) fn into_file(
    collector: &collector::Args,
    mut query: Query,
    format: Format,
    out: &Path,
) -> Result<Report, Fault> {
    let at = |path: &Path, why: &dyn std::fmt::Display| Fault::Input(format!("{}: {why}", path.display()));
    if out.exists() {
        return Err(at(out, &"is there already"));
    }
    let mut part = out.to_owned().into_os_string();
    part.push(".part");
    let part = PathBuf::from(part);
    query.add("format", Some(format.word()));
    let collector = Collector::new(collector)?;
    let mut file = create(&part).map_err(|error| at(&part, &error))?;
    let copied = collector.copy(&query.on("/v1/export"), &mut file).and_then(|bytes| {
        let kept = file.flush().and_then(|()| file.sync_all()).and_then(|()| fs::hard_link(&part, out));
        kept.map(|()| bytes).map_err(|error| at(out, &error))
    });
    // Under its own name now, or not worth to be kept.
    let _ = fs::remove_file(&part);
    let bytes = copied?;
    let place = out.display().to_string();
    Ok(Report {
        text: format!("{bytes} bytes in {place}"),
        json: json!({ "bytes": bytes, "file": place, "format": format.word() }),
        code: 0,
    })
}

/// For its owner only: it holds what the collector keeps sealed.
fn create(path: &Path) -> std::io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}
