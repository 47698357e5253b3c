//! `sentinel subjects`: what is kept about one person.

use std::path::PathBuf;

use serde_json::json;

use super::events::{
    export::{Format, into_file},
    question::Query,
};
use crate::{
    collector::{self, Collector},
    report::{Fault, Report},
};

#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// Write all events about a person into a file, as they are kept.
    Export(ExportArgs),
    /// Destroy the keys of a person's events, so that nobody reads them again; the log still verifies.
    Erase(EraseArgs),
}

#[derive(Debug, clap::Args)]
pub(crate) struct ExportArgs {
    #[command(flatten)]
    collector: collector::Args,
    /// As events name the person, such as the user of a token.
    subject: String,
    #[arg(long, value_enum, default_value = "jsonl")]
    format: Format,
    /// A file that is not there yet.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

#[derive(Debug, clap::Args)]
pub(crate) struct EraseArgs {
    #[command(flatten)]
    collector: collector::Args,
    /// As events name the person, such as the user of a token.
    subject: String,
    /// Without it nothing is done: there is no way back.
    #[arg(long)]
    yes: bool,
}

pub(crate) fn run(command: &Command) -> Result<Report, Fault> {
    match command {
        Command::Export(args) => export(args),
        Command::Erase(args) => erase(args),
    }
}

fn export(ExportArgs { collector, subject, format, out }: &ExportArgs) -> Result<Report, Fault> {
    if subject.is_empty() {
        return Err(Fault::Input("the name of the person is empty".into()));
    }
    let mut query = Query::default();
    query.add("subject", Some(subject));
    into_file(collector, query, *format, out)
}

fn erase(EraseArgs { collector, subject, yes }: &EraseArgs) -> Result<Report, Fault> {
    if !yes {
        return Err(Fault::Input(format!(
            "erasing {subject:?} cannot be undone; say --yes to do it, and export what you may have to give out first"
        )));
    }
    let answer =
        Collector::new(collector)?.post_json("/v1/subjects/erase", &json!({ "subject": subject }))?;
    let number = |name: &str| answer.get(name).and_then(serde_json::Value::as_u64).unwrap_or(0);
    let text = format!("erased {} events and {} keys of {subject}", number("events"), number("keys"));
    Ok(collector::report(text, answer))
}
