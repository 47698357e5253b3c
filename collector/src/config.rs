//! What an operator decides about a collector.

use std::fmt;
use std::net::SocketAddr;
use std::num::NonZeroI64;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

mod telemetry;

pub use telemetry::{LogFilter, OtlpProtocol, TraceExport};

use crate::alert::AlertPlan;
use crate::evidence::WitnessPlace;
use crate::lease::RedisUrl;
use crate::outgoing::Url;

/// [`Config::new`] has the defaults; every field may be set afterwards and is checked when the collector binds.
#[derive(Clone)]
pub struct Config {
    /// Port 0 takes a free one.
    pub listen: SocketAddr,
    /// The SQLite file; it is made if it is not there, its folder is not.
    pub database: PathBuf,
    /// A PostgreSQL database instead of the file: `postgres://...`. Several collectors may share it, with the same keys.
    pub postgres: Option<String>,
    /// Key-encryption keys as text: what is stored is sealed with keys that the first of them wraps, and all of them
    /// open. Without it they are read from `key_file`.
    pub key_ring: Option<String>,
    /// Where the key-encryption keys are; made at the first start. `None` is `<database>.keys`.
    pub key_file: Option<PathBuf>,
    /// How long one data key seals what is received, in ms.
    pub key_period: NonZeroI64,
    /// How many days the texts of events are kept; `None` keeps them. The log stays in any case.
    pub keep_days: Option<u32>,
    /// What the log calls itself in its checkpoints: a name that no other log has.
    pub log_name: String,
    /// How often a checkpoint of the log is signed, if something was appended.
    pub checkpoint_every: Duration,
    /// Witnesses that are asked to cosign the log, as `URL=VKEY`: where `add-checkpoint` is, and the witness's key.
    pub witnesses: Vec<String>,
    /// How many of them have to have cosigned a checkpoint before others are shown it.
    pub witness_quorum: usize,
    /// How often a witness is asked at most.
    pub witness_every: Duration,
    /// Bearer tokens that may send events. Several allow to change one without a pause.
    pub tokens: Vec<String>,
    /// Bearer tokens that may read. While empty, `tokens` may.
    pub reader_tokens: Vec<String>,
    /// Bearer tokens of admins. Without one, and without an admin in the database, the start gives out a token that makes
    /// the first one.
    pub admin_tokens: Vec<String>,
    /// Whose tokens people may sign in with.
    pub jwt: Option<JwtIssuer>,
    /// The address at which people see the collector, `https://DOMAIN`; with it they may sign in with wallets.
    pub site: Option<String>,
    /// Whether those who fail to sign in are slowed down. Off is for a proxy in front that does it, since all come from
    /// the proxy's address then.
    pub throttle: bool,
    /// Without it the collector speaks plain HTTP.
    pub tls: Option<TlsFiles>,
    /// Files with certificates of CAs, PEM, that are believed beside the system's when the collector calls others.
    pub ca_files: Vec<PathBuf>,
    /// Public keys (`ed25519:` and base64) of which one has to have signed a bundle. While empty, only its form is
    /// checked; filters check signatures in any case.
    pub trust_keys: Vec<String>,
    /// Where shared limits are counted; `None` counts in this collector's memory.
    pub redis: Option<String>,
    pub redis_away: RedisAway,
    /// How long a filter that asks for leases waits for Redis.
    pub redis_wait: Duration,
    /// How often a running deployment is judged.
    pub judge_every: Duration,
    pub metrics_access: MetricsAccess,
    /// Batches taken in at the same time; one more is answered 429. Each may hold a body of 4 MiB.
    pub ingest_in_flight_max: usize,
    /// How long a shutdown waits for requests, and again for the writer.
    pub drain_max: Duration,
    /// Gives second opinions, if there is a model to ask.
    pub second_opinion: Option<SecondOpinion>,
    /// Where traces of exchanges are sent.
    pub traces: Option<TraceExport>,
    /// The log of the program, as far as it may be changed while it runs.
    pub log_filter: Option<Arc<dyn LogFilter>>,
    /// What is watched and who is told; without it, the built-in rules, and nobody.
    pub alerts: Option<AlertPlan>,
}

