//! What waits for the host: calls to the collector, and lines of the log. And chance, seeded by the host.

use std::time::Duration;

use sentinel_adapter::host::{Call, Host, Level};
use sentinel_core::{config::CollectorConfig, hash::sha256};

/// A call that the host is to make. Its answer belongs to [`Guard::answered`](crate::Guard::answered).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outgoing {
    pub token: u32,
    /// Where to: what the configuration calls it.
    pub cluster: String,
    pub method: &'static str,
    pub path: String,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    pub timeout: Duration,
}

/// For the host's log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    pub level: Level,
    pub text: String,
}

#[derive(Debug)]
pub(crate) struct Outbox {
    calls: Vec<Outgoing>,
    lines: Vec<Line>,
    last_token: u32,
    seed: [u8; 32],
    state: u64,
}

/// A log that nobody takes does not grow.
const LINES_MAX: usize = 64;

impl Outbox {
    /// `seed` is from the host's source of chance.
    pub(crate) fn new(seed: [u8; 32]) -> Self {
        let mut outbox = Self { calls: Vec::new(), lines: Vec::new(), last_token: 0, seed, state: 0 };
        let [a, b, c, d, e, f, g, h, ..] = outbox.secret("chance");
        outbox.state = u64::from_le_bytes([a, b, c, d, e, f, g, h]) | 1;
        outbox
    }

    /// A number of its own for each purpose.
    pub(crate) fn secret(&self, purpose: &str) -> [u8; 32] {
        sha256(&[&self.seed, purpose.as_bytes()].concat())
    }

    pub(crate) fn take_calls(&mut self) -> Vec<Outgoing> {
        std::mem::take(&mut self.calls)
    }

    pub(crate) fn take_lines(&mut self) -> Vec<Line> {
        std::mem::take(&mut self.lines)
    }

    /// A call that is not handed out by [`Outbox::take_calls`].
    pub(crate) fn outgoing(&mut self, collector: &CollectorConfig, call: Call<'_>) -> Outgoing {
        self.last_token = self.last_token.wrapping_add(1);
        let mut headers = vec![("authorization".to_owned(), format!("Bearer {}", collector.token))];
        headers.extend(call.headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        Outgoing {
            token: self.last_token,
            cluster: collector.cluster.clone(),
            method: call.method,
            path: call.path.to_owned(),
            headers,
            body: call.body,
            timeout: call.timeout,
        }
    }
}

impl Host for Outbox {
    fn call(&mut self, collector: &CollectorConfig, call: Call<'_>) -> Result<u32, String> {
        let call = self.outgoing(collector, call);
        let token = call.token;
        self.calls.push(call);
        Ok(token)
    }

    fn log(&mut self, level: Level, text: &str) {
        if self.lines.len() < LINES_MAX {
            self.lines.push(Line { level, text: text.to_owned() });
        }
    }

    /// Spreads waits and shares; what has to stay secret is made by [`Outbox::secret`].
    fn chance(&mut self) -> u32 {
        // xorshift64*
        self.state ^= self.state >> 12;
        self.state ^= self.state << 25;
        self.state ^= self.state >> 27;
        (self.state.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 32) as u32
    }
}
