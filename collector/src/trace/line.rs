//! The way to the place: one batch, one answer.

use std::sync::Arc;
use std::time::Duration;

use axum::http::header;

use super::grpc::Connection;
use super::otlp::n_rejected;
use super::place::Place;
use crate::config::OtlpProtocol;
use crate::outgoing::{Outgoing, Request};

#[derive(Debug)]
pub(super) struct Line {
    place: Place,
    outgoing: Arc<Outgoing>,
    /// For gRPC, kept between batches.
    connection: Option<Connection>,
}

/// Why a batch was not taken.
#[derive(Debug)]
pub(super) enum Trouble {
    /// It may be taken later.
    Away { reason: String, wait: Option<Duration> },
    /// It never will.
    Refused(String),
}

impl Line {
    pub(super) const fn new(place: Place, outgoing: Arc<Outgoing>) -> Self {
        Self { place, outgoing, connection: None }
    }

    /// How many spans of it were not taken, although the batch was.
    pub(super) async fn send(&mut self, body: Vec<u8>) -> Result<u64, Trouble> {
        match self.place.protocol {
            OtlpProtocol::Http => self.post(body).await,
            OtlpProtocol::Grpc => {
                let called = tokio::time::timeout(SEND_WAIT, self.call(body)).await;
                let late = |_| Err(Trouble::away(format!("{}: no answer in {SEND_WAIT:?}", self.place.url)));
                let called = called.unwrap_or_else(late);
                if called.is_err() {
                    self.connection = None;
                }
                called
            }
        }
    }

    async fn post(&self, body: Vec<u8>) -> Result<u64, Trouble> {
        let mut request = Request::post(self.place.url.clone(), "application/x-protobuf", body);
        for (name, value) in &self.place.headers {
            let value = value.to_str().map_err(|error| Trouble::Refused(error.to_string()))?;
            let with = request.with_header(name.clone(), value);
            request = with.map_err(|error| Trouble::Refused(error.to_string()))?;
        }
        let sent = self.outgoing.send(request, SEND_WAIT).await;
        let answer = sent.map_err(|failure| Trouble::away(failure.to_string()))?;
        let reason = || format!("{}: it answers {}", self.place.url, answer.status);
        match answer.status {
            200..=299 => Ok(n_rejected(&answer.body)),
            408 | 429 | 502..=504 => {
                let wait = answer.header(&header::RETRY_AFTER).parse().ok().map(Duration::from_secs);
                Err(Trouble::Away { reason: reason(), wait })
            }
            _ => Err(Trouble::Refused(reason())),
        }
    }

    async fn call(&mut self, body: Vec<u8>) -> Result<u64, Trouble> {
        // One that was idle may have been closed meanwhile, which says nothing about whoever is there.
        if let Some(connection) = &mut self.connection
            && connection.is_ready().await
        {
            return connection.call(&self.place, body).await;
        }
        let opened = self.outgoing.http2(&self.place.url, SEND_WAIT).await;
        let stream = opened.map_err(|failure| Trouble::away(failure.to_string()))?;
        let mut connection = Connection::begin(stream, &self.place).await?;
        let called = connection.call(&self.place, body).await;
        self.connection = Some(connection);
        called
    }
}

impl Trouble {
    pub(super) const fn away(reason: String) -> Self {
        Self::Away { reason, wait: None }
    }
}

const SEND_WAIT: Duration = Duration::from_secs(10);
