//! `sentinel events show`.

use super::question::encoded;
use crate::{
    collector::{self, Collector},
    report::{Fault, Report},
};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    collector: collector::Args,
    id: String,
}

pub(super) fn run(args: &Args) -> Result<Report, Fault> {
    let event = Collector::new(&args.collector)?.get(&format!("/v1/events/{}", encoded(&args.id)))?;
    let text = serde_json::to_string_pretty(&event).map_err(|error| Fault::Internal(error.to_string()))?;
    Ok(collector::report(text, event))
}
