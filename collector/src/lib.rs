//! The collector: takes audit events from the filters, keeps them durably and exactly once, answers questions
//! about them.
//!
//! It also hands out bundles to the filters, judges the trials of new ones, counts limits that many proxies share, and
//! tells people when something is as it should not be (`alert`).
//!
//! [`serve`] is the whole of it for a program; [`Collector`] separates binding from running, for whoever needs the
//! address first. `domain` holds the words, `canary` judges figures, `lease` counts shared limits, `store` keeps
//! everything (one file per database), `deploy` decides which bundle filters get, `http` speaks to clients; each knows
//! only those before it.
//!
//! Invariant: an event that was acknowledged is on disk. The collector never sits on the path of a proxied request,
//! so when it cannot keep that promise it answers 503 and the filter tries again.
#![forbid(unsafe_code)]

mod access;
mod alert;
pub mod audit;
pub mod backup;
mod canary;
mod config;
mod deploy;
mod domain;
mod evidence;
mod fetched_keys;
mod http;
mod lease;
mod monitor;
mod operator;
pub mod outgoing;
mod port;
mod ring_file;
mod store;
mod trace;
mod vault;
mod witness;

use std::fmt::Debug;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::connect_info::Connected;
use axum::serve::{IncomingStream, Listener};
use tokio::net::TcpListener;
use tokio::sync::oneshot;

pub use alert::{AlertPlan, AlertsFile, FileError};
pub use config::{Config, JwtIssuer, JwtKeys, MetricsAccess, RedisAway, SecondOpinion, TlsFiles};
pub use config::{LogFilter, OtlpProtocol, TraceExport};
pub use witness::{WitnessConfig, WitnessServer, witness_key};

use alert::Alarm;
use deploy::Desk;
use evidence::{
    Cosigners, Evidence, FilePath, Files, Intake, Keeper, Notary, Quorum, Reader, WitnessPlace, take_over,
};
use http::{App, Gate};
use lease::{Leases, RedisUrl};
use outgoing::{Outgoing, Roots};
use port::{Peer, TlsPort, Watched};
use store::{PostgresStore, SqliteStore, Store, StoreError};
use trace::{Exporter, Tracer};
use vault::Ring;

/// Binds and serves until `shutdown` is ready and what was in flight is finished.
pub async fn serve(config: Config, shutdown: impl Future<Output = ()> + Send + 'static) -> Result<(), Error> {
    Collector::bind(config).await?.run(shutdown).await
}

/// A collector that has opened its database and its port, and answers nobody yet.
pub struct Collector {
    listener: TcpListener,
    tls: Option<Arc<port::Certificate>>,
    watched: Vec<Watched>,
    first_token: Option<String>,
    local_addr: SocketAddr,
    app: Arc<App>,
    outgoing: Arc<Outgoing>,
    exporter: Option<Exporter>,
    drain_max: Duration,
    judge_every: Duration,
    checkpoint_every: Duration,
    keep_days: Option<u32>,
}

impl Collector {
    pub async fn bind(config: Config) -> Result<Self, Error> {
        config.check().map_err(Error::config)?;
        let unusable = |error| unusable(&config, &error);
        let trust = domain::TrustKeys::parse(&config.trust_keys).map_err(Error::config)?;
        let outgoing = Roots::read(&config.ca_files).and_then(|roots| Outgoing::new(&roots));
        let outgoing = Arc::new(outgoing.map_err(Error::config)?);
        let redis = config.redis.as_deref().map(RedisUrl::parse).transpose().map_err(Error::config)?;
        let store = open_store(&config).await?;
        let evidence = evidence(&config, Arc::clone(&store)).await?;
        let intake = Intake::new(Arc::clone(&store), Arc::clone(&evidence.keeper));
        match take_over(&store, &intake).await {
            Ok(0) => {}
            Ok(n_taken) => tracing::info!(n_taken, "sealed what an older collector had kept in the clear"),
            Err(error) => return Err(unusable(StoreError(error.to_string()))),
        }
        let gate = Gate::open(&config, evidence.keeper.root(), &outgoing).map_err(Error::config)?;
        if let Some(keys) = gate.fetched_keys() {
            keys.ask_first().await;
        }
        let tls = config.tls.clone().map(port::Certificate::read).transpose().map_err(Error::config)?;
        let first_token = first_token(&gate, &*store).await.map_err(unusable)?;
        let alarm = alarm(&config, &store, &evidence, &outgoing)?;
        let desk = Desk::open(store, Arc::clone(&evidence.reader), trust).await.map_err(unusable)?;
        let leases = Leases::new(&config, redis);
        let listener = TcpListener::bind(config.listen)
            .await
            .map_err(|source| Error(Kind::Bind { listen: config.listen, source }))?;
        let local_addr = listener.local_addr().map_err(|error| Error(Kind::Serve(error)))?;
        let mut app = App::new(&config, evidence, Arc::new(desk), leases, gate, alarm);
        let traces = config.traces.as_ref().map(|traces| Tracer::open(traces, Arc::clone(&outgoing)));
        let (tracer, exporter) = traces.transpose().map_err(Error::config)?.unzip();
        app.tracer = tracer;
        let app = Arc::new(app);
        tracing::info!(address = %local_addr, database = %config.database.display(), "collector is bound");
        let tls = tls.map(Arc::new);
        let watched = watched(&config, &app, &outgoing, tls.as_ref());
        let Config { drain_max, judge_every, checkpoint_every, keep_days, .. } = config;
        Ok(Self {
            listener,
            tls,
            watched,
            first_token,
            local_addr,
            app,
            outgoing,
            exporter,
            drain_max,
            judge_every,
            checkpoint_every,
            keep_days,
        })
    }

