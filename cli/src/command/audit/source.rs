//! The three places that evidence is read from.

use std::{
    fs,
    io::ErrorKind,
    net::SocketAddr,
    path::{Path, PathBuf},
};

use sentinel_collector::{Config, StoredEvidence, audit::Source};
use sentinel_ledger::VerifierKey;

use super::Place;
use crate::{
    collector::{self, Collector},
    command::database::postgres_url,
    report::Fault,
};

pub(super) enum Evidence {
    Collector(Collector),
    Folder(PathBuf),
    Database(Box<StoredEvidence>),
}

impl Evidence {
    pub(super) async fn open(place: &Place) -> Result<Self, Fault> {
        if let Some(folder) = &place.folder {
            return match folder.is_dir() {
                true => Ok(Self::Folder(folder.clone())),
                false => Err(Fault::Input(format!("{}: there is no such folder", folder.display()))),
            };
        }
        if let Some(database) = &place.database {
            return database_at(database, place).await;
        }
        let (Some(url), Some(token_file)) = (&place.collector, &place.token_file) else {
            return Err(Fault::Input(
                "name a --collector with its --token-file, a --folder, or a --database".into(),
            ));
        };
        let (collector, token_file) = (url.clone(), token_file.clone());
        let args = collector::Args { collector, token_file, ca_files: place.ca_files.clone() };
        Collector::new(&args).map(Self::Collector)
    }

    /// A database has every checkpoint, and the newest is seldom cosigned already; elsewhere there is only one.
    pub(super) fn require_cosignatures(&mut self, witnesses: &[VerifierKey], n: usize) {
        if let Self::Database(evidence) = self {
            evidence.require_cosignatures(witnesses, n);
        }
    }

    pub(super) async fn close(self) {
        if let Self::Database(evidence) = self {
            // Nothing was written that could be lost.
            let _ = evidence.close().await;
        }
    }
}

async fn database_at(database: &str, place: &Place) -> Result<Evidence, Fault> {
    let postgres = postgres_url(database);
    if postgres.is_none() && !Path::new(database).is_file() {
        return Err(Fault::Input(format!("{database}: there is no such database")));
    }
    let nowhere = SocketAddr::from(([127, 0, 0, 1], 0));
    let (key_file, log_name) = (place.key_file.clone(), place.log_name.clone());
    let config = Config { postgres, key_file, log_name, ..Config::new(nowhere, database, Vec::new()) };
    let evidence = StoredEvidence::open(&config).await.map_err(|error| Fault::Input(error.to_string()))?;
    Ok(Evidence::Database(Box::new(evidence)))
}

impl Source for Evidence {
    async fn get(&mut self, path: &str) -> Result<Option<Vec<u8>>, String> {
        match self {
            Self::Collector(collector) => {
                collector.get_bytes(&format!("/log/{path}")).map_err(|fault| fault.to_string())
            }
            Self::Folder(folder) => read(&folder.join(path)),
            Self::Database(evidence) => evidence.get(path).await,
        }
    }
}

fn read(path: &Path) -> Result<Option<Vec<u8>>, String> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(format!("{}: {error}", path.display())),
    }
}
