//! Opening a whole backup, and auditing the log inside.

use std::path::Path;

use super::disk::{self, Scratch};
use super::failure::Failure;
use super::manifest::{Manifest, Part, Signed};
use super::open::Opened;
use super::{aside, config_at, ring, snapshot};
use crate::StoredEvidence;
use crate::audit::{Check, Report, check};
use crate::config::Config;

/// What came of it. Every byte was opened, and every hash was right.
#[derive(Clone, Debug)]
pub struct Verified {
    pub manifest: Manifest,
    /// Of the log in its database; `None` where nothing was signed yet, or there is none.
    pub audit: Option<Report>,
    /// What is wrong besides.
    pub wrong: Vec<String>,
}

impl Verified {
    pub fn is_good(&self) -> bool {
        self.wrong.is_empty() && self.audit.as_ref().is_none_or(Report::is_good)
    }
}

/// Needs room for the database in the folder `scratch`, and leaves nothing there.
pub async fn verify(file: &Path, config: &Config, scratch: &Path) -> Result<Verified, Failure> {
    let scratch = Scratch::within(scratch)?;
    let (verified, evidence) = unpacked(file, config, &scratch).await?;
    if let Some(evidence) = evidence {
        // It is thrown away.
        let _ = evidence.close().await;
    }
    Ok(verified)
}

/// With the evidence in the database, still open in the scratch folder.
pub(super) async fn unpacked(
    file: &Path,
    config: &Config,
    scratch: &Scratch,
) -> Result<(Verified, Option<StoredEvidence>), Failure> {
    let ring = ring(config)?;
    let (from, copy) = (file.to_owned(), scratch.join("unpacked.db"));
    let to = copy.clone();
    let unpacking = move || {
        Opened::begin(&from, &ring)?.unpack(&mut |entry| match entry.part {
            Part::Database => disk::create_new(&to).map(Some),
            _ => Ok(None),
        })
    };
    let manifest = aside(unpacking).await?;
    let mut verified = Verified { manifest, audit: None, wrong: Vec::new() };
    if verified.manifest.database().is_none() {
        return Ok((verified, None));
    }
    if verified.manifest.log != Some(snapshot::state(&copy).await?) {
        verified.wrong.push("the log in the database is not the one that the manifest tells of".to_owned());
    }
    verified.wrong.extend(snapshot::faults_of_form(&copy).await?);
    let mut there = config_at(config, &copy);
    // The name of the log is what the manifest says, which only whoever has the key can have written.
    if let Some(origin) = verified.manifest.log.as_ref().and_then(snapshot::origin) {
        there.log_name = origin;
    }
    let opened = StoredEvidence::open(&there).await;
    let mut evidence = match opened {
        Ok(evidence) => evidence,
        Err(error) => {
            verified.wrong.push(error.to_string());
            return Ok((verified, None));
        }
    };
    if let Some(Signed { note, .. }) = verified.manifest.log.as_ref().and_then(|log| log.checkpoint.as_ref())
    {
        let wanted = Check { seen: vec![note.clone()], ..Check::default() };
        let audited = check(&wanted, &mut evidence).await;
        verified.audit = Some(audited.map_err(|error| Failure::damaged(file, &error))?);
    }
    Ok((verified, Some(evidence)))
}