    /// The token that makes the first admin, if there is none; it works for an hour. It is known only now, and is for the
    /// terminal of the operator.
    pub fn first_token(&mut self) -> Option<String> {
        self.first_token.take()
    }

    /// The address that was really bound, also for port 0.
    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// Serves until `shutdown` is ready; then takes no more connections, lets requests finish for at most
    /// [`Config::drain_max`], writes what is queued and closes the database.
    pub async fn run(mut self, shutdown: impl Future<Output = ()> + Send + 'static) -> Result<(), Error> {
        let (stopping, stopped) = oneshot::channel();
        let live = Arc::clone(&self.app.live);
        let shutdown = async move {
            shutdown.await;
            live.end();
            let _ = stopping.send(());
        };
        let router = http::router(Arc::clone(&self.app));
        let certificate = self.tls.clone();
        let server = match self.tls {
            None => serve_on(self.listener, router, shutdown),
            Some(tls) => serve_on(TlsPort::new(self.listener, tls), router, shutdown),
        };
        let overdue = async {
            // The sender goes away unsent only if the server ended by itself, and then this is not waited for.
            let _ = stopped.await;
            tokio::time::sleep(self.drain_max).await;
        };
        // Opening events is work, which nothing else waits for here.
        let follower = Arc::clone(&self.app);
        let following = tokio::spawn(async move { follower.follow().await });
        let (desk, notary) = (Arc::clone(&self.app.desk), Arc::clone(&self.app.notary));
        let cosigners = Arc::clone(&self.app.cosigners);
        let served = tokio::select! {
            () = desk.judge_every(self.judge_every, http::now_ms) => Ok(()),
            () = notary.run(self.checkpoint_every, http::now_ms) => Ok(()),
            () = housekeeping(&self.app, self.keep_days) => Ok(()),
            () = cosigners.run(&self.outgoing, notary.published(), http::now_ms) => Ok(()),
            () = export(self.exporter.as_mut()) => Ok(()),
            () = port::watch(self.watched) => Ok(()),
            () = keep_keys_fresh(&self.app.gate) => Ok(()),
            () = http::watch_alerts(&self.app, certificate) => Ok(()),
            served = server => served.map_err(|error| Error(Kind::Serve(error))),
            () = overdue => {
                tracing::warn!("requests were still in flight at the end of the drain");
                Ok(())
            }
        };
        following.abort();
        self.app.desk.close().await;
        if let Err(error) = self.app.refusals.write_all(self.app.store(), http::now_ms()).await {
            tracing::warn!(%error, "the last refusals have no line in the journal");
        }
        if let Some(exporter) = &mut self.exporter {
            exporter.flush(self.drain_max.min(FLUSH_MAX)).await;
        }
        // What was taken in last is signed for, too.
        if let Err(error) = self.app.notary.publish(http::now_ms()).await {
            tracing::warn!(%error, "the last checkpoint was not signed; the next start does it");
        }
        let closed = match tokio::time::timeout(self.drain_max, self.app.store().close()).await {
            Ok(closed) => closed.map_err(|error| Error(Kind::Close(error.to_string()))),
            Err(_) => Err(Error(Kind::Close("the writer did not finish in time".to_owned()))),
        };
        tracing::info!("collector has stopped");
        served.and(closed)
    }
}

