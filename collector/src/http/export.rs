//! `/v1/export`: every event that a filter leaves, as one file that is written while it is read.
//!
//! Invariants: however large the answer and however slow its reader, a few pages are in memory and nothing of the store
//! is held between two of them; and an answer that ends well is whole. One that failed on the way is cut off without
//! the end that HTTP asks for, so that no client takes the part for the whole.

mod csv;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use futures_core::Stream;
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::App;
use super::error::ApiError;
use super::filter;
use super::params::{Params, RawQuery};
use crate::domain::Filter;
use crate::evidence::{KeeperError, Opened};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    Jsonl,
    Csv,
}

pub(crate) async fn stream(State(app): State<Arc<App>>, query: RawQuery) -> Result<Response, ApiError> {
    let mut params = Params::read(query)?;
    let format = match params.one_of("format", &["jsonl", "csv"])?.as_deref() {
        Some("csv") => Format::Csv,
        Some(_) => Format::Jsonl,
        None => return Err(ApiError::bad_parameter("format", "format is missing: jsonl or csv")),
    };
    let filter = Filter { limit: PAGE_EVENTS, ..filter::narrowing(&mut params, &app.keeper)? };
    params.done()?;
    let permit = Arc::clone(&app.exports).try_acquire_owned().map_err(|_| ApiError::too_many_exports())?;
    // Before the answer begins, so that a store that is away is an error and not an empty file.
    let first = app.reader.list(filter.clone()).await?;
    let (sender, parts) = mpsc::channel(PARTS_WAITING);
    let reader = Arc::clone(&app.reader);
    tokio::spawn(async move {
        let list = |filter| {
            let reader = Arc::clone(&reader);
            async move { reader.list(filter).await }
        };
        if let Err(error) =
            walk(format, filter, first, list, Taker { parts: sender, stall_max: STALL_MAX }).await
        {
            tracing::warn!(error, "an export was cut off");
        }
        drop(permit);
    });
    let headers = [
        (header::CONTENT_TYPE, format.content_type()),
        (header::CONTENT_DISPOSITION, format.disposition()),
        (header::CACHE_CONTROL, "no-store"),
    ];
    Ok((headers, Body::from_stream(Parts { parts, is_whole: false })).into_response())
}

impl Format {
    const fn content_type(self) -> &'static str {
        match self {
            Self::Jsonl => "application/jsonl",
            Self::Csv => "text/csv; charset=utf-8; header=present",
        }
    }

    const fn disposition(self) -> &'static str {
        match self {
            Self::Jsonl => "attachment; filename=\"events.jsonl\"",
            Self::Csv => "attachment; filename=\"events.csv\"",
        }
    }

    const fn head(self) -> &'static str {
        match self {
            Self::Jsonl => "",
            Self::Csv => csv::HEAD,
        }
    }

    fn write(self, body: &str, to: &mut String) {
        match self {
            // Within JSON such a character is only ever a space between two tokens.
            Self::Jsonl if body.contains(['\n', '\r']) => to.push_str(&body.replace(['\n', '\r'], " ")),
            Self::Jsonl => to.push_str(body),
            Self::Csv => return csv::write(body, to),
        }
        to.push('\n');
    }
}

enum Part {
    Bytes(Bytes),
    /// Nothing is missing.
    End,
}

/// Page after page into the channel; ends when the reader is gone, does not take anything, or has all of it. Each page
/// is a question of its own that goes on behind the last event of the one before.
async fn walk<F: Future<Output = Result<Opened, KeeperError>>>(
    format: Format,
    mut filter: Filter,
    first: Opened,
    list: impl Fn(Filter) -> F,
    taker: Taker,
) -> Result<(), String> {
    let mut text = format.head().to_owned();
    let mut page = first;
    loop {
        for body in &page.bodies {
            format.write(body, &mut text);
        }
        let next = page.next;
        drop(page);
        if !text.is_empty() {
            taker.give(Part::Bytes(std::mem::take(&mut text).into())).await?;
        }
        if next.is_none() {
            return taker.give(Part::End).await;
        }
        filter.before = next;
        page = list(filter.clone()).await.map_err(|error| error.to_string())?;
    }
}

struct Taker {
    parts: mpsc::Sender<Part>,
    stall_max: Duration,
}

impl Taker {
    async fn give(&self, part: Part) -> Result<(), String> {
        match timeout(self.stall_max, self.parts.send(part)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err("its reader has gone away".to_owned()),
            Err(_) => Err(format!("its reader took nothing for {} s", self.stall_max.as_secs())),
        }
    }
}

struct Parts {
    parts: mpsc::Receiver<Part>,
    is_whole: bool,
}

#[derive(Debug, thiserror::Error)]
#[error("the export was cut off")]
struct CutOff;

impl Stream for Parts {
    type Item = Result<Bytes, CutOff>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.is_whole {
            return Poll::Ready(None);
        }
        self.parts.poll_recv(context).map(|part| match part {
            Some(Part::Bytes(bytes)) => Some(Ok(bytes)),
            Some(Part::End) => {
                self.is_whole = true;
                None
            }
            None => Some(Err(CutOff)),
        })
    }
}

/// Under way at once: each holds some megabytes and, while it makes a page, one of a few connections.
pub(super) const EXPORTS_MAX: usize = 4;
const PAGE_EVENTS: usize = 200;
const PARTS_WAITING: usize = 1;
const STALL_MAX: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests;
