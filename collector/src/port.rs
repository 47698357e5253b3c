//! The port: connections, with TLS or without, and the files that are read again while it is open.

mod certificate;
mod tls;
mod watch;

use std::net::SocketAddr;

use axum::extract::connect_info::Connected;
use axum::serve::IncomingStream;
use tokio::net::TcpListener;

pub(crate) use certificate::Certificate;
pub(crate) use tls::{HANDSHAKE_WAIT, TlsPort};
pub(crate) use watch::{Watched, watch};

/// Who is at the other end of the connection: a proxy, if there is one in between.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Peer(pub(crate) SocketAddr);

impl Connected<IncomingStream<'_, TcpListener>> for Peer {
    fn connect_info(stream: IncomingStream<'_, TcpListener>) -> Self {
        Self(*stream.remote_addr())
    }
}

impl Connected<IncomingStream<'_, TlsPort>> for Peer {
    fn connect_info(stream: IncomingStream<'_, TlsPort>) -> Self {
        Self(*stream.remote_addr())
    }
}