async fn keep_keys_fresh(gate: &Gate) {
    match gate.fetched_keys() {
        Some(keys) => keys.keep_fresh().await,
        None => std::future::pending().await,
    }
}

/// Forgets keys that other collectors have destroyed, writes down who was refused, and deletes what has outlived its time. Never ends.
async fn housekeeping(app: &App, keep_days: Option<u32>) {
    let mut ticks = tokio::time::interval(KEYS_CHECKED_EVERY);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    for n_ticks in 0_u32.. {
        ticks.tick().await;
        if let Err(error) = app.keeper.refresh().await {
            tracing::warn!(%error, "it is not known whether keys were destroyed");
        }
        if let Err(error) = app.refusals.write(app.store(), http::now_ms()).await {
            tracing::warn!(%error, "refusals wait for their lines in the journal");
        }
        let Some(days) = keep_days.filter(|_| n_ticks % RETENTION_TICKS == 0) else { continue };
        let now_ms = http::now_ms();
        match app.eraser.retain(now_ms.saturating_sub(i64::from(days) * DAY_MS), now_ms).await {
            Ok(0) => {}
            Ok(n_events) => {
                tracing::info!(n_events, days, "deleted the texts of events that were kept long enough")
            }
            Err(error) => tracing::warn!(%error, "what has outlived its time is still there"),
        }
    }
}

/// Never ends.
async fn export(exporter: Option<&mut Exporter>) {
    if let Some(exporter) = exporter {
        exporter.run().await;
    }
    std::future::pending().await
}

/// How long the end waits for traces.
const FLUSH_MAX: Duration = Duration::from_secs(3);
const KEYS_CHECKED_EVERY: Duration = Duration::from_secs(1);
/// Ten minutes.
const RETENTION_TICKS: u32 = 600;
const DAY_MS: i64 = 86_400_000;

type Server = Pin<Box<dyn Future<Output = std::io::Result<()>> + Send>>;

fn serve_on<L>(
    listener: L,
    router: axum::Router,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> Server
where
    L: Listener<Addr: Debug>,
    Peer: for<'l> Connected<IncomingStream<'l, L>>,
{
    let service = router.into_make_service_with_connect_info::<Peer>();
    Box::pin(axum::serve(listener, service).with_graceful_shutdown(shutdown).into_future())
}

/// What is read again when it changes.
fn watched(
    config: &Config,
    app: &Arc<App>,
    outgoing: &Arc<Outgoing>,
    tls: Option<&Arc<port::Certificate>>,
) -> Vec<Watched> {
    let mut watched = Vec::new();
    if !config.ca_files.is_empty() {
        let outgoing = Arc::clone(outgoing);
        watched.push(Watched::new(config.ca_files.clone(), move || outgoing.reload()));
    }
    if let Some(tls) = tls {
        let tls = Arc::clone(tls);
        watched.push(Watched::new(tls.files(), move || tls.reload()));
    }
    if let Some(JwtIssuer { keys: JwtKeys::File(file), .. }) = config.jwt.clone() {
        let app = Arc::clone(app);
        watched.push(Watched::new(vec![file.clone()], move || app.gate.reload(&file)));
    }
    watched
}

/// Watches what comes in, and tells those who want to be told.
fn alarm(
    config: &Config,
    store: &Arc<dyn Store>,
    evidence: &Evidence,
    outgoing: &Arc<Outgoing>,
) -> Result<Arc<Alarm>, Error> {
    let plan = match &config.alerts {
        Some(plan) => plan.clone(),
        None => AlertsFile::default().plan(&|_| None).map_err(|_| Error::config("alerts".to_owned()))?,
    };
    let keeper = Arc::clone(&evidence.keeper);
    Ok(Arc::new(Alarm::new(plan, Arc::clone(store), keeper, Arc::clone(outgoing))))
}

/// Takes the place of an earlier one, whose text nobody may have any more.
async fn first_token(gate: &Gate, store: &dyn Store) -> Result<Option<String>, StoreError> {
    let now_ms = http::now_ms();
    if gate.has_admin() || store.has_admin(now_ms).await? {
        return Ok(None);
    }
    let mut random = [0; 32];
    getrandom::fill(&mut random).map_err(|_| StoreError("the system gives no random bytes".to_owned()))?;
    let (bootstrap, token) = access::bootstrap::Bootstrap::issue(&random, now_ms);
    store.change_people(store::PeopleChange::PutBootstrap(bootstrap)).await?;
    Ok(Some(token))
}

/// The evidence in a database, with nobody served: for checking it, also beside a collector that runs.
#[derive(Debug)]
pub struct StoredEvidence {
    files: Files,
    evidence: Evidence,
}

/// What is in a database.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Status {
    pub events: i64,
    pub vms: i64,
    /// Numbers of VMs that never arrived.
    pub missing: i64,
    pub quarantined: i64,
    /// Entries of the log, and how many of them are signed for.
    pub entries: i64,
    pub signed: i64,
    pub log_key: String,
}

