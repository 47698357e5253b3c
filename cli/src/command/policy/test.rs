//! `sentinel policy test`: case files against a policy, on the core by itself.

use std::{fmt::Write, path::PathBuf};

use sentinel_cases::{
    case::{self, Case, Policies},
    expect::complaints,
    native::Native,
};
use serde_json::{Value, json};

use super::{Clock, File};
use crate::{
    document::{self, Kind},
    report::{Fault, Report, as_json},
};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    policy: File,
    /// Case files, and folders with case files. Every case runs against this policy, whatever policy it names.
    #[arg(required = true)]
    cases: Vec<PathBuf>,
    #[command(flatten)]
    clock: Clock,
}

pub(crate) fn run(args: &Args) -> Result<Report, Fault> {
    let file = &args.policy.file;
    let engine = document::load(file, Kind::Policy)?.engine;
    let policies = Policies::only(&file.display().to_string(), as_json(engine.policy())?);
    let cases = case::load_all(&args.cases, &policies).map_err(|e| Fault::Input(format!("{e:#}")))?;
    if cases.is_empty() {
        return Err(Fault::Input("there is no case file (*.yaml) in what was named".into()));
    }
    let native = Native::new(&policies).map_err(|e| Fault::Internal(format!("{e:#}")))?;
    let native = native.with_clock(args.clock.now());
    let failed = cases.iter().map(|case| Ok((case, wrong(&native, case)?)));
    let failed: Vec<(&Case, Vec<String>)> = failed.collect::<Result<_, Fault>>()?;
    let failed: Vec<_> = failed.into_iter().filter(|(_, wrong)| !wrong.is_empty()).collect();
    let mut text = String::new();
    for (case, wrong) in &failed {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "failed: {}: {}", case.file, case.name);
        for line in wrong {
            let _ = writeln!(text, "  {}", line.replace('\n', "\n  "));
        }
    }
    let (n_cases, n_failed) = (cases.len(), failed.len());
    let _ = writeln!(text, "{} of {n_cases} cases passed", n_cases - n_failed);
    let failed: Vec<Value> = failed
        .iter()
        .map(|(case, wrong)| json!({ "file": case.file, "case": case.name, "wrong": wrong }))
        .collect();
    let json = json!({ "cases": n_cases, "passed": n_cases - n_failed, "failed": failed });
    Ok(Report { text, json, code: u8::from(n_failed > 0) })
}

fn wrong(native: &Native, case: &Case) -> Result<Vec<String>, Fault> {
    let outcome = native.run(case).map_err(|e| Fault::Internal(format!("{e:#}")))?;
    Ok(complaints(case, &outcome))
}
