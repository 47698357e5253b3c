//! One HTTP/1.1 connection to a witness, kept between requests. What comes back is bounded in bytes; whoever calls bounds
//! the time.

use axum::body::{Body, to_bytes};
use axum::http::{Request, Response, header};
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use super::place::WitnessPlace;

#[derive(Debug)]
pub(super) struct Line {
    place: WitnessPlace,
    sender: Option<SendRequest<Body>>,
}

#[derive(Debug)]
pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) content_type: String,
    pub(super) body: Vec<u8>,
}

impl Line {
    pub(super) const fn new(place: WitnessPlace) -> Self {
        Self { place, sender: None }
    }

    /// To `add-checkpoint`. If it fails, or is given up, the next one begins with a new connection.
    pub(super) async fn post(&mut self, body: &str) -> Result<Reply, String> {
        // A connection that was idle may have been closed meanwhile, which says nothing about the witness.
        if let Some(mut sender) = self.sender.take()
            && sender.ready().await.is_ok()
            && let Ok(response) = sender.send_request(self.request(body)?).await
        {
            return self.read(sender, response).await;
        }
        let stream = TcpStream::connect((self.place.host.as_str(), self.place.port)).await;
        let stream = stream.map_err(|error| error.to_string())?;
        // Without it a small request may wait for an acknowledgement that is itself delayed.
        stream.set_nodelay(true).map_err(|error| error.to_string())?;
        let (mut sender, connection) =
            http1::handshake(TokioIo::new(stream)).await.map_err(|error| error.to_string())?;
        // It ends when the sender is dropped.
        tokio::spawn(connection);
        let response = sender.send_request(self.request(body)?).await.map_err(|error| error.to_string())?;
        self.read(sender, response).await
    }

    fn request(&self, body: &str) -> Result<Request<Body>, String> {
        Request::post(format!("{}/add-checkpoint", self.place.prefix))
            .header(header::HOST, self.place.authority())
            .header(header::CONTENT_TYPE, "text/plain; charset=utf-8")
            .header(header::USER_AGENT, concat!("sentinel/", env!("CARGO_PKG_VERSION")))
            .body(Body::from(body.to_owned()))
            .map_err(|error| error.to_string())
    }

    async fn read(
        &mut self,
        sender: SendRequest<Body>,
        response: Response<Incoming>,
    ) -> Result<Reply, String> {
        let (head, body) = response.into_parts();
        let body = to_bytes(Body::new(body), ANSWER_BYTES_MAX).await;
        let body = body.map_err(|error| format!("its answer was not read: {error}"))?;
        self.sender = Some(sender);
        let content_type = head.headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
        Ok(Reply {
            status: head.status.as_u16(),
            content_type: content_type.unwrap_or_default().to_owned(),
            body: body.to_vec(),
        })
    }
}

/// More than a hundred lines of signatures.
const ANSWER_BYTES_MAX: usize = 64 << 10;