impl StoredEvidence {
    pub async fn open(config: &Config) -> Result<Self, Error> {
        let store = open_store(config).await?;
        let evidence = evidence(config, Arc::clone(&store)).await?;
        let (keeper, notary) = (Arc::clone(&evidence.keeper), Arc::clone(&evidence.notary));
        let files = Files::new(store, keeper, notary, evidence.quorum.clone());
        Ok(Self { files, evidence })
    }

    pub(crate) fn store(&self) -> &dyn Store {
        &*self.evidence.store
    }

    pub(crate) fn keeper(&self) -> &Keeper {
        &self.evidence.keeper
    }

    pub async fn status(&self) -> Result<Status, Error> {
        let store = &self.evidence.store;
        let failed = |error: StoreError| Error(Kind::Read(error.to_string()));
        let counts = store.counts().await.map_err(failed)?;
        let newest = store.newest_checkpoint().await.map_err(failed)?;
        Ok(Status {
            events: counts.events,
            vms: counts.vms,
            missing: counts.missing,
            quarantined: counts.quarantined,
            entries: store.log_size().await.map_err(failed)?,
            signed: newest.map_or(0, |newest| newest.size),
            log_key: self.log_key(),
        })
    }

    /// From now on the log has the name of the configuration, instead of the one that it had. A collector that runs has to be
    /// stopped first; it would not know its log any more.
    pub async fn rename_log(&self, old: &str) -> Result<(), Error> {
        let failed = |error: &dyn std::fmt::Display| Error(Kind::Keys(error.to_string()));
        let (notary, now_ms) = (&self.evidence.notary, http::now_ms());
        let seed = self.keeper().root().log_seed();
        let key = || sentinel_ledger::SignerKey::from_seed(old, seed.bytes()).map_err(|error| failed(&error));
        // Before anything is written: whether it really had that name.
        Notary::new(Arc::clone(&self.evidence.store), key()?)
            .check()
            .await
            .map_err(|error| failed(&error))?;
        let target = format!("{old} is now {}", notary.key().verifier().name());
        let deed = operator::Deed { what: "log.rename", target, is_good: true, at_ms: now_ms };
        operator::note(self.store(), deed).await.map_err(|error| failed(&error))?;
        notary.succeed(key()?, now_ms).await.map_err(|error| failed(&error))
    }

    /// What its checkpoints are verified with.
    pub fn log_key(&self) -> String {
        self.evidence.notary.key().verifier().to_string()
    }

    /// A bundle that was pushed, as it was pushed.
    pub async fn bundle(&self, id: &str) -> Result<Option<Vec<u8>>, Error> {
        let found = self.evidence.store.bundle(id.to_owned()).await;
        let failed = |error: StoreError| Error(Kind::Read(error.to_string()));
        Ok(found.map_err(failed)?.map(|pushed| pushed.bytes))
    }

    /// Wraps every key with the first one of the ring, and notes it in the journal; says how many were moved.
    pub async fn rewrap(&self) -> Result<usize, Error> {
        let failed = |error: &dyn std::fmt::Display| Error(Kind::Keys(error.to_string()));
        let n_moved = self.keeper().rewrap().await.map_err(|error| failed(&error))?;
        let (target, at_ms) = (format!("{n_moved} data keys"), http::now_ms());
        let deed = operator::Deed { what: "db.rewrap", target, is_good: true, at_ms };
        operator::note(self.store(), deed).await.map_err(|error| failed(&error))?;
        Ok(n_moved)
    }

    /// From now on `checkpoint` is the newest that `n` of these witnesses have cosigned.
    pub fn require_cosignatures(&mut self, witnesses: &[sentinel_ledger::VerifierKey], n: usize) {
        self.files.require(Quorum { witnesses: witnesses.to_vec(), n });
    }

    pub async fn close(self) -> Result<(), Error> {
        self.evidence.store.close().await.map_err(|error| Error(Kind::Close(error.to_string())))
    }
}

