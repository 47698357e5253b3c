//! What `sentinel serve` tells about itself: its log, and where traces go.

use std::{
    env,
    io::{self, IsTerminal},
    sync::Arc,
    time::Duration,
};

use clap::ValueEnum;
use sentinel_collector::{LogFilter, OtlpProtocol, TraceExport};
use tracing_subscriber::{EnvFilter, Layer, Registry, layer::SubscriberExt, reload, util::SubscriberInitExt};

#[derive(clap::Args)]
pub(crate) struct Traces {
    /// Send traces of exchanges there, by OTLP: http://HOST:4317, or with --otlp-protocol http, http://HOST:4318.
    #[arg(long, env = "SENTINEL_OTLP_ENDPOINT", hide_env_values = true, value_name = "URL")]
    otlp_endpoint: Option<String>,
    #[arg(long, env = "SENTINEL_OTLP_PROTOCOL", value_enum, default_value_t = Protocol::Grpc)]
    otlp_protocol: Protocol,
    /// A header that goes with them, such as the one that lets them in; several are allowed.
    #[arg(
        long = "otlp-header",
        env = "SENTINEL_OTLP_HEADERS",
        value_delimiter = ',',
        hide_env_values = true,
        value_name = "NAME=VALUE"
    )]
    otlp_headers: Vec<String>,
    /// The share of exchanges that is traced, beside those that always are: blocked, masked, failed and slow ones.
    #[arg(long, env = "SENTINEL_TRACE_HEAD", default_value_t = 1.0, value_name = "0..1")]
    trace_head: f64,
    /// What takes at least so long is slow, in milliseconds.
    #[arg(long, env = "SENTINEL_TRACE_SLOW", default_value_t = 2_000, value_name = "MS")]
    trace_slow: u64,
}

#[derive(Clone, Copy, ValueEnum)]
enum Protocol {
    Grpc,
    /// Protocol Buffers over HTTP.
    Http,
}

impl Traces {
    pub(super) fn export(self) -> Option<TraceExport> {
        let protocol = match self.otlp_protocol {
            Protocol::Grpc => OtlpProtocol::Grpc,
            Protocol::Http => OtlpProtocol::Http,
        };
        let (headers, head) = (self.otlp_headers, self.trace_head);
        let slow = Duration::from_millis(self.trace_slow);
        Some(TraceExport { headers, head, slow, ..TraceExport::new(self.otlp_endpoint?, protocol) })
    }
}

#[derive(Clone, Copy, ValueEnum)]
pub(super) enum LogFormat {
    Text,
    Json,
}

/// To standard error, from now on. What is logged can be changed later.
pub(super) fn start_logging(format: LogFormat) -> Arc<dyn LogFilter> {
    let filter = EnvFilter::try_from_env("SENTINEL_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    let (filter, handle) = reload::Layer::new(filter);
    // Colours are for eyes: in a file or a journal they would be noise.
    let is_seen = io::stderr().is_terminal() && env::var_os("NO_COLOR").is_none_or(|it| it.is_empty());
    let lines = tracing_subscriber::fmt::layer().with_writer(io::stderr).with_ansi(is_seen);
    let lines = match format {
        LogFormat::Text => lines.boxed(),
        LogFormat::Json => lines.json().flatten_event(true).boxed(),
    };
    tracing_subscriber::registry().with(filter).with(lines).init();
    Arc::new(Changeable(handle))
}

struct Changeable(reload::Handle<EnvFilter, Registry>);

impl LogFilter for Changeable {
    fn current(&self) -> String {
        self.0.with_current(ToString::to_string).unwrap_or_default()
    }

    fn change(&self, filter: &str) -> Result<(), String> {
        let filter = EnvFilter::try_new(filter).map_err(|error| error.to_string())?;
        self.0.reload(filter).map_err(|error| error.to_string())
    }
}
