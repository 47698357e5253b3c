//! `sentinel bundle push`, `promote`, `rollback`, `freeze`, `unfreeze` and `history`: what a person decides about bundles that the
//! collector hands out.

use std::path::PathBuf;

use sentinel_bundle::Contents;
use serde_json::{Value, json};

use super::{at, moment, read};
use crate::{
    collector::{self, Collector},
    report::{Fault, Report},
};

#[derive(Debug, clap::Args)]
pub(crate) struct PushArgs {
    file: PathBuf,
    #[command(flatten)]
    collector: collector::Args,
    /// What to do with it: watch it beside the active bundle, let it decide for a share of traffic, or use it at once.
    /// Without this it is kept and nothing changes.
    #[arg(long, value_enum)]
    mode: Option<Mode>,
    /// The share of traffic.
    #[arg(long, requires = "mode", value_parser = clap::value_parser!(u8).range(0..=100))]
    percent: Option<u8>,
    /// What stays together on one side of the share.
    #[arg(long, requires = "mode", value_enum)]
    by: Option<By>,
    /// An instance that gets it wholly, or the beginning of names with a * behind it; may be given several times.
    #[arg(long = "instance", requires = "mode", value_name = "LABEL")]
    instances: Vec<String>,
    /// Why; it stands in the history.
    #[arg(long, requires = "mode")]
    reason: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Mode {
    Shadow,
    Canary,
    Active,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum By {
    Session,
    Ip,
    Request,
}

#[derive(Debug, clap::Args)]
pub(crate) struct ChangeArgs {
    #[command(flatten)]
    collector: collector::Args,
    /// Why; it stands in the history.
    #[arg(long)]
    reason: String,
}

#[derive(Debug, clap::Args)]
pub(crate) struct HistoryArgs {
    #[command(flatten)]
    collector: collector::Args,
}

pub(super) fn push(args: &PushArgs) -> Result<Report, Fault> {
    let collector = Collector::new(&args.collector)?;
    let bytes = read(&args.file)?;
    let contents = Contents::read(&bytes).map_err(|e| at(&args.file, &e))?;
    let (id, manifest) = (contents.id().to_string(), contents.manifest());
    let deployment = args.mode.map(|mode| args.deployment(mode, &id)).transpose()?;
    let kept = collector.post_bytes("/v1/bundles", &bytes)?;
    let mut text = format!("{} version {} is at the collector\nid {id}\n", manifest.name, manifest.version);
    let deployed = match deployment {
        Some(deployment) => {
            let answer = collector.post_json("/v1/deployments", &deployment)?;
            text.push_str(&format!("deployed: {}\n", summary(&answer)));
            answer
        }
        None => {
            text.push_str("not deployed; that takes --mode shadow, canary or active\n");
            Value::Null
        }
    };
    Ok(collector::report(text, json!({ "id": id, "bundle": kept, "deployment": deployed })))
}

pub(super) fn change(args: &ChangeArgs, verb: &str) -> Result<Report, Fault> {
    let collector = Collector::new(&args.collector)?;
    let path = format!("/v1/deployments/current/{verb}");
    let answer = collector.post_json(&path, &json!({ "reason": args.reason }))?;
    Ok(collector::report(format!("{verb}: {}", summary(&answer)), answer))
}

pub(super) fn history(args: &HistoryArgs) -> Result<Report, Fault> {
    let answer = Collector::new(&args.collector)?.get("/v1/deployments")?;
    let active = answer.get("active").filter(|active| !active.is_null());
    let mut text = format!("active: {}", active.map_or_else(|| "nothing".to_owned(), bundle));
    for deployment in answer.get("deployments").and_then(Value::as_array).into_iter().flatten() {
        text.push_str(&format!("\n{}", in_full(deployment)));
    }
    Ok(collector::report(text, answer))
}

impl PushArgs {
    fn deployment(&self, mode: Mode, id: &str) -> Result<Value, Fault> {
        match (mode, self.percent) {
            (Mode::Active, Some(_)) => {
                return Err(Fault::Input("--percent: an active bundle decides for all traffic".into()));
            }
            (Mode::Canary, None) if self.instances.is_empty() => {
                return Err(Fault::Input(
                    "--percent: a canary needs a share of traffic, or --instance".into(),
                ));
            }
            _ => {}
        }
        let mode = match mode {
            Mode::Shadow => "shadow",
            Mode::Canary => "canary",
            Mode::Active => "active",
        };
        let key = self.by.map(|by| match by {
            By::Session => "session",
            By::Ip => "ip",
            By::Request => "request",
        });
        // What is not said is the collector's to decide.
        let optional = [
            ("percent", self.percent.map(Value::from)),
            ("key", key.map(Value::from)),
            ("labels", (!self.instances.is_empty()).then(|| self.instances.clone().into())),
            ("reason", self.reason.clone().map(Value::from)),
        ];
        let mut deployment = json!({ "bundle": id, "mode": mode });
        for (name, value) in optional {
            if let (Some(fields), Some(value)) = (deployment.as_object_mut(), value) {
                fields.insert(name.to_owned(), value);
            }
        }
        Ok(deployment)
    }
}

/// One line for a deployment. What an older or newer collector does not say is left out.
fn summary(deployment: &Value) -> String {
    let word = |name: &str| deployment.get(name).map(plain);
    let number = word("number").map(|number| format!("#{number}"));
    let percent = word("percent").map(|percent| format!("{percent} %"));
    let words = [number, word("state"), word("mode"), percent, deployment.get("candidate").map(bundle)];
    words.into_iter().flatten().collect::<Vec<_>>().join(" ")
}

/// A deployment with what was done to it.
fn in_full(deployment: &Value) -> String {
    let mut text = summary(deployment);
    for entry in deployment.get("history").and_then(Value::as_array).into_iter().flatten() {
        let at = entry.get("at_ms").and_then(Value::as_u64).map(|ms| moment::show(ms / 1000));
        let words =
            [at, entry.get("what").map(plain), entry.get("who").map(plain), entry.get("why").map(plain)];
        let words: Vec<String> = words.into_iter().flatten().filter(|word| !word.is_empty()).collect();
        text.push_str(&format!("\n    {}", words.join("  ")));
    }
    text
}

fn bundle(bundle: &Value) -> String {
    let word = |name: &str| bundle.get(name).map(plain).unwrap_or_default();
    format!("{} version {} {}", word("name"), word("version"), word("id"))
}

/// A text without its quotation marks.
fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}
