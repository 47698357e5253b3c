//! One who watches: frames into an answer, until the reader is gone, is too slow, or may not look any more.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Bytes;
use futures_core::Stream;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::mpsc;
use tokio::time::{MissedTickBehavior, interval, timeout};

use super::wanted::Wanted;
use super::{Item, Seen};
use crate::access::permission::Permission;
use crate::http::App;
use crate::http::auth::Source;
use crate::http::now_ms;

pub(super) struct Viewer {
    pub(super) app: Arc<App>,
    pub(super) wanted: Wanted,
    pub(super) token: String,
    pub(super) source: Source,
    pub(super) frames: mpsc::Sender<Frame>,
    pub(super) stall_max: Duration,
}

/// A part of the answer.
pub(super) enum Frame {
    Next(Bytes),
    /// Nothing comes after it.
    Last(Bytes),
}

/// The reader is gone, or took nothing for too long.
struct Gone;

/// Why a feed ends, for the reader. Programs may depend on the words.
#[derive(Clone, Copy, Debug)]
enum Reason {
    TooSlow,
    NotAllowed,
    Stopping,
}

impl Reason {
    const fn word(self) -> &'static str {
        match self {
            Self::TooSlow => "too_slow",
            Self::NotAllowed => "not_allowed",
            Self::Stopping => "stopping",
        }
    }
}

impl Viewer {
    pub(super) async fn show(self, from: i64, items: Receiver<Item>) {
        // Whoever is gone needs no last word.
        let _ = self.show_until_gone(from, items).await;
    }

    async fn show_until_gone(&self, from: i64, mut items: Receiver<Item>) -> Result<(), Gone> {
        self.give(format!("event: hello\ndata: {{\"from\":{from}}}\n\n")).await?;
        let mut beats = interval(BEAT);
        beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
        beats.tick().await;
        loop {
            let item = tokio::select! {
                item = items.recv() => item,
                () = self.frames.closed() => return Err(Gone),
                _ = beats.tick() => {
                    if !self.may_still().await {
                        return self.end(Reason::NotAllowed, 0).await;
                    }
                    self.give(": \n\n".to_owned()).await?;
                    continue;
                }
            };
            match item {
                Ok(Item::Event(seen)) => self.event(&seen).await?,
                Ok(Item::Skipped(n)) => {
                    self.give(format!("event: skipped\ndata: {{\"n\":{n}}}\n\n")).await?;
                }
                Ok(Item::End) | Err(RecvError::Closed) => return self.end(Reason::Stopping, 0).await,
                Err(RecvError::Lagged(n)) => return self.end(Reason::TooSlow, n).await,
            }
        }
    }

    async fn event(&self, Seen { idx, event, data }: &Seen) -> Result<(), Gone> {
        match self.wanted.fits(event, &self.app.keeper) {
            true => self.give(format!("id: {idx}\nevent: event\ndata: {data}\n\n")).await,
            false => Ok(()),
        }
    }

    async fn end(&self, reason: Reason, n_missed: u64) -> Result<(), Gone> {
        self.send(Frame::Last(last_word(reason, Some(n_missed)))).await
    }

    /// What is taken away from somebody is gone at once, also from a feed that is open. A store that is away now takes
    /// nothing away.
    async fn may_still(&self) -> bool {
        let Source(source) = self.source;
        match self.app.gate.identify(self.app.store(), &self.token, source, now_ms()).await {
            Ok(principal) => principal.may(Permission::ReadContent),
            Err(error) => error.status() >= 500,
        }
    }

    async fn give(&self, frame: String) -> Result<(), Gone> {
        self.send(Frame::Next(frame.into())).await
    }

    async fn send(&self, frame: Frame) -> Result<(), Gone> {
        match timeout(self.stall_max, self.frames.send(frame)).await {
            Ok(Ok(())) => Ok(()),
            _ => Err(Gone),
        }
    }
}

fn last_word(reason: Reason, n_missed: Option<u64>) -> Bytes {
    let reason = reason.word();
    let missed = n_missed.map_or_else(|| "null".to_owned(), |n| n.to_string());
    format!("event: end\ndata: {{\"reason\":\"{reason}\",\"missed\":{missed}}}\n\n").into()
}

/// The answer. A reader that was given up because it took nothing is told when it takes something after all.
pub(super) struct Frames {
    frames: mpsc::Receiver<Frame>,
    is_over: bool,
}

impl Frames {
    pub(super) const fn new(frames: mpsc::Receiver<Frame>) -> Self {
        Self { frames, is_over: false }
    }
}

impl Stream for Frames {
    type Item = Result<Bytes, std::convert::Infallible>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.is_over {
            return Poll::Ready(None);
        }
        self.frames.poll_recv(context).map(|frame| {
            let bytes = match frame {
                Some(Frame::Next(bytes)) => return Some(Ok(bytes)),
                Some(Frame::Last(bytes)) => bytes,
                None => last_word(Reason::TooSlow, None),
            };
            self.is_over = true;
            Some(Ok(bytes))
        })
    }
}

/// How often it is asked whether the reader still may, and shown to proxies between that the answer goes on.
const BEAT: Duration = Duration::from_secs(5);
