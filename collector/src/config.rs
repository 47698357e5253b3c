//! What an operator decides about a collector.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// [`Config::new`] has the defaults; every field may be set afterwards and is checked when the collector binds.
#[derive(Clone)]
pub struct Config {
    /// Port 0 takes a free one.
    pub listen: SocketAddr,
    /// The SQLite file; it is made if it is not there, its folder is not.
    pub database: PathBuf,
    /// Bearer tokens that may send events; at least one. Several allow to change one without a pause.
    pub tokens: Vec<String>,
    /// Bearer tokens that may read. While empty, `tokens` may.
    pub reader_tokens: Vec<String>,
    pub metrics_access: MetricsAccess,
    /// Batches taken in at the same time; one more is answered 429. Each may hold a body of 4 MiB.
    pub ingest_in_flight_max: usize,
    /// How long a shutdown waits for requests, and again for the writer.
    pub drain_max: Duration,
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

impl Config {
    pub fn new(listen: SocketAddr, database: impl Into<PathBuf>, tokens: Vec<String>) -> Self {
        Self {
            listen,
            database: database.into(),
            tokens,
            reader_tokens: Vec::new(),
            metrics_access: MetricsAccess::default(),
            ingest_in_flight_max: 64,
            drain_max: Duration::from_secs(10),
        }
    }

    pub(crate) fn check(&self) -> Result<(), String> {
        if self.tokens.is_empty() {
            return Err("tokens is empty, expected at least one".to_owned());
        }
        for (field, tokens) in [("tokens", &self.tokens), ("reader_tokens", &self.reader_tokens)] {
            for (idx, token) in tokens.iter().enumerate() {
                check_token(token).map_err(|reason| format!("{field}[{idx}] {reason}"))?;
            }
        }
        if !(1..=INGEST_IN_FLIGHT_MAX).contains(&self.ingest_in_flight_max) {
            let found = self.ingest_in_flight_max;
            return Err(format!("ingest_in_flight_max is {found}, allowed are 1 to {INGEST_IN_FLIGHT_MAX}"));
        }
        Ok(())
    }
}

/// Tokens are left out, so that a logged configuration gives nothing away.
impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config")
            .field("listen", &self.listen)
            .field("database", &self.database)
            .field("n_tokens", &self.tokens.len())
            .field("n_reader_tokens", &self.reader_tokens.len())
            .field("metrics_access", &self.metrics_access)
            .field("ingest_in_flight_max", &self.ingest_in_flight_max)
            .field("drain_max", &self.drain_max)
            .finish()
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

const TOKEN_CHARS_MIN: usize = 8;
/// 4 GiB of bodies.
const INGEST_IN_FLIGHT_MAX: usize = 1_024;

#[cfg(test)]
mod tests {
    use super::*;

    fn config(tokens: &[&str]) -> Config {
        let tokens = tokens.iter().map(|token| (*token).to_owned()).collect();
        Config::new(SocketAddr::from(([127, 0, 0, 1], 0)), "events.db", tokens)
    }

    #[test]
    fn tokens_are_required_sendable_and_never_printed() {
        assert!(config(&["long-enough"]).check().is_ok());
        assert!(config(&[]).check().unwrap_err().contains("tokens is empty"));
        assert!(
            config(&["long-enough", "short"]).check().unwrap_err().contains("tokens[1] has 5 characters")
        );
        assert!(config(&["with a space"]).check().unwrap_err().contains("not visible ASCII"));
        assert!(!format!("{:?}", config(&["secret-token"])).contains("secret"));
    }
}
