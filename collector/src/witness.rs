//! A witness for logs of others (C2SP tlog-witness): it cosigns a checkpoint only if it continues the one that it
//! cosigned before, so that whoever trusts it cannot be shown another past than everyone else.
//!
//! Invariant: a cosignature leaves only after what it says is on disk, and for each log one request is decided and written
//! at a time, whether or not anybody still waits for its answer. So no crash and no race lets it sign two pasts.

mod book;
mod listen;
mod pace;
mod routes;
mod shelf;

use std::future::Future;
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sentinel_ledger::VerifierKey;
use tokio::net::TcpListener;

use crate::config::TlsFiles;
use crate::port::{Certificate, Watched, watch};
use crate::{Error, Kind};
use book::Book;
use shelf::Shelf;

/// What an operator decides about a witness. [`WitnessConfig::new`] has the defaults.
#[derive(Clone, Debug)]
pub struct WitnessConfig {
    /// Port 0 takes a free one.
    pub listen: SocketAddr,
    /// Where its key and what it has seen are kept, with nothing else in it; made if it is not there.
    pub folder: PathBuf,
    /// What it calls itself. Needed at the first start, which makes the key; later it must be the same.
    pub name: Option<String>,
    /// Keys of logs (`name+id+key`), at least one. A log is known by its name; several keys of one name are one log.
    pub logs: Vec<String>,
    /// New checkpoints that one log may have cosigned in a minute.
    pub per_minute: NonZeroU32,
    /// Connections at a time; further ones wait.
    pub connections_max: usize,
    /// Without it the witness speaks plain HTTP.
    pub tls: Option<TlsFiles>,
}

impl WitnessConfig {
    pub fn new(listen: SocketAddr, folder: impl Into<PathBuf>) -> Self {
        let per_minute = NonZeroU32::MIN.saturating_add(119);
        let (folder, logs) = (folder.into(), Vec::new());
        Self { listen, folder, name: None, logs, per_minute, connections_max: 64, tls: None }
    }
}

/// A witness that has read what it knows and bound its port.
#[derive(Debug)]
pub struct WitnessServer {
    listener: TcpListener,
    local_addr: SocketAddr,
    book: Arc<Book>,
    connections_max: usize,
    tls: Option<Arc<Certificate>>,
}

impl WitnessServer {
    pub async fn bind(config: WitnessConfig) -> Result<Self, Error> {
        if !(1..=CONNECTIONS_MAX).contains(&config.connections_max) {
            let found = config.connections_max;
            return Err(Error::config(format!(
                "connections_max is {found}, allowed are 1 to {CONNECTIONS_MAX}"
            )));
        }
        let logs = config.logs.iter().map(|text| log_key(text)).collect::<Result<Vec<_>, _>>()?;
        if logs.is_empty() {
            return Err(Error::config("the key of at least one log is needed".to_owned()));
        }
        let tls = config.tls.map(Certificate::read).transpose().map_err(Error::config)?.map(Arc::new);
        let shelf = Shelf::open(&config.folder).map_err(failed)?;
        let key = shelf.key(config.name.as_deref()).map_err(failed)?;
        let book = Arc::new(Book::open(shelf, key, logs, config.per_minute).map_err(failed)?);
        let listen = config.listen;
        let bound = TcpListener::bind(listen).await;
        let listener = bound.map_err(|source| Error(Kind::Bind { listen, source }))?;
        let local_addr = listener.local_addr().map_err(|error| Error(Kind::Serve(error)))?;
        Ok(Self { listener, local_addr, book, connections_max: config.connections_max, tls })
    }

    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    pub fn key(&self) -> &VerifierKey {
        self.book.key()
    }

    /// Serves until `shutdown` is ready and what was in flight is answered.
    pub async fn run(self, shutdown: impl Future<Output = ()> + Send) {
        let Self { listener, local_addr, book, connections_max, tls } = self;
        tracing::info!(address = %local_addr, key = %book.key(), "witness is listening");
        let watched = tls.iter().map(|tls| {
            let tls = Arc::clone(tls);
            Watched::new(tls.files(), move || tls.reload())
        });
        let watched = watch(watched.collect());
        tokio::select! {
            () = listen::serve(listener, tls, routes::router(book), connections_max, shutdown) => {}
            () = watched => {}
        }
        tracing::info!("witness has stopped");
    }
}

/// The key of the witness in this folder; made if there is none yet.
pub fn witness_key(folder: &Path, name: Option<&str>) -> Result<VerifierKey, Error> {
    if let Some(key) = shelf::read_key(folder, name).map_err(failed)? {
        return Ok(key.verifier().clone());
    }
    let key = Shelf::open(folder).and_then(|shelf| shelf.key(name)).map_err(failed)?;
    Ok(key.verifier().clone())
}

fn log_key(text: &str) -> Result<VerifierKey, Error> {
    let key = VerifierKey::parse(text).map_err(|error| Error::config(format!("log {text}: {error}")))?;
    match key.algorithm() {
        sentinel_ledger::Algorithm::Ed25519 => Ok(key),
        sentinel_ledger::Algorithm::CosignatureV1 => {
            Err(Error::config(format!("log {text}: this is the key of a witness, not of a log")))
        }
    }
}

fn failed(reason: String) -> Error {
    Error(Kind::Witness(reason))
}

const CONNECTIONS_MAX: usize = 10_000;
