//! `sentinel policy`: is it right, what does it mean, what would another one change, and does it do what it should.

mod diff;
mod effective;
mod explain;
mod test;
mod validate;
mod warnings;

use std::path::PathBuf;

use sentinel_core::Time;

use crate::{
    document::{self, Kind},
    report::{Fault, Report},
};

#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// Check a policy file; errors name file, line, column, field, reason and what was probably meant.
    Validate(validate::Args),
    /// Print what is in force, with every default written out: of a policy, or of the built-in one without a file. With
    /// a request: its route and why, its profile, and where each value comes from.
    Explain(explain::Args),
    /// Compare what two policies do, value by value: stricter, laxer or different. Exits with 1 if anything is.
    Diff(diff::Args),
    /// Run case files against a policy. Exits with 1 if a case fails.
    Test(test::Args),
    /// Print the JSON Schema of a policy, for editors and other programs.
    Schema {
        /// That of a whole plugin configuration.
        #[arg(long)]
        plugin: bool,
    },
}

/// When it is, for what depends on time.
#[derive(Debug, clap::Args)]
pub(crate) struct Clock {
    /// As if it were then: a date or a time of RFC 3339. Otherwise the clock of this machine.
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    time: Option<Time>,
}

impl Clock {
    pub(crate) fn now(&self) -> Time {
        let machine = || {
            let since =
                std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
            Time(u64::try_from(since.as_nanos()).unwrap_or(u64::MAX))
        };
        self.time.unwrap_or_else(machine)
    }
}

fn parse_time(text: &str) -> Result<Time, String> {
    text.parse()
}

/// A policy file, as most commands take one.
#[derive(Debug, clap::Args)]
pub(crate) struct File {
    /// YAML or JSON.
    file: PathBuf,
}

pub(crate) fn run(command: &Command) -> Result<Report, Fault> {
    match command {
        Command::Validate(args) => validate::run(args),
        Command::Explain(args) => explain::run(args),
        Command::Diff(args) => diff::run(args),
        Command::Test(args) => test::run(args),
        Command::Schema { plugin } => {
            let json = document::schema(if *plugin { Kind::Plugin } else { Kind::Policy });
            let text = serde_json::to_string_pretty(&json).map_err(|e| Fault::Internal(e.to_string()))?;
            Ok(Report { text, json, code: 0 })
        }
    }
}
