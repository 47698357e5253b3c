//! A restore that is tried before it is needed, and measured.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::create::{Create, create};
use super::disk::{self, Scratch};
use super::failure::Failure;
use super::manifest::{Kind, LogState, Manifest};
use super::shelf::{Newest, list, newest_database};
use super::verify::{Verified, unpacked};
use super::{chain, name, noted};
use crate::StoredEvidence;
use crate::config::Config;
use crate::operator::{Deed, place};
use crate::store::{Place, is_current};

#[derive(Debug)]
pub struct Drill<'a> {
    /// Of backups; one is made if none in it has a database.
    pub folder: &'a Path,
    /// Of the live database, whose collector may run.
    pub config: &'a Config,
    /// Where the scratch folder is made; needs room for the database.
    pub scratch: &'a Path,
    pub now_ms: i64,
}

#[derive(Clone, Debug)]
pub struct Drilled {
    pub backup: PathBuf,
    /// There was none, so it was made.
    pub was_made: bool,
    pub manifest: Manifest,
    /// From the start to a database that is open and verified.
    pub rto: Duration,
    /// What a disaster now would lose.
    pub rpo: Lacking,
    pub live_entries: u64,
    pub verified: Verified,
    /// All that is wrong; the audit has its own list.
    pub wrong: Vec<String>,
    /// Why the journal of the live database has no line about it; `None` if it has.
    pub not_noted: Option<String>,
}

/// What the live log has and the backup has not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lacking {
    pub entries: u64,
    pub events: u64,
    /// From the last entry in the backup to the last in the live log.
    pub ms: i64,
}

impl Drilled {
    pub fn is_good(&self) -> bool {
        self.wrong.is_empty() && self.verified.is_good()
    }
}

/// The clock begins with the search for a backup; making one, if there is none, is not counted.
pub async fn drill(request: &Drill<'_>) -> Result<Drilled, Failure> {
    let was_made = make_one_if_none(request).await?;
    let begun = Instant::now();
    let newest = find(request).await?;
    let Newest { path: backup, manifest } =
        newest.ok_or_else(|| Failure::input(request.folder, &"no backup in it has a database and opens"))?;
    let scratch = Scratch::within(request.scratch)?;
    let (verified, evidence) = unpacked(&backup, request.config, &scratch).await?;
    let rto = begun.elapsed();
    let mut drilled = Drilled {
        backup,
        was_made,
        manifest,
        rto,
        rpo: Lacking { entries: 0, events: 0, ms: 0 },
        live_entries: 0,
        verified,
        wrong: Vec::new(),
        not_noted: None,
    };
    if let (Some(evidence), Some(log)) = (evidence, drilled.manifest.log.clone()) {
        let compared = compare(&mut drilled, &log, &evidence, request.config).await;
        let _ = evidence.close().await;
        compared.map_err(Failure::Machine)?;
    }
    let Manifest { created_ms, kind, .. } = drilled.manifest;
    let (target, is_good) = (name::of(created_ms, kind), drilled.is_good());
    let deed = Deed { what: "drill", target, is_good, at_ms: request.now_ms };
    drilled.not_noted = noted(request.config, deed).await;
    Ok(drilled)
}

async fn find(request: &Drill<'_>) -> Result<Option<Newest>, Failure> {
    Ok(newest_database(list(request.folder, request.config).await?))
}

async fn make_one_if_none(request: &Drill<'_>) -> Result<bool, Failure> {
    disk::folder(request.folder)?;
    if find(request).await?.is_some() {
        return Ok(false);
    }
    let Drill { folder, config, now_ms, .. } = *request;
    // Which old ones may go is for whoever makes backups to say.
    let (kind, keep_days) = (Kind::Database, u16::MAX);
    let wanted =
        Create { folder, kind, config, configuration: &[], options: None, logs: None, keep_days, now_ms };
    create(&wanted).await.map(|_| true)
}

async fn compare(
    drilled: &mut Drilled,
    log: &LogState,
    backup: &StoredEvidence,
    config: &Config,
) -> Result<(), String> {
    let place = place(config);
    match &place {
        Place::Sqlite(path) if !path.is_file() => {
            return Err(format!("{}: there is no such database to compare with", path.display()));
        }
        // Opening it would bring them up to date, under the feet of an older collector.
        _ if !is_current(&place).await.map_err(|error| error.to_string())? => {
            return Err("the tables of the live database are not those of this version".to_owned());
        }
        _ => {}
    }
    let live = StoredEvidence::open(config).await.map_err(|error| error.to_string())?;
    let compared = async {
        drilled.wrong = chain::faults(log, backup, &live).await?;
        drilled.live_entries = chain::size(&live).await?;
        let chain::More { entries, events, ms } = chain::more(log.entries, &live).await?;
        drilled.rpo = Lacking { entries, events, ms };
        Ok(())
    };
    let compared = compared.await;
    let _ = live.close().await;
    compared
}
