//! `sentinel drill`.

use std::path::PathBuf;

use sentinel_collector::backup::{Drill, Drilled, Failure, drill};
use serde_json::json;

use super::backup::{Database, finish, now_ms, say};
use crate::report::{Fault, Report};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Where backups are; if none in it has a database, one is made.
    #[arg(long, env = "SENTINEL_BACKUPS", value_name = "FOLDER")]
    folder: PathBuf,
    #[command(flatten)]
    database: Database,
    /// Where the scratch folder is made; without it, among the backups.
    #[arg(long, value_name = "FOLDER")]
    scratch: Option<PathBuf>,
}

pub(crate) fn run(args: &Args) -> Result<Report, Fault> {
    finish(drilled(args))
}

async fn drilled(args: &Args) -> Result<Report, Failure> {
    let drilled = drill(&Drill {
        folder: &args.folder,
        config: &args.database.config(),
        scratch: args.scratch.as_deref().unwrap_or(&args.folder),
        now_ms: now_ms(),
    })
    .await?;
    let code = u8::from(!drilled.is_good());
    Ok(Report { text: text(&drilled), json: json(&drilled), code })
}

fn text(drilled: &Drilled) -> String {
    let Drilled { backup, was_made, manifest, rto, rpo, live_entries, verified, wrong, not_noted } = drilled;
    let made = if *was_made { ", made for this drill" } else { "" };
    let mut text =
        format!("backup {}{made}: {}\n{}\n", backup.display(), say::content(manifest), say::audit(verified));
    text += &format!("RTO {:.3} s from the start to a verified database\n", rto.as_secs_f64());
    text += &format!(
        "RPO {} events, {:.3} s: of {live_entries} entries of the live log the backup lacks {}\n",
        rpo.events,
        rpo.ms as f64 / 1_000.0,
        rpo.entries
    );
    text += &say::faults(verified);
    for line in wrong {
        text += &format!("WRONG {line}\n");
    }
    if let Some(line) = say::not_noted(not_noted.as_deref()) {
        text += &format!("{line}\n");
    }
    text += if drilled.is_good() { "the drill succeeded" } else { "the drill FAILED" };
    text
}

fn json(drilled: &Drilled) -> serde_json::Value {
    let Drilled { backup, was_made, rto, rpo, live_entries, verified, wrong, not_noted, .. } = drilled;
    json!({
        "backup": backup.display().to_string(),
        "was_made": was_made,
        "rto_seconds": rto.as_secs_f64(),
        "rpo": { "entries": rpo.entries, "events": rpo.events, "seconds": rpo.ms as f64 / 1_000.0 },
        "live_entries": live_entries,
        "verified": say::verified_json(verified),
        "wrong": wrong,
        "not_noted": not_noted,
        "good": drilled.is_good(),
    })
}
