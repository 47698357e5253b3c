//! `sentinel init-db` and `sentinel db`: the database of the collector, without a collector.

use std::path::PathBuf;

use sentinel_collector::{Config, StoredEvidence, copy_database};
use serde_json::json;

use crate::report::{Fault, Report, as_json};

#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// Bring the tables up to date, as a collector does when it starts.
    Migrate(Place),
    /// What is in it: events, log, keys.
    Status(Place),
    /// Copy everything into an empty database, from a file into PostgreSQL or back; both keep the same keys.
    Copy(CopyArgs),
    /// Wrap all keys with the first key of the key file, after a new one was put first.
    Rewrap(Place),
    /// Give the log another name: witnesses then take it for the new log that it is after a restore. Stop the collector first.
    RenameLog(RenameArgs),
}

#[derive(Debug, clap::Args)]
pub(crate) struct Place {
    /// A file, or `postgres://USER:PASSWORD@HOST/NAME`.
    #[arg(long, env = "SENTINEL_DATABASE", hide_env_values = true, default_value = "sentinel.db")]
    database: String,
    /// The keys of the database; without it `<database>.keys`.
    #[arg(long, env = "SENTINEL_KEY_FILE", value_name = "FILE")]
    key_file: Option<PathBuf>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct CopyArgs {
    #[arg(long, value_name = "FILE|URL")]
    from: String,
    #[arg(long, value_name = "FILE|URL")]
    to: String,
}

#[derive(Debug, clap::Args)]
pub(crate) struct RenameArgs {
    #[command(flatten)]
    place: Place,
    /// What the log calls itself until now.
    #[arg(long, value_name = "NAME")]
    from: String,
    /// What it is called from now on: a name that no other log has, to be given to `sentinel serve` as well.
    #[arg(long, value_name = "NAME")]
    log_name: String,
}

/// What follows is an address of PostgreSQL, or the name of a file.
pub(crate) fn postgres_url(database: &str) -> Option<String> {
    let is_url = database.starts_with("postgres://") || database.starts_with("postgresql://");
    is_url.then(|| database.to_owned())
}

pub(crate) fn run(command: &Command) -> Result<Report, Fault> {
    in_runtime(async {
        match command {
            Command::Migrate(place) => {
                open(place).await?.close().await.map_err(fault)?;
                Ok(Report { text: "up to date".into(), json: json!({ "up_to_date": true }), code: 0 })
            }
            Command::Status(place) => status(place).await,
            Command::Copy(args) => copy(args).await,
            Command::RenameLog(args) => rename_log(args).await,
            Command::Rewrap(place) => {
                let database = open(place).await?;
                let moved = database.rewrap().await.map_err(fault)?;
                database.close().await.map_err(fault)?;
                let text = format!(
                    "{moved} data keys were wrapped anew; of this file only the first key is needed, and the others for backups \
                     that were made before (sentinel backup rewrap)"
                );
                Ok(Report { text, json: json!({ "moved": moved }), code: 0 })
            }
        }
    })
}

/// Makes the database and its key file.
pub(crate) fn init(place: &Place) -> Result<Report, Fault> {
    in_runtime(async {
        if postgres_url(&place.database).is_none() && PathBuf::from(&place.database).exists() {
            return Err(Fault::Input(format!("{}: is there already", place.database)));
        }
        let database = open(place).await?;
        let key = database.log_key();
        database.close().await.map_err(fault)?;
        let text = format!("made the database\nkey of its log, for those who verify it:\n{key}");
        Ok(Report { text, json: json!({ "log_key": key }), code: 0 })
    })
}

async fn status(place: &Place) -> Result<Report, Fault> {
    if postgres_url(&place.database).is_none() && !PathBuf::from(&place.database).is_file() {
        return Err(Fault::Input(format!("{}: there is no such database", place.database)));
    }
    let database = open(place).await?;
    let status = database.status().await.map_err(fault)?;
    database.close().await.map_err(fault)?;
    let json = as_json(&status)?;
    let lines = json.as_object().into_iter().flatten().map(|(name, value)| format!("{name}: {value}"));
    Ok(Report { text: lines.collect::<Vec<_>>().join("\n"), json, code: 0 })
}

async fn copy(args: &CopyArgs) -> Result<Report, Fault> {
    let copied = copy_database(&args.from, &args.to).await.map_err(fault)?;
    let text = format!("copied {copied}; the key file belongs to both");
    Ok(Report { text, json: json!({ "copied": copied }), code: 0 })
}

async fn rename_log(RenameArgs { place, from, log_name }: &RenameArgs) -> Result<Report, Fault> {
    if postgres_url(&place.database).is_none() && !PathBuf::from(&place.database).is_file() {
        return Err(Fault::Input(format!("{}: there is no such database", place.database)));
    }
    let config = Config { log_name: log_name.clone(), ..config(place) };
    let database = StoredEvidence::open(&config).await.map_err(fault)?;
    let renamed = database.rename_log(from).await;
    let key = database.log_key();
    database.close().await.map_err(fault)?;
    renamed.map_err(fault)?;
    let text = format!(
        "{from} is now {log_name}; start the collector with this --log-name\nkey of the log, for witnesses and \
                 auditors:\n{key}"
    );
    Ok(Report { text, json: json!({ "log_name": log_name, "log_key": key }), code: 0 })
}

fn config(place: &Place) -> Config {
    let nowhere = std::net::SocketAddr::from(([127, 0, 0, 1], 0));
    Config {
        postgres: postgres_url(&place.database),
        key_file: place.key_file.clone(),
        ..Config::new(nowhere, &place.database, Vec::new())
    }
}

async fn open(place: &Place) -> Result<StoredEvidence, Fault> {
    StoredEvidence::open(&config(place)).await.map_err(fault)
}

fn fault(error: sentinel_collector::Error) -> Fault {
    Fault::Input(error.to_string())
}

fn in_runtime(work: impl Future<Output = Result<Report, Fault>>) -> Result<Report, Fault> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(|e| Fault::Internal(format!("runtime: {e}")))?;
    runtime.block_on(work)
}
