//! `sentinel policy`: is it right, and what does it mean.

use std::path::PathBuf;

use sentinel_core::{
    Engine,
    policy::{DEFAULT_PROFILE, Policy, Profile},
};
use serde_json::json;

use crate::{
    document,
    report::{Fault, Report, as_json},
};

#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// Check a policy file; errors name file, line, field and reason.
    Validate {
        file: PathBuf,
        /// The file is a whole plugin configuration, as it stands in a proxy's configuration.
        #[arg(long)]
        plugin: bool,
    },
    /// Print a policy with every default written out. Without a file: the built-in policy.
    Explain { file: Option<PathBuf> },
}

pub(crate) fn run(command: &Command) -> Result<Report, Fault> {
    match command {
        Command::Validate { file, plugin } => {
            let engine = if *plugin { document::plugin_engine(file)? } else { document::engine(Some(file))? };
            let Policy { routes, profiles, patterns, .. } = engine.policy();
            let (routes, profiles, patterns) = (routes.len(), profiles.len(), patterns.len());
            Ok(Report {
                text: format!(
                    "{}: valid: {routes} routes, {profiles} profiles, {patterns} patterns, sha256 {}",
                    file.display(),
                    engine.policy_hash()
                ),
                json: json!({
                    "valid": true, "routes": routes, "profiles": profiles, "patterns": patterns,
                    "hash": engine.policy_hash(),
                }),
                code: 0,
            })
        }
        Command::Explain { file } => {
            let engine = document::engine(file.as_deref())?;
            let policy = explained(&engine);
            let text = serde_json::to_string_pretty(&policy).map_err(|e| Fault::Internal(e.to_string()))?;
            Ok(Report { text, json: as_json(&policy)?, code: 0 })
        }
    }
}

fn explained(engine: &Engine) -> Policy {
    let mut policy = engine.policy().clone();
    policy.profiles.entry(DEFAULT_PROFILE.into()).or_default();
    policy.profiles.values_mut().for_each(|profile| *profile = Profile::explained(profile));
    policy
}