/// Copies everything of one database into another, empty one; each is a file or an address of PostgreSQL. Says what.
pub async fn copy_database(from: &str, to: &str) -> Result<String, Error> {
    let place = |name: &str| match name.starts_with("postgres://") || name.starts_with("postgresql://") {
        true => store::Place::Postgres(name.to_owned()),
        false => store::Place::Sqlite(name.into()),
    };
    let copied =
        store::copy(&place(from), &place(to)).await.map_err(|error| Error(Kind::Copy(error.to_string())))?;
    let rows = copied.rows.iter().filter(|(_, n_rows)| *n_rows > 0);
    let rows: Vec<String> = rows.map(|(table, n_rows)| format!("{n_rows} of {table}")).collect();
    let leaves: String = copied.leaves.iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(format!("{}; leaves {leaves}", rows.join(", ")))
}

impl audit::Source for StoredEvidence {
    async fn get(&mut self, path: &str) -> Result<Option<Vec<u8>>, String> {
        match FilePath::parse(path) {
            Some(path) => self.files.get(path).await.map_err(|error| error.to_string()),
            None => Ok(None),
        }
    }
}

impl Debug for Collector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Collector").field("local_addr", &self.local_addr).finish_non_exhaustive()
    }
}

async fn open_store(config: &Config) -> Result<Arc<dyn Store>, Error> {
    let unusable = |error| unusable(config, &error);
    Ok(match &config.postgres {
        Some(url) => Arc::new(PostgresStore::open(url).await.map_err(unusable)?),
        None => Arc::new(SqliteStore::open(&config.database).await.map_err(unusable)?),
    })
}

fn unusable(config: &Config, error: &StoreError) -> Error {
    let name = match &config.postgres {
        // Not the address: it has a password.
        Some(_) => "PostgreSQL".to_owned(),
        None => config.database.display().to_string(),
    };
    Error(Kind::Database { name, reason: error.to_string() })
}

async fn evidence(config: &Config, store: Arc<dyn Store>) -> Result<Evidence, Error> {
    let ring = match &config.key_ring {
        Some(text) => Ring::parse(text).map_err(|error| Error::config(format!("key_ring: {error}")))?,
        None => {
            let path = config.key_file.clone().unwrap_or_else(|| ring_file::beside(&config.database));
            ring_file::open(&path).map_err(Error::config)?
        }
    };
    let keys = |reason: &dyn std::fmt::Display| Error(Kind::Keys(reason.to_string()));
    let keeper =
        Keeper::open(Arc::clone(&store), ring, config.key_period).await.map_err(|error| keys(&error))?;
    let seed = keeper.root().log_seed();
    let name = config.log_name.clone();
    let key = sentinel_ledger::SignerKey::from_seed(&name, seed.bytes()).map_err(|error| keys(&error))?;
    let notary = Notary::new(Arc::clone(&store), key);
    let keeper = Arc::new(keeper);
    let reader = Arc::new(Reader::new(Arc::clone(&store), Arc::clone(&keeper)));
    let places = WitnessPlace::parse_all(&config.witnesses).map_err(Error::config)?;
    let witnesses = places.iter().map(|place| place.key.clone()).collect();
    let quorum = Quorum { witnesses, n: config.witness_quorum };
    let cosigners = Arc::new(Cosigners::new(Arc::clone(&store), places, config.witness_every));
    Ok(Evidence { store, keeper, reader, notary: Arc::new(notary), cosigners, quorum })
}

/// Why the collector could not start, or did not stop well.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct Error(Kind);

impl Error {
    fn config(reason: String) -> Self {
        Self(Kind::Config(reason))
    }

    /// Whether the configuration is at fault, rather than the machine.
    pub fn is_config(&self) -> bool {
        matches!(self.0, Kind::Config(_) | Kind::Witness(_))
    }
}

#[derive(Debug, thiserror::Error)]
enum Kind {
    #[error("collector configuration: {0}")]
    Config(String),
    #[error("cannot use the database {name}: {reason}")]
    Database { name: String, reason: String },
    #[error("cannot listen on {listen}: {source}")]
    Bind { listen: SocketAddr, source: std::io::Error },
    #[error("the database was not read: {0}")]
    Read(String),
    #[error("nothing was copied: {0}")]
    Copy(String),
    #[error("the keys of the database: {0}")]
    Keys(String),
    #[error("the witness: {0}")]
    Witness(String),
    #[error("serving ended: {0}")]
    Serve(std::io::Error),
    #[error("the database did not close: {0}")]
    Close(String),
}
