//! `cargo xtask bench`: what the filter costs. Ratios of one interleaved run; absolute times of a shared machine are
//! only printed beside them.

mod collector_rate;
mod core_speed;
mod dashboard;
mod edge_cost;
mod envoy_cost;
mod extract_speed;
mod first_token;
mod guards_cost;
mod judge_speed;
mod matchers;
mod model_scores;
mod model_speed;
mod neighbours;
mod probe;
mod variants;
mod watching_cost;

use std::{path::PathBuf, time::Duration};

use anyhow::Result;

#[derive(clap::Subcommand)]
pub(crate) enum Command {
    /// No filter, a no-op filter and Sentinel in a real Envoy: requests per second and Envoy's CPU per request.
    Envoy(Turns),
    /// A program that passes everything on and one with Sentinel, in workerd and in Viceroy: requests per second, CPU per
    /// request, the first event of a stream, start-up, and memory of 100 streams.
    Edge(Turns),
    /// The filter without metrics and events, and with more and more of them: Envoy's CPU per request and requests per second.
    Watching(Turns),
    /// What the collector takes in, sealed, in the log and signed: events per second, time to the acknowledgement, memory
    /// and disk, beside a plain append to SQLite.
    Collector {
        /// Seconds per measurement.
        #[arg(long, default_value_t = 20)]
        seconds: u64,
        /// Connections that send.
        #[arg(long, default_value_t = 8)]
        connections: usize,
        /// Events in a batch.
        #[arg(long, default_value_t = 100)]
        batch: usize,
        /// Into PostgreSQL, on a server of its own, instead of SQLite.
        #[arg(long)]
        postgres: bool,
        /// Events per second of the second part; 10,000 unless you say otherwise, 5,000 with `--postgres`.
        #[arg(long)]
        rate: Option<f64>,
        /// Another build of `sentinel` to compare with; figures alternate.
        #[arg(long, value_name = "FILE")]
        than: Option<PathBuf>,
        /// How often all of it is done.
        #[arg(long, default_value_t = 1)]
        rounds: usize,
    },
    /// The core natively and in the fake host: benign and hostile bodies.
    Core,
    /// The first page of the dashboard in Chromium over many stored events: time until its chart is there, and bytes.
    Dashboard {
        /// How many are stored, over the last month.
        #[arg(long, default_value_t = 1_000_000)]
        events: u64,
        /// How often each page is opened.
        #[arg(long, default_value_t = 5)]
        rounds: usize,
    },
    /// Reading bodies without judging them, natively and in Envoy's V8, beside `serde_json`.
    Extract {
        /// How often each build is run; every run has rounds of its own.
        #[arg(long, default_value_t = 3)]
        passes: usize,
    },
    /// Judging bodies one at a time, natively and in Envoy's V8: benign ones and hostile ones.
    Judge {
        /// How often each build is run.
        #[arg(long, default_value_t = 3)]
        passes: usize,
    },
    /// Other ways of matching the rules (literal automata, regular expressions) beside ours, natively and in Envoy's V8:
    /// time, tables, and bytes of the module. Takes about ten minutes.
    Matchers {
        /// How often each build is run.
        #[arg(long, default_value_t = 3)]
        passes: usize,
    },
    /// What limits, sessions and the memory of known texts add to a request, natively and in Envoy's V8.
    Guards {
        /// How often each build is run; every run has rounds of its own.
        #[arg(long, default_value_t = 3)]
        passes: usize,
    },
    /// The compact model with weights of chance, natively and in Envoy's V8; fails unless all come to the same bits.
    Model {
        /// Instead of timing: scores of all texts of a file (JSON lines with `text` and `channel`, plain or packed with zstd)
        /// by the model that is built in, natively, in wasmtime and in V8.
        #[arg(long, value_name = "FILE")]
        data: Option<PathBuf>,
        /// How often each build is run.
        #[arg(long, default_value_t = 3)]
        passes: usize,
    },
    /// Latencies of short requests beside others that the second stage of the model reads, in one worker of an Envoy.
    Neighbours {
        /// Rounds; every round measures each variant once.
        #[arg(long, default_value_t = 5)]
        rounds: usize,
        /// Seconds per measurement.
        #[arg(long, default_value_t = 3)]
        seconds: u64,
    },
    /// How late the events of a stream come through a real Envoy, without a filter and with Sentinel.
    Ttft {
        /// Rounds; every round has each variant's stream once.
        #[arg(long, default_value_t = 21)]
        rounds: usize,
        /// Events with text in one stream.
        #[arg(long, default_value_t = 40)]
        events: usize,
        /// Milliseconds between two events.
        #[arg(long, default_value_t = 20)]
        interval: u64,
    },
}

/// Of variants that are measured in turn.
#[derive(clap::Args)]
pub(crate) struct Turns {
    /// Rounds; every round measures each variant once.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Seconds per measurement.
    #[arg(long, default_value_t = 3)]
    seconds: u64,
    /// Size of the chat request.
    #[arg(long, default_value_t = 4096)]
    bytes: usize,
}

pub(crate) fn run(command: &Command) -> Result<()> {
    match command {
        Command::Envoy(turns) => envoy_cost::run(turns.rounds, turns.seconds, turns.bytes),
        Command::Watching(turns) => watching_cost::run(turns.rounds, turns.seconds, turns.bytes),
        Command::Edge(turns) => edge_cost::run(turns.rounds, turns.seconds, turns.bytes),
        Command::Collector { seconds, connections, batch, postgres, rate, than, rounds } => {
            collector_rate::run(&collector_rate::Wanted {
                time: Duration::from_secs(*seconds),
                connections: *connections,
                batch: *batch,
                postgres: *postgres,
                rate: rate.unwrap_or(if *postgres { 5_000.0 } else { 10_000.0 }),
                than: than.as_deref(),
                rounds: *rounds,
            })
        }
        Command::Core => core_speed::run(),
        Command::Dashboard { events, rounds } => dashboard::run(*events, *rounds),
        Command::Extract { passes } => extract_speed::run(*passes),
        Command::Judge { passes } => judge_speed::run(*passes),
        Command::Guards { passes } => guards_cost::run(*passes),
        Command::Matchers { passes } => matchers::run(*passes),
        Command::Model { data: Some(file), .. } => model_scores::run(file),
        Command::Model { passes, data: None } => model_speed::run(*passes),
        Command::Neighbours { rounds, seconds } => neighbours::run(*rounds, *seconds),
        Command::Ttft { rounds, events, interval } => first_token::run(*rounds, *events, *interval),
    }
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(0.0)
}

fn least(values: &[f64]) -> f64 {
    values.iter().copied().fold(f64::INFINITY, f64::min)
}

const CHAT_ANSWER: &str = r#"{"choices":[{"message":{"role":"assistant","content":"ok"}}]}"#;

/// A chat request of about 4 KB, as benign as can be.
fn chat_body(bytes: usize) -> String {
    let sentence = "The quarterly report lists revenue by region and explains which of the new products did well, \
                    which did not, and what the team plans to change before the summer. ";
    let text: String = sentence.chars().cycle().take(bytes.saturating_sub(160)).collect();
    serde_json::json!({
        "model": "demo", "temperature": 0.2,
        "messages": [
            { "role": "system", "content": "You are a helpful assistant." },
            { "role": "user", "content": text },
        ],
    })
    .to_string()
}
