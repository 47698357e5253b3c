//! `sentinel backup restore`.

use std::path::PathBuf;

use sentinel_collector::backup::{Failure, Restore, Restored, restore};
use serde_json::json;

use super::{Keys, now_ms, say};
use crate::report::Report;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    file: PathBuf,
    /// Where the database goes: a file, or the address of an empty PostgreSQL database.
    #[arg(long, value_name = "FILE|URL")]
    to: String,
    #[command(flatten)]
    keys: Keys,
    /// A folder that is not there yet, for configuration and logs; without it they are left out.
    #[arg(long, value_name = "FOLDER")]
    files_to: Option<PathBuf>,
    /// Where the database is unpacked on its way into PostgreSQL; without it, beside the backup.
    #[arg(long, value_name = "FOLDER")]
    scratch: Option<PathBuf>,
    /// If there is a file already, give it another name first.
    #[arg(long)]
    force: bool,
}

pub(super) async fn run(args: &Args) -> Result<Report, Failure> {
    let config = args.keys.config(&args.to);
    let wanted = Restore {
        file: &args.file,
        config: &config,
        scratch: args.scratch.as_deref(),
        files_to: args.files_to.as_deref(),
        force: args.force,
        now_ms: now_ms(),
    };
    let Restored { manifest, database, files, moved } = restore(&wanted).await?;
    let mut lines: Vec<String> = Vec::new();
    lines.extend(moved.iter().map(|path| format!("what was there is now {}", path.display())));
    lines.extend(database.iter().map(|place| format!("restored {place}: {}", say::content(&manifest))));
    lines.extend(files.iter().map(|path| format!("configuration and logs are in {}", path.display())));
    let json = json!({
        "database": database,
        "files": files.map(|path| path.display().to_string()),
        "moved": say::paths(&moved),
        "manifest": manifest,
    });
    Ok(Report { text: lines.join("\n"), json, code: 0 })
}
