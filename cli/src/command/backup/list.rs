//! `sentinel backup list`.

use std::path::PathBuf;

use sentinel_collector::backup::{Failure, list};
use serde_json::{Value, json};

use super::{Database, now_ms, say};
use crate::report::Report;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[arg(long, env = "SENTINEL_BACKUPS", value_name = "FOLDER")]
    folder: PathBuf,
    #[command(flatten)]
    database: Database,
}

pub(super) async fn run(args: &Args) -> Result<Report, Failure> {
    let found = list(&args.folder, &args.database.config()).await?;
    let now_ms = now_ms();
    let (mut lines, mut rows): (Vec<String>, Vec<Value>) = Default::default();
    for one in &found {
        let (name, bytes) = (one.path.display(), say::size(one.bytes));
        match &one.manifest {
            Ok(manifest) => {
                let age = say::span(now_ms - manifest.created_ms);
                lines.push(format!("{name}, {bytes}, {age} old: {}", say::content(manifest)));
            }
            Err(why) => lines.push(format!("{name}, {bytes}: DOES NOT OPEN: {why}")),
        }
        let (manifest, error) = (one.manifest.as_ref().ok(), one.manifest.as_ref().err());
        rows.push(json!({
            "file": one.path.display().to_string(), "bytes": one.bytes, "manifest": manifest, "error": error,
        }));
    }
    if lines.is_empty() {
        lines.push(format!("no backups in {}", args.folder.display()));
    }
    Ok(Report { text: lines.join("\n"), json: json!({ "backups": rows }), code: 0 })
}
