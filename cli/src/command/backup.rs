//! `sentinel backup`: what the collector keeps, in sealed files, and back.

mod create;
mod list;
mod options;
mod restore;
mod rewrap;
pub(crate) mod say;
mod verify;

use std::{
    future::Future,
    net::SocketAddr,
    path::{Path, PathBuf},
    time::{SystemTime, UNIX_EPOCH},
};

use sentinel_collector::{Config, backup::Failure};
use serde_json::json;

use crate::{
    command::database::postgres_url,
    report::{Fault, Report},
};

#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// Make a backup, also while the collector runs.
    Create(create::Args),
    /// List the backups of a folder.
    List(list::Args),
    /// Open all of a backup, check every hash, and audit the log inside; exits with 1 if something is wrong.
    Verify(verify::Args),
    /// Put back what a backup holds. The collector of that database has to be stopped.
    Restore(restore::Args),
    /// Move all backups of a folder to the first key of the key file, after a new one was put first.
    Rewrap(rewrap::Args),
}

/// The database of a collector, and its keys.
#[derive(Debug, clap::Args)]
pub(crate) struct Database {
    /// The collector's database: a file, or `postgres://USER:PASSWORD@HOST/NAME`.
    #[arg(
        long,
        env = "SENTINEL_DATABASE",
        hide_env_values = true,
        default_value = "sentinel.db",
        value_name = "FILE|URL"
    )]
    pub(crate) database: String,
    #[command(flatten)]
    pub(crate) keys: Keys,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Keys {
    /// The keys of the database; without it `<database>.keys`. PostgreSQL always needs it.
    #[arg(long, env = "SENTINEL_KEY_FILE", value_name = "FILE")]
    pub(crate) key_file: Option<PathBuf>,
}

impl Database {
    pub(crate) fn config(&self) -> Config {
        self.keys.config(&self.database)
    }
}

impl Keys {
    pub(crate) fn config(&self, database: &str) -> Config {
        let nowhere = SocketAddr::from(([127, 0, 0, 1], 0));
        let (postgres, key_file) = (postgres_url(database), self.key_file.clone());
        Config { postgres, key_file, ..Config::new(nowhere, database, Vec::new()) }
    }
}

pub(crate) fn run(command: &Command) -> Result<Report, Fault> {
    match command {
        Command::Create(args) => finish(create::run(args)),
        Command::List(args) => finish(list::run(args)),
        Command::Verify(args) => finish(verify::run(args)),
        Command::Restore(args) => finish(restore::run(args)),
        Command::Rewrap(args) => finish(rewrap::run(args)),
    }
}

/// Does it; a backup that is damaged is a verdict, not a fault.
pub(crate) fn finish(work: impl Future<Output = Result<Report, Failure>>) -> Result<Report, Fault> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|e| Fault::Internal(format!("runtime: {e}")))?;
    match runtime.block_on(work) {
        Ok(report) => Ok(report),
        Err(Failure::Damaged(why)) => {
            Ok(Report { text: format!("DAMAGED {why}"), json: json!({ "damaged": why }), code: 1 })
        }
        Err(Failure::Input(why)) => Err(Fault::Input(why)),
        Err(Failure::Machine(why)) => Err(Fault::Internal(why)),
    }
}

pub(crate) fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// Of a file, for what is made beside it.
pub(crate) fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}
