//! What the collector tells about itself and about exchanges, to whom.

use std::fmt;
use std::time::Duration;

/// Where traces of exchanges are sent, and which ones.
#[derive(Clone)]
pub struct TraceExport {
    /// `http://` or `https://`, a host, perhaps a port, and with HTTP perhaps a path.
    pub endpoint: String,
    pub protocol: OtlpProtocol,
    /// `NAME=VALUE`, such as the header that lets the collector in.
    pub headers: Vec<String>,
    /// The share of exchanges that is traced, 0 to 1, beside those that always are: blocked, masked, failed and slow ones.
    pub head: f64,
    /// What is as slow as this is always traced.
    pub slow: Duration,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OtlpProtocol {
    /// Port 4317, usually.
    #[default]
    Grpc,
    /// Protocol Buffers over HTTP, port 4318 usually.
    Http,
}

impl TraceExport {
    pub fn new(endpoint: impl Into<String>, protocol: OtlpProtocol) -> Self {
        let (head, slow) = (1.0, Duration::from_secs(2));
        Self { endpoint: endpoint.into(), protocol, headers: Vec::new(), head, slow }
    }

    pub(super) fn check(&self) -> Result<(), String> {
        if !(0.0..=1.0).contains(&self.head) {
            return Err(format!("traces.head is {}, allowed are 0 to 1", self.head));
        }
        crate::trace::Place::parse(self).map(|_| ())
    }
}

/// Headers are secrets, and an endpoint may have one in its path.
impl fmt::Debug for TraceExport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TraceExport")
            .field("protocol", &self.protocol)
            .field("n_headers", &self.headers.len())
            .field("head", &self.head)
            .field("slow", &self.slow)
            .finish_non_exhaustive()
    }
}

/// Which lines go to the log, as the program that writes it lets it be read and changed.
pub trait LogFilter: Send + Sync {
    /// As `LEVEL` or `TARGET=LEVEL`, with commas between them.
    fn current(&self) -> String;

    /// From now on. The error says what is wrong with the text.
    fn change(&self, filter: &str) -> Result<(), String>;
}
