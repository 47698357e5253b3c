//! The `sentinel` command. One file per command in `command/`; each returns a [`Report`] that is printed as text
//! or, with `--json`, as one JSON object.
//!
//! Exit codes: 0 fine, 1 a verdict against the input, 2 wrong usage or bad input, 3 a fault of ours.

mod collector;
mod command;
mod document;
mod nearest;
mod packs;
mod report;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::report::{Fault, Report};

#[derive(Parser)]
#[command(name = "sentinel", about = "Inline risk firewall for AI traffic and transactions", version)]
struct Cli {
    /// Print one JSON object instead of text.
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run the collector: receives audit events, keeps them, answers questions.
    Serve(Box<command::serve::Args>),
    /// Run a witness: cosigns checkpoints of logs, each only if it continues the one before.
    Witness(command::witness::Args),
    /// Judge a file or standard input, with the same engine that runs in the proxy.
    Scan(command::scan::Args),
    /// Measure what detectors find in labelled texts: precision and recall for each entity.
    Eval(command::eval::Args),
    /// Teach the model with texts of one's own.
    Train(command::train::Args),
    /// List, show and export what the collector has kept.
    #[command(subcommand)]
    Events(command::events::Command),
    /// What fires at a collector, and who is told.
    #[command(subcommand)]
    Alerts(command::alerts::Command),
    /// Check and prove what the collector has kept.
    #[command(subcommand)]
    Audit(command::audit::Command),
    /// Make, list, check and restore backups.
    #[command(subcommand)]
    Backup(command::backup::Command),
    /// Restore the newest backup into a scratch folder, verify it, and measure how long that takes and what is missing.
    Drill(command::drill::Args),
    /// What is unusual, what comes next, and a week on a page.
    #[command(subcommand)]
    Monitor(command::monitor::Command),
    /// Keys of programs that speak to a collector.
    #[command(subcommand)]
    Keys(command::keys::Command),
    /// People who sign in to a collector with a wallet.
    #[command(subcommand)]
    Wallets(command::wallets::Command),
    /// Build, sign, check and roll out bundles.
    #[command(subcommand)]
    Bundle(command::bundle::Command),
    /// Check and explain policies.
    #[command(subcommand)]
    Policy(command::policy::Command),
    /// List, explain and test rules.
    #[command(subcommand)]
    Rules(command::rules::Command),
    /// Make a database for a collector, with its keys.
    InitDb(command::database::Place),
    /// The collector's database: bring it up to date, look at it, copy it, change its keys.
    #[command(subcommand)]
    Db(command::database::Command),
    /// Forget a person.
    #[command(subcommand)]
    Subjects(command::subjects::Command),
    /// Show versions of this command and of what is built in.
    Version,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let outcome = match cli.command {
        Command::Serve(args) => command::serve::run(*args),
        Command::Witness(args) => command::witness::run(args),
        Command::Scan(args) => command::scan::run(&args),
        Command::Eval(args) => command::eval::run(&args),
        Command::Train(args) => command::train::run(&args),
        Command::Events(command) => command::events::run(&command),
        Command::Alerts(command) => command::alerts::run(&command),
        Command::Audit(command) => command::audit::run(&command),
        Command::Backup(command) => command::backup::run(&command),
        Command::Drill(args) => command::drill::run(&args),
        Command::Monitor(command) => command::monitor::run(&command),
        Command::Keys(command) => command::keys::run(&command),
        Command::Wallets(command) => command::wallets::run(&command),
        Command::Bundle(command) => command::bundle::run(&command),
        Command::Policy(command) => command::policy::run(&command),
        Command::Rules(command) => command::rules::run(&command),
        Command::InitDb(place) => command::database::init(&place),
        Command::Db(command) => command::database::run(&command),
        Command::Subjects(command) => command::subjects::run(&command),
        Command::Version => command::version::run(),
    };
    finish(outcome, cli.json)
}

fn finish(outcome: Result<Report, Fault>, json: bool) -> ExitCode {
    use std::io::Write;
    let (text, code) = match &outcome {
        Ok(report) => (if json { report.json.to_string() } else { report.text.clone() }, report.code),
        Err(fault) if json => (serde_json::json!({ "error": fault.to_string() }).to_string(), fault.code()),
        Err(fault) => {
            // Standard error may be closed; the exit code says it all the same.
            let _ = writeln!(std::io::stderr(), "sentinel: {fault}");
            return ExitCode::from(fault.code());
        }
    };
    match writeln!(std::io::stdout(), "{}", text.trim_end()) {
        // A reader that has seen enough (`| head`) is no fault.
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => ExitCode::from(3),
        _ => ExitCode::from(code),
    }
}
