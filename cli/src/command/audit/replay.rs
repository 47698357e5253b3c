//! `sentinel audit replay`: an event out of the log, proven, and decided about again with what decided then.

mod artefacts;
mod found;
mod said;

use std::path::PathBuf;

use sentinel_core::{event::Event, replay::replay};
use sentinel_ledger::VerifierKey;
use serde_json::json;

use self::{artefacts::Artefacts, found::Found};
use super::{Place, source::Evidence};
use crate::report::{Fault, Report, as_json};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    place: Place,
    /// The id of the event.
    event: String,
    /// The public key of the log; without it that which lies beside the log is taken.
    #[arg(long, value_name = "VKEY")]
    key: Option<String>,
    /// The bundle that decided, where the collector does not have it.
    #[arg(long, value_name = "FILE", conflicts_with = "policy")]
    bundle: Option<PathBuf>,
    /// The policy that decided, as YAML or JSON.
    #[arg(long, value_name = "FILE")]
    policy: Option<PathBuf>,
    /// Judge with what there is, although it is not what decided then.
    #[arg(long)]
    anyway: bool,
}

pub(super) async fn run(args: &Args) -> Result<Report, Fault> {
    let key = args.key.as_ref().map(|text| {
        let parsed = VerifierKey::parse(text);
        parsed.map_err(|error| Fault::Input(format!("{text}: not a verifier key: {error}")))
    });
    let key = key.transpose()?;
    let mut evidence = Evidence::open(&args.place).await?;
    let outcome = judge(args, key.as_ref(), &mut evidence).await;
    evidence.close().await;
    outcome
}

async fn judge(args: &Args, key: Option<&VerifierKey>, evidence: &mut Evidence) -> Result<Report, Fault> {
    let id = &args.event;
    let found = Found::find(evidence, id, key).await?;
    let event: Event = serde_json::from_str(&found.event)
        .map_err(|error| Fault::Input(format!("event {id} cannot be judged again: {error}")))?;
    if event.content.is_none() {
        let why = "its policy kept nothing of the content (profiles.NAME.events)";
        return Err(Fault::Input(format!("event {id} cannot be judged again: {why}")));
    }
    let artefacts = Artefacts::find(args, &event, evidence).await?;
    let differing = artefacts.differing(&event);
    if !differing.is_empty() && !args.anyway {
        let text = said::stopped(&found, id, &differing);
        let json = json!({ "event": id, "proof": found.json(), "artefacts": as_json(&differing)? });
        return Ok(Report { text, json, code: 2 });
    }
    let replayed = replay(&artefacts.engine, &event)
        .map_err(|error| Fault::Input(format!("event {id} cannot be judged again: {error}")))?;
    let outcome = said::Outcome::of(&replayed);
    Ok(Report {
        text: said::text(&found, &event, &differing, &replayed),
        json: json!({
            "event": id,
            "proof": found.json(),
            "artefacts": as_json(&differing)?,
            "outcome": outcome.name(),
            "replay": as_json(&replayed)?,
            "not_judged_again": said::outside(&event),
        }),
        code: outcome.code(),
    })
}
