//! Asking witnesses to cosign the log, each by a task of its own and never on the path of what is taken in.
//!
//! A witness is asked about the newest checkpoint, one request at a time; while it is away the log goes on, and what it
//! missed is one consistency proof when it is back. Only cosignatures that verify are kept.

mod ask;
mod place;
mod quorum;
mod standing;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::outgoing::Outgoing;
use crate::store::Store;
use ask::Asker;
pub(crate) use place::WitnessPlace;
pub(crate) use quorum::Quorum;
use standing::Board;
pub(crate) use standing::{OUTCOMES, WitnessStanding};

#[derive(Debug)]
pub(crate) struct Cosigners {
    store: Arc<dyn Store>,
    places: Vec<WitnessPlace>,
    boards: Vec<Arc<Board>>,
    every: Duration,
}

impl Cosigners {
    /// No witness is asked more often than `every`.
    pub(crate) fn new(store: Arc<dyn Store>, places: Vec<WitnessPlace>, every: Duration) -> Self {
        let boards = places.iter().map(|place| Arc::new(Board::new(place))).collect();
        Self { store, places, boards, every }
    }

    pub(crate) fn standings(&self) -> Vec<WitnessStanding> {
        self.boards.iter().map(|board| board.standing()).collect()
    }

    /// Never ends; its tasks end with it. `published` has the size of the newest checkpoint that this collector signed.
    pub(crate) async fn run(
        &self,
        outgoing: &Arc<Outgoing>,
        published: watch::Receiver<i64>,
        now_ms: fn() -> i64,
    ) {
        let mut tasks = JoinSet::new();
        for (place, board) in self.places.iter().zip(&self.boards) {
            let (store, outgoing) = (Arc::clone(&self.store), Arc::clone(outgoing));
            let asker = Asker::new(store, outgoing, place.clone(), Arc::clone(board), now_ms);
            tasks.spawn(asker.run(published.clone(), self.every));
        }
        while let Some(ended) = tasks.join_next().await {
            if let Err(error) = ended {
                tracing::error!(%error, "a witness is asked no more");
            }
        }
        std::future::pending().await
    }
}
