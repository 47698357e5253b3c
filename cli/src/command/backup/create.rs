//! `sentinel backup create`.

use std::path::PathBuf;

use sentinel_collector::backup::{Create, Failure, Kind, Made, create};
use serde_json::json;

use super::{Database, now_ms, options, say};
use crate::report::Report;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Where backups are; made if it is not there. Needs room for the database twice.
    #[arg(long, env = "SENTINEL_BACKUPS", value_name = "FOLDER")]
    folder: PathBuf,
    /// full, database, configuration or logs.
    #[arg(long, default_value = "full")]
    kind: Kind,
    #[command(flatten)]
    database: Database,
    /// A file of the configuration, such as a policy; several are allowed.
    #[arg(long = "config", value_name = "FILE")]
    configuration: Vec<PathBuf>,
    /// A folder with files of logs.
    #[arg(long, value_name = "FOLDER")]
    logs: Option<PathBuf>,
    /// Backups in the folder that are older are deleted; never the last good one.
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u16).range(1..), value_name = "DAYS")]
    keep_days: u16,
}

pub(super) async fn run(args: &Args) -> Result<Report, Failure> {
    let options = options::of_environment();
    let made = create(&Create {
        folder: &args.folder,
        kind: args.kind,
        config: &args.database.config(),
        configuration: &args.configuration,
        options: Some(&options),
        logs: args.logs.as_deref(),
        keep_days: args.keep_days,
        now_ms: now_ms(),
    })
    .await?;
    let Made { path, bytes, manifest, deleted, not_noted } = made;
    let mut text = format!("{}, {}\n{}", path.display(), say::size(bytes), say::content(&manifest));
    for old in &deleted {
        text += &format!("\ndeleted {}, older than {} days", old.display(), args.keep_days);
    }
    if let Some(line) = say::not_noted(not_noted.as_deref()) {
        text += &format!("\n{line}");
    }
    let json = json!({
        "file": path.display().to_string(), "bytes": bytes, "manifest": manifest, "deleted": say::paths(&deleted),
        "not_noted": not_noted,
    });
    Ok(Report { text, json, code: 0 })
}