/// A model to ask, and how much of a machine it may take.
#[derive(Clone, Debug)]
pub struct SecondOpinion {
    pub model: Arc<sentinel_deep::Model>,
    /// Threads that ask the model; each keeps a core busy.
    pub workers: usize,
    /// Requests that may wait for a thread; one more is answered 429.
    pub queue_max: usize,
    /// How long a request may wait for its answer, whatever it asks for itself.
    pub deadline_max: Duration,
}

impl SecondOpinion {
    pub fn new(model: sentinel_deep::Model) -> Self {
        Self { model: Arc::new(model), workers: 1, queue_max: 16, deadline_max: Duration::from_secs(5) }
    }

    fn check(&self) -> Result<(), String> {
        for (field, found, most) in
            [("workers", self.workers, WORKERS_MAX), ("queue_max", self.queue_max, QUEUE_MAX)]
        {
            if !(1..=most).contains(&found) {
                return Err(format!("second_opinion.{field} is {found}, allowed are 1 to {most}"));
            }
        }
        match self.deadline_max.is_zero() {
            true => Err("second_opinion.deadline_max is 0, expected more".to_owned()),
            false => Ok(()),
        }
    }
}

/// An identity provider, as far as its tokens are concerned.
#[derive(Clone, Debug)]
pub struct JwtIssuer {
    /// What its tokens say about who made them (`iss`).
    pub issuer: String,
    /// What they say about whom they are for (`aud`).
    pub audience: String,
    pub keys: JwtKeys,
    /// The claim with roles; with a slash at its beginning, a JSON pointer.
    pub roles_claim: String,
}

/// Where the keys of an identity provider are, as a JWKS document.
#[derive(Clone, Debug)]
pub enum JwtKeys {
    /// A file with its Ed25519 keys, or with a secret for HS256; read again when it changes.
    File(PathBuf),
    /// An address with its Ed25519 keys; asked again and again. `https://`, unless it is on this machine.
    Url(String),
}

/// A certificate with those above it, and its key, as PEM; read again when they change.
#[derive(Clone, Debug)]
pub struct TlsFiles {
    pub cert: PathBuf,
    pub key: PathBuf,
}

/// Who may read `/metrics`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MetricsAccess {
    /// Whoever may read events.
    #[default]
    Reader,
    /// Anyone who reaches the port.
    Anyone,
}

/// What is granted of shared limits while Redis is away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RedisAway {
    /// Each collector grants this part of a limit, 1 to 100 per cent, from its own memory.
    Local { percent: u8 },
    /// Nothing.
    Refuse,
}

impl Default for RedisAway {
    fn default() -> Self {
        Self::Local { percent: 100 }
    }
}

impl Config {
    pub fn new(listen: SocketAddr, database: impl Into<PathBuf>, tokens: Vec<String>) -> Self {
        Self {
            listen,
            database: database.into(),
            postgres: None,
            key_ring: None,
            key_file: None,
            key_period: DAY_MS,
            keep_days: None,
            log_name: "sentinel.local".to_owned(),
            checkpoint_every: Duration::from_secs(1),
            witnesses: Vec::new(),
            witness_quorum: 0,
            witness_every: Duration::from_secs(5),
            tokens,
            reader_tokens: Vec::new(),
            admin_tokens: Vec::new(),
            jwt: None,
            site: None,
            throttle: true,
            tls: None,
            ca_files: Vec::new(),
            trust_keys: Vec::new(),
            redis: None,
            redis_away: RedisAway::default(),
            redis_wait: crate::lease::REDIS_WAIT,
            judge_every: Duration::from_secs(1),
            metrics_access: MetricsAccess::default(),
            ingest_in_flight_max: 64,
            drain_max: Duration::from_secs(10),
            second_opinion: None,
            traces: None,
            log_filter: None,
            alerts: None,
        }
    }

