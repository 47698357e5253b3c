//! `sentinel policy validate`: everything that is wrong, and what is allowed but hardly meant.

use std::path::PathBuf;

use sentinel_core::policy::Policy;
use serde_json::{Value, json};

use super::{Clock, warnings::warnings};
use crate::{
    document::{self, Kind, Loaded, Problem},
    report::{Fault, Report},
};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// YAML or JSON.
    file: PathBuf,
    /// The file is a whole plugin configuration, as it stands in a proxy's configuration.
    #[arg(long)]
    plugin: bool,
    /// What is only worth a warning is an error.
    #[arg(long)]
    strict: bool,
    #[command(flatten)]
    clock: Clock,
}

const INVALID: u8 = 2;

pub(crate) fn run(args: &Args) -> Result<Report, Fault> {
    let text = document::read_text(&args.file)?;
    let kind = if args.plugin { Kind::Plugin } else { Kind::Policy };
    let loaded = match document::read(&text, kind)? {
        Ok(loaded) => loaded,
        Err(errors) => {
            let json = json!({ "valid": false, "errors": as_json(&errors), "warnings": [] });
            return Ok(Report { text: lines(args, "", &errors), json, code: INVALID });
        }
    };
    let warnings = warnings(&loaded, args.clock.now());
    let Loaded { engine, .. } = &loaded;
    let Policy { routes, profiles, patterns, .. } = engine.policy();
    let (routes, profiles, patterns) = (routes.len(), profiles.len(), patterns.len());
    let is_valid = !args.strict || warnings.is_empty();
    let word = if is_valid { "valid" } else { "refused because of its warnings" };
    let text = format!(
        "{}{}: {word}: {routes} routes, {profiles} profiles, {patterns} patterns, sha256 {}",
        lines(args, "warning: ", &warnings),
        args.file.display(),
        engine.policy_hash()
    );
    let json = json!({
        "valid": is_valid, "errors": [], "warnings": as_json(&warnings), "routes": routes, "profiles": profiles,
        "patterns": patterns, "hash": engine.policy_hash(),
    });
    Ok(Report { text, json, code: if is_valid { 0 } else { INVALID } })
}

fn lines(args: &Args, kind: &str, problems: &[Problem]) -> String {
    problems.iter().map(|problem| problem.line(&args.file, kind) + "\n").collect()
}

fn as_json(problems: &[Problem]) -> Vec<Value> {
    problems.iter().map(Problem::json).collect()
}
