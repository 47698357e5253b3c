//! `sentinel subjects`: what is kept about one person.

use serde_json::json;

use crate::{
    collector::{self, Collector},
    report::{Fault, Report},
};

#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// Destroy the keys of a person's events, so that nobody reads them again; the log still verifies.
    Erase(EraseArgs),
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
    let Command::Erase(EraseArgs { collector, subject, yes }) = command;
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
