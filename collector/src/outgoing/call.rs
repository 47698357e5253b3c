//! One call: whom it is to, and until when.

use std::fmt::Display;
use std::future::Future;
use std::time::Duration;

use tokio::net::{TcpStream, lookup_host};
use tokio::time::{Instant, timeout, timeout_at};

use super::{Failure, Step, Url};

#[derive(Debug)]
pub(super) struct Call {
    pub(super) origin: String,
    within: Duration,
    until: Instant,
}

impl Call {
    pub(super) fn begin(url: &Url, within: Duration) -> Self {
        Self { origin: url.to_string(), within, until: Instant::now() + within }
    }

    /// Or a failure of this step, when the call has had its time.
    pub(super) async fn within<T>(&self, step: Step, done: impl Future<Output = T>) -> Result<T, Failure> {
        let in_time = timeout_at(self.until, done).await;
        in_time.map_err(|_| self.failed(step, format_args!("not within {:?}", self.within)))
    }

    pub(super) fn failed(&self, step: Step, why: impl Display) -> Failure {
        Failure { step, origin: self.origin.clone(), reason: format!("{}: {why}", step.sentence()) }
    }

    /// To the first address of the host that answers. None takes more than its share of the time, so that one that is
    /// silent does not keep the others from being tried.
    pub(super) async fn connect(&self, url: &Url) -> Result<TcpStream, Failure> {
        let found = self.within(Step::Resolve, lookup_host((url.host(), url.port()))).await?;
        let found = found.map_err(|error| self.failed(Step::Resolve, error))?;
        let addresses: Vec<_> = found.take(ADDRESSES_MAX).collect();
        let mut problem = "there is no address".to_owned();
        for (n_tried, address) in (0_u32..).zip(&addresses) {
            let n_left = (addresses.len() as u32).saturating_sub(n_tried).max(1);
            let share = self.until.saturating_duration_since(Instant::now()) / n_left;
            match timeout(share, TcpStream::connect(address)).await {
                Ok(Ok(stream)) => {
                    // Without it a small request may wait for an acknowledgement that is itself delayed.
                    stream.set_nodelay(true).map_err(|error| self.failed(Step::Connect, error))?;
                    return Ok(stream);
                }
                Ok(Err(error)) => problem = format!("{address}: {error}"),
                Err(_) => problem = format!("{address}: not within {share:?}"),
            }
        }
        Err(self.failed(Step::Connect, problem))
    }
}

const ADDRESSES_MAX: usize = 8;
