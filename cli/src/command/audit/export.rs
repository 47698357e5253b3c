//! `sentinel audit export`.

use std::{fs, path::PathBuf};

use sentinel_collector::audit::Source;
use sentinel_ledger::{Checkpoint, Note, TILE_WIDTH, TileId, TilePath, tile_width};
use serde_json::json;

use super::{Place, source::Evidence};
use crate::report::{Fault, Report};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    place: Place,
    /// A folder that is not there yet.
    #[arg(value_name = "FOLDER")]
    to: PathBuf,
    /// The log alone, without the events.
    #[arg(long)]
    log_only: bool,
}

pub(super) async fn run(args: &Args) -> Result<Report, Fault> {
    let at =
        |path: &PathBuf, error: &dyn std::fmt::Display| Fault::Input(format!("{}: {error}", path.display()));
    fs::create_dir(&args.to).map_err(|error| at(&args.to, &error))?;
    let mut evidence = Evidence::open(&args.place).await?;
    let mut n_files = 0;
    let mut copy = async |path: &str, source: &mut Evidence| -> Result<Vec<u8>, Fault> {
        let bytes = source.get(path).await.map_err(Fault::Internal)?;
        let bytes = bytes.ok_or_else(|| Fault::Input(format!("the log has no {path}")))?;
        let to = args.to.join(path);
        let made = to.parent().map_or(Ok(()), fs::create_dir_all).and_then(|()| fs::write(&to, &bytes));
        made.map_err(|error| at(&to, &error))?;
        n_files += 1;
        Ok(bytes)
    };
    copy("key", &mut evidence).await?;
    // The checkpoint first: what is appended meanwhile belongs to the next.
    let checkpoint = copy("checkpoint", &mut evidence).await?;
    let wrong =
        |error: &dyn std::fmt::Display| Fault::Input(format!("the checkpoint cannot be read: {error}"));
    let note = Note::parse(&checkpoint).map_err(|error| wrong(&error))?;
    let size = Checkpoint::parse(note.text()).map_err(|error| wrong(&error))?.size();
    for level in 0..8 {
        for index in 0_u64.. {
            let Some(width) = tile_width(size, level, index) else { break };
            let Some(id) = TileId::new(level, index, width) else { break };
            copy(&TilePath::Hashes(id).to_string(), &mut evidence).await?;
            if level == 0 {
                let entries = TilePath::Entries(id).to_string();
                copy(&entries, &mut evidence).await?;
                if !args.log_only {
                    copy(&entries.replacen("tile/entries/", "events/", 1), &mut evidence).await?;
                }
            }
            if width < TILE_WIDTH {
                break;
            }
        }
    }
    evidence.close().await;
    let folder = args.to.display().to_string();
    Ok(Report {
        text: format!("{size} entries in {n_files} files in {folder}"),
        json: json!({ "entries": size, "files": n_files, "folder": folder }),
        code: 0,
    })
}
