//! `sentinel serve`: the collector.

use std::{
    net::SocketAddr,
    num::NonZeroI64,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use clap::ValueEnum;
use sentinel_collector::{
    Collector, Config, JwtIssuer, JwtKeys, MetricsAccess, RedisAway, SecondOpinion, TlsFiles,
};
use serde_json::json;

use crate::{
    command::{
        alerts, database,
        telemetry::{LogFormat, Traces, start_logging},
    },
    document,
    report::{Fault, Report},
};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Where to listen.
    #[arg(long, env = "SENTINEL_LISTEN", default_value = "127.0.0.1:8088")]
    listen: SocketAddr,
    /// The database file, made if it is not there; or a PostgreSQL database, `postgres://USER:PASSWORD@HOST/NAME`.
    #[arg(long, env = "SENTINEL_DATABASE", hide_env_values = true, default_value = "sentinel.db")]
    database: String,
    /// Token that filters send; may be given several times, or in the environment, separated by commas. Keys that admins
    /// make do as well.
    #[arg(long = "token", env = "SENTINEL_TOKENS", value_delimiter = ',', hide_env_values = true)]
    tokens: Vec<String>,
    /// Token for readers; without one, the filters' tokens read, too.
    #[arg(
        long = "reader-token",
        env = "SENTINEL_READER_TOKENS",
        value_delimiter = ',',
        hide_env_values = true
    )]
    reader_tokens: Vec<String>,
    /// Token of an admin; at least 16 characters. Without one, and without an admin in the database, the start prints a
    /// token that makes the first admin.
    #[arg(
        long = "admin-token",
        env = "SENTINEL_ADMIN_TOKENS",
        value_delimiter = ',',
        hide_env_values = true
    )]
    admin_tokens: Vec<String>,
    #[command(flatten)]
    people: People,
    /// The certificate with those above it, PEM; read again when it changes. Without it the collector speaks plain HTTP.
    #[arg(long, env = "SENTINEL_TLS_CERT", value_name = "FILE", requires = "tls_key")]
    tls_cert: Option<PathBuf>,
    /// The key of the certificate, PEM.
    #[arg(long, env = "SENTINEL_TLS_KEY", value_name = "FILE", requires = "tls_cert")]
    tls_key: Option<PathBuf>,
    /// Certificates of CAs, PEM, that are believed beside the system's when others are called over TLS; several are
    /// allowed, read again when they change.
    #[arg(long = "ca-file", env = "SENTINEL_CA_FILE", value_delimiter = ',', value_name = "FILE")]
    ca_files: Vec<PathBuf>,
    /// Public key that has to have signed a bundle; several are allowed. Without one only the form is checked.
    #[arg(long = "trust-key", env = "SENTINEL_TRUST_KEYS", value_delimiter = ',', value_name = "ED25519")]
    trust_keys: Vec<String>,
    /// What the log calls itself in its checkpoints: a name that no other log has, such as example.com/sentinel.
    #[arg(long, env = "SENTINEL_LOG_NAME", default_value = "sentinel.local", value_name = "NAME")]
    log_name: String,
    /// A witness that is asked to cosign the log: where it is and its key. Several are allowed.
    #[arg(long = "witness", env = "SENTINEL_WITNESSES", value_delimiter = ',', value_name = "URL=VKEY")]
    witnesses: Vec<String>,
    /// How many witnesses have to have cosigned a checkpoint before others are shown it.
    #[arg(long, env = "SENTINEL_WITNESS_QUORUM", default_value_t = 0, value_name = "N")]
    witness_quorum: usize,
    /// Seconds between two questions to one witness, at least.
    #[arg(
        long,
        env = "SENTINEL_WITNESS_EVERY",
        default_value_t = 5,
        value_name = "SECONDS",
        value_parser = clap::value_parser!(u64).range(1..=3600)
    )]
    witness_every: u64,
    /// Where shared limits are counted: redis://[[USER]:PASSWORD@]HOST[:PORT][/DATABASE]. Without it, in memory.
    #[arg(long, env = "SENTINEL_REDIS", hide_env_values = true, value_name = "URL")]
    redis: Option<String>,
    /// What is granted of shared limits while Redis is away.
    #[arg(long, env = "SENTINEL_REDIS_AWAY", value_enum, default_value_t = Away::Local)]
    redis_away: Away,
    /// Which part of a limit each collector grants by itself while Redis is away.
    #[arg(
        long,
        env = "SENTINEL_REDIS_AWAY_PERCENT",
        default_value_t = 100,
        value_parser = clap::value_parser!(u8).range(1..=100)
    )]
    redis_away_percent: u8,
    /// Let anyone read /metrics, as a scraper without credentials needs it.
    #[arg(long)]
    open_metrics: bool,
    /// Gives second opinions with an encoder: `builtin`, an ONNX file, or `off`.
    #[arg(long, env = "SENTINEL_DEEP_MODEL", value_name = "FILE|builtin|off", default_value = "off")]
    deep_model: String,
    /// Threads that give second opinions; each keeps a core busy.
    #[arg(long, env = "SENTINEL_DEEP_WORKERS", default_value_t = 1)]
    deep_workers: usize,
    /// The keys that seal what is stored, made at the first start; without it `<database>.keys`. Keep a copy elsewhere:
    /// without them nobody reads the database.
    #[arg(long, env = "SENTINEL_KEY_FILE", value_name = "FILE")]
    key_file: Option<PathBuf>,
    /// Hours after which another data key seals what arrives.
    #[arg(long, env = "SENTINEL_KEY_HOURS", default_value_t = 24, value_parser = clap::value_parser!(u32).range(1..=8_784))]
    key_hours: u32,
    /// Days after which the texts of events are deleted; without it they stay. The log stays in any case.
    #[arg(long, env = "SENTINEL_KEEP_DAYS", value_parser = clap::value_parser!(u32).range(1..))]
    keep_days: Option<u32>,
    /// Rules of alerts and who is told, YAML or JSON; without it the built-in rules, and nobody.
    #[arg(long, env = "SENTINEL_ALERTS", value_name = "FILE")]
    alerts: Option<PathBuf>,
    #[command(flatten)]
    traces: Traces,
    #[arg(long, value_enum, default_value_t = LogFormat::Text)]
    log: LogFormat,
}