    pub(crate) fn check(&self) -> Result<(), String> {
        for (field, tokens) in [("tokens", &self.tokens), ("reader_tokens", &self.reader_tokens)] {
            for (idx, token) in tokens.iter().enumerate() {
                check_token(token).map_err(|reason| format!("{field}[{idx}] {reason}"))?;
            }
        }
        for (idx, token) in self.admin_tokens.iter().enumerate() {
            check_token(token).map_err(|reason| format!("admin_tokens[{idx}] {reason}"))?;
            // A part of its hash stands in the history, so there must be enough of it left to guess.
            if token.len() < ADMIN_TOKEN_CHARS_MIN {
                let found = token.len();
                return Err(format!(
                    "admin_tokens[{idx}] has {found} characters, expected at least {ADMIN_TOKEN_CHARS_MIN}"
                ));
            }
            if self.tokens.contains(token) || self.reader_tokens.contains(token) {
                return Err(format!("admin_tokens[{idx}] is a token of filters or readers, too"));
            }
        }
        crate::domain::TrustKeys::parse(&self.trust_keys)?;
        if let Some(url) = &self.redis {
            RedisUrl::parse(url).map_err(|reason| format!("redis {reason}"))?;
        }
        if let RedisAway::Local { percent } = self.redis_away
            && !(1..=100).contains(&percent)
        {
            return Err(format!("redis_away is local with {percent} per cent, allowed are 1 to 100"));
        }
        for (field, every) in [("judge_every", self.judge_every), ("checkpoint_every", self.checkpoint_every)]
        {
            if !(Duration::from_millis(10)..=Duration::from_secs(60)).contains(&every) {
                return Err(format!("{field} is not from 10 ms to 60 s"));
            }
        }
        if self.postgres.is_some() && self.key_ring.is_none() && self.key_file.is_none() {
            return Err("key_file is missing: with PostgreSQL it has to be named, because every collector needs the same \
                        keys"
                .to_owned());
        }
        if let Some(JwtIssuer { keys: JwtKeys::Url(url), .. }) = &self.jwt {
            key_url(url)?;
        }
        if self.keep_days == Some(0) {
            return Err("keep_days is 0, expected at least 1".to_owned());
        }
        let n_witnesses = WitnessPlace::parse_all(&self.witnesses)?.len();
        if self.witness_quorum > n_witnesses {
            let n = self.witness_quorum;
            return Err(format!("witness_quorum is {n}, and there are {n_witnesses} witnesses"));
        }
        if self.witness_every > Duration::from_secs(3_600) {
            return Err("witness_every is above an hour".to_owned());
        }
        if self.key_period < HOUR_MS {
            return Err("key_period is below an hour".to_owned());
        }
        if !(1..=INGEST_IN_FLIGHT_MAX).contains(&self.ingest_in_flight_max) {
            let found = self.ingest_in_flight_max;
            return Err(format!("ingest_in_flight_max is {found}, allowed are 1 to {INGEST_IN_FLIGHT_MAX}"));
        }
        self.traces.as_ref().map_or(Ok(()), TraceExport::check)?;
        self.second_opinion.as_ref().map_or(Ok(()), SecondOpinion::check)
    }
}

/// Tokens are left out, so that a logged configuration gives nothing away.
impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config")
            .field("listen", &self.listen)
            .field("database", &self.database)
            // The address may have a password in it.
            .field("postgres", &self.postgres.is_some())
            .field("key_file", &self.key_file)
            .field("key_period", &self.key_period)
            .field("keep_days", &self.keep_days)
            .field("log_name", &self.log_name)
            .field("checkpoint_every", &self.checkpoint_every)
            .field("witnesses", &self.witnesses)
            .field("witness_quorum", &self.witness_quorum)
            .field("witness_every", &self.witness_every)
            .field("n_tokens", &self.tokens.len())
            .field("n_reader_tokens", &self.reader_tokens.len())
            .field("n_admin_tokens", &self.admin_tokens.len())
            .field("jwt", &self.jwt)
            .field("site", &self.site)
            .field("throttle", &self.throttle)
            .field("tls", &self.tls)
            .field("ca_files", &self.ca_files)
            .field("trust_keys", &self.trust_keys)
            // The address may have a password in it.
            .field("redis", &self.redis.as_deref().map(RedisUrl::parse))
            .field("redis_away", &self.redis_away)
            .field("redis_wait", &self.redis_wait)
            .field("judge_every", &self.judge_every)
            .field("metrics_access", &self.metrics_access)
            .field("ingest_in_flight_max", &self.ingest_in_flight_max)
            .field("drain_max", &self.drain_max)
            .field("second_opinion", &self.second_opinion.is_some())
            .field("traces", &self.traces)
            .field("log_filter", &self.log_filter.is_some())
            .finish()
    }
}

