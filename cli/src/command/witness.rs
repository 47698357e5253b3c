//! `sentinel witness`.

use std::{io::Write, net::SocketAddr, num::NonZeroU32, path::PathBuf};

use sentinel_collector::{TlsFiles, WitnessConfig, WitnessServer, witness_key};
use serde_json::json;

use super::{
    serve::{fault, shutdown},
    telemetry::{LogFormat, start_logging},
};
use crate::report::{Fault, Report};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Where to listen.
    #[arg(long, env = "SENTINEL_WITNESS_LISTEN", default_value = "127.0.0.1:8089")]
    listen: SocketAddr,
    /// The folder of the witness's key and of what it has seen; made if it is not there. Never set it back to a copy.
    #[arg(long, env = "SENTINEL_WITNESS_FOLDER", default_value = "witness", value_name = "FOLDER")]
    folder: PathBuf,
    /// What the witness calls itself, such as witness.example.com/w1; needed at the first start.
    #[arg(long, env = "SENTINEL_WITNESS_NAME", value_name = "NAME")]
    name: Option<String>,
    /// The public key of a log to witness; several are allowed.
    #[arg(
        long = "log",
        env = "SENTINEL_WITNESS_LOGS",
        value_delimiter = ',',
        value_name = "VKEY",
        required_unless_present = "show_key"
    )]
    logs: Vec<String>,
    /// The certificate with those above it, PEM; read again when it changes. Without it the witness speaks plain HTTP.
    #[arg(long, env = "SENTINEL_WITNESS_TLS_CERT", value_name = "FILE", requires = "tls_key")]
    tls_cert: Option<PathBuf>,
    /// The key of the certificate, PEM.
    #[arg(long, env = "SENTINEL_WITNESS_TLS_KEY", value_name = "FILE", requires = "tls_cert")]
    tls_key: Option<PathBuf>,
    /// New checkpoints of one log that are cosigned in a minute.
    #[arg(long, default_value = "120", value_name = "N")]
    per_minute: NonZeroU32,
    /// Connections at a time.
    #[arg(long, default_value_t = 64, value_name = "N")]
    connections: usize,
    /// Print the public key of the witness and end; it is made if there is none.
    #[arg(long)]
    show_key: bool,
    #[arg(long = "log-format", value_enum, default_value_t = LogFormat::Text)]
    log_format: LogFormat,
}

pub(crate) fn run(args: Args) -> Result<Report, Fault> {
    if args.show_key {
        let key = witness_key(&args.folder, args.name.as_deref()).map_err(fault)?.to_string();
        return Ok(Report { json: json!({ "key": key }), text: key, code: 0 });
    }
    let _ = start_logging(args.log_format);
    let config = WitnessConfig {
        name: args.name,
        logs: args.logs,
        per_minute: args.per_minute,
        connections_max: args.connections,
        tls: args.tls_cert.zip(args.tls_key).map(|(cert, key)| TlsFiles { cert, key }),
        ..WitnessConfig::new(args.listen, args.folder)
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|e| Fault::Internal(format!("runtime: {e}")))?;
    runtime.block_on(async {
        let witness = WitnessServer::bind(config).await.map_err(fault)?;
        // For whoever starts it to pass on; nobody has to read it.
        let _ = writeln!(std::io::stdout(), "{}", witness.key());
        witness.run(shutdown()).await;
        Ok(Report { text: "stopped".into(), json: json!({ "stopped": true }), code: 0 })
    })
}