/// How people come in.
#[derive(clap::Args)]
struct People {
    /// The identity provider whose tokens are taken, as they name it (iss).
    #[arg(long, env = "SENTINEL_JWT_ISSUER", value_name = "NAME", requires_all = ["jwt_audience", "jwt_keys"])]
    jwt_issuer: Option<String>,
    /// Whom its tokens have to be for (aud).
    #[arg(long, env = "SENTINEL_JWT_AUDIENCE", value_name = "NAME", requires = "jwt_issuer")]
    jwt_audience: Option<String>,
    /// Its keys as a JWKS document: Ed25519, or a shared secret for HS256; read again when it changes.
    #[arg(
        long,
        env = "SENTINEL_JWT_KEY_FILE",
        value_name = "FILE",
        requires = "jwt_issuer",
        group = "jwt_keys"
    )]
    jwt_key_file: Option<PathBuf>,
    /// The address of its JWKS document, `https://…`, instead of a file: asked at the start, again and again, and when a
    /// token names a key that is not known.
    #[arg(
        long,
        env = "SENTINEL_JWT_JWKS_URL",
        value_name = "URL",
        requires = "jwt_issuer",
        group = "jwt_keys"
    )]
    jwt_jwks_url: Option<String>,
    /// The claim with roles; with a slash at its beginning, a JSON pointer such as /realm_access/roles.
    #[arg(long, env = "SENTINEL_JWT_ROLES_CLAIM", value_name = "CLAIM", default_value = "roles")]
    jwt_roles_claim: String,
    /// The address that people see, such as https://sentinel.example.org; with it they may sign in with wallets.
    #[arg(long, env = "SENTINEL_SITE", value_name = "URL")]
    site: Option<String>,
    /// Do not slow down those who fail to sign in; for a proxy in front that does it.
    #[arg(long)]
    no_throttle: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum Away {
    /// Each collector counts in its own memory.
    Local,
    /// Nothing.
    Refuse,
}

