//! `sentinel backup rewrap`.

use std::path::PathBuf;

use sentinel_collector::backup::{Failure, Rewrap, Rewrapped, rewrap};
use serde_json::json;

use super::{Database, now_ms, say};
use crate::report::Report;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Where backups are. Needs room for the largest of them and for its database.
    #[arg(long, env = "SENTINEL_BACKUPS", value_name = "FOLDER")]
    folder: PathBuf,
    #[command(flatten)]
    database: Database,
}

pub(super) async fn run(args: &Args) -> Result<Report, Failure> {
    let config = args.database.config();
    let done = rewrap(&Rewrap { folder: &args.folder, config: &config, now_ms: now_ms() }).await?;
    let code = u8::from(!done.is_good());
    let Rewrapped { moved, n_left, failed, not_noted } = done;
    let mut lines: Vec<String> =
        failed.iter().map(|(path, why)| format!("LEFT AS IT WAS {}: {why}", path.display())).collect();
    lines.push(match failed.is_empty() {
        true => format!(
            "{} backups were moved to the first key, {n_left} needed no other; of this folder none needs another key",
            moved.len()
        ),
        false => format!("{} backups were moved to the first key, {n_left} needed no other", moved.len()),
    });
    lines.extend(say::not_noted(not_noted.as_deref()));
    let failed: Vec<_> = failed
        .iter()
        .map(|(path, why)| json!({ "file": path.display().to_string(), "error": why }))
        .collect();
    let json =
        json!({ "moved": say::paths(&moved), "left": n_left, "failed": failed, "not_noted": not_noted });
    Ok(Report { text: lines.join("\n"), json, code })
}
