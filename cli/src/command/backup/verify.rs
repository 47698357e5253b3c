//! `sentinel backup verify`.

use std::path::PathBuf;

use sentinel_collector::backup::{Failure, verify};

use super::{Database, folder_of, say};
use crate::report::Report;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    file: PathBuf,
    #[command(flatten)]
    database: Database,
    /// Where the database is unpacked to be audited; without it, beside the backup.
    #[arg(long, value_name = "FOLDER")]
    scratch: Option<PathBuf>,
}

pub(super) async fn run(args: &Args) -> Result<Report, Failure> {
    let scratch = args.scratch.as_deref().unwrap_or_else(|| folder_of(&args.file));
    let verified = verify(&args.file, &args.database.config(), scratch).await?;
    let mut text = format!(
        "{}\n{}\n{}",
        say::content(&verified.manifest),
        say::audit(&verified),
        say::faults(&verified)
    );
    text += if verified.is_good() { "verified" } else { "NOT verified" };
    Ok(Report { text, json: say::verified_json(&verified), code: u8::from(!verified.is_good()) })
}