pub(crate) fn run(args: Args) -> Result<Report, Fault> {
    let log_filter = start_logging(args.log);
    let mut config = Config::new(args.listen, &args.database, args.tokens);
    config.postgres = database::postgres_url(&args.database);
    config.reader_tokens = args.reader_tokens;
    config.admin_tokens = args.admin_tokens;
    config.trust_keys = args.trust_keys;
    config.log_name = args.log_name;
    config.witnesses = args.witnesses;
    config.witness_quorum = args.witness_quorum;
    config.witness_every = Duration::from_secs(args.witness_every);
    config.tls = args.tls_cert.zip(args.tls_key).map(|(cert, key)| TlsFiles { cert, key });
    config.ca_files = args.ca_files;
    args.people.configure(&mut config);
    config.redis = args.redis;
    config.redis_away = match args.redis_away {
        Away::Local => RedisAway::Local { percent: args.redis_away_percent },
        Away::Refuse => RedisAway::Refuse,
    };
    config.key_file = args.key_file;
    if let Some(ms) = NonZeroI64::new(i64::from(args.key_hours) * 3_600_000) {
        config.key_period = ms;
    }
    config.keep_days = args.keep_days;
    config.alerts = args.alerts.as_deref().map(alerts::file::read).transpose()?;
    if args.open_metrics {
        config.metrics_access = MetricsAccess::Anyone;
    }
    config.traces = args.traces.export();
    config.log_filter = Some(log_filter);
    config.second_opinion = second_opinion(&args.deep_model, args.deep_workers)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|e| Fault::Internal(format!("runtime: {e}")))?;
    runtime.block_on(async {
        let mut collector = Collector::bind(config).await.map_err(fault)?;
        if let Some(token) = collector.first_token() {
            show_first_token(&token);
        }
        tracing::info!(address = %collector.local_addr(), "collector is listening");
        collector.run(shutdown()).await.map_err(fault)
    })?;
    Ok(Report { text: "stopped".into(), json: json!({ "stopped": true }), code: 0 })
}

impl People {
    fn configure(self, config: &mut Config) {
        let Self { jwt_issuer, jwt_audience, jwt_key_file, jwt_jwks_url, jwt_roles_claim, .. } = self;
        let keys = jwt_key_file.map(JwtKeys::File).or(jwt_jwks_url.map(JwtKeys::Url));
        // Clap sees to it that there are all or none.
        if let (Some(issuer), Some(audience), Some(keys)) = (jwt_issuer, jwt_audience, keys) {
            config.jwt = Some(JwtIssuer { issuer, audience, keys, roles_claim: jwt_roles_claim });
        }
        config.site = self.site;
        config.throttle = !self.no_throttle;
    }
}

/// Past the log, which may be kept for longer and by more people than the token is meant for.
fn show_first_token(token: &str) {
    use std::io::Write;
    let _ = writeln!(
        std::io::stderr(),
        "\nThere is no admin yet. For an hour this token makes the first one, once, and nothing else:\n\n    {token}\n"
    );
}

fn second_opinion(choice: &str, workers: usize) -> Result<Option<SecondOpinion>, Fault> {
    let path = match choice {
        "off" => return Ok(None),
        "builtin" => None,
        path => Some(Path::new(path)),
    };
    let begun = Instant::now();
    let model = document::deep_model(path)?;
    tracing::info!(model = model.id(), took_ms = begun.elapsed().as_millis(), "second opinions are given");
    Ok(Some(SecondOpinion { workers, ..SecondOpinion::new(model) }))
}

pub(super) fn fault(error: sentinel_collector::Error) -> Fault {
    match error.is_config() {
        true => Fault::Input(error.to_string()),
        false => Fault::Internal(error.to_string()),
    }
}

/// Interrupt or terminate, whichever comes first.
pub(super) async fn shutdown() {
    let interrupt = tokio::signal::ctrl_c();
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        match signal(SignalKind::terminate()) {
            Ok(mut terminate) => {
                tokio::select! {
                    _ = interrupt => {}
                    _ = terminate.recv() => {}
                }
            }
            Err(error) => {
                tracing::warn!(%error, "the termination signal cannot be caught");
                let _ = interrupt.await;
            }
        }
    }
    #[cfg(not(unix))]
    let _ = interrupt.await;
}
