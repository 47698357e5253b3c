//! Serving with a bound: so many connections at a time, and none that only waits.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;

use crate::port::{Certificate, HANDSHAKE_WAIT};

pub(super) async fn serve(
    listener: TcpListener,
    tls: Option<Arc<Certificate>>,
    router: Router,
    connections_max: usize,
    shutdown: impl Future<Output = ()> + Send,
) {
    let places = Arc::new(Semaphore::new(connections_max));
    let open = GracefulShutdown::new();
    let mut shutdown = pin!(shutdown);
    loop {
        // First a place, then a connection: those that are too many wait in the system's queue.
        let next = async {
            let place = Arc::clone(&places).acquire_owned().await;
            (place, listener.accept().await)
        };
        let (place, stream) = tokio::select! {
            () = &mut shutdown => break,
            (place, accepted) = next => match accepted {
                Ok((stream, _)) => (place, stream),
                Err(error) => {
                    tracing::warn!(%error, "a connection was not accepted");
                    tokio::time::sleep(ACCEPT_REST).await;
                    continue;
                }
            },
        };
        let acceptor = tls.as_ref().map(|tls| TlsAcceptor::from(tls.current()));
        let (router, watcher) = (router.clone(), open.watcher());
        tokio::spawn(async move {
            match acceptor {
                None => converse(stream, router, watcher).await,
                Some(acceptor) => match timeout(HANDSHAKE_WAIT, acceptor.accept(stream)).await {
                    Ok(Ok(stream)) => converse(stream, router, watcher).await,
                    Ok(Err(error)) => tracing::debug!(%error, "a TLS handshake failed"),
                    Err(_) => tracing::debug!("a TLS handshake took too long"),
                },
            }
            drop(place);
        });
    }
    drop(listener);
    if timeout(DRAIN_MAX, open.shutdown()).await.is_err() {
        tracing::warn!("requests were still in flight at the end of the drain");
    }
}

async fn converse(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    router: Router,
    watcher: Watcher,
) {
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        // Also between two requests.
        .header_read_timeout(HEAD_WAIT)
        .max_headers(HEADERS_MAX)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    // Whatever the other side did wrong, it has hurt only itself.
    let _ = watcher.watch(connection).await;
}

const HEAD_WAIT: Duration = Duration::from_secs(30);
const HEADERS_MAX: usize = 64;
const DRAIN_MAX: Duration = Duration::from_secs(10);
/// Out of files, most likely; trying at once would only be busy.
const ACCEPT_REST: Duration = Duration::from_millis(100);