/// Whoever could change the keys on their way could sign in as anybody.
pub(crate) fn key_url(text: &str) -> Result<Url, String> {
    let url = Url::parse(text).map_err(|reason| format!("jwt key address {reason}"))?;
    match url.has_tls() || url.is_loopback() {
        true => Ok(url),
        false => Err("jwt key address is neither https:// nor on this machine".to_owned()),
    }
}

/// What cannot stand in a header can never be presented, and a very short one can be guessed.
fn check_token(token: &str) -> Result<(), String> {
    if !token.bytes().all(|b| b.is_ascii_graphic()) {
        return Err("has a character that is not visible ASCII".to_owned());
    }
    match token.len() {
        len if len < TOKEN_CHARS_MIN => {
            Err(format!("has {len} characters, expected at least {TOKEN_CHARS_MIN}"))
        }
        _ => Ok(()),
    }
}

const HOUR_MS: NonZeroI64 = NonZeroI64::new(3_600_000).unwrap();
const DAY_MS: NonZeroI64 = NonZeroI64::new(86_400_000).unwrap();
const TOKEN_CHARS_MIN: usize = 8;
const ADMIN_TOKEN_CHARS_MIN: usize = 16;
/// 4 GiB of bodies.
const INGEST_IN_FLIGHT_MAX: usize = 1_024;
const WORKERS_MAX: usize = 256;
/// Each may hold a body of 4 MiB.
const QUEUE_MAX: usize = 1_024;

#[cfg(test)]
mod tests {
    use super::*;

    fn config(tokens: &[&str]) -> Config {
        let tokens = tokens.iter().map(|token| (*token).to_owned()).collect();
        Config::new(SocketAddr::from(([127, 0, 0, 1], 0)), "events.db", tokens)
    }

    #[test]
    fn tokens_are_sendable_and_never_printed() {
        assert!(config(&["long-enough"]).check().is_ok());
        assert!(config(&[]).check().is_ok());
        assert!(
            config(&["long-enough", "short"]).check().unwrap_err().contains("tokens[1] has 5 characters")
        );
        assert!(config(&["with a space"]).check().unwrap_err().contains("not visible ASCII"));
        assert!(!format!("{:?}", config(&["secret-token"])).contains("secret"));
    }

    #[test]
    fn an_admin_token_is_longer_and_nobody_elses() {
        let with =
            |token: &str| Config { admin_tokens: vec![token.to_owned()], ..config(&["filters-long-token"]) };
        assert!(with("an-admin-token-of-length").check().is_ok());
        assert!(with("short-token").check().unwrap_err().contains("admin_tokens[0] has 11 characters"));
        assert!(with("filters-long-token").check().unwrap_err().contains("filters or readers"));
        assert!(!format!("{:?}", with("secret-token-of-admin")).contains("secret"));
    }

    #[test]
    fn what_is_asked_of_redis_and_of_bundles_is_checked_and_no_password_printed() {
        let with = |url: &str| Config { redis: Some(url.to_owned()), ..config(&["long-enough"]) };
        assert!(with("redis://:secret@cache").check().is_ok());
        assert!(!format!("{:?}", with("redis://:secret@cache")).contains("secret"));
        assert!(with("cache").check().unwrap_err().contains("redis does not begin"));
        let away = RedisAway::Local { percent: 0 };
        assert!(Config { redis_away: away, ..config(&["long-enough"]) }.check().is_err());
        let keys = vec!["ed25519:AAAA".to_owned()];
        let reason = Config { trust_keys: keys, ..config(&["long-enough"]) }.check().unwrap_err();
        assert!(reason.contains("trust_keys[0]"), "{reason}");
    }
}
