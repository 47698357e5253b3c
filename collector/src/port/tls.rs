//! Connections with TLS. Each handshake is a task of its own, so whoever is slow at it keeps nobody waiting.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::serve::Listener;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::Certificate;

#[derive(Debug)]
pub(crate) struct TlsPort {
    listener: TcpListener,
    certificate: Arc<Certificate>,
    handshakes: JoinSet<Option<Accepted>>,
}

type Accepted = (TlsStream<TcpStream>, SocketAddr);

impl TlsPort {
    pub(crate) fn new(listener: TcpListener, certificate: Arc<Certificate>) -> Self {
        Self { listener, certificate, handshakes: JoinSet::new() }
    }
}

impl Listener for TlsPort {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> Accepted {
        loop {
            tokio::select! {
                Some(done) = self.handshakes.join_next() => {
                    if let Ok(Some(accepted)) = done {
                        return accepted;
                    }
                }
                // It deals with errors of the port itself.
                (stream, peer) = Listener::accept(&mut self.listener), if self.handshakes.len() < HANDSHAKES_MAX => {
                    let acceptor = TlsAcceptor::from(self.certificate.current());
                    self.handshakes.spawn(async move {
                        match timeout(HANDSHAKE_WAIT, acceptor.accept(stream)).await {
                            Ok(Ok(stream)) => Some((stream, peer)),
                            Ok(Err(error)) => {
                                tracing::debug!(%peer, %error, "a TLS handshake failed");
                                None
                            }
                            Err(_) => {
                                tracing::debug!(%peer, "a TLS handshake took too long");
                                None
                            }
                        }
                    });
                }
            }
        }
    }

    fn local_addr(&self) -> std::io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

/// Much longer than it takes over the slowest line that anyone would send events over.
pub(crate) const HANDSHAKE_WAIT: Duration = Duration::from_secs(5);
/// Beyond it, connections wait in the system's queue.
const HANDSHAKES_MAX: usize = 1_024;
