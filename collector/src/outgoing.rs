//! Calls to others: witnesses, identity providers, receivers of alerts and traces. The one client that the collector has.
//!
//! Invariant: a call ends by its deadline, holds no more of an answer than it said it would, goes where its address says
//! and nowhere else (no redirect, no proxy), and trusts only the roots that it was given. What it says of a failure names
//! the step and the host, never a path, a header or a body, because those may hold secrets.
//!
//! Each call has a connection of its own. Calls are seldom, seconds apart, and TLS resumes sessions, so a kept connection
//! would save little. But one that the other side has closed meanwhile fails a call for no fault of anybody, and a `POST`
//! cannot be sent again without asking whether it was done.

mod answer;
mod call;
mod exchange;
mod failure;
mod reason;
mod request;
mod roots;
mod url;

#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::ClientConfig;
use tokio_rustls::rustls::pki_types::ServerName;

pub(crate) use answer::Answer;
use call::Call;
pub(crate) use failure::{Failure, Step};
pub use reason::of_tls;
pub(crate) use request::Request;
pub use roots::{Roots, crypto};
pub(crate) use url::Url;

#[derive(Debug)]
pub(crate) struct Outgoing {
    ca_files: Vec<PathBuf>,
    tls: RwLock<Arc<ClientConfig>>,
}

impl Outgoing {
    pub(crate) fn new(roots: &Roots) -> Result<Self, String> {
        let tls = RwLock::new(Arc::new(roots.client()?));
        Ok(Self { ca_files: roots.files().to_vec(), tls })
    }

    /// After a file with CA certificates has changed, for calls from now on.
    pub(crate) fn reload(&self) -> Result<(), String> {
        let fresh = Arc::new(Roots::read(&self.ca_files)?.client()?);
        *self.tls.write().unwrap_or_else(PoisonError::into_inner) = fresh;
        Ok(())
    }

    /// Any answer is one, whatever its status; [`Answer::success`] asks for more.
    pub(crate) async fn send(&self, request: Request, within: Duration) -> Result<Answer, Failure> {
        let call = Call::begin(&request.url, within);
        let stream = self.open(&request.url, &call).await?;
        exchange::exchange(stream, request, &call).await
    }

    /// A connection for whoever speaks HTTP/2 itself.
    pub(crate) async fn http2(&self, url: &Url, within: Duration) -> Result<Stream, Failure> {
        let call = Call::begin(url, within);
        let mut tls = ClientConfig::clone(&self.tls.read().unwrap_or_else(PoisonError::into_inner));
        tls.alpn_protocols = vec![b"h2".to_vec()];
        self.open_with(url, &call, Arc::new(tls)).await
    }

    async fn open(&self, url: &Url, call: &Call) -> Result<Stream, Failure> {
        let tls = Arc::clone(&self.tls.read().unwrap_or_else(PoisonError::into_inner));
        self.open_with(url, call, tls).await
    }

    async fn open_with(&self, url: &Url, call: &Call, tls: Arc<ClientConfig>) -> Result<Stream, Failure> {
        let stream = call.connect(url).await?;
        if !url.has_tls() {
            return Ok(Box::new(stream));
        }
        let name = ServerName::try_from(url.host().to_owned());
        let name = name.map_err(|error| call.failed(Step::Tls, error))?;
        let shaken = call.within(Step::Tls, TlsConnector::from(tls).connect(name, stream)).await?;
        Ok(Box::new(shaken.map_err(|error| call.failed(Step::Tls, reason::of_handshake(&error)))?))
    }
}

pub(crate) type Stream = Box<dyn Io>;

pub(crate) trait Io: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Io for S {}
