//! `sentinel audit`: the evidence, checked and proven by whoever wants to know.

mod export;
mod prove;
mod replay;
mod seen;
mod source;
mod verify;

use std::path::PathBuf;

use crate::report::{Fault, Report};

#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// Make every hash of the log again and say what is wrong and where; exits with 1 if something is.
    Verify(verify::Args),
    /// Get the proof that an event is in the log, and check it.
    Prove(prove::Args),
    /// Decide about an event again, from what it has kept of the content; exits with 1 if it comes to something else.
    Replay(replay::Args),
    /// Copy the log with its events into a folder, where it can be verified without the collector.
    Export(export::Args),
}

/// Where the evidence is: in one of three places.
#[derive(Debug, clap::Args)]
#[group(skip)]
#[command(group(
    clap::ArgGroup::new("place").required(true).multiple(false).args(["collector", "folder", "database"])
))]
pub(crate) struct Place {
    /// Where a collector listens, such as http://127.0.0.1:8088 or https://sentinel.example.org.
    #[arg(long, value_name = "URL", env = "SENTINEL_COLLECTOR", requires = "token_file", conflicts_with_all = ["folder", "database"])]
    collector: Option<String>,
    /// A file with the token of a reader.
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// Certificates of CAs, PEM, that are believed beside the system's; several are allowed.
    #[arg(long = "ca-file", value_name = "FILE", env = "SENTINEL_CA_FILE", value_delimiter = ',')]
    ca_files: Vec<PathBuf>,
    /// A folder with an export.
    #[arg(long, value_name = "FOLDER", conflicts_with = "database")]
    folder: Option<PathBuf>,
    /// A database (a file, or an address of PostgreSQL), also of a collector that runs.
    #[arg(long, value_name = "FILE|URL")]
    database: Option<String>,
    /// The keys of the database; without it `<database>.keys`.
    #[arg(long, env = "SENTINEL_KEY_FILE", value_name = "FILE")]
    key_file: Option<PathBuf>,
    /// What the log in the database calls itself.
    #[arg(long, env = "SENTINEL_LOG_NAME", value_name = "NAME", default_value = "sentinel.local")]
    log_name: String,
}

pub(crate) fn run(command: &Command) -> Result<Report, Fault> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|e| Fault::Internal(format!("runtime: {e}")))?;
    runtime.block_on(async {
        match command {
            Command::Verify(args) => verify::run(args).await,
            Command::Prove(args) => prove::run(args),
            Command::Replay(args) => replay::run(args).await,
            Command::Export(args) => export::run(args).await,
        }
    })
}
